"""The producer's side of a session: what a job emits into, flushes, and is cancelled through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import TypedDict

from ._core.cursor import Cursor
from ._core.jsonable import clean_text
from ._core.outbox import Counter, Delta, Encoded, Entry, Progress
from ._given import refuse_async, text_or_none
from ._producer import NoProducer, Producer
from .errors import InvalidEvent, SessionCancelled
from .events import (
    ArtifactCreated,
    CustomEmitted,
    CustomEvent,
    LogMessage,
    ProducerEvent,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepProgress,
    StepStarted,
    TextCompleted,
    TextDelta,
    UsageReported,
)
from .snapshot import SessionSnapshot
from .step import Scope

__all__ = ["NO_SESSION", "ProgressSession", "SessionHandle"]

_EMITTABLE = frozenset(
    {
        StepStarted,
        StepCompleted,
        StepFailed,
        StepCancelled,
        TextCompleted,
        LogMessage,
        ArtifactCreated,
        UsageReported,
        CustomEmitted,
    }
)

C = TypeVar("C", bound=Callable[[], object])


class SessionHandle(TypedDict):
    """What a client needs to follow and to control a session, ready to be returned as JSON."""

    session_id: str
    url: str
    control_token: str | None


class ProgressSession(Scope):
    """One run being watched, as its producer sees it. Made by `SessionRegistry`, never directly."""

    __slots__ = ("__weakref__", "_producer")

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    @property
    def session(self) -> ProgressSession:
        """Itself."""
        return self

    @property
    def id(self) -> str:
        """The session's id."""
        return self._producer.record.id

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``waiting``, or how it ended: ``completed`` … ``lost``."""
        return self._producer.record.status.value

    @property
    def attempt(self) -> int:
        """1 for the first run of this id, one more for each later one."""
        return self._producer.record.attempt

    @property
    def cursor(self) -> str:
        """The position after everything emitted so far."""
        return self._producer.record.locked(lambda h: str(Cursor(h.epoch, h.head)))

    @property
    def dropped(self) -> int:
        """How many events came after the end, or could not be encoded."""
        return self._producer.record.dropped

    def snapshot(self) -> SessionSnapshot:
        """Returns the state after everything emitted so far."""
        return self._producer.record.locked(
            lambda history: SessionSnapshot.model_validate(history.fold().state())
        )

    def handle(self) -> SessionHandle:
        """Returns what a client needs, before the job has even begun.

        The control token is known only to whoever created the session; it is None elsewhere.
        """
        return {
            "session_id": self.id,
            "url": f"{self._producer.hub.settings.base_url}/sessions/{self.id}",
            "control_token": self._producer.control_token,
        }

    # Emitting

    def emit(self, event: ProducerEvent) -> None:
        """Emits a typed event, strictly.

        Raises:
            InvalidEvent: it has no JSON form, or is one that only the library writes.
            EventTooLarge: its encoding passes ``max_event_bytes``.
            SessionEnded: the session is over.
            SessionConflict: another owner has taken the session.
        """
        producer = self._producer
        if not producer.recorded:
            return
        producer.refuse_late()
        kind = type(event)
        if kind in _EMITTABLE or isinstance(event, CustomEvent):
            hub = producer.hub
            producer.record.put(Encoded(hub.stamp(), hub.encoder.strict(event)))
        elif isinstance(event, StepProgress | TextDelta):
            producer.put(self._coalescing(event))
        else:
            raise InvalidEvent(f"{kind.__name__} is not an event that a producer may emit.")

    def _coalescing(self, event: StepProgress | TextDelta) -> Entry:
        hub = self._producer.hub
        hub.encoder.strict(event)
        time = hub.stamp()
        if isinstance(event, StepProgress):
            message = None if event.message is None else self._producer.field(event.message)
            counter = Counter(event.step_id)
            return Progress(time, counter, None, event.current, event.total, message)
        about = {"role": event.role, "channel": event.channel, "step_id": event.step_id}
        return Delta(time, event.message_id, clean_text(event.delta), about)

    # The end

    def complete(self, result: Any = None) -> None:
        """Records the result with which the session completes when its block is left.

        Args:
            result: JSON, pydantic models, dataclasses; what has no JSON form becomes its repr.
        """
        if self._producer.recorded:
            if self._producer.record.ended:
                self._producer.record.drop("completed after the end")
            self._producer.result = result

    @property
    def result(self) -> Any:
        """What `complete` recorded."""
        return self._producer.result

    # Flow control

    async def flush(self) -> None:
        """Returns when everything emitted is stored and handed to all local subscribers that read.

        Subscribers whose reading is blocked are waited for at most ``flush_timeout`` (1 s), once.

        Raises:
            SessionConflict: another owner has taken the session.
        """
        if self._producer.recorded:
            self._producer.refuse_fenced()
            await self._producer.hub.flush(self._producer.record)

    def flush_sync(self, timeout: float = 1.0) -> None:
        """`flush` for code without an event loop; on a loop's own thread it does not wait.

        Args:
            timeout: seconds.

        Raises:
            SessionConflict: another owner has taken the session.
        """
        if self._producer.recorded:
            self._producer.refuse_fenced()
            self._producer.hub.flush_sync(self._producer.record, timeout)

    # Cancelling

    @property
    def cancel_requested(self) -> bool:
        """True once somebody asked the session to stop."""
        return self._producer.record.cancel_requested

    @property
    def cancel_reason(self) -> str | None:
        """What the request to stop gave as its reason."""
        return self._producer.record.life.cancel_reason

    def request_cancel(self, reason: str | None = None, by: str | None = None) -> bool:
        """Asks the session to stop: tells its job, its callbacks and every viewer.

        Args:
            reason: for people.
            by: who asks.

        Returns:
            False when that had been done, or the session has ended.
        """
        return self._producer.record.request_cancel(text_or_none(reason), text_or_none(by))

    def on_cancel(self, callback: C) -> C:
        """Calls back once when the session is asked to stop, at once if it already was.

        The callback runs in the thread of whoever asks; it may be used as a decorator.

        Raises:
            TypeError: the callback is a coroutine function.
        """
        refuse_async(callback, "on_cancel")
        if self._producer.recorded:
            self._producer.record.on_cancel(callback)
        return callback

    def raise_if_cancelled(self) -> None:
        """For loops in synchronous code.

        Raises:
            SessionCancelled: the session was asked to stop.
        """
        if self.cancel_requested:
            raise SessionCancelled(self.id, self.cancel_reason)

    @property
    def _step_id(self) -> str | None:
        return None


class _NoSession(ProgressSession):
    """The falsy session where there is none: takes everything and keeps nothing."""

    __slots__ = ()

    @property
    def id(self) -> str:
        return ""

    @property
    def status(self) -> str:
        return ""

    @property
    def attempt(self) -> int:
        return 0

    @property
    def cursor(self) -> str:
        return ""

    @property
    def dropped(self) -> int:
        return 0

    @property
    def cancel_requested(self) -> bool:
        return False

    @property
    def cancel_reason(self) -> str | None:
        return None

    def request_cancel(self, reason: str | None = None, by: str | None = None) -> bool:
        return False

    def snapshot(self) -> SessionSnapshot:
        return SessionSnapshot(session_id="", epoch="", seq=0, status="")

    def handle(self) -> SessionHandle:
        return {"session_id": "", "url": "", "control_token": None}


NO_SESSION = _NoSession(NoProducer())
