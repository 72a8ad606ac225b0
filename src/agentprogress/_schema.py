"""What the JSON routes take and answer, as models, and the OpenAPI document made of them.

Nothing is decided here: the routes are those of `_http`, and tests hold the answers against this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ._core.frames import PROTOCOL
from ._http import ROUTES, Route
from ._version import __version__
from .codes import CODES
from .events import Event, EventBase
from .settings import Settings
from .snapshot import SessionSnapshot

__all__ = ["openapi"]

Json: TypeAlias = dict[str, Any]
Status: TypeAlias = Literal[
    "pending", "running", "waiting", "completed", "failed", "cancelled", "lost"
]

_LIMITS = Settings()
_REF = "#/components/schemas/{model}"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow")


class WelcomeFrame(_Wire):
    """The first frame."""

    type: Literal["welcome"]
    protocol: Literal[1]
    session_id: str
    epoch: str
    status: Status
    resume: Literal["fresh", "exact", "gap", "snapshot", "reset"]
    head: int
    heartbeat_interval: float
    retry_window: float
    server_time: datetime


class SnapshotFrame(_Wire):
    """The state after the event `seq`."""

    type: Literal["snapshot"]
    seq: int
    state: SessionSnapshot


class GapFrame(_Wire):
    """Events that will not come, both ends inclusive."""

    type: Literal["gap"]
    missed_from: int
    missed_to: int
    reason: Literal["evicted", "slow"]


class EndFrame(_Wire):
    """There will never be more."""

    type: Literal["end"]
    status: Literal["completed", "failed", "cancelled", "lost"]
    head: int


class EventFrame(_Wire):
    """An event; its other fields are those of its type."""

    seq: Annotated[int, Field(ge=1)]
    time: datetime
    type: Annotated[str, Field(pattern=r"^[^.]+\.[^.]+$")]


class Page(_Wire):
    """Frames after a cursor; `cursor` is what the client holds after them."""

    frames: list[WelcomeFrame | GapFrame | SnapshotFrame | EndFrame | EventFrame]
    cursor: Annotated[str, Field(pattern="^[0-9A-Za-z]{10}-[0-9]{1,16}$")]
    done: bool


class NotYet(_Wire):
    """There is no result yet."""

    status: Literal["pending", "running", "waiting"]


class ProblemSession(_Wire):
    """What is still known of the session."""

    status: Status
    ended_at: datetime | None = None
    error: Json | None = None


class Problem(_Wire):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(examples=sorted(CODES))]
    retryable: bool
    retry_after: float | None = None
    session: ProblemSession | None = None


class ListedSession(_Wire):
    """A session of the list."""

    session_id: str
    status: Status
    attempt: int
    title: str | None
    head: int
    epoch: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class SessionList(_Wire):
    """Sessions in the order of their creation; `next` is the id to pass as `after`."""

    sessions: list[ListedSession]
    next: str | None


class CancelRequest(_Wire):
    """Why the session should stop."""

    reason: str | None = None


class CancelAnswer(_Wire):
    """How the session is now."""

    session_id: str
    status: Status
    cancel_requested: bool


class InputRequest(_Wire):
    """The answer to a question, of the shape that its schema asks for."""

    value: Any


class InputAnswer(_Wire):
    """The question is settled by this answer."""

    session_id: str
    request_id: str
    outcome: Literal["answered"]


class Health(_Wire):
    """Whether the process takes anybody in."""

    status: Literal["ok", "draining"]


_TAKEN: tuple[type[BaseModel], ...] = (CancelRequest, InputRequest)
_ANSWERED: tuple[type[BaseModel], ...] = (
    *(SessionSnapshot, Page, NotYet, Problem, SessionList, CancelAnswer, InputAnswer, Health),
)


def openapi() -> Json:
    """Returns the OpenAPI 3.1 document of all routes, with paths relative to the mount."""
    paths: Json = {}
    for route in ROUTES:
        path = paths.setdefault(route.path, {"parameters": _path_parameters(route.path)})
        if not path["parameters"]:
            del path["parameters"]
        for method in route.methods:
            path[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "agentprogress",
            "version": __version__,
            "summary": "Follow and control sessions",
            "description": f"Version {PROTOCOL} of the protocol; docs/protocol.md is normative.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": _LIMITS.base_url, "description": "where the application is mounted"}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> Json:
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in _TAKEN),
        *((model, "serialization") for model in (*_ANSWERED, *_event_models())),
    ]
    _, made = models_json_schema(modes, ref_template=_REF)
    schemas: Json = made["$defs"]
    for model in _event_models():
        schema: Json = schemas[model.__name__]
        # As it travels: numbered, without what is null, and with fields of later versions.
        schema["required"] = ["seq", "time", "type", *_required(model)]
    for schema in schemas.values():
        schema.pop("additionalProperties", None)
    schemas["Problem"]["required"] = ["type", "title", "status", "detail", "code", "retryable"]
    schemas["ProblemSession"]["required"] = ["status"]
    known: Json = {_type_of(model): _REF.format(model=model.__name__) for model in _event_models()}
    schemas["EventFrame"]["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": reference},
        }
        for name, reference in known.items()
    ]
    return schemas


def _event_models() -> list[type[EventBase]]:
    return [
        model
        for model in get_args(Event)
        if "type" in getattr(model, "model_fields", {}) and issubclass(model, EventBase)
    ]


def _type_of(model: type[EventBase]) -> str:
    name: str = model.model_fields["type"].default
    return name


def _required(model: type[EventBase]) -> list[str]:
    return [
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    ]


# Operations


def _operation(route: Route, method: str) -> Json:
    row = _ROWS[route.name]
    operation: Json = {
        "operationId": route.name if method != "HEAD" else f"{route.name}_head",
        "summary": row["summary"],
        "responses": {
            **{code: _without_body(answer, method) for code, answer in row["answers"].items()},
            "default": {"description": "An error", "content": _content("Problem", _PROBLEM)},
        },
    }
    if method == "HEAD":
        operation["responses"]["default"] = {"description": "An error"}
    if "query" in row:
        operation["parameters"] = row["query"]
    if "body" in row and method == "POST":
        operation["requestBody"] = row["body"]
    return operation


def _without_body(answer: Json, method: str) -> Json:
    return {k: v for k, v in answer.items() if method != "HEAD" or k != "content"}


_JSON = "application/json"
_PROBLEM = "application/problem+json"


def _content(model: str, media_type: str = _JSON) -> Json:
    return {media_type: {"schema": {"$ref": _REF.format(model=model)}}}


def _answer(description: str, model: str | None = None, media_type: str = _JSON) -> Json:
    content = {} if model is None else {"content": _content(model, media_type)}
    return {"description": description, **content}


def _path_parameters(path: str) -> list[Json]:
    patterns = {
        "session_id": "^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$",
        "request_id": "^[^/]+$",
        "version": "^[^/]+$",
        "file": r"^[a-z-]+\.js$",
    }
    return [
        {"name": name, "in": "path", "required": True}
        | {"schema": {"type": "string", "pattern": pattern}}
        for name, pattern in patterns.items()
        if f"{{{name}}}" in path
    ]


def _query(name: str, description: str, **schema: Any) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_TEXT_BODY: Json = {"schema": {"type": "string"}}
_AFTER = _query("after", "The cursor: what the client has", type="string")
_WAIT = _query(
    "wait", f"Seconds to wait for something new; at most {_LIMITS.max_wait:g}", type="number"
) | {"schema": {"type": "number", "minimum": 0}}
_RETRY_AFTER: Json = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}}}
_LAST_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The cursor; wins over `after`",
    "schema": {"type": "string"},
}


def _limit(most: int, what: str) -> Json:
    schema: Json = {"type": "integer", "minimum": 1, "default": most}
    return {**_query("limit", f"At most so many {what}; at most {most}"), "schema": schema}


_ROWS: dict[str, Json] = {
    "list": {
        "summary": "The caller's sessions",
        "query": [
            _query("owner", "Whose; the caller's own by default", type="string"),
            _query("status", "In which state", type="string", enum=list(get_args(Status))),
            _limit(_LIMITS.max_listed_sessions, "sessions"),
            _query("after", "The id after which the page begins", type="string"),
        ],
        "answers": {"200": _answer("A page of the list", "SessionList")},
    },
    "snapshot": {
        "summary": "The state at the head",
        "query": [
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        ],
        "answers": {
            "200": _answer("The state", "SessionSnapshot")
            | {"headers": {"ETag": {"schema": {"type": "string"}}}},
            "304": _answer("It is the one that the client has"),
        },
    },
    "events": {
        "summary": "Frames as server-sent events",
        "query": [_AFTER, _LAST_ID],
        "answers": {
            "200": {"description": "A stream", "content": {"text/event-stream": _TEXT_BODY}},
            "204": _answer("The session has ended, and the client has everything"),
        },
    },
    "page": {
        "summary": "Frames after a cursor",
        "query": [
            _AFTER,
            _limit(_LIMITS.max_page_events, "events"),
            _WAIT,
            _query("format", "`ndjson`: one frame to a line", type="string", enum=["ndjson"]),
        ],
        "answers": {
            "200": {
                "description": "A page",
                "content": _content("Page") | {"application/x-ndjson": _TEXT_BODY},
            }
        },
    },
    "ws": {
        "summary": "Frames over a WebSocket, by its handshake (RFC 6455)",
        "query": [
            _AFTER,
            {"name": "Sec-WebSocket-Protocol", "in": "header", "schema": {"type": "string"}},
        ],
        "answers": {"101": _answer("Each message is a JSON array of frames")},
    },
    "result": {
        "summary": "The result",
        "query": [_WAIT],
        "answers": {
            "200": {"description": "The result", "content": {_JSON: {"schema": {}}}},
            "202": _answer("Not yet", "NotYet") | {"headers": _RETRY_AFTER},
        },
    },
    "cancel": {
        "summary": "Asks the session to stop",
        "body": {"required": False, "content": _content("CancelRequest")},
        "answers": {
            "200": _answer("It has ended already", "CancelAnswer"),
            "202": _answer("It has been asked", "CancelAnswer"),
        },
    },
    "answer": {
        "summary": "Answers a question",
        "body": {"required": True, "content": _content("InputRequest")},
        "answers": {"202": _answer("The first answer", "InputAnswer")},
    },
    "view": {
        "summary": "A page for people",
        "answers": {"200": {"description": "A page", "content": {"text/html": _TEXT_BODY}}},
    },
    "module": {
        "summary": "A module of the browser package, in the version that is served",
        "query": [
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        ],
        "answers": {
            "200": {
                "description": "JavaScript",
                "content": {"text/javascript": _TEXT_BODY},
                "headers": {"ETag": {"schema": {"type": "string"}}},
            },
            "304": _answer("It is the one that the client has"),
        },
    },
    "newest_module": {
        "summary": "Where a module is in the version that is served",
        "answers": {
            "307": _answer("There") | {"headers": {"Location": {"schema": {"type": "string"}}}},
        },
    },
    "health": {
        "summary": "Whether the process takes anybody in",
        "answers": {
            "200": _answer("It does", "Health"),
            "503": _answer("It is shutting down", "Health"),
        },
    },
}
