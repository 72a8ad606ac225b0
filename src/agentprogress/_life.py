"""What a session's record has besides its log, and what it needs of the registry around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ._clock import Stamp
from ._core.encode import Encoder
from ._core.states import SessionStatus
from .settings import Settings

if TYPE_CHECKING:
    from ._inputs import Question
    from ._record import SessionRecord
    from .abc import Clock

__all__ = ["Hub", "Life"]


class Hub(Protocol):
    """What a session needs of the registry around it."""

    settings: Settings
    clock: Clock
    encoder: Encoder
    stamp: Stamp

    async def flush(self, record: SessionRecord) -> None:
        """Stores what is pending and hands it to subscribers that read."""
        ...

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        """The same for code without a loop; `timeout` in seconds."""
        ...

    def enqueue(self, record: SessionRecord) -> bool:
        """Asks for a publication; False when no loop is there to do it."""
        ...

    def account(self, record: SessionRecord, size_bytes: int) -> None:
        """Adds to the bytes held by all sessions."""
        ...

    def relieve(self) -> None:
        """Evicts if too much is held; called without any lock."""
        ...

    def transitioned(self, record: SessionRecord, status: SessionStatus) -> None:
        """A session has moved to another state; called without its lock."""
        ...

    def watch(self, question: Question) -> None:
        """Lets a question expire at its deadline, if it is still open then."""
        ...

    def unwatch(self, question: Question) -> None:
        """Forgets a question's deadline."""
        ...

    def answered(self, record: SessionRecord) -> None:
        """What a suspended session waits for has an answer or has expired; called without locks."""
        ...


@dataclass(slots=True)
class Life:
    """What is known of a session besides its log.

    Attributes:
        plan: the planned steps' wire objects.
        unstarted: ids of planned steps that this attempt has not started, by kind and name.
        control_hash: of the token that allows to control it.
        answer: as JSON, to the question that a store's session was suspended with.
    """

    created_at: str
    title: str | None = None
    owner: str | None = None
    private: Any = None
    metadata: Any = None
    plan: list[dict[str, Any]] | None = None
    unstarted: dict[tuple[str, str], list[str]] | None = None
    started_at: str | None = None
    ended_at: str | None = None
    control_hash: bytes = b""
    history_ttl: float = 0.0
    result_ttl: float = 0.0
    error: dict[str, Any] | None = None
    result: bytes | None = None
    cancel_reason: str | None = None
    answer: Any = None
    on_cancel: list[Callable[[], object]] | None = None
