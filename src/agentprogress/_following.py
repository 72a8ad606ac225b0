"""Those who follow a session: a position each, what they are told, and who has yet to take it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ._core.history import Missed
from ._core.states import SessionStatus
from .errors import SessionGone

if TYPE_CHECKING:
    from ._record import SessionRecord

__all__ = ["Audience", "Ended", "Moved", "Resync", "SubscriberBase", "Tombstone"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is kept of a session after its result."""

    session_id: str
    epoch: str
    status: SessionStatus
    ended_at: str
    head: int
    attempt: int

    def error(self) -> SessionGone:
        """Returns what a late subscriber is told."""
        return SessionGone(self.session_id, self.status, self.ended_at)


@dataclass(frozen=True, slots=True)
class Resync:
    """A subscriber fell off the history: announce what it missed, then the state at `seq`."""

    missed: Missed
    seq: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A subscriber has everything there will ever be."""

    status: SessionStatus
    head: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The session's log started over in another epoch."""

    record: SessionRecord


class SubscriberBase(ABC):
    """A position on a record's log. Drivers add what happens when it is woken.

    Attributes:
        remote: whether it is told of a drain, and then leaves.
    """

    remote: ClassVar[bool] = False

    __slots__ = ("blocked", "position", "principal", "record")

    def __init__(self, record: SessionRecord, principal: str | None) -> None:
        self.record = record
        self.position = 0
        self.principal = principal
        self.blocked = False

    @abstractmethod
    def wake(self) -> None:
        """Called on the loop's thread when there may be something to take."""

    @abstractmethod
    def drain(self) -> None:
        """Called on the loop's thread when the process shuts down."""


class Audience:
    """The subscribers of one record; changed on the loop's thread only.

    Attributes:
        members: in the order in which they joined.
    """

    __slots__ = ("_behind", "_flushes", "_principals", "members")

    def __init__(self) -> None:
        self.members: dict[SubscriberBase, None] = {}
        self._principals: dict[str, int] = {}
        self._behind: dict[SubscriberBase, None] = {}
        self._flushes: list[Callable[[], object]] = []

    def of(self, principal: str) -> int:
        """Returns how many of them are one principal's."""
        return self._principals.get(principal, 0)

    def add(self, subscriber: SubscriberBase) -> None:
        """Takes somebody in."""
        self.members[subscriber] = None
        if subscriber.principal is not None:
            self._principals[subscriber.principal] = self.of(subscriber.principal) + 1

    def remove(self, subscriber: SubscriberBase) -> None:
        """Forgets somebody; a second time is ignored."""
        if self.members.pop(subscriber, subscriber) is subscriber:
            return
        if subscriber.principal is not None:
            self._principals[subscriber.principal] -= 1
            if not self._principals[subscriber.principal]:
                del self._principals[subscriber.principal]
        self.caught_up(subscriber)

    def tell(self, head: int, *, everybody: bool) -> None:
        """Wakes those who lack something before `head`, or all."""
        for subscriber in [s for s in self.members if everybody or s.position < head]:
            if not subscriber.blocked:
                self._behind[subscriber] = None
            subscriber.wake()

    def caught_up(self, subscriber: SubscriberBase) -> None:
        """Somebody has everything there is, for now."""
        subscriber.blocked = False
        if self._behind:
            self._behind.pop(subscriber, None)
            if not self._behind:
                self._release_flushes()

    def await_handed(self, callback: Callable[[], object]) -> bool:
        """Calls back when no subscriber that reads is behind; False when that is so already."""
        if not self._behind:
            return False
        self._flushes.append(callback)
        return True

    def forget_flush(self, callback: Callable[[], object]) -> None:
        """Calls somebody back no more who waits for the handing over no more."""
        if callback in self._flushes:
            self._flushes.remove(callback)

    def give_up_on_slow(self) -> None:
        """Holds no further flush up for the subscribers that are behind now."""
        for subscriber in self._behind:
            subscriber.blocked = True
        self._behind.clear()
        self._release_flushes()

    def _release_flushes(self) -> None:
        flushes, self._flushes = self._flushes, []
        for callback in flushes:
            callback()
