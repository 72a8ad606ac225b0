"""Every error of the library, and the one table that maps codes to HTTP, WebSocket and a sentence.

The tree::

    ProgressError
    ├── InvalidSettings (ValueError)      a setting is unknown, out of range or inconsistent
    ├── InvalidEvent (ValueError)         an event that cannot be emitted as it is
    │   └── EventTooLarge                 ... because its encoding passes ``max_event_bytes``
    ├── InvalidSessionId (ValueError)     outside the alphabet, or one only the library may choose
    ├── SessionError                      has ``session_id``
    │   ├── SessionUnknown                no session of that id was ever here
    │   ├── SessionGone                   it ended and its record has expired
    │   ├── SessionConflict               its state does not allow what was asked
    │   ├── SessionEnded                  a strict call after the end
    │   ├── SessionCancelled              out of a block that was asked to cancel
    │   ├── WrongProcess                  the id was made by another process of a memory store
    │   ├── InputExpired                  nobody answered in time
    │   ├── InputSettled                  the question has its answer, or was never asked
    │   └── InvalidAnswer (ValueError)    an answer that does not fit the question's schema
    ├── IllegalTransition                 the state table has no such step
    ├── TooManySessions                   the process is full, nothing more may be evicted
    ├── TooManySubscribers                the session, principal or process has its full number
    ├── Unauthorized                      credentials are missing or not valid
    │   └── TokenExpired                  ... because their time is over
    ├── Forbidden                         ``authorize`` (or the default rule) said no
    ├── InvalidRequest (ValueError)       a request that cannot be understood
    │   ├── NotFound                      ... because nothing is at its path
    │   ├── MethodNotAllowed              ... because its path does not answer its method
    │   └── RequestTooLarge               ... because its body passes the limit
    ├── Draining                          the registry is shutting down
    ├── WrongLoop                         used from a second running event loop
    └── PublicError                       an application's own error, shown to viewers as written

Errors that can reach a client carry ``code``, a key of :data:`CODES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = [
    "CODES",
    "Code",
    "Draining",
    "EventTooLarge",
    "Forbidden",
    "IllegalTransition",
    "InputExpired",
    "InputSettled",
    "InvalidAnswer",
    "InvalidEvent",
    "InvalidRequest",
    "InvalidSessionId",
    "InvalidSettings",
    "MethodNotAllowed",
    "NotFound",
    "ProgressError",
    "PublicError",
    "RequestTooLarge",
    "SessionCancelled",
    "SessionConflict",
    "SessionEnded",
    "SessionError",
    "SessionGone",
    "SessionUnknown",
    "TokenExpired",
    "TooManySessions",
    "TooManySubscribers",
    "Unauthorized",
    "WrongLoop",
    "WrongProcess",
]

Retry = Literal["no", "yes", "new_token", "retry_after"]


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the code table.

    Attributes:
        name: the stable code on the wire.
        http: the HTTP status, or None where the code never answers a request.
        websocket: the close code. 41xx: come back. 44xx: do not.
        retry: whether coming back can help, and what it takes.
        sentence: what a person is told when the error brings no better words.
    """

    name: str
    http: int | None
    websocket: int
    retry: Retry
    sentence: str

    @property
    def retryable(self) -> bool:
        """True when the same request can succeed later, perhaps with a new token."""
        return self.retry != "no"

    @property
    def transient(self) -> bool:
        """True when it can succeed later as it is."""
        return self.retry in ("yes", "retry_after")


