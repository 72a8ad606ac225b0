"""agentprogress with a producer that logs at a fixed rate and times each of its calls.

POST /fill sends enough to stop those who do not read; POST /steady is one measurement.
"""

import asyncio
import json
import time
from dataclasses import asdict

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.asgi import ProgressApp
from agentprogress.registry import engine_of

from ..control import controlled
from ..payload import EVENTS, FILL_EVENTS, FILL_FLUSH, FILL_PADDING, line, timed_line
from ..steady import LINES_AT_ONCE, PAUSE, Steady

# Longer than a measurement: those who do not read stay attached, or there would be nothing to see.
PATIENCE = 300.0

lines = [line(number) for number in range(EVENTS)]
registry = SessionRegistry(
    settings=Settings(write_timeout=PATIENCE, snapshot_write_timeout=PATIENCE)
)
over = asyncio.Event()
sessions: list[ProgressSession] = []


async def job(_: ProgressSession) -> None:
    """Keeps the session running; its events come from the control routes."""
    await over.wait()


def opened() -> str:
    """Starts the session, and says where it is."""
    sessions.append(registry.start(job, title="steady"))
    return f"/sessions/{sessions[0].id}"


async def fill() -> str:
    """Sends more than the buffers of a connection hold."""
    (session,) = sessions
    for number in range(FILL_EVENTS):
        session.log(line(number) + FILL_PADDING)
        if number % FILL_FLUSH == FILL_FLUSH - 1:
            await session.flush()
    return ""


async def steady() -> str:
    """Logs every line at the fixed rate; says what each call took, and who did not move."""
    (session,) = sessions
    before = positions()
    nanoseconds: list[int] = []
    due = time.monotonic()
    for number in range(1, EVENTS + 1):
        text = timed_line(lines[number - 1])
        start = time.perf_counter_ns()
        session.log(text)
        nanoseconds.append(time.perf_counter_ns() - start)
        if number % LINES_AT_ONCE == 0:
            due += PAUSE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    await session.flush()
    unmoved = sum(before.get(name) == position for name, position in positions().items())
    stats = registry.stats()
    return json.dumps(asdict(Steady(nanoseconds, stats.subscribers, unmoved, stats.detached)))


def positions() -> dict[int, int]:
    """Returns where each subscriber stands on the log."""
    record = engine_of(registry).record(sessions[0].id)
    return {id(subscriber): subscriber.position for subscriber in record.subscribers}


app = controlled(
    ProgressApp(registry), go=bool, opened=opened, asked={"/fill": fill, "/steady": steady}
)
