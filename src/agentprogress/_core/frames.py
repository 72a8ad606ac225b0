"""Control frames: the frames whose type has no dot. Events are framed by the history."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from pydantic_core import from_json

from ..codes import CODES
from .history import Joined, Missed
from .jsonable import clean_text, encode_json

__all__ = [
    "ALIVE",
    "PROTOCOL",
    "WAITING",
    "ProducerState",
    "Tempo",
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


class Tempo(NamedTuple):
    """What a client is told about time.

    Attributes:
        server_time: now, in RFC 3339.
        retry_window: seconds over which returning clients spread.
        retry: seconds after which this client's ``EventSource`` reconnects; None: as it was told.
    """

    server_time: str
    retry_window: float
    retry: float | None = None


def welcome(session_id: str, joined: Joined, heartbeat_interval: float, tempo: Tempo) -> bytes:
    """The first frame of every connection."""
    return encode_json(
        {
            "type": "welcome",
            "protocol": PROTOCOL,
            "session_id": session_id,
            "epoch": joined.epoch,
            "status": joined.status,
            "resume": joined.answer.resume.value,
            "head": joined.head,
            "heartbeat_interval": heartbeat_interval,
            "retry_window": tempo.retry_window,
            "server_time": tempo.server_time,
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


class ProducerState(NamedTuple):
    """What is known of the one who emits.

    Attributes:
        state: ``alive``, ``stalled`` or ``waiting``: nobody is there, and nobody has to be.
        cause: why it is ``stalled``: ``silent``, its lease has run out; ``event_loop_blocked``, its
            process lives, but its event loop answers nobody.
    """

    state: str
    cause: str | None = None


ALIVE, WAITING = ProducerState("alive"), ProducerState("waiting")


def heartbeat(head: int, producer: ProducerState, tempo: Tempo) -> bytes:
    """Written into silence, on a fixed cadence."""
    frame: dict[str, Any] = {"type": "heartbeat", "head": head, "producer": producer.state}
    if producer.cause is not None:
        frame["cause"] = producer.cause
    frame["retry_window"] = tempo.retry_window
    frame["server_time"] = tempo.server_time
    return encode_json(frame)


def reconnect(retry_after: float) -> bytes:
    """Come back after so many seconds; nothing is lost."""
    return encode_json({"type": "reconnect", "retry_after": round(retry_after, 3)})


def error(
    code: str,
    message: str,
    retry_after: float | None = None,
    gone: dict[str, str] | None = None,
) -> bytes:
    """Followed by a close; `gone` is what is still known of a session that is."""
    frame: dict[str, Any] = {
        "type": "error",
        "code": code,
        "message": clean_text(message),
        "retryable": CODES[code].retryable,
    }
    if retry_after is not None:
        frame["retry_after"] = round(retry_after, 3)
    if gone is not None:
        frame["gone"] = gone
    return encode_json(frame)


def is_pong(text: str) -> bool:
    """True for the one frame that a client may send; unknown fields are ignored."""
    try:
        frame: Any = from_json(text)
    except (ValueError, TypeError):  # the latter for what is no Unicode
        return False
    return isinstance(frame, dict) and cast("dict[str, Any]", frame).get("type") == "pong"


def end(status: str, head: int) -> bytes:
    """Over for good."""
    return encode_json({"type": "end", "status": status, "head": head})


def retry_window(subscribers: int, per_second: int, least: float, most: float) -> float:
    """Returns the seconds over which returning clients should spread, so that they make no herd."""
    return round(min(most, max(least, subscribers / per_second)), 3)
