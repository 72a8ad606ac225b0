"""Between the replicas of a process and what brings their events into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .replica import Replica

__all__ = ["Outgoing"]


class Outgoing(Protocol):
    """Brings to the store what replicas have for it."""

    def touch(self, replica: Replica, *, urgent: bool = False) -> None:
        """Something is to be stored, at once if it is urgent; from any thread, never waits."""
        ...

    def used(self, replica: Replica, /) -> None:
        """Tells that it may have become idle, or needed again."""
        ...

    def resolved(self, replica: Replica, request_id: str) -> None:
        """The question of a suspended session is settled; called without the lock."""
        ...

    def cancel(self, replica: Replica, reason: str | None, by: str | None) -> bool:
        """Asks a session to stop whose producer is elsewhere; waits for the store."""
        ...

    def answer(self, replica: Replica, request_id: str, value: Any, by: str | None) -> None:
        """Answers a question, wherever its producer is; waits for the store."""
        ...
