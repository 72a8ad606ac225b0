"""Encodes an event once, at emit, without the ``seq`` and ``time`` that the log will put in front.

Two ways in: `Encoder.strict` for typed events, which raises, and `Encoder.lenient` for the sugar's
wire objects, which repairs. Whatever either returns, `parse_event` reads as its own type.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import Repr
from typing import Any

from pydantic_core import PydanticSerializationError

from ..errors import EventTooLarge, InvalidEvent
from ..events import CustomEvent, EventBase, UnknownEvent, parse_event
from ..settings import Settings
from .jsonable import clean_text, encode_json, is_object, mask_secrets, plain_value
from .repair import DESCRIPTIONS, IDS, Repair, withheld_error

__all__ = ["Encoder", "Redact"]

Redact = Callable[[dict[str, Any]], dict[str, Any]]

# What a lifecycle event keeps when nothing else of it can be encoded: no application's words.
_ESSENTIAL = frozenset(
    {"type", "attempt", "request_id", "retry_at", "last_seen", "result_bytes", "error"}
)


class Encoder:
    """Encodes events for one registry.

    Args:
        settings: the limits.
        redact: rewrites an event's wire object before it is cut and encoded; it may change
            any value, but not the type. None masks what looks like a secret in free-form values.
    """

    __slots__ = ("_redact", "_repr", "_settings")

    def __init__(self, settings: Settings, redact: Redact | None = None) -> None:
        self._settings = settings
        self._redact = redact
        self._repr = _bounded_repr(settings.max_repr_chars)

    def strict(self, event: EventBase) -> bytes:
        """Encodes a typed event.

        Raises:
            InvalidEvent: a value has no JSON form, an id is too long, or `redact` failed.
            EventTooLarge: the encoding passes ``max_event_bytes``.
        """
        for name in _ids_of(type(event)):
            self._check_id(name, getattr(event, name))
        if self._redact is not None:
            body = encode_json(self._checked(self._redacted(self._wire(event))))
        elif _is_free(event):
            body = encode_json(self._wire(event))
        else:
            body = self._encode_model(event)
        limit = self._settings.max_event_bytes
        if len(body) > limit:
            raise EventTooLarge(len(body), limit)
        return body

    def lenient(self, wire: dict[str, Any]) -> bytes:
        """Encodes a wire object of the sugar: repairs values, cuts long fields and says so.

        A lifecycle event or cancel request always comes out, if need be without its details: what
        has happened must be told.

        With ``Settings.strict`` it raises instead.

        Raises:
            InvalidEvent: `redact` failed; strict only: as for `strict`.
            EventTooLarge: too large even when cut; strict only: something would have been cut.
        """
        try:
            return self._repaired(wire)
        except ValueError:  # ours, and pydantic's
            if self._settings.strict or not _must_be_told(wire["type"]):
                raise
        except (TypeError, AttributeError, LookupError) as error:  # `redact` broke the shape
            if self._settings.strict or not _must_be_told(wire["type"]):
                raise InvalidEvent("redact must keep the shape of the event.") from error
        bare = {key: value for key, value in wire.items() if key in _ESSENTIAL}
        if "error" in bare:
            bare["error"] = withheld_error(bare["error"])
        return encode_json({key: value for key, value in bare.items() if value is not None})

    def result(self, value: Any) -> bytes:
        """Encodes a session's result.

        Raises:
            InvalidEvent: `redact` failed; strict only: it has no JSON form.
            EventTooLarge: it passes ``max_result_bytes``.
        """
        limit = self._settings.max_result_bytes
        plain = plain_value(value, limit, self._fallback)
        if self._redact is None:
            plain = mask_secrets(plain)
        else:  # as it would be in its event
            wire = self._redacted({"type": "session.completed", "result": plain})
            plain = plain_value(wire.get("result"), limit, self._fallback)
        body = encode_json(plain)
        if len(body) > limit:
            raise EventTooLarge(len(body), limit)
        return body

    def describe(self, value: Any) -> str:
        """Returns the text that stands for a value with no JSON form, even if its repr fails."""
        try:
            return clean_text(self._repr.repr(value))[: self._settings.max_repr_chars]
        except Exception:  # noqa: BLE001 - somebody's __repr__, which must not reach the job
            return f"<{type(value).__name__}>"[: self._settings.max_repr_chars]

    @property
    def _fallback(self) -> Callable[[Any], str] | None:
        return None if self._settings.strict else self.describe

    # Typed events

    def _check_id(self, name: str, value: str | None) -> None:
        most = self._settings.max_id_chars
        if value is not None and len(value) > most:
            raise InvalidEvent(f"{name} has {len(value)} characters; the limit is {most}.")

    def _encode_model(self, event: EventBase) -> bytes:
        if event.seq is not None or event.time is not None:  # a received event, passed on
            event = event.model_copy(update={"seq": None, "time": None})
        try:
            return event.__pydantic_serializer__.to_json(event, exclude_none=True, by_alias=True)
        except PydanticSerializationError:  # a lone surrogate: the slow way repairs it
            return encode_json(self._wire(event))

    def _wire(self, event: EventBase) -> dict[str, Any]:
        limit = self._settings.max_event_bytes
        mask = mask_secrets if self._redact is None else _as_it_is
        if isinstance(event, CustomEvent):
            fields = event.model_dump(by_alias=True, exclude=set(_BASE), warnings=False)
            data = mask(plain_value(fields, limit))
            return {"type": event.type, "name": clean_text(event.custom_name), "data": data}
        wire: dict[str, Any] = {}
        for name, field in type(event).model_fields.items():
            value = getattr(event, name)
            if value is not None and name not in ("seq", "time"):
                key, plain = field.alias or name, plain_value(value, limit)
                masked = name in event.free_fields and key not in DESCRIPTIONS
                wire[key] = mask(plain) if masked else plain
        return wire

    # The sugar's wire objects

    def _repaired(self, wire: dict[str, Any]) -> bytes:
        settings = self._settings
        redacted = self._redact is not None
        if redacted:
            nodes, fallback = settings.max_event_bytes, self._fallback
            wire = self._redacted({k: plain_value(v, nodes, fallback) for k, v in wire.items()})
        limit = settings.max_field_bytes
        while True:
            repair = Repair(settings, self._fallback, limit, mask=not redacted)
            fields = repair.wire(wire)
            if repair.cut_bytes:
                if settings.strict:
                    raise EventTooLarge(repair.cut_bytes + limit, limit)
                fields["truncated_bytes"] = repair.cut_bytes
            body = encode_json(self._checked(fields) if redacted else fields)
            if len(body) <= settings.max_event_bytes:
                return body
            if limit == 0:
                raise EventTooLarge(len(body), settings.max_event_bytes)
            limit //= 2  # each field fits, all together do not

    # What an application's function makes of an event

    def _redacted(self, wire: dict[str, Any]) -> dict[str, Any]:
        assert self._redact is not None
        type_ = wire["type"]
        try:
            redacted: object = self._redact(wire)
        except Exception as error:
            raise InvalidEvent(f"redact failed on {type_} ({type(error).__name__}).") from error
        if not is_object(redacted):
            raise InvalidEvent(f"redact returned no dict for {type_}.")
        if redacted.get("type") != type_:
            raise InvalidEvent(f"redact may not change the type of {type_}.")
        # Both are the log's to assign; a second one would hide its own.
        return {key: value for key, value in redacted.items() if key not in ("seq", "time")}

    def _checked(self, wire: dict[str, Any]) -> dict[str, Any]:
        plain: dict[str, Any] = plain_value(wire, self._settings.max_event_bytes)
        if isinstance(parse_event(plain), UnknownEvent):
            raise InvalidEvent(f"What redact returned for {wire['type']} is not such an event.")
        return plain


_BASE = frozenset(EventBase.model_fields)
_ids_by_class: dict[type[EventBase], tuple[str, ...]] = {}


def _ids_of(cls: type[EventBase]) -> tuple[str, ...]:
    names = _ids_by_class.get(cls)
    if names is None:
        own = () if issubclass(cls, CustomEvent) else cls.model_fields
        names = _ids_by_class[cls] = tuple(name for name in own if name in IDS)
    return names


def _is_free(event: EventBase) -> bool:
    """True when the event holds values of any shape, which must be walked."""
    for name in event.free_fields:
        if getattr(event, name) is not None:
            return True
    return isinstance(event, CustomEvent)


def _as_it_is(value: Any) -> Any:
    return value


def _must_be_told(type_: str) -> bool:
    return type_.startswith("session.") or type_ == "cancel.requested"


def _bounded_repr(chars: int) -> Repr:
    """Reads no more of a container than can be shown; plain `repr` would write all of it first."""
    bounded = Repr()
    bounded.maxstring = bounded.maxother = bounded.maxlong = chars
    bounded.maxlevel = 2
    return bounded
