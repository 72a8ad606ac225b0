"""What the registry tells of its sessions and of itself: frozen values, taken at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._record import SessionRecord

__all__ = ["RegistryStats", "SessionInfo"]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session, without its events.

    Attributes:
        status: ``pending`` … ``lost``.
        head: the last seq.
        owner: whose it is, given at creation; never sent to viewers.
        private: what the application keeps with it; never sent to viewers.
        created_at: RFC 3339, like all times here.
        subscribers: who follows it in this process, now.
    """

    id: str
    epoch: str
    status: str
    attempt: int
    head: int
    title: str | None
    owner: str | None
    private: Any
    created_at: str
    started_at: str | None
    ended_at: str | None
    subscribers: int

    @classmethod
    def of(cls, record: SessionRecord) -> SessionInfo:
        """Takes the present state of a record."""
        life = record.life
        return cls(
            id=record.id,
            epoch=record.epoch,
            status=record.status.value,
            attempt=record.attempt,
            head=record.history.head,
            title=life.title,
            owner=life.owner,
            private=life.private,
            created_at=life.created_at,
            started_at=life.started_at,
            ended_at=life.ended_at,
            subscribers=len(record.subscribers),
        )


@dataclass(frozen=True, slots=True)
class RegistryStats:
    """Counts of one registry in one process.

    Attributes:
        sessions: how many are kept, by status.
        tombstones: how many ended sessions are remembered without a record.
        subscribers: how many follow, over the network and in process.
        deadlines: how many expiries are set.
        held_bytes: encoded bytes of histories and results, plus 256 for each event.
        swept: things removed because their time was over.
        dropped: events that came too late or could not be encoded.
        detached: connections given up because a write was blocked too long (code 4101).
        unanswered: connections closed because a heartbeat was not answered (code 4102).
        stalled: seconds for which the event loop was found blocked.
        draining: whether the registry is shutting down.
        waiting: events that a store has still to take.
        store_available: false while a store cannot be reached.
    """

    sessions: dict[str, int]
    tombstones: int
    subscribers: int
    deadlines: int
    held_bytes: int
    swept: int
    dropped: int
    detached: int
    unanswered: int
    stalled: float
    draining: bool
    waiting: int = 0
    store_available: bool = True
