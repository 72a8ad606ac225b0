"""A session's row, what can be seen of it at a moment, and what is large beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ..._core.states import SessionStatus
from ...abc import Refusal, Refused, Stored

__all__ = ["COLUMNS", "Row", "blob", "forget", "keep", "next_change", "refused", "remove", "row_of"]

COLUMNS = (
    "key, id, epoch, status, attempt, fence, head, oldest, size_bytes, owner, created, ended_at, "
    "lease_until, stalled, renewals, ttl, expires, history_until, result_until"
)

_ROW = f"SELECT {COLUMNS} FROM sessions WHERE id = ?"
_BLOB = "SELECT data FROM blobs WHERE session = ? AND kind = ?"
_KEEP = "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)"

# Everything of a session's epoch but its row.
_CONTENTS = (
    "DELETE FROM events WHERE session = ?",
    "DELETE FROM blobs WHERE session = ?",
    "DELETE FROM producers WHERE session = ?",
    "DELETE FROM once WHERE session = ?",
)


class Row(NamedTuple):
    """One of the table `sessions`, as `COLUMNS` reads it; times are those of the store's clock.

    Attributes:
        size_bytes: of the events that are retained.
        renewals: counts how often a lease was set.
        ttl: seconds until `expires` from each refresh, before the end.
        expires: when nothing is to be seen of it any more.
        history_until: None before the end, as `result_until`.
    """

    key: int
    id: str
    epoch: str
    status: str
    attempt: int
    fence: int
    head: int
    oldest: int
    size_bytes: int
    owner: str | None
    created: float
    ended_at: str | None
    lease_until: float | None
    stalled: str
    renewals: int
    ttl: float
    expires: float
    history_until: float | None
    result_until: float | None

    @property
    def ended(self) -> bool:
        """True once the terminal event is stored."""
        return self.result_until is not None

    def gone(self, now: float) -> bool:
        """True for a tombstone."""
        return self.result_until is not None and self.result_until <= now

    def without_events(self, now: float) -> bool:
        """True once the history has expired, whether or not it was swept."""
        return self.history_until is not None and self.history_until <= now

    def lapsed(self, since: float) -> bool:
        """True where it has a lease, and that had run out by then."""
        return self.lease_until is not None and self.lease_until <= since

    def due(self, now: float) -> float:
        """Returns when the next part of it expires."""
        stages = (self.history_until, self.result_until)
        return min((at for at in stages if at is not None and at > now), default=self.expires)

    def stored(self, now: float, details: bytes = b"") -> Stored:
        """Returns what is to be seen at a moment."""
        return Stored(
            session_id=self.id,
            epoch=self.epoch,
            status=SessionStatus(self.status),
            attempt=self.attempt,
            fence=self.fence,
            head=self.head,
            oldest=self.head + 1 if self.without_events(now) else self.oldest,
            owner=self.owner,
            created=self.created,
            details=details,
            ended_at=self.ended_at,
            lease_left=None if self.lease_until is None else self.lease_until - now,
            stalled=self.stalled,
            gone=self.gone(now),
        )

    def stored_whole(self, db: sqlite3.Connection, now: float) -> Stored:
        """Returns the same with its details."""
        return self.stored(now, b"" if self.gone(now) else blob(db, self.key, "details") or b"")


def row_of(db: sqlite3.Connection, session_id: str, now: float) -> Row | None:
    """Returns what is there of a session; None when nothing is, or it has expired."""
    found = db.execute(_ROW, (session_id,)).fetchone()
    if found is None:
        return None
    row = Row._make(found)
    return row if row.expires > now else None


def refused(db: sqlite3.Connection, why: Refusal, row: Row | None, now: float) -> Refused:
    """Returns a refusal with what is known."""
    return Refused(why, None if row is None else row.stored_whole(db, now))


def blob(db: sqlite3.Connection, key: int, kind: str) -> bytes | None:
    """Returns something large of a session."""
    found: Sequence[bytes] | None = db.execute(_BLOB, (key, kind)).fetchone()
    return None if found is None else found[0]


def keep(db: sqlite3.Connection, key: int, kind: str, data: bytes) -> None:
    """Stores something large, in the place of the last one of its kind."""
    db.execute(_KEEP, (key, kind, data))


def forget(db: sqlite3.Connection, key: int) -> None:
    """Removes all of an epoch but the session's row."""
    for statement in _CONTENTS:
        db.execute(statement, (key,))


def remove(db: sqlite3.Connection, session_id: str) -> None:
    """Removes a session and all that belongs to it, whether or not it has expired."""
    found = db.execute(_ROW, (session_id,)).fetchone()
    if found is not None:
        forget(db, found[0])
        db.execute("DELETE FROM sessions WHERE key = ?", found[:1])


def next_change(db: sqlite3.Connection) -> int:
    """Returns the number of this transaction, for the rows that it changes."""
    db.execute("UPDATE counter SET changes = changes + 1")
    return int(db.execute("SELECT changes FROM counter").fetchone()[0])
