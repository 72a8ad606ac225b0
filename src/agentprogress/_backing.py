"""Where a registry's sessions live: in this process alone, or in a store that others share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypeVar

from ._describing import SessionOptions
from ._producer import Producer
from ._record import SessionRecord
from ._wakeup import LoopRef
from .info import SessionInfo

__all__ = ["Backing", "Waited"]

T = TypeVar("T")


class Waited(Enum):
    """What became of what was to be stored."""

    STORED = "stored"
    LATE = "late"
    """The time is over; it is tried on."""
    TAKEN = "taken"
    """Another owner has the session."""
    ENDED = "ended"
    """Somebody else has ended the session first, and what was left was dropped."""


class Backing(ABC):
    """What the registry asks of it.

    Plain calls may wait for a store; ``async`` ones keep no event loop from its work meanwhile.

    Attributes:
        durable: whether sessions outlive the process, and may come back after they were lost.
    """

    durable: bool

    # Sessions

    @abstractmethod
    def begin(self, options: SessionOptions, loop: LoopRef | None) -> Producer:
        """Begins the session that the options describe.

        Args:
            options: what is said of it.
            loop: where its producer runs.
        """

    @abstractmethod
    def leave(self, producer: Producer) -> None:
        """Leaves a session that runs here to another owner; where there can be none, ends it."""

    @abstractmethod
    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of the session of that id, pending from now on if there was none."""

    @abstractmethod
    def record(self, session_id: str) -> SessionRecord:
        """Returns a session's record.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: there is none.
            StoreUnavailable, InvalidSettings: nobody can tell.
        """

    @abstractmethod
    async def find(
        self, session_id: str, cursor: str | None = None, *, fresh: bool = False
    ) -> SessionRecord:
        """Async `record`.

        May answer from this process's copy, unless `fresh` is true or the copy is older than
        `cursor`.
        """

    @abstractmethod
    def delete(self, record: SessionRecord) -> None:
        """Removes a session; one that has not ended is cancelled first."""

    @abstractmethod
    def listed(
        self, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[SessionInfo]:
        """Returns sessions in the order of their creation."""

    @abstractmethod
    def result(self, record: SessionRecord) -> bytes | None:
        """Returns the encoded result of a session, if there is one."""

    @abstractmethod
    def records(self) -> Sequence[SessionRecord]:
        """Returns all that are held in this process."""

    @property
    @abstractmethod
    def dropped(self) -> int:
        """Events that came too late or could not be encoded, of all sessions ever."""

    @abstractmethod
    def relieve(self) -> None:
        """Lets go of what may go, where more is held than there is room for."""

    @abstractmethod
    def used(self, record: SessionRecord) -> None:
        """Tells that a subscriber has come or gone."""

    # Until it is stored

    @property
    @abstractmethod
    def available(self) -> bool:
        """False while the store cannot be reached, or takes nothing."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many events the store has still to take, about."""

    @abstractmethod
    async def wait_stored(self, record: SessionRecord, timeout: float) -> Waited:  # noqa: ASYNC109 - a store's
        """Waits until everything emitted so far is stored, at most so many seconds."""

    @abstractmethod
    def wait_stored_sync(self, record: SessionRecord, timeout: float) -> Waited:
        """`wait_stored` for code without an event loop."""

    # Where things run

    @abstractmethod
    async def run(
        self, function: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        """Does something that may wait for the store.

        Args:
            function: what may wait.
            args: its arguments.
            undo: called with what came of it when nobody waits for that any more; may wait as well.
        """

    @abstractmethod
    def tell_end(self, tell: Callable[[], object]) -> None:
        """Calls the application's callbacks after an end."""

    @abstractmethod
    def connect(self) -> None:
        """Makes sure that the store is there and fit for use; waits for it.

        Raises:
            StoreUnavailable: it did not answer for `store_wait`.
            InvalidSettings: it must not be used as it is.
        """

    @abstractmethod
    def part(self, *, detach: bool) -> None:
        """Ends what runs here, or leaves it to others, and waits for that to be stored."""

    @abstractmethod
    def stop(self, timeout: float) -> None:
        """Stores what there is to store, at most so many seconds, and ends the threads."""
