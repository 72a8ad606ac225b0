"""What goes with time, part by part, and how the room comes back."""

from __future__ import annotations

import sqlite3

from .rows import COLUMNS, Row, forget, next_change, remove, row_of

__all__ = ["delete_ended", "give_back", "sweep_expired"]

# Pages that may lie free for what comes next; what is beyond goes back, so many in one sweep.
_FREE_PAGES = 1_000
_GIVEN_BACK_PAGES = 1_000

# Several writers at once can keep SQLite from ever beginning its log anew by itself.
_WAL_BYTES = 32 * 1024 * 1024
_CHECKPOINT_TIMEOUT_MS = 100

_DUE = f"SELECT {COLUMNS} FROM sessions WHERE due <= ? ORDER BY due LIMIT ?"
_MOVED_ON = "UPDATE sessions SET due = ? WHERE key = ?"
_EVENTS_GO = "DELETE FROM events WHERE session = ?"
_BASE_GOES = "DELETE FROM blobs WHERE session = ? AND kind = 'base'"
_DELETED = (
    "UPDATE sessions SET history_until = :now, result_until = :now, expires = :expires, "
    "due = :expires, change = :change, altered = :change WHERE key = :key"
)


def sweep_expired(db: sqlite3.Connection, most: int, now: float) -> int:
    """Removes parts of sessions whose time is over; returns how many."""
    swept = 0
    while swept < most:
        rows = db.execute(_DUE, (now, most - swept)).fetchall()
        if not rows:
            break
        swept += sum(_sweep(db, Row._make(row), now) for row in rows)
    return swept


def delete_ended(db: sqlite3.Connection, session_id: str, ttl: float, now: float) -> bool:
    """Leaves the tombstone of an ended session."""
    row = row_of(db, session_id, now)
    if row is None or not row.ended or row.gone(now):
        return False
    forget(db, row.key)
    change = next_change(db)
    db.execute(_DELETED, {"now": now, "expires": now + ttl, "change": change, "key": row.key})
    return True


def give_back(db: sqlite3.Connection, wal_bytes: int) -> None:
    """Gives room back to the disk, outside of a transaction; a little at a time."""
    if db.execute("PRAGMA freelist_count").fetchone()[0] > _FREE_PAGES:
        # A page for each step; sqlite3 takes only one of a statement that returns no rows, but for
        # a script's.
        db.executescript(f"PRAGMA incremental_vacuum({_GIVEN_BACK_PAGES})")
    if wal_bytes > _WAL_BYTES:
        before = db.execute("PRAGMA busy_timeout").fetchone()[0]
        db.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_TIMEOUT_MS}")
        try:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            db.execute(f"PRAGMA busy_timeout = {before}")


def _sweep(db: sqlite3.Connection, row: Row, now: float) -> bool:
    """Removes what has expired of one session; False when it was refreshed meanwhile."""
    if row.expires <= now:
        remove(db, row.id)
        return True
    if row.gone(now):
        forget(db, row.key)
    elif row.without_events(now):
        db.execute(_EVENTS_GO, (row.key,))
        db.execute(_BASE_GOES, (row.key,))
    db.execute(_MOVED_ON, (row.due(now), row.key))
    return row.without_events(now)