CODES: dict[str, Code] = {
    code.name: code
    for code in (
        Code("bad_request", 400, 4400, "no", "The request cannot be understood."),
        Code("unauthorized", 401, 4401, "new_token", "Credentials are missing or not valid."),
        Code("forbidden", 403, 4403, "no", "This session may not be followed with what was sent."),
        Code("not_found", 404, 4406, "no", "There is nothing at this address."),
        Code("session_unknown", 404, 4404, "no", "There is no such session."),
        Code("method_not_allowed", 405, 4405, "no", "The address does not answer this method."),
        Code("conflict", 409, 4409, "no", "The session's state does not allow this."),
        Code("session_gone", 410, 4410, "no", "The session ended and its record has expired."),
        Code("too_large", 413, 4413, "no", "The message is too large."),
        Code("wrong_process", 421, 4421, "no", "Another process owns this session."),
        Code("rate_limited", 429, 4105, "retry_after", "Too many subscribers; come back later."),
        Code("draining", 503, 4100, "yes", "The server is shutting down; come back."),
        Code("slow_subscriber", None, 4101, "yes", "A write was blocked for too long."),
        Code("no_pong", None, 4102, "yes", "A heartbeat was not answered."),
        Code("token_expired", 401, 4104, "new_token", "The token has expired."),
        Code("store_unavailable", 503, 4106, "yes", "The store does not answer."),
        Code("internal", 500, 4107, "yes", "The server failed; its log has the details."),
        Code("going_away", 503, 1012, "yes", "The server is restarting; come back."),
    )
}


class ProgressError(Exception):
    """Base of everything this library raises on purpose.

    Attributes:
        code: the row of :data:`CODES` that tells a client of it.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or CODES[self.code].sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is otherwise rebuilt by calling its class with its message, which is not
        # what these take; process pools and task queues pickle what a job raises.
        return _rebuilt, (type(self), self.args), self.__dict__


class InvalidSettings(ProgressError, ValueError):
    """A setting is unknown, out of range, or does not fit another one."""


class InvalidEvent(ProgressError, ValueError):
    """An event that cannot be emitted: not encodable, or not a producer's to emit."""

    code = "bad_request"


class EventTooLarge(InvalidEvent):
    """An event whose encoding passes the limit.

    Attributes:
        size_bytes: the size of what was emitted.
        limit_bytes: ``Settings.max_event_bytes``.
    """

    code = "too_large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"The event is {size_bytes} bytes encoded; the limit is {limit_bytes}.")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class InvalidSessionId(ProgressError, ValueError):
    """An id outside the alphabet, or with the prefix that is the library's own."""

    code = "bad_request"


class SessionError(ProgressError):
    """Base of errors about one session.

    Attributes:
        session_id: the session in question.
    """

    def __init__(self, session_id: str, message: str = "") -> None:
        super().__init__(message)
        self.session_id = session_id


class SessionUnknown(SessionError):
    """No session of this id was ever here, or its tombstone is gone as well."""

    code = "session_unknown"

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id, f"There is no session {session_id!r}.")


class SessionGone(SessionError):
    """The session ended (or was deleted) and its record has expired.

    Attributes:
        status: how it ended.
        ended_at: when, as an RFC 3339 string.
    """

    code = "session_gone"

    def __init__(self, session_id: str, status: str, ended_at: str) -> None:
        super().__init__(
            session_id,
            f"Session {session_id!r} ended ({status}) at {ended_at}; its record is gone.",
        )
        self.status = status
        self.ended_at = ended_at

    @property
    def session(self) -> dict[str, str]:
        """What is still known, as clients are told."""
        return {"status": self.status, "ended_at": self.ended_at}


class SessionConflict(SessionError):
    """The id exists in a state that does not allow what was asked.

    Attributes:
        status: the state it is in.
    """

    code = "conflict"

    def __init__(self, session_id: str, status: str, advice: str = "") -> None:
        super().__init__(session_id, f"Session {session_id!r} is {status}. {advice}".rstrip())
        self.status = status


class SessionEnded(SessionError):
    """A strict call on a session that has ended (or belongs to another owner by now)."""

    code = "conflict"

    def __init__(self, session_id: str, status: str) -> None:
        super().__init__(session_id, f"Session {session_id!r} has ended ({status}).")
        self.status = status


class SessionCancelled(SessionError):
    """Somebody asked the session to cancel, and its block obeyed.

    Attributes:
        reason: what the request said, if anything.
    """

    code = "conflict"

    def __init__(self, session_id: str, reason: str | None = None) -> None:
        super().__init__(
            session_id, f"Session {session_id!r} was cancelled. {reason or ''}".rstrip()
        )
        self.reason = reason


