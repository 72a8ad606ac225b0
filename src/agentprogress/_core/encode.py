"""Encodes an event once, at emit, without the ``seq`` and ``time`` that the log will put in front.

Two ways in: `Encoder.strict` for typed events, which raises, and `Encoder.lenient` for the sugar's
wire objects, which repairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticSerializationError

from ..errors import EventTooLarge
from ..events import CustomEvent, EventBase
from ..settings import Settings
from .jsonable import clean_text, cut_text, cut_value, encode_json, mask_secrets, plain_value

__all__ = ["Encoder", "Redact"]

Redact = Callable[[dict[str, Any]], dict[str, Any]]

# Fields whose value is the application's own, in any shape.
_FREE = frozenset({"input", "output", "fields", "data", "metadata", "value", "schema"})
# Of these, the ones that are objects on the wire even when they were cut.
_OBJECTS = frozenset({"fields", "metadata", "schema"})
# A text this short needs no measuring: 4 bytes a code point at most.
_SURELY_SHORT = 64


class Encoder:
    """Encodes events for one registry.

    Args:
        settings: the limits.
        redact: rewrites an event's wire object before it is encoded; None masks what looks like
            a secret in free-form values.
    """

    __slots__ = ("_redact", "_settings")

    def __init__(self, settings: Settings, redact: Redact | None = None) -> None:
        self._settings = settings
        self._redact = redact

    def strict(self, event: EventBase) -> bytes:
        """Encodes a typed event.

        Raises:
            InvalidEvent: a value has no JSON form.
            EventTooLarge: the encoding passes ``max_event_bytes``.
        """
        if self._redact is None and not any(
            getattr(event, name) is not None for name in event.free_fields
        ):
            body = self._encode_model(event)
        else:
            body = self._finish(self._wire(event))
        return self._sized(body)

    def lenient(self, wire: dict[str, Any]) -> bytes:
        """Encodes a wire object of the sugar: repairs values, cuts long fields and says so.

        ``result``, ``error`` and ``plan`` are taken as they are: who makes them has bounded them.

        With ``Settings.strict`` it raises instead.

        Raises:
            InvalidEvent: strict only, as for `strict`.
            EventTooLarge: strict only: something would have been cut.
        """
        repaired: dict[str, Any] = {}
        cut = 0
        for key, value in wire.items():
            if value is None:
                continue
            if key in _FREE:
                value, over = cut_value(self._free(value), self._settings.max_field_bytes)
                cut += over
                if over and key in _OBJECTS:
                    value = {"truncated": value}
            elif isinstance(value, str) and not (len(value) <= _SURELY_SHORT and value.isascii()):
                value, over = cut_text(clean_text(value), self._settings.max_field_bytes)
                cut += over
            repaired[key] = value
        if cut:
            if self._settings.strict:
                raise EventTooLarge(cut + self._settings.max_field_bytes, self._settings.max_field_bytes)
            repaired["truncated_bytes"] = cut
        return self._sized(self._finish(repaired))

    def result(self, value: Any) -> bytes:
        """Encodes a session's result.

        Raises:
            InvalidEvent: strict only: it has no JSON form.
            EventTooLarge: it passes ``max_result_bytes``.
        """
        limit = self._settings.max_result_bytes
        fallback = None if self._settings.strict else self.describe
        body = encode_json(mask_secrets(plain_value(value, limit, fallback)))
        if len(body) > limit:
            raise EventTooLarge(len(body), limit)
        return body

    def describe(self, value: Any) -> str:
        """Returns the text that stands for a value with no JSON form, even if its repr fails."""
        try:
            return clean_text(repr(value))[: self._settings.max_repr_chars]
        except Exception:  # somebody's __repr__: whatever it raises must not reach the job
            return f"<{type(value).__name__}>"

    def _free(self, value: Any) -> Any:
        fallback = None if self._settings.strict else self.describe
        # A field is cut to `max_field_bytes`, but what is too wide becomes a repr as a whole,
        # so the walk is allowed an event's worth of nodes.
        plain = plain_value(value, self._settings.max_event_bytes, fallback)
        return plain if self._redact is not None else mask_secrets(plain)

    def _wire(self, event: EventBase) -> dict[str, Any]:
        limit = self._settings.max_event_bytes
        if isinstance(event, CustomEvent):
            data = mask_secrets(plain_value(event.data, limit))
            return {"type": event.type, "name": event.custom_name, "data": data}
        wire: dict[str, Any] = {}
        for name, field in type(event).model_fields.items():
            value = getattr(event, name)
            if value is not None and name not in ("seq", "time"):
                plain = plain_value(value, limit)
                free = name in event.free_fields and self._redact is None
                wire[field.alias or name] = mask_secrets(plain) if free else plain
        return wire

    def _finish(self, wire: dict[str, Any]) -> bytes:
        return encode_json(wire if self._redact is None else self._redact(wire))

    def _encode_model(self, event: EventBase) -> bytes:
        if event.seq is not None or event.time is not None:  # a received event, passed on
            event = event.model_copy(update={"seq": None, "time": None})
        if isinstance(event, CustomEvent):
            return self._finish(self._wire(event))
        try:
            return event.__pydantic_serializer__.to_json(event, exclude_none=True, by_alias=True)
        except PydanticSerializationError:  # a lone surrogate: the slow way repairs it
            return encode_json(self._wire(event))

    def _sized(self, body: bytes) -> bytes:
        limit = self._settings.max_event_bytes
        if len(body) > limit:
            raise EventTooLarge(len(body), limit)
        return body

