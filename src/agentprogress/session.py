"""The producer's side of a session: what a job emits into, reads its cancellation from, and flushes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from ._core.cursor import Cursor
from ._core.jsonable import clean_text, cut_text
from ._core.outbox import Counter, Delta, Encoded, Entry, Progress
from ._errors_out import error_info
from ._record import Hub, SessionRecord
from .errors import EventTooLarge, InvalidEvent, SessionCancelled, SessionConflict, SessionEnded
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
from .step import Scope, as_text

__all__ = ["NO_SESSION", "ProgressSession", "SessionHandle"]

_EMITTABLE = frozenset(
    {
        StepStarted,
        StepProgress,
        StepCompleted,
        StepFailed,
        StepCancelled,
        TextDelta,
        TextCompleted,
        LogMessage,
        ArtifactCreated,
        UsageReported,
        CustomEmitted,
    }
)


class SessionHandle(TypedDict):
    """What a client needs to follow and to control a session, ready to be returned as JSON."""

    session_id: str
    url: str
    control_token: str | None


class ProgressSession(Scope):
    """One run being watched, as its producer sees it. Made by `SessionRegistry`, never directly.

    Attributes:
        recorded: False for the session that stands in where there is none.
    """

    __slots__ = ("__weakref__", "_control_token", "_fence", "_hub", "_record", "_result", "recorded")

    _hub: Hub
    _record: SessionRecord

    def __init__(self, hub: Hub, record: SessionRecord, control_token: str | None = None) -> None:
        self._hub = hub
        self._record = record
        self._fence = record.fence
        self._control_token = control_token
        self._result: Any = None
        self.recorded = True

    @property
    def record(self) -> SessionRecord:
        """What the registry keeps of it; not for applications."""
        return self._record

    @property
    def id(self) -> str:
        """The session's id."""
        return self._record.id

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``waiting``, ``completed``, ``failed``, ``cancelled`` or ``lost``."""
        return self._record.status.value

    @property
    def attempt(self) -> int:
        """1 for the first run of this id, one more for each later one."""
        return self._record.attempt

    @property
    def cursor(self) -> str:
        """The position after everything emitted so far."""
        return self._record.locked(lambda history: str(Cursor(history.epoch, history.head)))

    @property
    def dropped(self) -> int:
        """How many events came after the end, or could not be encoded."""
        return self._record.dropped

    def snapshot(self) -> SessionSnapshot:
        """Returns the state after everything emitted so far."""
        return self._record.locked(lambda h: SessionSnapshot.model_validate(h.fold().state()))

    def handle(self) -> SessionHandle:
        """Returns what a client needs, before the job has even begun.

        The control token is known only to whoever created the session; it is None elsewhere.
        """
        return {
            "session_id": self.id,
            "url": f"{self._hub.settings.base_url}/sessions/{self.id}",
            "control_token": self._control_token,
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
        if not self.recorded:
            return
        self._refuse_late()
        kind = type(event)
        if kind is StepProgress or kind is TextDelta:
            self.put(self._coalescing(event))
        elif kind in _EMITTABLE or isinstance(event, CustomEvent):
            self._record.put(Encoded(self._hub.stamp(), self._hub.encoder.strict(event)))
        else:
            raise InvalidEvent(f"{kind.__name__} is not an event that a producer may emit.")

    def _coalescing(self, event: Any) -> Entry:
        self._hub.encoder.strict(event)
        time = self._hub.stamp()
        if isinstance(event, StepProgress):
            message = None if event.message is None else self.short(event.message)
            counter = Counter(event.step_id)
            return Progress(time, counter, None, event.current, event.total, message)
        about = {"role": event.role, "channel": event.channel, "step_id": event.step_id}
        return Delta(time, event.message_id, clean_text(event.delta), about)

    def send(self, wire: dict[str, Any]) -> None:
        """Emits the sugar's wire object. Never raises, but in strict settings; not for applications."""
        try:
            body = self._hub.encoder.lenient(wire)
        except Exception:
            # Not the job's fault or concern: `redact` failed, or even the cut event is too large.
            if self._hub.settings.strict:
                raise
            self._record.drop("impossible to encode")
            return
        self.put(Encoded(self._hub.stamp(), body))

    def put(self, entry: Entry) -> None:
        """Hands an entry to the record, or drops and counts it; not for applications."""
        if self._fence != self._record.fence:
            if self._hub.settings.strict:
                self._refuse_late()
            self._record.drop("emitted by a producer that is no longer the owner")
            return
        if self._hub.settings.strict:
            self._refuse_late()
        self._record.put(entry)

    def _refuse_late(self) -> None:
        record = self._record
        if record.ended:
            raise SessionEnded(record.id, record.status)
        if self._fence != record.fence:
            raise SessionConflict(record.id, record.status, "Another owner has taken it.")

    def stamp(self) -> str:
        """Returns the present time for an event; not for applications."""
        return self._hub.stamp()

    def short(self, text: object) -> str:
        """Returns a text cut to a field's size; not for applications."""
        limit = self._hub.settings.max_field_bytes
        kept, over = cut_text(clean_text(as_text(text)), limit)
        if over and self._hub.settings.strict:
            raise EventTooLarge(limit + over, limit)
        return kept

    def describe_error(self, error: BaseException | str) -> dict[str, Any]:
        """Returns what viewers may know of an error; not for applications."""
        return error_info(error, self._hub.settings, self.id)

    def planned_step(self, kind: str, name: str, parent_id: str | None) -> str | None:
        """Returns the id under which a top-level step was planned, once; not for applications."""
        plan = self._record.life.plan
        return plan.pop((kind, name), None) if plan and parent_id is None else None

    # The end

    def complete(self, result: Any = None) -> None:
        """Records the result with which the session completes when its block is left.

        Args:
            result: JSON, pydantic models, dataclasses; what has no JSON form becomes its repr.
        """
        if self.recorded and self._record.ended:
            self._record.drop("completed after the end")
        self._result = result

    @property
    def result(self) -> Any:
        """What `complete` recorded."""
        return self._result

    def encode_result(self) -> bytes:
        """Returns the recorded result's JSON; not for applications.

        Raises:
            EventTooLarge: it passes ``max_result_bytes``.
            InvalidEvent: strict settings only: it has no JSON form.
        """
        return self._hub.encoder.result(self._result)

    @property
    def inline_result_bytes(self) -> int:
        """The size up to which a result travels in its event."""
        return self._hub.settings.max_inline_result_bytes

    def close(self, wire: dict[str, Any], result: bytes | None = None) -> None:
        """Ends the session, or this run of it; the first end wins. Not for applications."""
        if self._fence == self._record.fence:
            self._record.transition(wire, result)

    # Flow control

    async def flush(self) -> None:
        """Returns when everything emitted is stored and handed to all local subscribers that read.

        Subscribers whose reading is blocked are waited for at most ``flush_timeout`` (1 s), once.

        Raises:
            SessionConflict: another owner has taken the session.
        """
        if self.recorded:
            self._refuse_fenced()
            await self._hub.flush(self._record)

    def flush_sync(self, timeout: float = 1.0) -> None:
        """`flush` for code without an event loop; on a loop's own thread it does not wait.

        Args:
            timeout: seconds.

        Raises:
            SessionConflict: another owner has taken the session.
        """
        if self.recorded:
            self._refuse_fenced()
            self._hub.flush_sync(self._record, timeout)

    def _refuse_fenced(self) -> None:
        if self._fence != self._record.fence:
            raise SessionConflict(self.id, self.status, "Another owner has taken it.")

    # Cancelling

    @property
    def cancel_requested(self) -> bool:
        """True once somebody asked the session to stop."""
        return self._record.cancel_requested

    @property
    def cancel_reason(self) -> str | None:
        """What the request to stop gave as its reason."""
        return self._record.life.cancel_reason

    def request_cancel(self, reason: str | None = None, by: str | None = None) -> bool:
        """Asks the session to stop: tells its job, its callbacks and every viewer.

        Args:
            reason: for people.
            by: who asks.

        Returns:
            False when that had been done, or the session has ended.
        """
        return self._record.request_cancel(reason, by)

    def on_cancel(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Calls back once when the session is asked to stop, at once if it already was.

        The callback runs in the thread of whoever asks; it may be used as a decorator.
        """
        if self.recorded:
            if self.cancel_requested:
                self._record.call_back(callback)
            else:
                self._record.life.on_cancel.append(callback)
        return callback

    def raise_if_cancelled(self) -> None:
        """For loops in synchronous code.

        Raises:
            SessionCancelled: the session was asked to stop.
        """
        if self.cancel_requested:
            raise SessionCancelled(self.id, self._record.life.cancel_reason)

    @property
    def _session(self) -> ProgressSession:
        return self

    @property
    def _step_id(self) -> str | None:
        return None


class _NoSession(ProgressSession):
    """The falsy session where there is none: takes everything and keeps nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self._result = None
        self.recorded = False

    id = property(lambda self: "")
    status = property(lambda self: "")
    attempt = property(lambda self: 0)
    cursor = property(lambda self: "")
    dropped = property(lambda self: 0)
    cancel_requested = property(lambda self: False)

    def planned_step(self, kind: str, name: str, parent_id: str | None) -> str | None:
        return None

    def complete(self, result: Any = None) -> None:
        return None

    def request_cancel(self, reason: str | None = None, by: str | None = None) -> bool:
        return False

    def handle(self) -> SessionHandle:
        return {"session_id": "", "url": "", "control_token": None}


NO_SESSION = _NoSession()
