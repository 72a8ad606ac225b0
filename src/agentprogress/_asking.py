"""The log of a session with the questions that are asked in it.

A question is settled once, under the session's lock: answered, expired or cancelled; whoever comes
second changes nothing. The application's own code (validation, masking) never runs under a lock.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from ._core.jsonable import encode_json, plain_value
from ._core.outbox import Encoded
from ._core.states import SessionStatus
from ._errors_out import log_failure
from ._inputs import Inputs, Outcome, Question, digest, problems_of
from ._life import Hub, Life
from ._log import SessionLog
from .errors import (
    InputSettled,
    InvalidAnswer,
    InvalidEvent,
    SessionCancelled,
    SessionConflict,
    SessionEnded,
)

__all__ = ["Answer", "SessionInputs", "resolved"]

_logger = logging.getLogger("agentprogress")


class Answer(NamedTuple):
    """An answer that fits: as the job gets it, as JSON, and the event that tells of it."""

    value: Any
    encoded: bytes
    digest: bytes
    body: bytes


class SessionInputs(SessionLog):
    """A log with the questions that are asked in it. Its session adds the life to it."""

    __slots__ = ("_closed", "_inputs")

    # What its session adds.
    status: SessionStatus
    fence: int
    life: Life
    cancel_requested: bool

    def __init__(self, session_id: str, epoch: str, hub: Hub) -> None:
        super().__init__(session_id, epoch, hub)
        self._inputs: Inputs | None = None
        self._closed: Sequence[Question] = ()

    @property
    def hub(self) -> Hub:
        """The registry around it."""
        return self._hub

    @property
    def intended(self) -> SessionStatus:
        """Where its producer has taken it, which a store may have still to hear of."""
        return self.status

    @property
    def last_answer(self) -> Any:
        """What was answered to the question that the session was suspended with."""
        inputs = self._inputs
        return None if inputs is None else inputs.answer

    def ask(self, question: Question, body: bytes, fence: int) -> None:
        """Takes a question and the event that tells of it.

        Args:
            question: it may be answered as soon as this returns.
            body: of ``input.requested``.
            fence: of the producer that asks.

        Raises:
            SessionEnded, SessionCancelled: the session is over, or will be.
            SessionConflict: it does not run, has another owner, or too many questions.
            ValueError: the id was used.
        """
        with self._lock:
            self._admit(fence).add(question)
            self._inbox.append(Encoded(self._hub.stamp(), body))
        self._asked(question)

    def _admit(self, fence: int) -> Inputs:
        """Returns where a question goes, if one may be asked now; with the lock."""
        if self.closed:
            raise SessionEnded(self.id, self.intended)
        if fence != self.fence:
            raise SessionConflict(self.id, self.status, "Another owner has taken it.")
        if self.intended is not SessionStatus.RUNNING:
            raise SessionConflict(self.id, self.intended, "Only a running session asks.")
        if self.cancel_requested:
            raise SessionCancelled(self.id, self.life.cancel_reason)
        if self._inputs is None:
            self._inputs = Inputs(self._hub.settings.max_requests)
        return self._inputs

    def _asked(self, question: Question) -> None:
        """Does what comes after a question is there; without the lock."""
        if question.deadline is not None:
            self._hub.watch(question)
        self.commit()
        self.queue()

    def open_question(self, request_id: str) -> Question | None:
        """Returns a question that was asked here and has no outcome yet."""
        with self._lock:
            return None if self._inputs is None else self._inputs.open.get(request_id)

    # Answers

    def answer(self, request_id: str, value: Any, by: str | None) -> None:
        """Gives a question its answer; an equal one once more changes nothing.

        Raises:
            InputSettled: no such question is open, nor was it answered like this.
            InvalidAnswer: the answer does not fit; the question stays open.
        """
        with self._lock:
            inputs = self._inputs
            question = inputs.open.get(request_id) if inputs is not None else None
            if question is None and self._digest_of(request_id) is None:
                raise InputSettled(self.id, request_id)
        plain, encoded = self.plain_answer(request_id, value)
        told = digest(plain)
        if question is not None and question.is_due(self._hub.clock.monotonic()):
            question.expire()
        elif question is not None:
            value = self.read_answer(question, plain, encoded)
            body = self.told_answer(request_id, plain, by)
            if self.settle(question, Outcome.ANSWERED, Answer(value, encoded, told, body)):
                return
        if self._digest_of(request_id) != told:
            raise InputSettled(self.id, request_id)

    def _digest_of(self, request_id: str) -> bytes | None:
        with self._lock:
            return None if self._inputs is None else self._inputs.settled.get(request_id)

    def plain_answer(self, request_id: str, value: Any) -> tuple[Any, bytes]:
        """Returns an answer as plain JSON types, and encoded.

        Raises:
            InvalidAnswer: it has no JSON form, or is too large.
        """
        most = self._hub.settings.max_event_bytes
        try:
            plain = plain_value(value, most)
        except InvalidEvent as error:
            raise InvalidAnswer(self.id, request_id, [str(error).rstrip(".")]) from error
        encoded = encode_json(plain)
        if len(encoded) > most:
            problem = f"It is {len(encoded)} bytes encoded; the limit is {most}"
            raise InvalidAnswer(self.id, request_id, [problem])
        return plain, encoded

    def read_answer(self, question: Question, plain: Any, encoded: bytes) -> Any:
        """Returns the value of an answer, as the job gets it.

        Raises:
            InvalidAnswer: it does not fit.
        """
        try:
            return question.form.read(plain, encoded)
        except ValidationError as error:
            problems = problems_of(error, self._hub.settings)
        except Exception as error:  # noqa: BLE001 - an application's validator, in anybody's thread
            log_failure(error, "session %s: the answer's validator failed", self.id)
            problems = ["It cannot be checked"]
        raise InvalidAnswer(self.id, question.request_id, problems)

    def told_answer(self, request_id: str, plain: Any, by: str | None) -> bytes:
        """Returns the body of the event that tells of an answer."""
        wire = {
            "type": "input.resolved",
            "request_id": request_id,
            "outcome": Outcome.ANSWERED.value,
            "value": plain,
            "by": by,
        }
        try:
            return self._hub.encoder.lenient(wire)
        except InvalidEvent:  # `redact` failed: what it was to hide must not leave
            _logger.exception("session %s: an answer is told without its value", self.id)
            return resolved(request_id, Outcome.ANSWERED)

    def settle(self, question: Question, outcome: Outcome, answer: Answer | None = None) -> bool:
        """Gives a question its outcome and tells everybody; False when it had one."""
        request_id = question.request_id
        body = resolved(request_id, outcome) if answer is None else answer.body
        with self._lock:
            inputs = self._inputs
            if question.outcome is not None or inputs is None:
                return False
            waiting = self.status is SessionStatus.WAITING
            if answer is not None:
                question.value = answer.value
                if waiting:
                    inputs.answer = answer.value
                    self.beside_bytes = len(answer.encoded)
            inputs.settle(question, outcome, b"" if answer is None else answer.digest)
            self._resolve_as(request_id, body)
            self._account()
            self._closed = [*self._closed, question]
        self.commit()
        self.queue()
        self._let_go()
        if waiting and outcome is not Outcome.CANCELLED:
            self._hub.answered(self._record)
        return True

    # The end of questions

    def _cancel_questions(self) -> None:
        """Cancels what is open; without the lock."""
        with self._lock:
            open_ = [] if self._inputs is None else list(self._inputs.open.values())
        for question in open_:
            self.settle(question, Outcome.CANCELLED)

    def _resolve_as(self, request_id: str, body: bytes) -> None:
        """Tells how a question was settled; with the lock."""
        self._inbox.append(Encoded(self._hub.stamp(), body))

    def _withdraw(self) -> None:
        """Cancels what is open and says so; with the lock, by somebody who calls `_let_go`."""
        inputs = self._inputs
        if inputs is not None:
            for question in list(inputs.open.values()):
                inputs.settle(question, Outcome.CANCELLED)
                request_id = question.request_id
                self._resolve_as(request_id, resolved(request_id, Outcome.CANCELLED))
                self._closed = [*self._closed, question]

    def _forget_inputs(self) -> None:
        """Cancels what is open by an event that closes all; with the lock, as `_withdraw`."""
        inputs, self._inputs = self._inputs, None
        self.beside_bytes = 0
        if inputs is not None:
            for question in inputs.open.values():
                question.outcome = Outcome.CANCELLED
            self._closed = [*self._closed, *inputs.open.values()]

    def _end_inputs(self) -> None:
        """The same at the end: what was answered stays known to those who say it once more."""
        inputs = self._inputs
        self._forget_inputs()
        if inputs is not None and inputs.settled:
            inputs.open, inputs.answer = {}, None
            self._inputs = inputs

    def _let_go(self) -> None:
        """Wakes those whose questions are settled; without the lock."""
        with self._lock:
            closed, self._closed = self._closed, ()
        for question in closed:
            if question.deadline is not None:
                self._hub.unwatch(question)
            if question.wake is not None:
                question.wake()


def resolved(request_id: str, outcome: Outcome) -> bytes:
    """Returns the body of the event that tells how a question was settled."""
    return encode_json(
        {"type": "input.resolved", "request_id": request_id, "outcome": outcome.value}
    )
