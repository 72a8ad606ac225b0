"""What the scripts of a Redis store answer, as the contract's values.

Nothing here talks to a server. Replies come as bytes and integers, nested as the scripts nest them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..._core.states import SessionStatus
from ...abc import Appended, Log, Refusal, Refused, Stored

__all__ = ["DAMAGED", "Damaged", "Due", "Found", "appended_of", "due_of", "found_of", "log_of"]

_MICROSECONDS = 1_000_000
# Of what is told of a session.
_PARTS = 14


class Damaged(Enum):
    """Stands for the answer of a session whose keys are not what the scripts have written."""

    DAMAGED = "damaged"


DAMAGED = Damaged.DAMAGED


@dataclass(frozen=True, slots=True)
class Found:
    """A session with what only this store needs to know of it.

    Attributes:
        stamp: changes with every lease.
        left: milliseconds until it vanishes; an ended one until it is a tombstone.
        ttl: milliseconds for which it lives after each change, until it ends.
    """

    stored: Stored
    stamp: str
    left: int
    ttl: int

    @property
    def look_in(self) -> int:
        """Microseconds until somebody has to look at it; negative since they have."""
        left = self.stored.lease_left
        return self.left * 1_000 if left is None else round(left * _MICROSECONDS)


@dataclass(frozen=True, slots=True)
class Due:
    """An entry of the index whose time has come.

    Attributes:
        when: its time as the server wrote it.
        listed: whether the order has it as well.
    """

    session_id: str
    when: bytes
    listed: bool


def found_of(session_id: str, reply: Any) -> Found | None:
    """Reads the answer of ``find.lua``."""
    if reply is None or reply is DAMAGED:
        return None
    about, owner, details = reply
    (epoch, status, attempt, fence, head, oldest, created, ended_at, *more) = _told(about)
    lease_left, gone, lease, left, ttl, stalled = more
    stored = Stored(
        session_id=session_id,
        epoch=epoch,
        status=SessionStatus(status),
        attempt=int(attempt),
        fence=int(fence),
        head=int(head),
        oldest=int(oldest),
        owner=None if owner is None else owner.decode(),
        created=float(created),
        details=details,
        ended_at=ended_at or None,
        lease_left=int(lease_left) / _MICROSECONDS if lease_left else None,
        stalled=stalled,
        gone=gone == "1",
    )
    return Found(stored, f"{epoch}.{fence}.{lease}", max(int(left), 0), int(ttl))


def _told(about: bytes) -> list[str]:
    """Returns the parts of the text of `told` in ``_common.lua``; the last one may be anything."""
    return about.decode().split("\n", _PARTS - 1)


def log_of(session_id: str, reply: Any) -> Log | None:
    """Reads the answer of ``read.lua``."""
    if reply is None or reply is DAMAGED:
        return None
    about, first, base, entries = reply
    found = found_of(session_id, about)
    assert found is not None
    return Log(found.stored, first, entries, base)


def appended_of(session_id: str, reply: Any) -> tuple[Appended | Refused, int]:
    """Reads the answer of ``append.lua``: it, and the milliseconds that the session will live."""
    if reply[0]:
        first, head, repeated, mark, left = reply[1:]
        return Appended(first, head, repeated=bool(repeated), mark=mark.decode()), left
    why, *about = reply[1:]
    found = found_of(session_id, about[0]) if about else None
    return Refused(Refusal(why.decode()), found.stored if found else None), 0


def due_of(reply: Any) -> list[Due]:
    """Reads the answer of ``due.lua``."""
    return [Due(name.decode(), when, bool(listed)) for name, when, listed in reply]
