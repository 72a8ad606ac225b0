"""What only a session's owner does: claim it, cut its log, renew its lease. In a transaction."""

from __future__ import annotations

import sqlite3

from ..._core.states import SessionStatus
from ...abc import Claim, Expected, Lease, Trim
from .rows import Row, forget, keep, next_change, remove, row_of

__all__ = ["claim", "renew", "trim"]

_CLAIMED = """INSERT OR REPLACE INTO sessions VALUES (
    :key, :id, :epoch, :status, :attempt, :fence, :head, :oldest, :size_bytes, :owner, :created,
    NULL, :lease_until, '', :renewals, :ttl, :expires, NULL, NULL, :change, :change, :expires
)"""
_SIZE = "SELECT sum(length(data)) FROM events WHERE session = ? AND seq <= ?"
_CUT = "DELETE FROM events WHERE session = ? AND seq <= ?"
_TRIMMED = "UPDATE sessions SET oldest = ?, size_bytes = size_bytes - ? WHERE key = ?"
_RENEWED = (
    "UPDATE sessions SET lease_until = ?, stalled = ?, renewals = renewals + 1, expires = ? "
    "WHERE key = ?"
)
_CHANGED = "UPDATE sessions SET change = ?, altered = ? WHERE key = ?"


def claim(db: sqlite3.Connection, claim: Claim, now: float) -> bool:
    """Makes, takes over or starts over a session."""
    row = row_of(db, claim.session_id, now)
    if not _as_expected(row, claim.expected, now):
        return False
    anew = row is None or row.epoch != claim.epoch
    if row is not None and row.ended and not anew:
        # Nothing follows an end in its epoch.
        return False
    if row is None:
        # What has expired may still be there.
        remove(db, claim.session_id)
    elif anew:
        forget(db, row.key)
    values = {
        "key": None if row is None else row.key,
        "id": claim.session_id,
        "epoch": claim.epoch,
        "status": claim.status.value,
        "attempt": claim.attempt,
        "fence": claim.fence,
        "head": claim.base_seq if row is None or anew else row.head,
        "oldest": claim.base_seq + 1 if row is None or anew else row.oldest,
        "size_bytes": 0 if row is None or anew else row.size_bytes,
        "owner": claim.owner,
        "created": claim.created,
        "lease_until": None if claim.lease is None else now + claim.lease,
        "renewals": 1 if row is None else row.renewals + 1,
        "ttl": claim.ttl,
        "expires": now + claim.ttl,
        "change": next_change(db),
    }
    key = db.execute(_CLAIMED, values).lastrowid
    assert key is not None
    if row is None:
        # Whoever deleted a session's row by hand has left the rest for the next one of its key.
        forget(db, key)
    keep(db, key, "details", claim.details)
    if anew and claim.base_seq:
        keep(db, key, "base", claim.base)
    return True


def trim(db: sqlite3.Connection, trim: Trim, now: float) -> bool:
    """Cuts a log."""
    row = row_of(db, trim.session_id, now)
    if row is None or row.without_events(now):
        return False
    if (row.epoch, row.fence) != (trim.epoch, trim.fence) or not row.oldest <= trim.seq <= row.head:
        return False
    freed = db.execute(_SIZE, (row.key, trim.seq)).fetchone()[0]
    db.execute(_CUT, (row.key, trim.seq))
    db.execute(_TRIMMED, (trim.seq + 1, freed, row.key))
    keep(db, row.key, "base", trim.base)
    return True


def renew(db: sqlite3.Connection, lease: Lease, now: float, change: int) -> bool:
    """Renews a lease; those who follow are woken only where what is wrong is something else now."""
    row = row_of(db, lease.session_id, now)
    if row is None or (row.epoch, row.fence) != (lease.epoch, lease.fence):
        return False
    if row.status != SessionStatus.RUNNING:
        return False
    db.execute(_RENEWED, (now + lease.ttl, lease.stalled, now + row.ttl, row.key))
    if row.stalled != lease.stalled:
        db.execute(_CHANGED, (change, change, row.key))
    return True


def _as_expected(row: Row | None, expected: Expected | None, now: float) -> bool:
    if row is None or expected is None:
        return row is None and expected is None
    there = (row.epoch, row.fence, row.status)
    if there != (expected.epoch, expected.fence, expected.status):
        return False
    return row.lapsed(now) or not expected.lapsed
