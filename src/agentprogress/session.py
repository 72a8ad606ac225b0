"""The producer's side of a session: what a job emits into, flushes, and is cancelled through."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, overload

from typing_extensions import TypedDict

from ._core.cursor import Cursor
from ._core.jsonable import clean_text
from ._core.outbox import Counter, Delta, Encoded, Entry, Progress
from ._given import refuse_async, text_or_none
from ._inputs import Asked
from ._producer import NoProducer, Producer
from ._wakeup import LoopRef, Wakeup
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
T = TypeVar("T")


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
        return self._producer.record.intended.value

    @property
    def attempt(self) -> int:
        """1 for the first run of this id, one more for each later one."""
        return self._producer.record.attempt

    @property
    def cursor(self) -> str:
        """The position after everything emitted so far; with a store, after what it has of that."""
        return self._producer.record.locked(lambda h: str(Cursor(h.epoch, h.head)))

    @property
    def dropped(self) -> int:
        """How many events came after the end, or could not be encoded."""
        return self._producer.record.dropped

    def snapshot(self) -> SessionSnapshot:
        """Returns the state after everything emitted so far.

        With a store it is the state after what the store has by now; ``await session.flush()``
        waits until that is everything.
        """
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
            if self._producer.record.closed:
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
            SessionEnded: somebody else ended it before a store had everything.
            StoreUnavailable: a store did not take everything within ``store_wait``.
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
            SessionEnded: somebody else ended it before a store had everything.
            StoreUnavailable: a store did not take everything in that time.
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

    # Asking a person

    @overload
    async def request_input(
        self,
        prompt: str,
        schema: type[T],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - how long the question stays open
        request_id: str | None = None,
    ) -> T: ...

    @overload
    async def request_input(
        self,
        prompt: str,
        schema: Any = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - how long the question stays open
        request_id: str | None = None,
    ) -> Any: ...

    async def request_input(
        self,
        prompt: str,
        schema: Any = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - how long the question stays open
        request_id: str | None = None,
    ) -> Any:
        """Asks whoever controls the session, and returns the first answer that fits.

        Args:
            prompt: the question, for people.
            schema: what the answer must look like: a pydantic model or any type that pydantic can
                validate, whose value is returned; a mapping that is a JSON Schema, which viewers
                are told but nobody enforces; or None for any JSON.
            timeout: seconds after which nobody may answer any more; None: no limit.
            request_id: names the question, once in a session; generated when absent.

        Raises:
            InputExpired: nobody answered in time.
            SessionCancelled: the session was asked to stop.
            SessionEnded: the session is over.
            SessionConflict: it has another owner, or ``max_requests`` open questions.
            RuntimeError: there is no session here.
            TypeError: the schema is none.
            ValueError: the timeout or the id is none, or the id was used.
            InvalidEvent: `redact` failed on the question.
        """
        wakeup = Wakeup(LoopRef())
        asked = Asked(prompt, schema, timeout, request_id)
        return await self._producer.ask(asked, wakeup.set).answered(wakeup)

    @overload
    def request_input_sync(
        self,
        prompt: str,
        schema: type[T],
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> T: ...

    @overload
    def request_input_sync(
        self,
        prompt: str,
        schema: Any = None,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Any: ...

    def request_input_sync(
        self,
        prompt: str,
        schema: Any = None,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Any:
        """`request_input` for a thread without an event loop, which it blocks.

        Raises:
            RuntimeError: an event loop runs in this thread, or there is no session here.
        """
        if LoopRef.current() is not None:
            raise RuntimeError(
                "request_input_sync would block the event loop of this thread: "
                "await session.request_input(…) instead."
            )
        settled = threading.Event()
        asked = Asked(prompt, schema, timeout, request_id)
        return self._producer.ask(asked, settled.set).answered_sync(settled)

    def suspend(self, prompt: str, schema: Any = None, *, timeout: float | None = None) -> NoReturn:
        """Asks, and leaves the session's block or job; the session waits without it.

        The block ends here without a verdict, and what this producer still emits is dropped. It
        goes on by ``registry.open(session_id=…, existing="resume")`` or ``registry.start``, where
        `answer` is what was answered. `SessionRegistry.on_answer` tells when.

        Args:
            prompt: as for `request_input`.
            schema: as for `request_input`.
            timeout: seconds; the session goes on waiting after them, but nobody may answer.

        Raises:
            SessionSuspended: always; a `BaseException`, which the block swallows.
            RuntimeError: there is no session here, or this is not the producer that runs it.
            SessionEnded, SessionConflict, SessionCancelled, TypeError, ValueError, InvalidEvent:
                as `request_input`; the session goes on.
        """
        self._producer.suspend(Asked(prompt, schema, timeout))

    @property
    def answer(self) -> Any:
        """What was answered when the session was last suspended; None while nobody has.

        The validated value where the question had a type, else JSON.
        """
        return self._producer.record.last_answer

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

    @property
    def answer(self) -> Any:
        return None

    def request_cancel(self, reason: str | None = None, by: str | None = None) -> bool:
        return False

    def snapshot(self) -> SessionSnapshot:
        return SessionSnapshot(session_id="", epoch="", seq=0, status="")

    def handle(self) -> SessionHandle:
        return {"session_id": "", "url": "", "control_token": None}


NO_SESSION = _NoSession(NoProducer())
