"""Control frames: the frames whose type has no dot. Events are framed by the history."""

from __future__ import annotations

from typing import Any, Final, cast

from pydantic_core import from_json

from ..errors import CODES
from .history import Join, Missed
from .jsonable import encode_json
from .states import SessionStatus

__all__ = [
    "PROTOCOL",
    "end",
    "error",
    "gap",
    "heartbeat",
    "is_pong",
    "reconnect",
    "retry_window",
    "snapshot",
    "welcome",
]

PROTOCOL: Final = 1


def welcome(
    *, session_id: str, epoch: str, status: str, join: Join, head: int, timing: dict[str, Any]
) -> bytes:
    """The first frame of every connection.

    Args:
        session_id: whose events follow.
        epoch: of the log.
        status: of the session, now.
        join: the answer to the subscriber's cursor.
        head: the last seq, now.
        timing: ``heartbeat_interval``, ``retry_window`` and ``server_time``.
    """
    return encode_json(
        {
            "type": "welcome",
            "protocol": PROTOCOL,
            "session_id": session_id,
            "epoch": epoch,
            "status": status,
            "resume": join.resume.value,
            "head": head,
            **timing,
        }
    )


def snapshot(seq: int, state: bytes) -> bytes:
    """The state after `seq`, already encoded."""
    return b'{"type":"snapshot","seq":%d,"state":%b}' % (seq, state)


def gap(missed: Missed) -> bytes:
    """Events that will not come; a snapshot follows."""
    return encode_json(
        {
            "type": "gap",
            "missed_from": missed.first,
            "missed_to": missed.last,
            "reason": missed.reason,
        }
    )


def heartbeat(head: int, status: SessionStatus, window: float, server_time: str) -> bytes:
    """Written into silence, on a fixed cadence."""
    producer = "alive" if status is SessionStatus.RUNNING else "waiting"
    return encode_json(
        {
            "type": "heartbeat",
            "head": head,
            "producer": producer,
            "retry_window": window,
            "server_time": server_time,
        }
    )


def reconnect(retry_after: float) -> bytes:
    """Come back after so many seconds; nothing is lost."""
    return encode_json({"type": "reconnect", "retry_after": round(retry_after, 3)})


def error(code: str, message: str, retry_after: float | None = None) -> bytes:
    """Followed by a close."""
    frame: dict[str, Any] = {
        "type": "error",
        "code": code,
        "message": message,
        "retryable": CODES[code].retryable,
    }
    if retry_after is not None:
        frame["retry_after"] = retry_after
    return encode_json(frame)


def is_pong(text: str) -> bool:
    """True for the one frame that a client may send; unknown fields are ignored."""
    try:
        frame: Any = from_json(text)
    except ValueError:
        return False
    return isinstance(frame, dict) and cast("dict[str, Any]", frame).get("type") == "pong"


def end(status: str, head: int) -> bytes:
    """Over for good."""
    return encode_json({"type": "end", "status": status, "head": head})


def retry_window(subscribers: int, per_second: int, least: float, most: float) -> float:
    """Returns the seconds over which returning clients should spread, so that they make no herd."""
    return round(min(most, max(least, subscribers / per_second)), 3)
