"""The contract of a durable store; `_values` has what it is asked and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from .._core.states import SessionStatus
from ._values import Append, Appended, Claim, Lease, Log, Overdue, Position, Refused, Stored, Trim

__all__ = ["Listener", "Store"]


class Listener(ABC):
    """Tells one thread which sessions have news, whoever wrote them.

    A wake-up is only a hint: it may be lost, or come without any news, so the session is read from
    the store. All methods are called by one thread, except `interrupt`.
    """

    @abstractmethod
    def follow(self, session_ids: Collection[str]) -> None:
        """Asks for wake-ups of these sessions as well, from now on.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing is followed any more.
        """

    @abstractmethod
    def unfollow(self, session_ids: Collection[str]) -> None:
        """Asks for no more wake-ups of these sessions; ones that are not followed are ignored.

        Raises:
            StoreUnavailable: as `follow`.
        """

    @abstractmethod
    def wait(self, timeout: float) -> Mapping[str, str] | None:
        """Waits for wake-ups.

        Args:
            timeout: seconds to wait at most.

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
        """Makes a `wait` that is under way, or else the next one, return; from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Frees its resources. Closing it again does nothing."""


class Store(ABC):
    """Keeps sessions for several processes, or across restarts.

    A store is plain synchronous code, without an event loop or threads of its own. The library
    calls it from several threads at once; from a thread that runs an event loop only where that
    cannot be avoided. A store takes no decisions about sessions; it guarantees:

    - **Atomicity.** Each claim, append and trim happens wholly or not at all, and is as durable as
      the store can make it before the call returns. A read sees a single moment.
    - **Seqs.** The entries of an epoch are numbered from ``base_seq + 1`` without a hole.
    - **Fences.** A call with an older fence than the stored one changes nothing.
    - **One end.** Nothing is appended to an epoch after an append with an `Ending`.
    - **Time.** Leases and times to live run on the store's own clock. What has expired is not
      visible any more, whether or not it has been swept.
    - **Bounds.** Only the owner trims a log. The store has no bounds of its own: an `Append` says
      how much the log may hold.

    Every method raises `StoreUnavailable` when the store cannot be reached or cannot write; the
    call may have taken effect or not.

    A store on several servers, of which some can be reached, raises `SessionUnavailable` from a
    call that concerns a session on another one: from `find`, `claim`, `read`, `heads`, `trim`,
    `result`, `delete` and `list`. The library lets these sessions rest, and goes on with all
    others. What is done for many sessions is done for those that can be reached; each method says
    what it answers for the rest.
    """

    @abstractmethod
    def connect(self) -> None:
        """Checks that the store can be reached and used; calling it again does no harm.

        Raises:
            StoreUnavailable: it cannot be reached. Of several servers, none can.
            InvalidSettings: it can be reached, but is not configured as it must be.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes its connections; the next call opens new ones."""

    @abstractmethod
    def find(self, session_id: str) -> Stored | None:
        """Returns what is known of an id, a tombstone included."""

    @abstractmethod
    def claim(self, claim: Claim) -> bool:
        """Creates, takes over or restarts a session; False when `Claim.expected` does not hold."""

    @abstractmethod
    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        """Does appends to any number of logs in the given order; returns an answer for each.

        Each is atomic by itself: one that is refused does not hinder the others. After
        `StoreUnavailable` any of them may have been done. The library then sends the same appends
        again, and those that were done are recognised by `producer_seq` or `once`. A store on
        several servers, of which some can be reached, answers `Refusal.UNAVAILABLE` for the others.
        """

    @abstractmethod
    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        """Reads any number of logs: None for a session that is not there, a `Log` for a tombstone.

        After `Ending.history_ttl` a log has no entries, and its base is the final state.

        Raises:
            SessionUnavailable: some cannot be reached. The library then asks for the others only.
        """

    @abstractmethod
    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        """Returns the same as `find` for many sessions, cheaply: `details` may be left empty.

        Raises:
            SessionUnavailable: as `read`.
        """

    @abstractmethod
    def trim(self, trim: Trim) -> bool:
        """Cuts a log; False when epoch or fence differ, or nothing would be cut."""

    @abstractmethod
    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Renews leases in one call; False for each session that is not as its `Lease` says.

        Only running sessions are renewed. Listeners are woken where `stalled` has changed. A
        session that cannot be reached, while others can, counts as renewed.
        """

    @abstractmethod
    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        """Returns sessions that can be reached whose lease has run out, the longest ago first.

        Args:
            most: at most so many.
            statuses: only those in one of these states.
        """

    @abstractmethod
    def result(self, session_id: str) -> bytes | None:
        """Returns the encoded result, while it is kept."""

    @abstractmethod
    def delete(self, session_id: str, ttl: float) -> bool:
        """Removes an ended session at once, except its tombstone; False when there is none.

        Args:
            session_id: the session's id.
            ttl: seconds for which the tombstone is kept.
        """

    @abstractmethod
    def list(
        self, *, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[Stored]:
        """Returns sessions without tombstones, by `Claim.created`, and by id where that is equal.

        Args:
            owner: only the sessions of this owner; None: of all.
            status: only sessions in this state; None: in any.
            limit: return at most so many.
            after: the id of a session: only those that come after it; none when it is unknown.
        """

    @abstractmethod
    def sweep(self, most: int) -> int:
        """Removes what has expired, at most so many pieces; returns how many.

        What a piece is, is up to the store. 0 means that nothing is left to be removed.
        """

    @abstractmethod
    def listen(self) -> Listener:
        """Returns a new listener for the calling thread."""
