"""A follower's items as JSON lines, one for each, in the form that they have on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from ..._core.jsonable import encode_json, is_list, is_object
from ...events import CustomEvent, Event
from ...snapshot import Gap, Snapshot
from ._text import aware

__all__ = ["json_line"]


# JSON may hold them as they are; a terminal would act on them.
_ACTING = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def json_line(item: Event | Snapshot | Gap) -> str:
    """Returns an item as one line of JSON: a `Gap` and a `Snapshot` tell a pipe of holes."""
    line = encode_json(_wire(item)).decode()
    return _ACTING.sub(_escaped, line)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _wire(item: Event | Snapshot | Gap) -> dict[str, Any]:
    if isinstance(item, Snapshot):
        state = _plain(item.state.model_dump(by_alias=True))
        return {"type": item.type, "seq": item.seq, "reset": item.reset, "state": state}
    if isinstance(item, Gap):
        return {
            "type": item.type,
            "missed_from": item.missed_from,
            "missed_to": item.missed_to,
            "reason": item.reason,
        }
    head = {"seq": item.seq, "time": item.time, "type": item.type}
    if isinstance(item, CustomEvent):
        own: dict[str, Any] = {"name": item.custom_name, "data": item.data}
        if item.truncated_bytes is not None:
            own["truncated_bytes"] = item.truncated_bytes
    else:
        own = _members(item)
    return {**_plain(head), **{name: value for name, value in own.items() if name not in head}}


def _members(record: BaseModel) -> dict[str, Any]:
    """Returns the members that a record has: absent ones are left out, as on the wire."""
    members = {
        field.alias or name: getattr(record, name)
        for name, field in type(record).model_fields.items()
    }
    members.update(record.model_extra or {})
    return {name: _plain(value) for name, value in members.items() if value is not None}


def _plain(value: Any) -> Any:
    """Returns a value with its times as the wire has them: in UTC, with milliseconds."""
    if isinstance(value, datetime):
        return f"{aware(value).astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
    if isinstance(value, BaseModel):
        return _members(value)
    if is_object(value):
        return {key: _plain(item) for key, item in value.items()}
    if is_list(value):
        return [_plain(item) for item in value]
    return value
