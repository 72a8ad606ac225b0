"""Where a registry's sessions live: in this process alone, or in a store that others share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ._describing import SessionOptions
from ._producer import Producer
from ._record import SessionRecord
from .info import SessionInfo

__all__ = ["Backing"]


class Backing(ABC):
    """What the registry asks of it.

    Plain calls may wait for a store; ``async`` ones keep no event loop from its work meanwhile.

    Attributes:
        durable: whether sessions outlive the process.
    """

    durable: bool

    @abstractmethod
    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe."""

    @abstractmethod
    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of a session that is there, or pending from now on."""

    @abstractmethod
    def record(self, session_id: str) -> SessionRecord:
        """Returns a session's record.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: there is none.
            StoreUnavailable: nobody can tell.
        """

    @abstractmethod
    async def find(
        self, session_id: str, cursor: str | None = None, *, fresh: bool = False
    ) -> SessionRecord:
        """The same, as it was a moment ago, but not before a cursor that somebody brings.

        Args:
            session_id: whose.
            cursor: of somebody who wants to go on after it.
            fresh: as it is now.
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
