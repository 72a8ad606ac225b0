"""What a `Follower` asks its driver to do, and what it is asked for."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import FollowError
from ._ladder import Transport
from ._reader import Delivery

__all__ = ["Dial", "FollowerOptions", "Over", "Rest", "Step", "Taken"]


class FollowerOptions(NamedTuple):
    """How to follow.

    Attributes:
        after: the cursor to begin with.
        transport: ``auto`` or the one to use.
        max_attempts: attempts in a row that bring nothing; None for no bound.
        can_renew: whether another token can be had.
    """

    after: str | None = None
    transport: str = "auto"
    max_attempts: int | None = None
    can_renew: bool = False


class Dial(NamedTuple):
    """Open a connection (or ask for a page) and tell what comes.

    Attributes:
        transport: which.
        cursor: what to join with.
        waits: whether a page may be waited for.
        renew_token: whether the token in use has been refused.
    """

    transport: Transport
    cursor: str | None
    waits: bool
    renew_token: bool


class Rest(NamedTuple):
    """Do nothing until then."""

    until: float


class Over(NamedTuple):
    """Nothing is left to do; `error` is why it was given up, None after the session's end."""

    error: FollowError | None


Step = Dial | Rest | Over


class Taken(NamedTuple):
    """What came of some bytes.

    Attributes:
        deliveries: items for the user.
        size_bytes: what they were read from, with what came before and was no whole message.
        pong: whether a pong is owed.
    """

    deliveries: list[Delivery]
    size_bytes: int
    pong: bool
