"""Appending to one log inside of a transaction: what is asked first, and what is written then."""

from __future__ import annotations

import sqlite3
from itertools import count, repeat

from ...abc import Append, Appended, Ending, Refusal, Refused
from .rows import Row, keep, refused, row_of

__all__ = ["append_to_log"]

_EVENT = "INSERT INTO events VALUES (?, ?, ?)"
_PRODUCER = "SELECT seq, first, mark FROM producers WHERE session = ? AND producer = ?"
_KEEP_PRODUCER = "INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?)"
_ONCE = "SELECT first, mark FROM once WHERE session = ? AND key = ?"
_KEEP_ONCE = "INSERT INTO once VALUES (?, ?, ?, ?)"
_GROWN = (
    "UPDATE sessions SET head = ?, size_bytes = ?, status = ?, expires = ?, change = ? "
    "WHERE key = ?"
)
_ALTERED = "UPDATE sessions SET altered = change WHERE key = ?"
_LEASED = "UPDATE sessions SET lease_until = ?, stalled = '', renewals = renewals + 1 WHERE key = ?"
_ENDED = (
    "UPDATE sessions SET ended_at = ?, lease_until = NULL, stalled = '', history_until = ?, "
    "result_until = ?, expires = ?, due = ? WHERE key = ?"
)


def append_to_log(
    db: sqlite3.Connection, append: Append, now: float, change: int
) -> Appended | Refused:
    """Appends, or says why not.

    Args:
        db: in a transaction.
        append: what is to be appended.
        now: on the store's clock.
        change: the number of the transaction.
    """
    row = row_of(db, append.session_id, now)
    if row is None or row.gone(now):
        return refused(db, Refusal.UNKNOWN, row, now)
    if append.epoch != row.epoch:
        return refused(db, Refusal.EPOCH, row, now)
    # Before the other refusals: what is done is done, whoever has taken or ended it by now.
    done = _done_before(db, append, row)
    if done is not None:
        return done
    why = _not_by_them(append, row) or _not_now(append, row, now)
    return _write(db, append, row, now, change) if why is None else refused(db, why, row, now)


def _not_by_them(append: Append, row: Row) -> Refusal | None:
    fence = row.fence if append.fence is None else append.fence
    if fence < row.fence:
        return Refusal.FENCED
    # A newer fence than the store has: it lost the claim.
    return Refusal.BEHIND if append.known_head > row.head or fence > row.fence else None


def _not_now(append: Append, row: Row, now: float) -> Refusal | None:
    if row.ended:
        return Refusal.ENDED
    if append.only and row.status not in append.only:
        return Refusal.STATUS
    if append.lapsed is not None and not row.lapsed(now - append.lapsed):
        return Refusal.STATUS
    if append.at_head is not None and append.at_head != row.head:
        return Refusal.MOVED
    return Refusal.FULL if _is_full(append, row) else None


def _is_full(append: Append, row: Row) -> bool:
    events, size = append.max_events, append.max_bytes
    too_many = events is not None and row.head - row.oldest + 1 > events
    return too_many or (size is not None and row.size_bytes > size)


def _done_before(db: sqlite3.Connection, append: Append, row: Row) -> Appended | None:
    """Returns the answer to what is in the log already, by its writer's count or by its key."""
    if append.producer_id:
        last = db.execute(_PRODUCER, (row.key, append.producer_id)).fetchone()
        if last is not None and append.producer_seq <= last[0]:
            # Where an earlier one lies is not remembered: 0 is before all that anybody lacks.
            first, mark = last[1:] if append.producer_seq == last[0] else (0, "")
            return Appended(first, row.head, repeated=True, mark=mark)
    if append.once is not None:
        kept = db.execute(_ONCE, (row.key, append.once)).fetchone()
        if kept is not None:
            return Appended(kept[0], row.head, repeated=True, mark=kept[1])
    return None


def _write(db: sqlite3.Connection, append: Append, row: Row, now: float, change: int) -> Appended:
    first, head = row.head + 1, row.head + len(append.entries)
    if append.entries:
        db.executemany(_EVENT, zip(repeat(row.key), count(first), append.entries))
    size = row.size_bytes + sum(map(len, append.entries))
    status = row.status if append.status is None else append.status.value
    db.execute(_GROWN, (head, size, status, now + row.ttl, change, row.key))
    if not append.entries:
        db.execute(_ALTERED, (row.key,))
    mark = "" if append.once is None else append.mark
    if append.once is not None:
        db.execute(_KEEP_ONCE, (row.key, append.once, first, mark))
    if append.producer_id:
        done = (row.key, append.producer_id, append.producer_seq, first, mark)
        db.execute(_KEEP_PRODUCER, done)
    if append.lease is not None:
        db.execute(_LEASED, (now + append.lease if append.lease > 0 else None, row.key))
    if append.details is not None:
        keep(db, row.key, "details", append.details)
    if append.ending is not None:
        _end(db, append.ending, row, now)
    return Appended(first, head, mark=mark)


def _end(db: sqlite3.Connection, ending: Ending, row: Row, now: float) -> None:
    result_until = now + ending.result_ttl
    history_until = min(now + ending.history_ttl, result_until)
    expires = result_until + ending.tombstone_ttl
    db.execute(
        _ENDED, (ending.ended_at, history_until, result_until, expires, history_until, row.key)
    )
    keep(db, row.key, "state", ending.state)
    if ending.result is not None:
        keep(db, row.key, "result", ending.result)
