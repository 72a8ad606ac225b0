"""The real clock, and the stamp that goes on every event."""

from __future__ import annotations

import time

import anyio

from ._core.times import rfc3339
from .abc import Clock

__all__ = ["Stamp", "SystemClock"]


class SystemClock(Clock):
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        if deadline is None:
            await event.wait()
            return
        with anyio.move_on_after(max(0.0, deadline - time.monotonic())):
            await event.wait()


class Stamp:
    """Wall time as text. Formatting costs more than emitting: one text serves its millisecond."""

    __slots__ = ("_clock", "_millisecond", "_text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._millisecond = -1
        self._text = ""

    def __call__(self) -> str:
        """Returns the present time in RFC 3339."""
        wall = self._clock.wall()
        millisecond = int(wall * 1000)
        if millisecond != self._millisecond:
            # Two threads may write the two fields in turn; a time one millisecond off is harmless.
            self._text = rfc3339(wall)
            self._millisecond = millisecond
        return self._text
