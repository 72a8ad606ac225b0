"""Writes the browser package's events.d.ts from the models; a test fails when the two differ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agentprogress._core.states import SessionStatus, StepStatus
from agentprogress._inputs import Outcome
from agentprogress.browser._typescript import interface, renamed
from agentprogress.events import (
    CustomEmitted,
    ErrorInfo,
    Event,
    EventBase,
    LogLevel,
    PlannedStep,
    StepKind,
    UnknownEvent,
)
from agentprogress.snapshot import (
    ArtifactState,
    LogState,
    RequestState,
    SessionSnapshot,
    StepState,
    TextState,
    Usage,
)

FILE = Path(__file__).parent.parent / "src/agentprogress/browser/package/events.d.ts"

Json: TypeAlias = dict[str, Any]

HEAD: Final = """\
// What sessions are made of, as on the wire. Written from the models in Python, by
// scripts/event_types.py.

// So that only what says so is exported.
export {};

"""

# What TypeScript can say and the models cannot.
BY_HAND: Final = """\
// An enum is a text that is none of the literals beside it; so a `switch` over those still tells
// them apart, which a plain `string` in the union would spoil. It is a type only.
declare enum Any {
  other = "",
}
/** A text that is none of those listed beside it. */
export type Unlisted = Any;

/** An event of a type that this version does not know. Compare its type by `String(event.type)`. */
export interface UnknownEvent extends EventBase {
  readonly type: Unlisted;
}

/**
 * The `data` of an application's own events, by their `name`. Empty until somebody declares them,
 * by hand or with `agentprogress types MODULE`:
 *
 *     declare module "agentprogress" {
 *       interface CustomEvents { quote: Quote }
 *     }
 */
export interface CustomEvents {}

type CustomName = keyof CustomEvents & string;

/** An event of an application's own, of one name. */
export interface CustomEmittedAs<Name extends string, Data> extends EventBase {
  readonly type: "custom.emitted";
  readonly name: Name;
  readonly data: Data;
}

/**
 * An event of an application's own. Once some are declared in `CustomEvents`, `name` tells their
 * `data`.
 */
export type CustomEmitted =
  | { [Name in CustomName]: CustomEmittedAs<Name, CustomEvents[Name]> }[CustomName]
  | CustomEmittedAs<[CustomName] extends [never] ? string : Unlisted, unknown>;

