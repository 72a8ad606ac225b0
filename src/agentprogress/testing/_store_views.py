"""What a store says of a session, put as the oracle puts it."""

from __future__ import annotations

from dataclasses import replace

from ..abc import Log, Stored
from ._store_oracle import View

__all__ = ["check_from", "view_of", "without_lease"]


def view_of(stored: Stored | None, log: Log | None, result: bytes | None) -> View | None:
    """Returns what a store says as the oracle says it."""
    if stored is None or log is None:
        assert stored is None
        assert log is None
        assert result is None
        return None
    assert without_lease(log.session) == without_lease(stored)
    assert log.first == stored.oldest
    return View(
        epoch=stored.epoch,
        status=stored.status,
        attempt=stored.attempt,
        fence=stored.fence,
        head=stored.head,
        oldest=stored.oldest,
        owner=stored.owner,
        details=stored.details,
        leased=stored.lease_left is not None,
        lapsed=stored.lease_left is not None and stored.lease_left <= 0,
        stalled=stored.stalled,
        ended=stored.ended_at is not None,
        gone=stored.gone,
        entries=tuple(log.entries),
        base=log.base,
        result=result,
    )


def without_lease(stored: Stored | None, like: Stored | None = None) -> Stored | None:
    """Returns it without what changes by itself, and without details where `like` has none."""
    if stored is None:
        return None
    details = stored.details if like is None else like.details
    return replace(stored, lease_left=None, details=details)


def check_from(view: View, seq: int, log: Log | None) -> None:
    """Compares what was read from a position in the present epoch."""
    assert log is not None
    if view.oldest - 1 <= seq <= view.head:
        assert log.first == seq + 1
        assert tuple(log.entries) == view.entries[seq - view.oldest + 1 :]
        assert log.base is None
    else:
        assert (log.first, tuple(log.entries), log.base) == (view.oldest, view.entries, view.base)
