"""Questions to a person: what an answer must look like, who waits for it, what is remembered of it.

When they are settled is for `_asking.py` to say.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from ._core.jsonable import clean_text, encode_json, is_list, is_object
from ._wakeup import Wakeup
from .errors import InputExpired, InvalidAnswer, SessionCancelled, SessionConflict, SessionEnded
from .settings import Settings

if TYPE_CHECKING:
    from ._record import SessionRecord

__all__ = [
    "Asked",
    "Form",
    "Inputs",
    "Outcome",
    "Question",
    "SessionSuspended",
    "check_request_id",
    "check_timeout",
    "digest",
    "other_than_suspension",
    "problems_of",
]

# What a path of a URL can hold as it is.
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*", re.ASCII)


class SessionSuspended(BaseException):
    """Leaves the block of a session that waits for an answer; the block swallows it.

    Not an `Exception`, so that a job's own ``except Exception`` does not keep it from leaving.

    Attributes:
        session_id: which session.
        request_id: which question.
    """

    def __init__(self, session_id: str, request_id: str) -> None:
        super().__init__(f"Session {session_id!r} waits for the answer to {request_id!r}.")
        self.session_id = session_id
        self.request_id = request_id


def other_than_suspension(exc: BaseException, session_id: str) -> BaseException | None:
    """Returns what is left of an exception without the suspension of this session."""

    def ours(error: BaseException) -> bool:
        return isinstance(error, SessionSuspended) and error.session_id == session_id

    if isinstance(exc, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", exc).split(ours)[1]
    return None if ours(exc) else exc


class Outcome(StrEnum):
    """How a question was settled, as on the wire."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Asked(NamedTuple):
    """The arguments of a question."""

    prompt: str
    schema: Any = None
    timeout: float | None = None
    request_id: str | None = None


def check_request_id(request_id: str, max_chars: int) -> str:
    """Returns an application's id for a question unchanged if it is one.

    Raises:
        ValueError: it is not, in a sentence that says why.
    """
    if len(request_id) > max_chars or not _REQUEST_ID.fullmatch(request_id):
        raise ValueError(
            f"{request_id[:max_chars]!r} is no id for a question: 1-{max_chars} characters of "
            "A-Z a-z 0-9 . _ ~ -, the first alphanumeric."
        )
    return request_id


def check_timeout(timeout: float) -> float:
    """Returns a timeout unchanged if it is one.

    Raises:
        ValueError: it is not above 0 and finite.
    """
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be finite and greater than 0, not {timeout!r}.")
    return timeout


class Form:
    """What an answer must look like.

    Args:
        schema: a type, whose values are validated; a mapping that is a JSON Schema, which is only
            told; or None for any JSON.

    Attributes:
        json_schema: what viewers are told, if anything.

    Raises:
        TypeError: pydantic makes neither a validator nor a JSON Schema of the type.
    """

    __slots__ = ("_adapter", "json_schema")

    def __init__(self, schema: Any) -> None:
        self._adapter: TypeAdapter[Any] | None = None
        self.json_schema: dict[str, Any] | None = None
        if schema is None:
            return
        if isinstance(schema, Mapping):
            self.json_schema = {**schema}
            return
        if isinstance(schema, str):  # pydantic would look for a type of that name
            raise TypeError(f"{schema!r} is no schema; pass a type, a JSON Schema or None.")
        try:
            self._adapter = TypeAdapter(schema)
            self.json_schema = self._adapter.json_schema()
        except Exception as error:
            raise TypeError(
                f"{schema!r} is no schema for an answer: {error} "
                "Pass a type that pydantic can validate, a JSON Schema or None."
            ) from error

    def read(self, plain: Any, encoded: bytes) -> Any:
        """Returns the value of an answer.

        Raises:
            ValidationError: it does not fit.
        """
        # As JSON, so that even a strict model takes dates, enums and tuples as JSON writes them.
        return plain if self._adapter is None else self._adapter.validate_json(encoded)


