"""What one event costs its producer when nobody follows, beside encoding the same model alone.

The three ways take turns, in batches, in a session that has been running for a while: its history
is full, so that each event also evicts one.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from agentprogress import SessionRegistry
from agentprogress.events import LogMessage

from ..payload import line
from .costs import EmitCosts

WARM_UP = 3_000
BATCH = 1_000


async def measure(rounds: int) -> EmitCosts:
    """Measures `rounds` batches of each way."""
    costs = EmitCosts([], [], [], [])
    lines = [line(number) for number in range(BATCH)]
    async with SessionRegistry() as registry, registry.open(title="emit") as session:
        ways: list[tuple[list[float], Callable[[str], object]]] = [
            (costs.model, make_and_encode),
            (costs.emit, lambda text: session.emit(LogMessage(level="info", message=text))),
            (costs.log, session.log),
        ]
        for number in range(WARM_UP):
            session.log(line(number))
        for number in range(rounds):
            for place in range(len(ways)):
                values, way = ways[(place + number) % len(ways)]
                values.append(microseconds(way, lines))
                later = time.process_time_ns()
                await session.flush()
                if values is costs.log:
                    costs.later.append((time.process_time_ns() - later) / BATCH / 1_000)
    return costs


def make_and_encode(text: str) -> bytes:
    """The floor: what any program does that sends typed JSON."""
    event = LogMessage(level="info", message=text)
    return type(event).__pydantic_serializer__.to_json(event)


def microseconds(way: Callable[[str], object], lines: list[str]) -> float:
    """Returns the time of one call."""
    start = time.perf_counter_ns()
    for text in lines:
        way(text)
    return (time.perf_counter_ns() - start) / len(lines) / 1_000


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(measure(int(sys.argv[1]))))))