class WrongProcess(SessionError):
    """The id carries the tag of another process of a memory store."""

    code = "wrong_process"

    def __init__(self, session_id: str) -> None:
        super().__init__(
            session_id,
            f"Session {session_id!r} lives in another process. A memory store is seen by one "
            "process only: run one worker, or pass a durable store.",
        )


class InputExpired(SessionError):
    """Nobody answered a question in time.

    Attributes:
        request_id: which question.
    """

    code = "conflict"

    def __init__(self, session_id: str, request_id: str) -> None:
        super().__init__(session_id, f"Nobody answered {request_id!r} in time.")
        self.request_id = request_id


class InputSettled(SessionError):
    """A question that has its answer, has expired, or was never asked.

    Attributes:
        request_id: which question.
    """

    code = "conflict"

    def __init__(self, session_id: str, request_id: str) -> None:
        super().__init__(session_id, f"Session {session_id!r} has no open question {request_id!r}.")
        self.request_id = request_id


class InvalidAnswer(SessionError, ValueError):
    """An answer that does not fit the question's schema; the question stays open.

    Attributes:
        request_id: which question.
        problems: what does not fit, a sentence each.
    """

    code = "bad_request"

    def __init__(self, session_id: str, request_id: str, problems: list[str]) -> None:
        super().__init__(
            session_id, f"The answer to {request_id!r} does not fit: {'; '.join(problems)}"
        )
        self.request_id = request_id
        self.problems = problems


class IllegalTransition(ProgressError):
    """The state table has no such step; nothing was changed.

    Attributes:
        status: the state the session is in.
        event_type: the event that does not apply to it.
    """

    code = "conflict"

    def __init__(self, status: str, event_type: str) -> None:
        super().__init__(f"{event_type} does not apply to a session that is {status}.")
        self.status = status
        self.event_type = event_type


class TooManySessions(ProgressError):
    """The process is full and nothing more may be evicted.

    Attributes:
        limit: what was reached, in words.
    """

    code = "rate_limited"

    def __init__(self, limit: str) -> None:
        super().__init__(f"No room for another session: {limit}.")
        self.limit = limit


class TooManySubscribers(ProgressError):
    """A session, a principal or the process already has its full number of subscribers."""

    code = "rate_limited"


class Unauthorized(ProgressError):
    """Credentials are missing or not valid; others could help."""

    code = "unauthorized"


class TokenExpired(Unauthorized):
    """The credentials were valid, but their time is over."""

    code = "token_expired"


class Forbidden(ProgressError):
    """Access was refused before anything about the session was looked up."""

    code = "forbidden"


class InvalidRequest(ProgressError, ValueError):
    """A request that cannot be understood."""

    code = "bad_request"


class NotFound(InvalidRequest):
    """Nothing is at a request's path."""

    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    """A path does not answer the request's method.

    Attributes:
        allowed: the methods that it answers.
    """

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method[:40]!r} is not answered here; {', '.join(allowed)} are.")
        self.allowed = allowed


class RequestTooLarge(InvalidRequest):
    """A request's body passes the limit.

    Attributes:
        limit_bytes: ``Settings.max_client_frame_bytes``.
    """

    code = "too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"A request's body may have at most {limit_bytes} bytes.")
        self.limit_bytes = limit_bytes


class Draining(ProgressError):
    """The registry is shutting down and takes nothing new."""

    code = "draining"


class WrongLoop(ProgressError):
    """The registry serves one running event loop at a time, and this is a second one."""

    def __init__(self) -> None:
        super().__init__(
            "This registry already serves subscribers on another running event loop. Use one "
            "registry per loop; producers may emit from any thread."
        )


class PublicError(ProgressError):
    """An application's error whose words may be shown to every viewer.

    Args:
        message: shown as written.
        code: stable and machine-readable, of the application's own choosing.
        retryable: whether running the job again can help.
    """

    def __init__(self, message: str, code: str = "error", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.public_code = code
        self.retryable = retryable


def _rebuilt(cls: type[ProgressError], args: tuple[Any, ...]) -> ProgressError:
    return cls.__new__(cls, *args)
