"""The typed events of a session: immutable records in one union, strict out and liberal in.

Wire form: a JSON object with a dotted ``type``, ``seq`` and ``time``, then the event's own fields.
Absent optional fields are left out. An event that is constructed to be emitted has neither ``seq``
nor ``time``: the session's log assigns both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = [
    "ArtifactCreated",
    "CancelRequested",
    "CustomEmitted",
    "CustomEvent",
    "ErrorInfo",
    "Event",
    "EventBase",
    "EventsDropped",
    "InputRequested",
    "InputResolved",
    "LogLevel",
    "LogMessage",
    "PlannedStep",
    "ProducerEvent",
    "SessionCancelled",
    "SessionCompleted",
    "SessionFailed",
    "SessionLost",
    "SessionResumed",
    "SessionRetrying",
    "SessionStarted",
    "SessionWaiting",
    "StepCancelled",
    "StepCompleted",
    "StepFailed",
    "StepKind",
    "StepProgress",
    "StepStarted",
    "TextCompleted",
    "TextDelta",
    "UnknownEvent",
    "UsageReported",
    "parse_event",
]

StepKind: TypeAlias = Literal["phase", "agent", "tool", "model", "step"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]

EXACT: Final = 2**53
"""Up to here every JSON reader keeps integers exact."""

Count = Annotated[int, Field(ge=-EXACT, le=EXACT)]
# The union keeps counts as integers; what a JSON reader would round silently is rounded here, where
# both ends see the same number.
Number = Count | float


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", ser_json_inf_nan="null")


class EventBase(_Record):
    """What every event has.

    Attributes:
        seq: its place in the log, contiguous from 1 in each epoch; None until it is stored.
        time: the producer's clock, UTC; None until it is emitted.
        truncated_bytes: how much was cut from its long fields.
    """

    seq: int | None = None
    time: datetime | None = None
    truncated_bytes: Count | None = None

    free_fields: ClassVar[tuple[str, ...]] = ()
    """Names of fields that hold any JSON value: these are normalised at emit and, but for a
    ``schema``, which describes data and holds none, masked."""


class ErrorInfo(_Record):
    """What viewers may know of an error."""

    code: str
    message: str
    retryable: bool = False
    detail: Any = None


class PlannedStep(_Record):
    """A step known before it starts, so that overall progress has its full weight."""

    name: str
    kind: str = "phase"
    weight: Number | None = None
    step_id: str | None = None


class SessionStarted(EventBase):
    """The producer began; the first event of most epochs."""

    type: Literal["session.started"] = "session.started"
    attempt: Count = 1
    title: str | None = None
    metadata: dict[str, Any] | None = None
    plan: list[PlannedStep] | None = None
    free_fields = ("metadata",)


class SessionWaiting(EventBase):
    """Suspended until somebody answers the request."""

    type: Literal["session.waiting"] = "session.waiting"
    request_id: str


class SessionResumed(EventBase):
    """Running again after a wait."""

    type: Literal["session.resumed"] = "session.resumed"


class SessionRetrying(EventBase):
    """The run failed and another one will follow: back to pending, no end."""

    type: Literal["session.retrying"] = "session.retrying"
    attempt: Count
    error: ErrorInfo
    retry_at: datetime | None = None
    free_fields = ("error",)


class SessionCompleted(EventBase):
    """Terminal. A result over the inline limit is announced by ``result_bytes`` alone."""

    type: Literal["session.completed"] = "session.completed"
    result: Any = None
    result_bytes: Count | None = None
    free_fields = ("result",)


class SessionFailed(EventBase):
    """Terminal: an error ended the session."""

    type: Literal["session.failed"] = "session.failed"
    error: ErrorInfo
    free_fields = ("error",)


class SessionCancelled(EventBase):
    """Terminal: somebody ended the session."""

    type: Literal["session.cancelled"] = "session.cancelled"
    reason: str | None = None


class SessionLost(EventBase):
    """Terminal: the producer is gone. ``last_seen`` is its last proof of life."""

    type: Literal["session.lost"] = "session.lost"
    last_seen: datetime | None = None
    reason: str | None = None


class StepStarted(EventBase):
    """A phase, agent, tool call, model call or plain step began."""

    type: Literal["step.started"] = "step.started"
    step_id: str
    kind: str = "step"
    name: str
    parent_id: str | None = None
    total: Number | None = None
    unit: str | None = None
    weight: Number | None = None
    input: Any = None
    free_fields = ("input",)


class StepProgress(EventBase):
    """How far a step is; a later one replaces what it names."""

    type: Literal["step.progress"] = "step.progress"
    step_id: str
    current: Number | None = None
    total: Number | None = None
    message: str | None = None


class StepCompleted(EventBase):
    """A step ended well."""

    type: Literal["step.completed"] = "step.completed"
    step_id: str
    output: Any = None
    free_fields = ("output",)


class StepFailed(EventBase):
    """A step ended with an error; the session may go on."""

    type: Literal["step.failed"] = "step.failed"
    step_id: str
    error: ErrorInfo
    free_fields = ("error",)


class StepCancelled(EventBase):
    """A step was given up."""

    type: Literal["step.cancelled"] = "step.cancelled"
    step_id: str
    reason: str | None = None


class TextDelta(EventBase):
    """More of a streamed text; ``channel`` is ``answer`` or ``reasoning``."""

    type: Literal["text.delta"] = "text.delta"
    message_id: str
    delta: str
    role: str | None = None
    channel: str | None = None
    step_id: str | None = None


class TextCompleted(EventBase):
    """A streamed text is whole."""

    type: Literal["text.completed"] = "text.completed"
    message_id: str


class LogMessage(EventBase):
    """One line for people."""

    type: Literal["log.message"] = "log.message"
    level: str = "info"
    message: str
    step_id: str | None = None
    logger: str | None = None
    fields: dict[str, Any] | None = None
    free_fields = ("fields",)


class ArtifactCreated(EventBase):
    """Something to keep: behind ``url``, or small enough to travel as ``data``."""

    type: Literal["artifact.created"] = "artifact.created"
    artifact_id: str
    name: str
    media_type: str
    url: str | None = None
    data: Any = None
    step_id: str | None = None
    free_fields = ("data",)


class UsageReported(EventBase):
    """Tokens and cost of one model call; a snapshot holds the sums."""

    type: Literal["usage.reported"] = "usage.reported"
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost: Number | None = None
    currency: str | None = None
    step_id: str | None = None


class InputRequested(EventBase):
    """A question to a person; ``schema`` is the JSON Schema of its answer."""

    type: Literal["input.requested"] = "input.requested"
    request_id: str
    prompt: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    expires_at: datetime | None = None
    free_fields = ("schema_",)


class InputResolved(EventBase):
    """The question is settled: ``answered``, ``expired`` or ``cancelled``.

    ``by`` is who answered, where that is known.
    """

    type: Literal["input.resolved"] = "input.resolved"
    request_id: str
    outcome: str
    value: Any = None
    by: str | None = None
    free_fields = ("value",)


class CancelRequested(EventBase):
    """Somebody asked the session to stop."""

    type: Literal["cancel.requested"] = "cancel.requested"
    reason: str | None = None
    by: str | None = None


class EventsDropped(EventBase):
    """What an overflowing outbox gave up, by type."""

    type: Literal["events.dropped"] = "events.dropped"
    by_type: dict[str, Count]


class CustomEmitted(EventBase):
    """An application's event whose class is not known here."""

    type: Literal["custom.emitted"] = "custom.emitted"
    name: str
    data: Any = None
    free_fields = ("data",)


