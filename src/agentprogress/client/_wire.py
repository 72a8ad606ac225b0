"""Reads what a server sends into frames: their shape only, never what they lead to. Pure.

What breaks the framing is malformed, and a client comes back after it. Unknown fields and unknown
control frames are left as they are; an event's fields are judged where it becomes an item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from .._core.cursor import Cursor
from .._core.fold import Fold
from .._core.frames import PROTOCOL
from .._core.jsonable import is_list, is_object
from ..events import EXACT
from ..settings import Settings
from ..snapshot import SessionSnapshot

__all__ = ["Answer", "Frame", "Malformed", "read_frame", "read_frames", "read_page", "read_state"]

Frame = dict[str, Any]


class Malformed(Exception):
    """What came is nothing that a server of this protocol writes; carries a sentence."""


class Answer(NamedTuple):
    """An HTTP answer that is not what was asked for.

    Attributes:
        status: of HTTP.
        problem: the problem document; None where the body was none, so that somebody else spoke.
        retry_after: seconds, from the header; None without one.
        content_type: of the body, as it came.
    """

    status: int
    problem: Mapping[str, Any] | None = None
    retry_after: float | None = None
    content_type: str = ""


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= EXACT


def _is_seq(value: object) -> bool:
    return type(value) is int and 1 <= value <= EXACT


def _is_number(value: object) -> bool:
    # An integer that no float holds would raise where it is reckoned with.
    return isinstance(value, float) or (type(value) is int and -EXACT <= value <= EXACT)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_epoch(value: object) -> bool:
    return Cursor.parse(f"{value}-0") is not None


_Check = Callable[[object], bool]

# What each control frame must have; the rest of its fields may be missing.
_NEEDED: dict[str, dict[str, _Check]] = {
    "welcome": {
        "session_id": _is_text,
        "epoch": _is_epoch,
        "status": _is_text,
        "resume": _is_text,
        "head": _is_count,
        "heartbeat_interval": _is_number,
        "retry_window": _is_number,
    },
    "snapshot": {"seq": _is_count, "state": is_object},
    "gap": {"missed_from": _is_seq, "missed_to": _is_seq, "reason": _is_text},
    "heartbeat": {"head": _is_count, "producer": _is_text},
    "reconnect": {"retry_after": _is_number},
    "error": {"code": _is_text, "message": _is_text},
    "end": {"status": _is_text, "head": _is_count},
}
# A welcome of another version may lack anything but its number.
_VERSIONED = "welcome"


def read_frames(text: str | bytes) -> list[Frame]:
    """Reads a WebSocket message: an array of one or more frames.

    Raises:
        Malformed: it is something else.
    """
    frames = _json(text)
    if not is_list(frames) or not frames:
        raise Malformed("A WebSocket message is not an array of frames.")
    return [_checked(frame) for frame in frames]


def read_frame(text: str) -> Frame:
    """Reads the data of a server-sent event: one frame.

    Raises:
        Malformed: it is something else.
    """
    return _checked(_json(text))


def read_page(body: bytes) -> list[Frame]:
    """Reads a page, whose first frame is the welcome.

    Raises:
        Malformed: it is something else.
    """
    page = _json(body)
    if not is_object(page) or not is_list(frames := page.get("frames")) or not frames:
        raise Malformed("The answer is not a page of frames.")
    return [_checked(frame) for frame in frames]


def read_state(state: Frame, limits: Settings) -> tuple[Frame, SessionSnapshot]:
    """Returns a snapshot's state with every member there, so that it can be folded on, and typed.

    Raises:
        Malformed: a member does not fit.
    """
    empty = Fold("", "", limits).state()
    whole = empty | {name: value for name, value in state.items() if name in empty}
    try:
        snapshot = SessionSnapshot.model_validate(whole)
        # What is folded on is what fits: nothing in it is missing or of another type.
        return snapshot.model_dump(mode="json", by_alias=True), snapshot
    except ValidationError as error:
        raise Malformed(f"A snapshot does not fit: {error.errors()[0]['msg']}.") from None


def _json(text: str | bytes) -> object:
    try:
        return from_json(text)
    except (ValueError, TypeError):  # the latter for what is no Unicode
        raise Malformed("What came is not JSON.") from None


def _checked(frame: object) -> Frame:
    if not is_object(frame) or not isinstance(kind := frame.get("type"), str):
        raise Malformed("A frame is not an object with a type.")
    if "." in kind:
        if not _is_seq(frame.get("seq")):
            raise Malformed(f"{kind[:40]} has no seq.")
        return frame
    if kind == _VERSIONED and not _is_count(frame.get("protocol")):
        raise Malformed("welcome lacks protocol.")
    if kind != _VERSIONED or frame["protocol"] == PROTOCOL:
        for name, fits in _NEEDED.get(kind, {}).items():
            if not fits(frame.get(name)):
                raise Malformed(f"{kind} lacks {name}.")
    return frame
