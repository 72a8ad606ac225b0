"""Every error of the library. Where the wire has a code for one, it is a row of `codes`.

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
    │   ├── NoResult                      it ended without a result: failed, cancelled or lost
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
    ├── StoreUnavailable                  the store cannot be reached, or cannot write
    │   └── SessionUnavailable            ... but only for some sessions; has ``session_ids``
    ├── WrongLoop                         used from a second running event loop
    ├── FollowError                       a client gave up, or could not ask; has ``kind``
    ├── InvalidUrl (ValueError)           not the URL of a session
    └── PublicError                       an application's own error, shown to viewers as written

Errors that can reach a client carry ``code``, a key of `codes.CODES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .codes import CODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .events import ErrorInfo

__all__ = [
    "Draining",
    "EventTooLarge",
    "FollowError",
    "FollowErrorKind",
    "Forbidden",
    "IllegalTransition",
    "InputExpired",
    "InputSettled",
    "InvalidAnswer",
    "InvalidEvent",
    "InvalidRequest",
    "InvalidSessionId",
    "InvalidSettings",
    "InvalidUrl",
    "MethodNotAllowed",
    "NoResult",
    "NotFound",
    "ProgressError",
    "PublicError",
    "RequestTooLarge",
    "SessionCancelled",
    "SessionConflict",
    "SessionEnded",
    "SessionError",
    "SessionGone",
    "SessionUnavailable",
    "SessionUnknown",
    "StoreUnavailable",
    "TokenExpired",
    "TooManySessions",
    "TooManySubscribers",
    "Unauthorized",
    "WrongLoop",
    "WrongProcess",
]


class ProgressError(Exception):
    """Base of everything this library raises on purpose.

    Attributes:
        code: the row of `codes.CODES` that tells a client of it.
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


class NoResult(SessionError):
    """The session ended without a result.

    Attributes:
        status: how it ended: ``failed``, ``cancelled`` or ``lost``.
        error: what it failed with, as viewers see it; None where nothing is known.
    """

    code = "conflict"

    def __init__(self, session_id: str, status: str, error: ErrorInfo | None = None) -> None:
        why = f": {error.message}" if error is not None else "."
        super().__init__(session_id, f"Session {session_id!r} is {status} and has no result{why}")
        self.status = status
        self.error = error


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


class StoreUnavailable(ProgressError):
    """The store cannot be reached, or cannot write; what was asked may have been done or not."""

    code = "store_unavailable"


class SessionUnavailable(StoreUnavailable):
    """Some sessions cannot be reached, while the store serves others.

    Attributes:
        session_ids: those that were asked about and cannot be reached; empty where it is not known
            whose part of the store it is.
    """

    def __init__(self, session_ids: Iterable[str] = ()) -> None:
        self.session_ids = frozenset(session_ids)
        whose = f"Session {min(self.session_ids)!r}" if self.session_ids else "A part of the store"
        super().__init__(f"{whose} cannot be reached right now, though others can.")


class WrongLoop(ProgressError):
    """The registry serves one running event loop at a time, and this is a second one."""

    def __init__(self) -> None:
        super().__init__(
            "This registry already serves subscribers on another running event loop. Use one "
            "registry per loop; producers may emit from any thread."
        )


FollowErrorKind = Literal[
    "network",
    "timeout",
    "unauthorized",
    "forbidden",
    "unknown_session",
    "gone",
    "overloaded",
    "server",
    "protocol",
]


class FollowError(ProgressError):
    """What a client ran into; its message is a sentence for people.

    Attributes:
        kind: what to switch on.
        retryable: whether coming back can help. A client that gives up after `max_attempts` raises
            errors for which this is true.
        status: the HTTP status that was answered, if one was.
        close_code: the WebSocket close code, if one came.
        protocol_code: the row of `codes.CODES`, where the server named one.
    """

    def __init__(
        self,
        kind: FollowErrorKind,
        message: str,
        *,
        retryable: bool,
        status: int | None = None,
        close_code: int | None = None,
        protocol_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.status = status
        self.close_code = close_code
        self.protocol_code = protocol_code


class InvalidUrl(ProgressError, ValueError):
    """Not the URL of a session; the message says why."""

    code = "bad_request"


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
