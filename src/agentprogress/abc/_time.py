"""The contract of a clock."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

import anyio

__all__ = ["Clock"]


class Clock(ABC):
    """Two clocks and the one way to wait: wall time for records, monotonic time for deadlines."""

    @abstractmethod
    def wall(self) -> float:
        """Returns seconds since 1970-01-01 UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Returns seconds that never run backwards, from an unspecified start."""

    @abstractmethod
    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        """Waits for an event.

        Args:
            event: what to wait for.
            deadline: monotonic time at which to return without it; None to wait for ever.
        """

    def wait_in_thread(self, event: threading.Event, deadline: float | None) -> None:
        """Waits for an event in a thread without a loop; the arguments are those of `wait`."""
        left = None if deadline is None else max(0.0, deadline - self.monotonic())
        event.wait(left if left is None else min(left, threading.TIMEOUT_MAX))

    def at_work(self) -> AbstractContextManager[None]:
        """Marks a time in which a thread of the library is busy; a clock that is moved waits."""
        return nullcontext()