/** The last `data` of each custom event; null where it is too large for a snapshot. */
export type CustomData = { readonly [Name in CustomName]?: CustomEvents[Name] | null } & {
  readonly [name: string]: unknown;
};
"""

# Open texts: editors offer what is listed, and anything else may come.
TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "SessionStatus": tuple(SessionStatus),
    "StepStatus": tuple(StepStatus),
    "StepKind": get_args(StepKind),
    "LogLevel": get_args(LogLevel),
    "TextChannel": ("answer", "reasoning"),
    "InputOutcome": tuple(Outcome),
}
# The models of the state, by what they are called here, and the texts in them that are open.
STATES: Final[dict[str, type[BaseModel]]] = {
    "Step": StepState,
    "Text": TextState,
    "LogLine": LogState,
    "Artifact": ArtifactState,
    "InputRequest": RequestState,
    "Usage": Usage,
    "SessionSnapshot": SessionSnapshot,
}
OPEN: Final = {
    ("SessionSnapshot", "status"): "SessionStatus",
    ("Step", "status"): "StepStatus",
    ("Step", "kind"): "StepKind",
    ("PlannedStep", "kind"): "StepKind",
    ("StepStarted", "kind"): "StepKind",
    ("LogLine", "level"): "LogLevel",
    ("LogMessage", "level"): "LogLevel",
    ("Text", "channel"): "TextChannel",
    ("TextDelta", "channel"): "TextChannel",
    ("InputResolved", "outcome"): "InputOutcome",
    ("SessionSnapshot", "result"): "Result",
    ("SessionSnapshot", "custom"): "CustomData",
}
# What the browser's fold keeps beside what the server's does.
DETAIL: Final[dict[str, Json]] = {
    "Step": {"reason": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "LogLine": {"fields": {"anyOf": [{"type": "object"}, {"type": "null"}]}},
    "SessionSnapshot": {"reason": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
}


def render() -> str:
    """Returns the file."""
    events = [model for model in get_args(Event) if "type" in getattr(model, "model_fields", {})]
    known = [model for model in events if model not in (CustomEmitted, UnknownEvent)]
    schemas = _schemas([EventBase, ErrorInfo, PlannedStep, *known, *STATES.values()])
    parts = [_texts(name, listed) for name, listed in TEXTS.items()]
    parts += [
        interface(model.__name__, _sent(schemas, model)) for model in (ErrorInfo, PlannedStep)
    ]
    parts.append(interface("EventBase", _base(schemas)))
    for model in known:
        parts.append(interface(f"{model.__name__} extends EventBase", _sent(schemas, model)))
    parts.append(BY_HAND)
    names = [model.__name__ for model in events]
    parts.append(
        "/** Any event. `type` tells which. */\nexport type SessionEvent =\n  | "
        + "\n  | ".join(sorted(names, key="UnknownEvent".__eq__))
        + ";\n"
    )
    parts += [interface(_header(name), _state(schemas, name)) for name in STATES]
    return HEAD + "\n".join(parts)


def _header(name: str) -> str:
    return f"{name}<Result = unknown>" if name == "SessionSnapshot" else name


def _texts(name: str, listed: tuple[str, ...]) -> str:
    return interface(name, {"anyOf": [{"enum": list(listed)}, {"type": "string"}]})


def _schemas(models: list[type[BaseModel]]) -> dict[str, Json]:
    _, made = models_json_schema([(model, "serialization") for model in models])
    schemas: dict[str, Json] = made["$defs"]
    return schemas


def _base(schemas: dict[str, Json]) -> Json:
    """What every event has, once it has been stored."""
    schema = _without_null(schemas["EventBase"])
    text = re.sub(r"; None until[^.]*\.", ".", schema["description"])
    return {**schema, "description": text, "required": ["seq", "time"]}


def _sent(schemas: dict[str, Json], model: type[BaseModel]) -> Json:
    """As it travels: what is null is left out, what has another default is always there."""
    own = {
        name: kind
        for name, kind in schemas[model.__name__]["properties"].items()
        if model is EventBase or name not in EventBase.model_fields
    }
    required = [name for name, kind in own.items() if kind.get("default", name) is not None]
    named = _named(model.__name__, own)
    return _without_null({**schemas[model.__name__], "properties": named, "required": required})


def _without_null(schema: Json) -> Json:
    properties: Json = {}
    for name, kind in schema["properties"].items():
        kinds = [one for one in kind.get("anyOf", [kind]) if one.get("type") != "null"]
        properties[name] = kinds[0] if len(kinds) == 1 else {**kind, "anyOf": kinds}
    return {**schema, "properties": properties}


def _state(schemas: dict[str, Json], name: str) -> Json:
    """As it travels: everything is always there."""
    schema = schemas[STATES[name].__name__]
    properties = _named(name, schema["properties"])
    detail = DETAIL.get(name, {})
    told = {field: {**kind, "description": _DETAIL} for field, kind in detail.items()}
    return {**schema, "properties": {**properties, **told}, "required": list(properties)}


_DETAIL: Final = "Not from the server: kept by a client that has seen the event."


def _named(name: str, properties: Json) -> Json:
    """Puts the names that types have here in the place of those of the models."""
    return {
        field: renamed(_opened(kind, OPEN[name, field]) if (name, field) in OPEN else kind, _NAMES)
        for field, kind in properties.items()
    }


def _opened(kind: Json, to: str) -> Json:
    null = [{"type": "null"}] if kind.get("default", to) is None else []
    return {"anyOf": [{"$ref": to}, *null], **_described(kind)}


def _described(kind: Json) -> Json:
    return {key: kind[key] for key in ("default", "description") if key in kind}


_NAMES: Final = {
    "ErrorState": "ErrorInfo",
    **{model.__name__: name for name, model in STATES.items()},
}


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