class CustomEvent(EventBase):
    """Base of an application's own events.

    ``class Quote(CustomEvent, name="quote")`` declares the fields of ``data``; it is emitted
    as ``custom.emitted`` and arrive as ``Quote`` wherever the class has been imported.

    Raises:
        TypeError: at definition, for a missing name, one that another class has, or a field that
            would hide one of the event's own.
    """

    custom_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hidden = _OWN_NAMES & set(cls.__annotations__)
        if hidden:
            raise TypeError(f"{cls.__name__} may not declare {', '.join(sorted(hidden))}.")

    @classmethod
    def __pydantic_init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not name:
            raise TypeError(
                f'{cls.__name__} needs a name: class {cls.__name__}(CustomEvent, name="…")'
            )
        known = _CUSTOM.get(name)
        if known is not None and _identity(known) != _identity(cls):
            raise TypeError(f"The custom event {name!r} is already {_identity(known)}.")
        cls.custom_name = name
        _CUSTOM[name] = cls

    @property
    def type(self) -> Literal["custom.emitted"]:
        """The type on the wire, the same for all custom events."""
        return "custom.emitted"

    @property
    def data(self) -> dict[str, Any]:
        """The application's fields as JSON-ready data."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(EventBase.model_fields))


_CUSTOM: dict[str, type[CustomEvent]] = {}
_OWN_NAMES = frozenset({"type", "data", "custom_name", "free_fields", *EventBase.model_fields})


class UnknownEvent(BaseModel):
    """An event of a later version, or one that does not fit its type; folds ignore it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    seq: int | None = None
    time: datetime | None = None


