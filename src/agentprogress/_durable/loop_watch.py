"""Whether event loops answer: one that does not is blocked, and so is every producer in it."""

from __future__ import annotations

from .._wakeup import LoopRef
from ..abc import Clock

__all__ = ["LoopWatch"]


class _Asked:
    """A loop, and since when it owes an answer."""

    __slots__ = ("loop", "since")

    def __init__(self, loop: LoopRef) -> None:
        self.loop = loop
        self.since: float | None = None

    def answer(self) -> None:
        self.since = None


class LoopWatch:
    """See the module. Used by one thread.

    Args:
        clock: all time comes from it.
        patience: seconds without an answer after which a loop is blocked.
    """

    def __init__(self, clock: Clock, patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self._asked: list[_Asked] = []

    def is_blocked(self, loop: LoopRef | None) -> bool:
        """Asks a loop for a sign of life; true when it owes one for too long."""
        if loop is None:
            return False
        asked = self._of(loop)
        now = self._clock.monotonic()
        since = asked.since
        if since is not None:
            return now - since >= self._patience
        asked.since = now
        if not loop.call_soon(asked.answer):
            self._asked.remove(asked)  # it is over
        return False

    def _of(self, loop: LoopRef) -> _Asked:
        for asked in self._asked:
            if asked.loop.same(loop):
                return asked
        asked = _Asked(loop)
        self._asked.append(asked)
        return asked
