"""The contract of a durable store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from .._core.states import SessionStatus
from ._values import Append, Appended, Claim, Lease, Log, Overdue, Position, Refused, Stored, Trim

__all__ = ["Listener", "Store"]


class Listener(ABC):
    """Wake-ups from other processes. Used by one thread, but for `interrupt`.

    It only wakes: what is true is read from the store. A wake-up may be lost or come for nothing.
    """

    @abstractmethod
    def follow(self, session_ids: Collection[str]) -> None:
        """Asks for wake-ups of these sessions too, from now on.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing is followed any more.
        """

    @abstractmethod
    def unfollow(self, session_ids: Collection[str]) -> None:
        """Asks for no more wake-ups of these; unknown ones are ignored.

        Raises:
            StoreUnavailable: as `follow`.
        """

    @abstractmethod
    def wait(self, timeout: float) -> Mapping[str, str] | None:
        """Waits for wake-ups.

        Args:
            timeout: seconds, at most so long.

        Returns:
            By id the sessions that were woken. A cursor means that there are events up to it, and
            nothing else; ``""``, that something else may have changed, such as its owner, what is
            wrong with its producer, or that it is there at all. Empty after the timeout or
            `interrupt`. None when wake-ups may have been lost, or the store cannot tell whose they
            are: any session may have news.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing is followed any more.
        """

    @abstractmethod
    def interrupt(self) -> None:
        """Makes `wait` return now, or at once when it is called next; from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of what it holds."""


class Store(ABC):
    """Keeps sessions for several processes, or across restarts.

    A store is plain synchronous code: no event loop, no thread of its own. The library calls it
    from several threads at once, and never from a thread that runs an event loop where that can be
    avoided. It decides nothing about sessions beyond what stands here:

    - **Atomic.** A claim, an append, a trim happens wholly or not at all, and before the call
      returns it is as durable as the store can make it. A read sees one moment.
    - **Seqs.** Entries of one epoch are numbered without a hole from ``base_seq + 1``.
    - **Fences.** What carries an older fence than the stored one changes nothing.
    - **One end.** After an append with an `Ending` nothing is appended to its epoch.
    - **Time.** Leases and times to live are counted on the store's own clock. What has expired is
      not to be seen any more, whether or not it was swept.
    - **Bounds.** The log is the owner's to trim. A store has no bound of its own: an `Append` says
      how much the log may hold.

    Every method raises `StoreUnavailable` when the store cannot be reached or cannot write; what
    the call was to do may have been done or not.

    Attributes:
        scheme: of the URLs that name it.
    """

    scheme: ClassVar[str]

    @abstractmethod
    def connect(self) -> None:
        """Makes sure that the store is there and fit for use; harmless when it was done before.

        Raises:
            StoreUnavailable: it cannot be reached.
            InvalidSettings: it is there, but must not be used as it is, and why.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of connections; the next call makes new ones."""

    @abstractmethod
    def find(self, session_id: str) -> Stored | None:
        """Returns what is known of an id, a tombstone included."""

    @abstractmethod
    def claim(self, claim: Claim) -> bool:
        """Makes, takes over or starts over a session; False when what was expected is not there."""

    @abstractmethod
    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        """Appends to any number of logs, in their order, each on its own; an answer for each.

        Where `StoreUnavailable` is raised, any of them may have been done: they are to be appended
        again as they were, and are told apart by `producer_seq` and `once`. A store of several
        servers, some of which can be reached, answers `Refusal.UNAVAILABLE` for the others.
        """

    @abstractmethod
    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        """Reads any number of logs; None for a session that is not there, a `Log` for a tombstone.

        After `history_ttl` the log of an ended session has no entries: its base is the final state.
        """

    @abstractmethod
    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        """Returns what is known of each, cheaply: `details` may be empty."""

    @abstractmethod
    def trim(self, trim: Trim) -> bool:
        """Cuts a log; False when the epoch or the fence is another one, or the cut is none."""

    @abstractmethod
    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Renews leases in one call; False for each whose epoch, fence or state is another one.

        Only a running session's is renewed; `ttl` 0 gives it up, so that it has run out. Followers
        are woken where `stalled` has changed.
        """

    @abstractmethod
    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        """Returns sessions whose lease has run out, the longest ago first.

        Args:
            most: at most so many.
            statuses: only those in one of these states.
        """

    @abstractmethod
    def result(self, session_id: str) -> bytes | None:
        """Returns the encoded result, while it is kept."""

    @abstractmethod
    def delete(self, session_id: str, ttl: float) -> bool:
        """Removes an ended session at once and leaves a tombstone; False when none has ended.

        Args:
            session_id: which one.
            ttl: seconds for which the tombstone is kept.
        """

    @abstractmethod
    def list(
        self, *, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[Stored]:
        """Returns sessions in the order of their creation, without tombstones.

        Args:
            owner: only this owner's; None: everybody's.
            status: only those in this state.
            limit: at most so many.
            after: an id: only what was created after it; an unknown one gives nothing.
        """

    @abstractmethod
    def sweep(self, most: int) -> int:
        """Removes what has expired and is still there, at most so many; returns how many."""

    @abstractmethod
    def listen(self) -> Listener:
        """Returns a new listener for the calling thread."""
