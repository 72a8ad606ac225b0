"""What goes with time, part by part, and how the room comes back."""

from __future__ import annotations

import sqlite3

from .rows import COLUMNS, Row, forget, next_change, row_of

__all__ = ["delete_ended", "give_back", "sweep_expired"]

# Pages that may lie free for what comes next; what is beyond goes back, so many in one sweep.
_FREE_PAGES = 1_000
_GIVEN_BACK_PAGES = 1_000

# Several writers at once can keep SQLite from ever beginning its log anew by itself.
_WAL_BYTES = 32 * 1024 * 1024
_CHECKPOINT_TIMEOUT_MS = 100

# What is larger than this costs a sweep as much as several small rows: it takes as many pages.
_PAGE_BYTES = 4096

_DUE = f"SELECT {COLUMNS} FROM sessions WHERE due <= ? ORDER BY due LIMIT ?"
_MOVED_ON = "UPDATE sessions SET due = ? WHERE key = ?"
_GONE = "DELETE FROM sessions WHERE key = ?"
_EVENT_SIZES = "SELECT seq, length(data) FROM events WHERE session = ? ORDER BY seq LIMIT ?"
_EVENTS_GO = "DELETE FROM events WHERE session = ? AND seq <= ?"
_BLOB_SIZES = "SELECT length(data) FROM blobs WHERE session = ?"
_BASE_GOES = "DELETE FROM blobs WHERE session = ? AND kind = 'base'"
_DELETED = (
    "UPDATE sessions SET history_until = :now, result_until = :now, expires = :expires, "
    "due = :expires, change = :change, altered = :change WHERE key = :key"
)


def sweep_expired(db: sqlite3.Connection, most: int, now: float) -> int:
    """Removes what has expired, in one transaction that is short however much that is.

    Args:
        db: in a transaction.
        most: at most so many rows, or so many pages where rows are larger.
        now: on the store's clock.

    Returns:
        How many that were; 0 when nothing is left.
    """
    swept = 0
    while swept < most:
        rows = db.execute(_DUE, (now, most - swept)).fetchall()
        if not rows:
            break
        for row in map(Row._make, rows):
            swept += _sweep(db, row, now, most - swept)
            if swept >= most:
                break
    return min(swept, most)


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


def _sweep(db: sqlite3.Connection, row: Row, now: float, most: int) -> int:
    """Removes what has expired of one session; returns what that has cost."""
    whole = row.expires <= now or row.gone(now)
    if not whole and not row.without_events(now):
        # It was refreshed since.
        db.execute(_MOVED_ON, (row.due(now), row.key))
        return 0
    cost = _remove_events(db, row.key, most)
    if cost >= most:
        return cost  # it stays due
    if whole:
        cost += sum(_cost(size) for (size,) in db.execute(_BLOB_SIZES, (row.key,)))
        forget(db, row.key)
    else:
        db.execute(_BASE_GOES, (row.key,))
    if row.expires <= now:
        db.execute(_GONE, (row.key,))
    else:
        db.execute(_MOVED_ON, (row.due(now), row.key))
    return cost + 1


def _remove_events(db: sqlite3.Connection, key: int, most: int) -> int:
    """Removes the first events of a session until they have cost so much; returns what they did."""
    cost = last = 0
    for seq, size in db.execute(_EVENT_SIZES, (key, most)).fetchall():
        cost, last = cost + _cost(size), seq
        if cost >= most:
            break
    if last:
        db.execute(_EVENTS_GO, (key, last))
    return cost


def _cost(size_bytes: int) -> int:
    return 1 + size_bytes // _PAGE_BYTES
