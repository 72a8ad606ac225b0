"""A clock that moves only when it is told to."""

from __future__ import annotations

import anyio

from ..abc import Clock

__all__ = ["ManualClock"]

# Turns of the loop in which what is nearly done gets done.
_TURNS = 12


class ManualClock(Clock):
    """Virtual time for deterministic tests.

    Args:
        wall: seconds since 1970-01-01 UTC at the beginning; monotonic time begins at 0.
    """

    def __init__(self, wall: float = 1_750_000_000.0) -> None:
        self._started = wall
        self._now = 0.0
        self._waiting: dict[anyio.CancelScope, float | None] = {}

    def wall(self) -> float:
        return self._started + self._now

    def monotonic(self) -> float:
        return self._now

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        if deadline is not None and deadline <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        scope = anyio.CancelScope()
        self._waiting[scope] = deadline
        try:
            with scope:
                await event.wait()
        finally:
            del self._waiting[scope]

    def jump(self, seconds: float) -> None:
        """Moves time without letting anything happen in between, as a stalled loop sees it."""
        self._now += seconds
        for scope, deadline in list(self._waiting.items()):
            if deadline is not None and deadline <= self._now:
                scope.cancel()

    async def advance(self, seconds: float) -> None:
        """Moves time from deadline to deadline; everything runs at each one and at the end."""
        target = self._now + seconds
        await _settle()
        while (step := self._next_deadline()) is not None and step <= target:
            self.jump(max(0.0, step - self._now))
            await _settle()
        self._now = max(self._now, target)
        await _settle()

    def _next_deadline(self) -> float | None:
        waiting = self._waiting.items()
        deadlines = [d for scope, d in waiting if d is not None and not scope.cancel_called]
        return min(deadlines, default=None)


async def _settle() -> None:
    """Waits until nothing can go on without time."""
    # anyio looks again only after a tenth of a real second when it finds something running, so
    # what is nearly done is given some turns of the loop first.
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
