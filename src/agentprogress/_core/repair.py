"""Repairs a wire object of the sugar, so that it fits its type whatever was passed to a call.

A text that is no text becomes one, a number that JSON cannot carry goes, a free value becomes plain
JSON, an id keeps its identity, and what is too long is cut. Nothing here refuses anything, unless
there is no fallback for values without a JSON form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, ClassVar, Final

from ..events import EXACT
from ..settings import Settings
from .jsonable import (
    MAX_CHAR_BYTES,
    clean_text,
    cut_text,
    cut_value,
    encode_json,
    is_object,
    mask_secrets,
    plain_value,
)

__all__ = ["DESCRIPTIONS", "IDS", "Repair", "withheld_error"]

IDS: Final = frozenset({"step_id", "parent_id", "message_id", "artifact_id", "request_id"})
# They describe data and hold none: a field called `password` in a form is no password.
DESCRIPTIONS: Final = frozenset({"schema"})
# A delta was split when it was taken: to cut it would lose text.
_WHOLE = frozenset({"delta"})
_NUMBERS = frozenset({"current", "total", "weight", "cost"})
_COUNTS = frozenset({"attempt", "input_tokens", "output_tokens", "result_bytes"})
_FREE = frozenset({"input", "output", "data", "value"})
# These are objects on the wire even when they were cut, or never were one.
_OBJECTS = frozenset({"fields", "metadata"})
# Bounded by those who make them, in `Encoder.result` and in the outbox.
_TAKEN = frozenset({"result", "by_type", "truncated_bytes"})
# Where even a short text may be wrong.
_SHAPED = _NUMBERS | _COUNTS | _FREE | _OBJECTS | DESCRIPTIONS | _TAKEN | {"error", "plan"}

_DIGEST_BYTES = 8
# A plan is a list, and may take as much as so many other fields.
_PLAN_FIELDS = 4


class Repair:
    """One pass over one wire object.

    Attributes:
        cut_bytes: how much was cut.
    """

    __slots__ = ("_fallback", "_limit", "_mask", "_settings", "cut_bytes")

    def __init__(
        self,
        settings: Settings,
        fallback: Callable[[Any], str] | None,
        limit: int,
        *,
        mask: bool,
    ) -> None:
        self._settings = settings
        self._fallback = fallback
        self._limit = limit
        self._mask = mask
        self.cut_bytes = 0

    def wire(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the object with every field repaired; what is None is left out."""
        repaired: dict[str, Any] = {}
        handlers = self._HANDLERS
        surely_short = min(self._limit // MAX_CHAR_BYTES, self._settings.max_id_chars)
        for key, value in wire.items():
            if value is None:
                continue
            if (
                type(value) is str
                and len(value) <= surely_short
                and value.isascii()
                and key not in _SHAPED
            ):
                repaired[key] = value  # most fields
            else:
                handler = handlers.get(key)
                kept = self._text(value) if handler is None else handler(self, value)
                if kept is not None:
                    repaired[key] = kept
        return repaired

    def _text(self, value: Any) -> str:
        kept, over = cut_text(_as_text(value), self._limit)
        self.cut_bytes += over
        return kept

    def _whole(self, value: Any) -> str:
        return _as_text(value)

    def _id(self, value: Any) -> str:
        """Returns an id, a long one shortened so that it stays different from all others."""
        text, most = _as_text(value), self._settings.max_id_chars
        if len(text) <= most:
            return text
        digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        self.cut_bytes += len(text) - most
        return text[: most - len(digest)] + digest

    def _number(self, value: Any) -> float | None:
        if isinstance(value, int) and -EXACT <= value <= EXACT:
            return int(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    def _count(self, value: Any) -> int | None:
        number = self._number(value)
        return None if number is None else int(max(-EXACT, min(EXACT, number)))

    def _free(self, value: Any) -> Any:
        return self._kept(value, mask=self._mask)

    def _kept(self, value: Any, *, mask: bool) -> Any:
        # A field is cut to its size, but what is too wide becomes a repr as a whole, so the walk is
        # allowed an event's worth of nodes.
        plain = plain_value(value, self._settings.max_event_bytes, self._fallback)
        kept, over = cut_value(mask_secrets(plain) if mask else plain, self._limit)
        self.cut_bytes += over
        return kept

    def _object(self, value: Any) -> dict[str, Any]:
        return self._as_object(value, mask=self._mask)

    def _description(self, value: Any) -> dict[str, Any]:
        return self._as_object(value, mask=False)

    def _as_object(self, value: Any, *, mask: bool) -> dict[str, Any]:
        before = self.cut_bytes
        kept = self._kept(value, mask=mask)
        if is_object(kept):
            return kept
        return {"truncated" if self.cut_bytes > before else "value": kept}

    def _error(self, value: Any) -> dict[str, Any]:
        given = value if is_object(value) else {}
        error: dict[str, Any] = {
            "code": self._text(given.get("code") or "error"),
            "message": self._text(given.get("message") or ("" if given else value)),
            "retryable": bool(given.get("retryable")),
        }
        if given.get("detail") is not None:
            error["detail"] = self._free(given["detail"])
        return error

    def _plan(self, value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Returns as much of a plan as an event may hold beside its other fields."""
        room = self._limit * _PLAN_FIELDS
        plan: list[dict[str, Any]] = []
        for given in value:
            step = {"name": "", **self.wire(given)}
            size = len(encode_json(step)) + 1
            room -= size
            if room >= 0:
                plan.append(step)
            else:
                self.cut_bytes += size
        return plan

    def _taken(self, value: Any) -> Any:
        return value

    _HANDLERS: ClassVar[dict[str, Callable[[Repair, Any], Any]]] = {
        **dict.fromkeys(IDS, _id),
        **dict.fromkeys(_WHOLE, _whole),
        **dict.fromkeys(_NUMBERS, _number),
        **dict.fromkeys(_COUNTS, _count),
        **dict.fromkeys(_FREE, _free),
        **dict.fromkeys(_OBJECTS, _object),
        **dict.fromkeys(DESCRIPTIONS, _description),
        **dict.fromkeys(_TAKEN, _taken),
        "error": _error,
        "plan": _plan,
    }


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value)
    try:
        return clean_text(str(value))
    except Exception:  # noqa: BLE001 - somebody's __str__, which must not reach the job
        return f"<{type(value).__name__}>"


def withheld_error(error: Any) -> dict[str, Any]:
    """Returns what can be said of an error when nothing of it may be: whether to try again."""
    given = error if is_object(error) else {}
    return {
        "code": "withheld",
        "message": "The details could not be encoded.",
        "retryable": given.get("retryable") is True,
    }
