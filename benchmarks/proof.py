"""Two proofs by numbers that are too long for the tests: `python -m benchmarks.proof`.

A session of 100,000 lines costs what 1,000 events cost, and a late subscriber gets its state and
the retained tail. 100,000 sessions opened, ended and swept leave nothing, and no turn of the loop
is held for long by a sweep. Exits with 1 when either does not hold.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass, field

import anyio

from agentprogress import SessionRegistry, Settings, Snapshot
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock

LINES = 100_000
SESSIONS = 100_000
# At the default bound of a process: more at once would measure the garbage collector instead.
AT_ONCE = 10_000
LONGEST_TURN_MS = 10.0


@dataclass
class Turns:
    """How long each turn of the loop took, in milliseconds."""

    seen: list[float] = field(default_factory=list)

    async def watch(self, done: anyio.Event) -> None:
        last = time.perf_counter()
        while not done.is_set():
            await anyio.lowlevel.checkpoint()
            now = time.perf_counter()
            self.seen.append((now - last) * 1000)
            last = now


async def long_session() -> bool:
    """Emits many lines and joins at the end."""
    registry = SessionRegistry()
    line = "a line of a hundred characters, as jobs write them all day long, again and again ok"
    early = 0
    with registry.open() as session:
        for number in range(LINES):
            session.log(f"{number:06} {line}")
            if number == 2_000:
                session.snapshot()
                early = registry.stats().held_bytes
        session.snapshot()
        held = registry.stats().held_bytes
    async with registry.subscribe(session.id) as subscription:
        items = [item async for item in subscription]
    first = items[0]
    good = (
        isinstance(first, Snapshot)
        and first.seq == LINES + 2 - 1_000
        and [getattr(item, "seq", None) for item in items[1:]]
        == list(range(first.seq + 1, LINES + 3))
        and held <= early * 1.01
    )
    print(f"{LINES:,} lines: {held:,} bytes held, {early:,} after 2,000; joined at the end with")
    at = first.seq if isinstance(first, Snapshot) else "?"
    print(f"  snapshot at {at} and {len(items) - 1:,} events: {_word(good)}")
    return good


async def many_sessions() -> bool:
    """Opens, ends and sweeps sessions in rounds, and counts what is left."""
    clock = ManualClock()
    settings = Settings(max_sessions=AT_ONCE, history_ttl=10, result_ttl=20, tombstone_ttl=30)
    registry = SessionRegistry(settings, clock=clock)
    await one_round(registry, clock, 100, Turns())
    gc.collect()
    before = len(gc.get_objects())
    turns = Turns()
    for _ in range(SESSIONS // AT_ONCE):
        await one_round(registry, clock, AT_ONCE, turns)
    gc.collect()
    left = len(gc.get_objects()) - before
    stats = registry.stats()
    empty = not stats.sessions and not stats.tombstones and not stats.deadlines
    # A few objects of the interpreter's own come and go.
    good = empty and stats.held_bytes == 0 and left < 100
    slow = sorted(turns.seen)[-5:]
    print(f"{SESSIONS:,} sessions, {AT_ONCE:,} at once: {left} objects more: {_word(good)}")
    fast = slow[-1] <= LONGEST_TURN_MS
    longest = ", ".join(f"{ms:.1f}" for ms in slow)
    print(f"  the longest turns of the loop while sweeping: {longest} ms: {_word(fast)}")
    return good and fast


async def one_round(
    registry: SessionRegistry, clock: ManualClock, sessions: int, turns: Turns
) -> None:
    for number in range(sessions):
        with registry.open(title="one of many") as session:
            session.log("hello")
        if number % 500 == 0:
            await anyio.lowlevel.checkpoint()
    gc.collect()
    # A full collection over all these sessions takes longer than any sweep, and is not one.
    gc.disable()
    for seconds in (11, 11, 31):  # histories, records, tombstones
        done = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turns.watch, done)
            swept = registry.stats().swept + sessions
            clock.jump(seconds)
            while engine_of(registry).local.swept < swept:
                await anyio.lowlevel.checkpoint()
            done.set()
    gc.enable()
    # What was published last has its tick behind it.
    await clock.advance(1)


def _word(good: bool) -> str:
    return "holds" if good else "DOES NOT HOLD"


async def main() -> int:
    results = [await long_session(), await many_sessions()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main))
