"""What a close, an error or an answer means for a client: come back or not, and in which words.

Pure. Held against `tests/vectors/close_codes.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from ..codes import CODES
from ..errors import FollowError, FollowErrorKind
from ..events import EXACT
from ._wire import Answer, Frame

__all__ = ["Judgement", "Verdict", "is_passing", "judge_answer", "judge_close", "judge_frame"]


class Verdict(Enum):
    """What a client does next."""

    COME_BACK = "come_back"
    """With its last cursor, after a delay."""
    NEW_TOKEN = "new_token"
    """At once, if it can have another token; else it gives up."""
    UNKNOWN_GRACE = "unknown_grace"
    """For some time, if it was ever welcomed: a server that restarts may not know yet."""
    GIVE_UP = "give_up"
    """Never by itself."""
    DONE = "done"
    """There is nothing more."""


class Judgement(NamedTuple):
    """A verdict and its reason.

    Attributes:
        verdict: what to do.
        error: why, in words.
        retry_after: seconds, a floor under the delay.
        drawn: whether the server has drawn them for this client alone.
    """

    verdict: Verdict
    error: FollowError
    retry_after: float = 0.0
    drawn: bool = False


_KINDS: dict[str, FollowErrorKind] = {
    "bad_request": "protocol",
    "unauthorized": "unauthorized",
    "forbidden": "forbidden",
    "not_found": "unknown_session",
    "session_unknown": "unknown_session",
    "method_not_allowed": "protocol",
    "conflict": "server",
    "session_gone": "gone",
    "too_large": "protocol",
    "wrong_process": "unknown_session",
    "rate_limited": "overloaded",
    "draining": "server",
    "slow_subscriber": "timeout",
    "no_pong": "timeout",
    "token_expired": "unauthorized",
    "store_unavailable": "server",
    "internal": "server",
    "going_away": "server",
}
# After a restart the new process knows neither the session nor the tag in its id.
_UNKNOWN = frozenset({"session_unknown", "wrong_process"})
_BY_CLOSE_CODE = {code.websocket: name for name, code in CODES.items()}
_STATUS_KINDS: dict[int, FollowErrorKind] = {
    401: "unauthorized",
    403: "forbidden",
    404: "unknown_session",
    407: "unauthorized",
    408: "timeout",
    410: "gone",
    425: "server",
    429: "overloaded",
    504: "timeout",
}
_NO_CONTENT = 204
# What is answered while a server is away or has too much to do, by whomever.
_PASSING = frozenset({408, 425, 429})
_SERVER_ERRORS = 500


def is_passing(status: int) -> bool:
    """Returns whether a status speaks of the moment, not of what was asked for."""
    return status >= _SERVER_ERRORS or status in _PASSING


def judge_frame(frame: Frame) -> Judgement:
    """Judges an `error` frame, or a `reconnect`."""
    if frame["type"] == "reconnect":
        sentence = "The server asks its clients to come back."
        error = FollowError("server", sentence, retryable=True, protocol_code="going_away")
        return Judgement(Verdict.COME_BACK, error, _seconds(frame["retry_after"]), drawn=True)
    message, retry_after = frame["message"], frame.get("retry_after")
    return _of_code(
        frame["code"], message, retryable=frame.get("retryable") is True, retry_after=retry_after
    )


def judge_close(code: int | None) -> Judgement:
    """Judges a close that neither `end` nor `error` came before; None for one without a code."""
    if code is None:
        sentence = "The connection was cut before the session's end."
        error = FollowError("network", sentence, retryable=True)
        return Judgement(Verdict.COME_BACK, error)
    name = _BY_CLOSE_CODE.get(code)
    if name is not None:
        return _of_code(name, CODES[name].sentence, close_code=code)
    if 4400 <= code < 4500:  # noqa: PLR2004 - the range is the protocol's
        sentence = f"The server closed with {code}, which says not to come back."
        error = FollowError("protocol", sentence, retryable=False, close_code=code)
        return Judgement(Verdict.GIVE_UP, error)
    error = FollowError(
        "network", f"The connection was closed ({code}).", retryable=True, close_code=code
    )
    return Judgement(Verdict.COME_BACK, error)


def judge_answer(answer: Answer) -> Judgement:
    """Judges an HTTP answer that is not what was asked for."""
    status, problem = answer.status, answer.problem
    if problem is not None and isinstance(name := problem.get("code"), str):
        return _of_code(
            name,
            _sentence_of(problem, status),
            retryable=problem.get("retryable") is True,
            retry_after=problem.get("retry_after", answer.retry_after),
            status=status,
        )
    if status == _NO_CONTENT:
        error = FollowError("protocol", "There is nothing more.", retryable=False, status=status)
        return Judgement(Verdict.DONE, error)
    kind = _STATUS_KINDS.get(status, "server" if status >= _SERVER_ERRORS else "protocol")
    error = FollowError(kind, _foreign(answer), retryable=True, status=status)
    return Judgement(Verdict.COME_BACK, error, _seconds(answer.retry_after))


def _of_code(
    name: str,
    message: str,
    *,
    retryable: bool = False,
    retry_after: object = None,
    status: int | None = None,
    close_code: int | None = None,
) -> Judgement:
    known = CODES.get(name)
    if known is not None:
        retryable = known.retryable
    error = FollowError(
        _KINDS.get(name, "server"),
        message,
        retryable=retryable,
        status=status,
        close_code=close_code,
        protocol_code=name,
    )
    if name in _UNKNOWN:
        verdict = Verdict.UNKNOWN_GRACE
    elif known is not None and known.retry == "new_token":
        verdict = Verdict.NEW_TOKEN
    else:
        verdict = Verdict.COME_BACK if retryable else Verdict.GIVE_UP
    return Judgement(verdict, error, _seconds(retry_after))


def _sentence_of(problem: Mapping[str, Any], status: int) -> str:
    for member in ("detail", "title"):
        if isinstance(text := problem.get(member), str) and text:
            return text
    return f"The server answered {status}."


def _foreign(answer: Answer) -> str:
    """A sentence about an answer that is not our server's."""
    what = answer.content_type.partition(";")[0].strip() or "nothing"
    return (
        f"Something that is not agentprogress answered {answer.status} ({what}): "
        "a proxy whose server is away, a sign-in page, or the wrong address."
    )


def _seconds(value: object) -> float:
    return float(min(value, EXACT)) if isinstance(value, int | float) and value > 0 else 0.0
