"""What a session and its steps emit through; their common inside. Applications see neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ._core.jsonable import clean_text, cut_text
from ._core.outbox import Encoded, Entry
from ._core.times import rfc3339
from ._errors_out import error_info
from ._given import as_text
from ._ids import short_id
from ._inputs import Asked, Form, Question, SessionSuspended, check_request_id, check_timeout
from ._log import AFTER_THE_END
from ._record import Hub, SessionRecord
from .errors import EventTooLarge, SessionConflict, SessionEnded

__all__ = ["NoProducer", "Producer"]


class Producer:
    """The right to emit into a record, until another owner takes it.

    Attributes:
        recorded: False where there is no session.
        record: what it emits into.
        control_token: known only to whoever created the session.
        result: what the job recorded as its result.
        owns: whether its block is the session's, which it may suspend.
    """

    __slots__ = (
        "_fence",
        "_strict",
        "_suspended",
        "control_token",
        "hub",
        "owns",
        "record",
        "recorded",
        "result",
    )

    def __init__(
        self,
        hub: Hub,
        record: SessionRecord,
        control_token: str | None = None,
        *,
        owns: bool = True,
    ) -> None:
        self.hub = hub
        self.record = record
        self.recorded = True
        self.control_token = control_token
        self.result: Any = None
        self._fence = record.fence
        self._strict = hub.settings.strict
        self._suspended = False
        self.owns = owns

    # Emitting

    def send(self, wire: dict[str, Any]) -> None:
        """Emits the sugar's wire object. Never raises, but in strict settings."""
        hub = self.hub
        try:
            body = hub.encoder.lenient(wire)
        except Exception:
            # Not the job's fault or concern: `redact` failed, or even the cut event is too large.
            if self._strict:
                raise
            self.record.drop("impossible to encode")
            return
        self.put(Encoded(hub.stamp(), body))

    def put(self, entry: Entry) -> None:
        """Hands an entry to the record, or drops and counts it."""
        record = self.record
        if self._suspended:  # steps end while the block is being left, which is nobody's fault
            record.dropped += 1
            return
        if self._strict:
            self.refuse_late()
        if self._fence == record.fence:
            record.put(entry)
        elif record.closed:
            record.drop(AFTER_THE_END)
        else:
            record.drop("emitted by a producer that is no longer the owner")

    def refuse_late(self) -> None:
        """Raises what a strict call after the end, or after another owner's beginning, deserves."""
        if self.record.closed:
            raise SessionEnded(self.record.id, self.record.intended)
        self.refuse_fenced()

    def refuse_fenced(self) -> None:
        """Raises if another owner has taken the session, or somebody else has ended it."""
        record = self.record
        if self._fence != record.fence:
            if record.ended:
                raise SessionEnded(record.id, record.status)
            raise SessionConflict(record.id, record.status, "Another owner has taken it.")

    def field(self, text: object) -> str:
        """Returns a text for a field that is cut when its event is encoded; strict: refuses it."""
        limit = self.hub.settings.max_field_bytes
        clean = clean_text(as_text(text))
        if self._strict and (over := cut_text(clean, limit)[1]):
            raise EventTooLarge(limit + over, limit)
        return clean

    def describe_error(self, error: BaseException | str) -> dict[str, Any]:
        """Returns what viewers may know of an error."""
        return error_info(error, self.hub.settings, self.record.id)

    def fail(self, error: BaseException) -> None:
        """Ends the session with an error."""
        self.close({"type": "session.failed", "error": self.describe_error(error)})

    def planned_step(self, kind: str, name: str, parent_id: str | None) -> str | None:
        """Returns the id under which a top-level step was planned, once."""
        unstarted = self.record.life.unstarted
        ids = unstarted.get((kind, name)) if unstarted and parent_id is None else None
        return ids.pop(0) if ids else None

    # Questions

    def ask(self, asked: Asked, wake: Callable[[], object]) -> Question:
        """Asks, and returns the question, which may have its answer by then.

        Args:
            asked: what, of whom and for how long.
            wake: called once when it is settled, in whatever thread does it.

        Raises:
            RuntimeError: there is no session.
            SessionEnded, SessionConflict, SessionCancelled: the session is in no state to ask.
            TypeError, ValueError: the schema, the timeout or the id is none.
            InvalidEvent: it cannot be told.
        """
        question, body = self._question(asked, wake)
        self.record.ask(question, body, self._fence)
        return question

    def suspend(self, asked: Asked) -> NoReturn:
        """Asks, and leaves the block.

        Raises:
            SessionSuspended: it has done so; the block swallows it.
            RuntimeError: there is no session, or this is not its block.
            SessionEnded, SessionConflict, SessionCancelled, TypeError, ValueError: as `ask`.
        """
        question, body = self._question(asked, None)
        if not self.owns:
            raise RuntimeError("Only the block or job that is the session may suspend it.")
        self.record.suspend(question, body, self._fence)
        self._suspended = True
        raise SessionSuspended(self.record.id, question.request_id)

    def _question(self, asked: Asked, wake: Callable[[], object] | None) -> tuple[Question, bytes]:
        if not self.recorded:
            raise RuntimeError("There is no session here, so nobody could answer.")
        hub = self.hub
        if asked.request_id is None:
            request_id = short_id()
        else:
            request_id = check_request_id(asked.request_id, hub.settings.max_id_chars)
        deadline = expires_at = None
        if asked.timeout is not None:
            deadline = hub.clock.monotonic() + check_timeout(asked.timeout)
            expires_at = _moment(hub.clock.wall() + asked.timeout)
        form = Form(asked.schema)
        wire = {
            "type": "input.requested",
            "request_id": request_id,
            "prompt": as_text(asked.prompt),
            "schema": form.json_schema,
            "expires_at": expires_at,
        }
        return Question(self.record, request_id, form, deadline, wake), hub.encoder.lenient(wire)

    # The end

    def encode_result(self) -> bytes:
        """Returns the recorded result's JSON.

        Raises:
            EventTooLarge: it passes ``max_result_bytes``.
            InvalidEvent: strict settings only: it has no JSON form.
        """
        return self.hub.encoder.result(self.result)

    def close(self, wire: dict[str, Any], result: bytes | None = None) -> None:
        """Ends the session, or this run of it; the first end wins."""
        if self._fence == self.record.fence:
            self.record.transition(wire, result)


class NoProducer(Producer):
    """Takes everything and keeps nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self.recorded = self.owns = False
        self.control_token = None
        self.result = None

    def send(self, wire: dict[str, Any]) -> None:
        return None

    def put(self, entry: Entry) -> None:
        return None

    def planned_step(self, kind: str, name: str, parent_id: str | None) -> str | None:
        return None


def _moment(wall: float) -> str:
    try:
        return rfc3339(wall)
    except (OverflowError, ValueError, OSError) as error:
        raise ValueError("timeout ends after the year 9999.") from error