class Question:
    """One question of one session. Written under the session's lock only.

    Attributes:
        deadline: monotonic time from which nobody may answer any more.
        outcome: None while it is open.
        value: the answer, as the job gets it.
        wake: called once when it is settled, without any lock.
    """

    __slots__ = (
        "_problem",
        "deadline",
        "form",
        "outcome",
        "record",
        "request_id",
        "value",
        "wake",
    )

    def __init__(
        self,
        record: SessionRecord,
        request_id: str,
        form: Form,
        deadline: float | None,
        wake: Callable[[], object] | None,
    ) -> None:
        self.record = record
        self.request_id = request_id
        self.form = form
        self.deadline = deadline
        self.wake = wake
        self.outcome: Outcome | None = None
        self.value: Any = None
        self._problem: InvalidAnswer | None = None

    def is_due(self, now: float) -> bool:
        """True when the time to answer is over."""
        return self.deadline is not None and now >= self.deadline

    def take(self, plain: Any) -> None:
        """Takes an answer that was accepted elsewhere, where only its schema was known."""
        try:
            self.value = self.record.read_answer(self, plain, encode_json(plain))
        except InvalidAnswer as problem:
            self._problem = problem

    def expire(self) -> None:
        """Settles it for want of an answer, unless it is settled."""
        self.record.settle(self, Outcome.EXPIRED)

    async def answered(self, wakeup: Wakeup) -> Any:
        """Waits until `wakeup`, which is what wakes it, and returns the answer.

        Raises:
            InputExpired, SessionCancelled, SessionEnded, SessionConflict: there is none.
        """
        clock = self.record.hub.clock
        try:
            await clock.wait(wakeup.event, self.deadline)
            while self.outcome is None:
                if self.is_due(clock.monotonic()):
                    self.expire()
                await clock.wait(wakeup.event, self.deadline)
        except BaseException:
            self.record.settle(self, Outcome.CANCELLED)
            raise
        return self._answer()

    def answered_sync(self, settled: threading.Event) -> Any:
        """The same for a thread."""
        clock = self.record.hub.clock
        try:
            while self.outcome is None:
                if self.is_due(clock.monotonic()):
                    self.expire()
                elif self.deadline is None:
                    settled.wait()
                else:
                    left = self.deadline - clock.monotonic()
                    settled.wait(min(left, threading.TIMEOUT_MAX))
        except BaseException:
            self.record.settle(self, Outcome.CANCELLED)
            raise
        return self._answer()

    def _answer(self) -> Any:
        record = self.record
        if self._problem is not None:
            raise self._problem
        if self.outcome is Outcome.ANSWERED:
            return self.value
        if self.outcome is Outcome.EXPIRED:
            raise InputExpired(record.id, self.request_id)
        if record.cancel_requested:
            raise SessionCancelled(record.id, record.life.cancel_reason)
        if record.ended:
            raise SessionEnded(record.id, record.status)
        raise SessionConflict(record.id, record.status, "The question was withdrawn.")


class Inputs:
    """The questions of one session.

    Attributes:
        open: those without an outcome, by id, oldest first.
        settled: the others, the last few: the digest of the answer, empty where there is none.
        answer: to the question that the session was suspended with.
    """

    __slots__ = ("_most", "answer", "open", "settled")

    def __init__(self, most: int) -> None:
        self._most = most
        self.open: dict[str, Question] = {}
        self.settled: dict[str, bytes] = {}
        self.answer: Any = None

    def add(self, question: Question) -> None:
        """Takes a new question.

        Raises:
            ValueError: its id was used.
            SessionConflict: there are as many as there may be.
        """
        record, request_id = question.record, question.request_id
        if request_id in self.open or request_id in self.settled:
            raise ValueError(f"{request_id!r} was asked before; each question has its own id.")
        if len(self.open) >= self._most:
            advice = f"It has {self._most} open questions, which is max_requests."
            raise SessionConflict(record.id, record.status, advice)
        self.open[request_id] = question

    def settle(self, question: Question, outcome: Outcome, digest: bytes = b"") -> None:
        """Gives a question its outcome, and remembers it for as long as there is room."""
        question.outcome = outcome
        del self.open[question.request_id]
        self.settled[question.request_id] = digest
        if len(self.settled) > self._most:
            del self.settled[next(iter(self.settled))]


def digest(value: Any) -> bytes:
    """Tells JSON values apart, whatever the order of their keys; memory holds no answers so."""
    return sha256(json.dumps(_normal(value), sort_keys=True).encode()).digest()


def _normal(value: Any) -> Any:
    """Writes equal numbers alike: 1 and 1.0 are one in JSON."""
    if is_object(value):
        return {key: _normal(item) for key, item in value.items()}
    if is_list(value):
        return [_normal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def problems_of(error: ValidationError, settings: Settings) -> list[str]:
    """Returns what does not fit, a sentence each, as much as one field may hold."""
    problems: list[str] = []
    room = settings.max_field_bytes
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        problem = clean_text(f"{where}: {each['msg']}" if where else each["msg"]).rstrip(".")
        problem = problem[: settings.max_string_chars]
        room -= len(problem)
        if problems and room < 0:
            break
        problems.append(problem)
    return problems
