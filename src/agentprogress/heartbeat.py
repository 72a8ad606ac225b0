"""Deadlines of connections: heartbeats and everything else that must happen to them in time.

One scheduler for each loop, one wheel, no timer or task per connection. Its time stands still while
the loop is stalled: nobody is dropped for our own delay.
"""

from __future__ import annotations

import logging
from typing import Protocol

from ._core.wheel import Wheel
from .abc import Clock
from .settings import Settings

__all__ = ["HeartbeatScheduler", "Timed"]

_logger = logging.getLogger("agentprogress")


class Timed(Protocol):
    """Something with a next deadline."""

    def on_deadline(self, now: float) -> float | None:
        """Does what is due and returns the next deadline; None when there is none."""
        ...


class HeartbeatScheduler:
    """Calls each thing at its deadline, rounded up to a second.

    Attributes:
        stalled: seconds of stall found so far; all deadlines have moved by as much.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._threshold = settings.stall_threshold
        self._most = settings.max_sweep
        self._wheel: Wheel[Timed] = Wheel()
        self.stalled = 0.0

    def __len__(self) -> int:
        return len(self._wheel)

    def now(self) -> float:
        """Returns the time that deadlines are in: monotonic, less the stalls."""
        return self._clock.monotonic() - self.stalled

    def set(self, item: Timed, deadline: float | None) -> None:
        """Gives a thing its next deadline, in `now`'s time; None takes it off."""
        if deadline is None:
            self._wheel.discard(item)
        else:
            self._wheel.set(item, deadline)

    def next_deadline(self) -> float | None:
        """Returns the next deadline on the monotonic clock."""
        deadline = self._wheel.next_deadline()
        return None if deadline is None else deadline + self.stalled

    def woke(self, planned: float | None) -> None:
        """Takes note of how late the loop came back from a wait that was planned to end by then."""
        if planned is None:
            return
        lag = self._clock.monotonic() - planned
        if lag > self._threshold:
            # The threshold on top, so that what arrived meanwhile is read before anything is due.
            self.stalled += lag + self._threshold

    def fire(self) -> bool:
        """Calls what is due, at most ``max_sweep`` things; True when more is."""
        now = self.now()
        due = self._wheel.due(now, self._most)
        for item in due:
            try:
                self.set(item, item.on_deadline(now))
            except Exception:
                # One connection's failure must not take the host, and with it all others, down.
                _logger.exception("a connection failed at its deadline")
        return len(due) == self._most
