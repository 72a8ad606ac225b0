"""Cursors and ids: how they are written and read. Opaque to clients, bounded, ASCII."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InvalidSessionId

__all__ = ["GENERATED_PREFIX", "Cursor", "check_session_id", "is_generated", "process_tag"]

EPOCH_CHARS = 10
GENERATED_PREFIX = "s_"
GENERATED_CHARS = 22
TAG_CHARS = 4

# 16 digits hold every seq that JSON readers keep exact (2**53); more is not a cursor of ours.
_CURSOR = re.compile(rf"([0-9A-Za-z]{{{EPOCH_CHARS}}})-([0-9]{{1,16}})", re.ASCII)
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII)
_GENERATED_ID = re.compile(
    rf"s_([0-9A-Za-z]{{{TAG_CHARS}}})?[0-9A-Za-z]{{{GENERATED_CHARS}}}", re.ASCII
)
_TAGGED_ID = re.compile(
    rf"s_([0-9A-Za-z]{{{TAG_CHARS}}})[0-9A-Za-z]{{{GENERATED_CHARS}}}", re.ASCII
)


class Cursor(NamedTuple):
    """A subscriber's claim: I have everything of this epoch up to and including this seq."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Reads a cursor; an unreadable one is None, which the join table answers with a reset."""
        match = _CURSOR.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None


def check_session_id(session_id: str, *, chosen: bool = False) -> str:
    """Returns the id unchanged if it is one.

    Args:
        session_id: 1-128 characters of ``A-Z a-z 0-9 . _ ~ -``, the first alphanumeric.
        chosen: whether an application chose it, which rules out the library's own prefix.

    Raises:
        InvalidSessionId: it is not, in a sentence that says why.
    """
    if not _SESSION_ID.fullmatch(session_id):
        raise InvalidSessionId(
            f"{session_id[:140]!r} is not a session id: 1-128 characters of A-Z a-z 0-9 . _ ~ -, "
            "the first alphanumeric."
        )
    if chosen and session_id.startswith(GENERATED_PREFIX):
        raise InvalidSessionId(
            f"{session_id!r} begins with {GENERATED_PREFIX!r}, which only generated ids may."
        )
    return session_id


def process_tag(session_id: str) -> str | None:
    """Returns the tag of the process that generated the id; None for an application's own id."""
    match = _TAGGED_ID.fullmatch(session_id)
    return match[1] if match else None


def is_generated(session_id: str) -> bool:
    """Tells whether it has the form of a generated id; those of a durable store have no tag."""
    return _GENERATED_ID.fullmatch(session_id) is not None
