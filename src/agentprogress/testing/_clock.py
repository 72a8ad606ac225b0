"""A clock that moves only when it is told to."""

from __future__ import annotations

import anyio

from ..abc import Clock

__all__ = ["ManualClock"]


class ManualClock(Clock):
    """Virtual time for deterministic tests.

    Args:
        wall: seconds since 1970-01-01 UTC at the beginning; monotonic time begins at 0.
    """

    def __init__(self, wall: float = 1_750_000_000.0) -> None:
        self._started = wall
        self._now = 0.0
        self._waiting: dict[anyio.Event, float | None] = {}

    def wall(self) -> float:
        return self._started + self._now

    def monotonic(self) -> float:
        return self._now

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        if deadline is not None and deadline <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        self._waiting[woken] = deadline
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_relay, event, woken)
                await woken.wait()
                tasks.cancel_scope.cancel()
        finally:
            del self._waiting[woken]

    def jump(self, seconds: float) -> None:
        """Moves time without letting anything happen in between: a stalled loop, as it sees itself."""
        self._now += seconds
        for woken, deadline in list(self._waiting.items()):
            if deadline is not None and deadline <= self._now:
                woken.set()

    async def advance(self, seconds: float) -> None:
        """Moves time from deadline to deadline, letting everything run at each, and settle at the end."""
        target = self._now + seconds
        await _settle()
        while (step := self._next_deadline()) is not None and step <= target:
            self.jump(max(0.0, step - self._now))
            await _settle()
        self._now = max(self._now, target)
        await _settle()

    def _next_deadline(self) -> float | None:
        deadlines = [d for woken, d in self._waiting.items() if d is not None and not woken.is_set()]
        return min(deadlines, default=None)


async def _settle() -> None:
    """Waits until nothing can go on without time."""
    # anyio looks again only after a tenth of a real second when it finds something running, so
    # what is nearly done is given some turns of the loop first.
    for _ in range(12):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


async def _relay(event: anyio.Event, woken: anyio.Event) -> None:
    await event.wait()
    woken.set()
