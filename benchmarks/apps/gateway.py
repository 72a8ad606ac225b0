"""A gateway: serves the sessions of the store that the environment names; none runs in it."""

import os

from agentprogress import SessionRegistry
from agentprogress.asgi import ProgressApp

from ..control import controlled

app = controlled(ProgressApp(SessionRegistry(store=os.environ["BENCHMARK_STORE"])), go=bool)
