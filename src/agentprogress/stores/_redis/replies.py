"""What the scripts of a Redis store answer, as the contract's values.

Nothing here talks to a server. Replies come as bytes and integers, nested as the scripts nest them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..._core.states import SessionStatus
from ...abc import Appended, Log, Refusal, Refused, Stored
from ...errors import SessionUnavailable

__all__ = [
    "DAMAGED",
    "UNREACHED",
    "Due",
    "Found",
    "NoAnswer",
    "answered",
    "appended_of",
    "due_of",
    "found_of",
    "log_of",
]

_MICROSECONDS = 1_000_000
# Of what is told of a session.
_PARTS = 14


class NoAnswer(Enum):
    """Stands for an answer that one session's keys do not give, while others' do."""

    DAMAGED = "damaged"
    """They are not what the scripts have written."""
    UNREACHED = "unreached"
    """Their slot of a Cluster is on its way from one node to another, or their node is gone; what
    was to be done may have been done or not.
    """


DAMAGED = NoAnswer.DAMAGED
UNREACHED = NoAnswer.UNREACHED


def answered(session_ids: Sequence[str], replies: list[Any]) -> list[Any]:
    """Returns the answers for these sessions where none may be missing.

    Raises:
        SessionUnavailable: some of them could not be reached.
    """
    pairs = zip(session_ids, replies, strict=True)
    unreached = [session_id for session_id, reply in pairs if reply is UNREACHED]
    if unreached:
        raise SessionUnavailable(unreached)
    return replies


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
    def is_late(self) -> bool:
        """Whether its lease has run out, or it is about to go."""
        return not self.stored.gone and self.look_in <= 0

    @property
    def look_in(self) -> int:
        """Microseconds until somebody has to look at it; negative since they have."""
        left = self.stored.lease_left
        return self.left * 1_000 if left is None else round(left * _MICROSECONDS)


@dataclass(frozen=True, slots=True)
class Due:
    """An entry of the index whose time has come.

    Attributes:
        when: the time to look, as the server wrote it.
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


def appended_of(session_id: str, reply: Any) -> Appended | Refused:
    """Reads the answer of ``append.lua``."""
    if isinstance(reply, NoAnswer):
        return Refused(Refusal.UNKNOWN if reply is DAMAGED else Refusal.UNAVAILABLE)
    if reply[0]:
        first, head, repeated, mark = reply[1:]
        return Appended(first, head, repeated=bool(repeated), mark=mark.decode())
    why, *about = reply[1:]
    found = found_of(session_id, about[0]) if about else None
    return Refused(Refusal(why.decode()), found.stored if found else None)


def due_of(reply: Any) -> list[Due]:
    """Reads the answer of ``due.lua``."""
    return [Due(name.decode(), when or b"", bool(listed)) for name, when, listed in reply]