def _identity(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


# What `ProgressSession.emit` takes; all other events are the library's own to write.
ProducerEvent: TypeAlias = (
    StepStarted
    | StepProgress
    | StepCompleted
    | StepFailed
    | StepCancelled
    | TextDelta
    | TextCompleted
    | LogMessage
    | ArtifactCreated
    | UsageReported
    | CustomEmitted
    | CustomEvent
)

_LIBRARY_EVENTS = (
    SessionStarted
    | SessionWaiting
    | SessionResumed
    | SessionRetrying
    | SessionCompleted
    | SessionFailed
    | SessionCancelled
    | SessionLost
    | InputRequested
    | InputResolved
    | CancelRequested
    | EventsDropped
)

Event: TypeAlias = ProducerEvent | _LIBRARY_EVENTS | UnknownEvent

_KNOWN: dict[str, type[EventBase]] = {
    model.model_fields["type"].default: model
    for model in EventBase.__subclasses__()
    if "type" in model.model_fields
}


def parse_event(wire: Mapping[str, Any]) -> Event:
    """Reads an event's wire form, liberally.

    Unknown fields are ignored; an unknown type, or a known one that does not fit, becomes
    `UnknownEvent`; ``custom.emitted`` becomes the application's class where it is known and fits.

    Args:
        wire: the decoded JSON object; at least ``type`` must be a string.
    """
    type_: str = wire["type"]
    if type_ == "custom.emitted" and (custom := _parse_custom(wire)) is not None:
        return custom
    model = _KNOWN.get(type_)
    try:
        if model is not None:
            return cast("Event", model.model_validate(wire, strict=False, extra="ignore"))
        return UnknownEvent.model_validate(wire)
    except ValidationError:
        return _unknown(wire)


def _unknown(wire: Mapping[str, Any]) -> UnknownEvent:
    try:
        return UnknownEvent.model_validate(wire)
    except ValidationError:  # even its seq or time is nothing we know
        return UnknownEvent.model_validate({**wire, "seq": None, "time": None})


def _parse_custom(wire: Mapping[str, Any]) -> CustomEvent | None:
    name, data = wire.get("name"), wire.get("data")
    cls = _CUSTOM.get(name) if isinstance(name, str) else None
    if cls is None or not isinstance(data, Mapping):
        return None
    base = {field: wire.get(field) for field in EventBase.model_fields}
    try:
        return cls.model_validate({**data, **base}, strict=False, extra="ignore")
    except ValidationError:
        return None
