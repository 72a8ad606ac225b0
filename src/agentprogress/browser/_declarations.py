"""An application's custom events for TypeScript, as additions to the package's own types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ..events import CustomEvent, EventBase
from . import package_files
from ._typescript import identifier, interface, key, renamed

__all__ = ["declarations"]

Json: TypeAlias = dict[str, Any]
Field: TypeAlias = core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField

_OWN: Final = re.compile(
    r"^(?:export )?(?:declare )?(?:interface|type|class|const|function|enum) (\w+)", re.MULTILINE
)


def declarations(events: Sequence[type[CustomEvent]]) -> str:
    """Returns a file that tells TypeScript the ``data`` of custom events by their names."""
    referred, made = models_json_schema(
        [(event, "serialization") for event in events], schema_generator=_AsSent
    )
    schemas: dict[str, Json] = made.get("$defs", {})
    names = _names(schemas)
    named = {event: referred[event, "serialization"]["$ref"].rpartition("/")[2] for event in events}
    for name in named.values():
        schemas[name] = _data_of(schemas[name])
    told = dict.fromkeys([*named.values(), *sorted(schemas)])
    parts = [interface(names[name], renamed(schemas[name], names)) for name in told]
    lines = "".join(
        f"    {key(event.custom_name)}: {names[name]};\n" for event, name in named.items()
    )
    parts.append(
        f'declare module "agentprogress" {{\n  interface CustomEvents {{\n{lines}  }}\n}}\n'
    )
    return "\n".join(parts)


class _AsSent(GenerateJsonSchema):
    """A schema of what `emit` encodes: defaults are in it, and what JSON has no word for."""

    def field_is_required(self, field: Field, total: bool) -> bool:
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return field.get("serialization_exclude_if") is None

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def _data_of(schema: Json) -> Json:
    """Returns a schema of the fields that an event adds to every event's."""
    base = EventBase.model_fields
    own = {name: kind for name, kind in schema.get("properties", {}).items() if name not in base}
    required = [name for name in schema.get("required", ()) if name not in base]
    return {**schema, "properties": own, "required": required}


def _names(schemas: Iterable[str]) -> dict[str, str]:
    """Returns what each is called here: by names that hide, within the addition, no other one."""
    taken = set(_own_names())
    names: dict[str, str] = {}
    for schema in schemas:
        name = identifier(schema)
        while name in taken:
            name += "_"
        taken.add(name)
        names[schema] = name
    return names


@cache
def _own_names() -> frozenset[str]:
    types = [text.decode() for name, text in package_files().items() if name.endswith(".d.ts")]
    return frozenset(name for text in types for name in _OWN.findall(text))
