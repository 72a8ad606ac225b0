"""What a feed knows at any moment, the same for async and plain code."""

from __future__ import annotations

from ..abc import Clock
from ..errors import FollowError
from ..snapshot import SessionSnapshot
from ._follower import Follower
from ._held import Held
from ._ladder import Transport
from ._states import FollowState

__all__ = ["Known"]


class Known:
    """How the connection stands, and what was handed out."""

    def __init__(self, follower: Follower, held: Held, clock: Clock) -> None:
        self._follower = follower
        self._held = held
        self._clock = clock

    @property
    def state(self) -> FollowState:
        """How the connection stands, apart from the session's own status."""
        return self._follower.state

    @property
    def error(self) -> FollowError | None:
        """Why it is not connected or gave up; None while all is well."""
        return self._follower.error

    @property
    def transport(self) -> Transport:
        """The transport in use."""
        return self._follower.transport

    @property
    def producer(self) -> str | None:
        """What the last heartbeat said: ``alive``, ``stalled`` or ``waiting``; None before one."""
        return self._follower.producer

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next attempt, while it rests."""
        at = self._follower.retry_at
        return None if at is None else max(0.0, at - self._clock.monotonic())

    @property
    def cursor(self) -> str | None:
        """The position after the last item that was handed out: store it, pass it as ``after``.

        None until something is known of the session.
        """
        return self._held.cursor

    @property
    def snapshot(self) -> SessionSnapshot | None:
        """The state of the session, folded here from what was handed out.

        After a start with ``after`` it is the state at the head of that moment, until the items
        have caught up with it. None until something is known.
        """
        return self._held.snapshot
