"""What is read, each from one moment; what has expired is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any, NamedTuple

from ..._core.states import SessionStatus
from ...abc import Log, Overdue, Position, Stored
from .rows import COLUMNS, Row, blob, row_of

__all__ = ["Wanted", "find", "head", "listed", "log", "overdue", "result"]

_EVENTS = "SELECT data FROM events WHERE session = ? AND seq >= ? ORDER BY seq"
_OVERDUE = (
    f"SELECT {COLUMNS} FROM sessions WHERE lease_until <= ? AND expires > ? "
    # The plus keeps SQLite from going through all that have a status.
    "AND +status IN ({statuses}) ORDER BY lease_until, key LIMIT ?"
)
_VISIBLE = "expires > :now AND (result_until IS NULL OR result_until > :now)"


class Wanted(NamedTuple):
    """What `Store.list` is asked for."""

    owner: str | None
    status: str | None
    limit: int
    after: str | None


def find(db: sqlite3.Connection, session_id: str, now: float) -> Stored | None:
    """Returns all that is known of a session besides its log."""
    row = row_of(db, session_id, now)
    return None if row is None else row.stored_whole(db, now)


def head(db: sqlite3.Connection, session_id: str, now: float) -> Stored | None:
    """Returns the same without details: nothing large is read."""
    row = row_of(db, session_id, now)
    return None if row is None else row.stored(now)


def log(db: sqlite3.Connection, position: Position, now: float) -> Log | None:
    """Returns what follows a position, or all there is where nothing follows it."""
    row = row_of(db, position.session_id, now)
    if row is None:
        return None
    session = row.stored_whole(db, now)
    if session.gone:
        return Log(session, row.head + 1, (), None)
    goes_on = position.epoch == row.epoch and session.oldest - 1 <= position.seq <= row.head
    first = position.seq + 1 if goes_on else session.oldest
    entries: list[bytes] = []
    if not row.without_events(now):
        entries = [data for (data,) in db.execute(_EVENTS, (row.key, first))]
    if goes_on or first == 1:
        return Log(session, first, entries, None)
    return Log(session, first, entries, blob(db, row.key, _base_kind(row, now)))


def result(db: sqlite3.Connection, session_id: str, now: float) -> bytes | None:
    """Returns the encoded result, while it is kept."""
    row = row_of(db, session_id, now)
    return None if row is None or row.gone(now) else blob(db, row.key, "result")


def overdue(
    db: sqlite3.Connection, most: int, statuses: Collection[SessionStatus], now: float
) -> list[Overdue]:
    """Returns sessions whose lease has run out, the longest ago first."""
    question = _OVERDUE.format(statuses=", ".join("?" * len(statuses)))
    rows = db.execute(question, (now, now, *statuses, most)).fetchall()
    return [
        Overdue(row.stored_whole(db, now), f"{row.epoch}-{row.renewals}")
        for row in map(Row._make, rows)
    ]


def listed(db: sqlite3.Connection, wanted: Wanted, now: float) -> list[Stored]:
    """Returns sessions in the order of their creation."""
    conditions = [_VISIBLE]
    values: dict[str, Any] = {**wanted._asdict(), "now": now}
    if wanted.owner is not None:
        conditions.append("owner = :owner")
    if wanted.status is not None:
        conditions.append("status = :status")
    if wanted.after is not None:
        last = row_of(db, wanted.after, now)
        if last is None:
            return []
        values |= {"created": last.created, "id": last.id}
        conditions.append("(created, id) > (:created, :id)")
    rows = db.execute(
        f"SELECT {COLUMNS} FROM sessions WHERE {' AND '.join(conditions)} "
        "ORDER BY created, id LIMIT :limit",
        values,
    ).fetchall()
    return [row.stored_whole(db, now) for row in map(Row._make, rows)]


def _base_kind(row: Row, now: float) -> str:
    return "state" if row.without_events(now) else "base"
