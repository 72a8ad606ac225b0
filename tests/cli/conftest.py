"""The command line serves with uvicorn, which is asyncio's: so are its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agentprogress import SessionRegistry
from agentprogress.access import allow_anyone
from agentprogress.asgi import ProgressApp
from tests.http.peers import serving

from .following import Server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    registry = SessionRegistry()
    async with serving(ProgressApp(registry, allow_anyone)) as address:
        yield Server(registry, address)
