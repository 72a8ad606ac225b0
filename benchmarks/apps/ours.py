"""agentprogress as its documentation shows it: one job that logs, mounted as it is."""

import asyncio

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp

from ..control import controlled
from ..payload import EVENTS, FLOW_EVENTS, line

lines = [line(number) for number in range(EVENTS)]
registry = SessionRegistry()
started = asyncio.Event()


async def produce(session: ProgressSession) -> None:
    """The job: logs every line, and lets its subscribers catch up now and then."""
    await started.wait()
    for number, text in enumerate(lines, 1):
        session.log(text)
        if number % FLOW_EVENTS == 0:
            await session.flush()


def opened() -> str:
    """Starts the session, and says where it is."""
    return f"/sessions/{registry.start(produce, title='burst').id}"


app = controlled(ProgressApp(registry), go=started.set, opened=opened)
