"""Contracts that other parts are written against."""

from __future__ import annotations

from abc import ABC, abstractmethod

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
