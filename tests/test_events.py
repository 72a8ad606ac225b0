from __future__ import annotations

import typing
from datetime import UTC, datetime
from types import new_class
from typing import Any

import pytest
from hypothesis import given
from pydantic import Field, ValidationError

from agentprogress import events
from agentprogress.events import (
    CustomEmitted,
    CustomEvent,
    Event,
    EventBase,
    LogMessage,
    SessionFailed,
    StepProgress,
    StepStarted,
    UnknownEvent,
    UsageReported,
    parse_event,
)
from tests.strategies import JSON, LIFECYCLE_EVENTS, RUNNING_EVENTS, TERMINAL_EVENTS, Wire

TIME = "2026-11-22T19:30:00.123Z"
TYPES = {
    "session.started",
    "session.waiting",
    "session.resumed",
    "session.retrying",
    "session.completed",
    "session.failed",
    "session.cancelled",
    "session.lost",
    "step.started",
    "step.progress",
    "step.completed",
    "step.failed",
    "step.cancelled",
    "text.delta",
    "text.completed",
    "log.message",
    "artifact.created",
    "usage.reported",
    "input.requested",
    "input.resolved",
    "cancel.requested",
    "events.dropped",
    "custom.emitted",
}


class Quote(CustomEvent, name="test.quote"):
    symbol: str
    price: float
    note: str | None = Field(default=None, alias="remark")


def models() -> list[type[EventBase]]:
    return [model for model in EventBase.__subclasses__() if model is not CustomEvent]


def test_the_event_types_are_the_designs() -> None:
    assert {model.model_fields["type"].default for model in models()} == TYPES
    assert all("." in type_ for type_ in TYPES)


def test_every_event_is_in_the_union_and_public() -> None:
    members = set(typing.get_args(Event))
    assert members == {*models(), CustomEvent, UnknownEvent}
    assert {model.__name__ for model in members} <= set(events.__all__)


@given(RUNNING_EVENTS | LIFECYCLE_EVENTS | TERMINAL_EVENTS)
def test_a_known_event_reads_as_its_type(wire: Wire) -> None:
    event = parse_event({"seq": 3, "time": TIME, **wire})
    assert not isinstance(event, UnknownEvent)
    assert (event.type, event.seq) == (wire["type"], 3)
    assert event.time == datetime(2026, 11, 22, 19, 30, 0, 123_000, UTC)


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    event = parse_event(
        {
            "type": "session.failed",
            "error": {"code": "c", "message": "m", "hint": "later version"},
            "mood": "bad",
        }
    )
    assert isinstance(event, SessionFailed)
    assert event.error.code == "c"


def test_enums_are_open_strings() -> None:
    event = parse_event({"type": "step.started", "step_id": "s", "name": "n", "kind": "swarm"})
    assert isinstance(event, StepStarted)
    assert event.kind == "swarm"


@given(JSON)
def test_an_unknown_type_is_kept_whole(value: Any) -> None:
    event = parse_event({"type": "quantum.leaped", "seq": 1, "payload": value})
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.seq, event.model_extra) == ("quantum.leaped", 1, {"payload": value})


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "log.message"},
        {"type": "log.message", "message": 5},
        {"type": "step.started", "step_id": "s", "name": "n", "total": "many"},
        {"type": "custom.emitted", "name": ["list"]},
        {"type": "usage.reported", "input_tokens": 1e300},
        {"type": "log.message", "message": "m", "seq": "x", "time": "yesterday"},
    ],
)
def test_an_event_that_does_not_fit_its_type_is_unknown(wire: Wire) -> None:
    event = parse_event(wire)
    assert isinstance(event, UnknownEvent)
    assert event.type == wire["type"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: LogMessage(message=5),  # type: ignore[arg-type]
        lambda: LogMessage(message="m", colour="red"),  # type: ignore[call-arg]
        lambda: StepProgress(step_id="s", current="5"),  # type: ignore[arg-type]
        lambda: StepProgress(step_id="s", current=True),
        lambda: UsageReported(input_tokens=2**60),
        lambda: UsageReported(input_tokens=1.5),  # type: ignore[arg-type]
    ],
)
def test_what_is_emitted_is_checked_strictly(build: Any) -> None:
    with pytest.raises(ValidationError):
        build()


def test_an_event_cannot_be_changed() -> None:
    event = LogMessage(message="m")
    with pytest.raises(ValidationError):
        event.message = "other"


# Custom events


def test_a_custom_event_arrives_as_its_class() -> None:
    wire = {"symbol": "ACME", "price": 1, "remark": "r"}
    event = parse_event(
        {"type": "custom.emitted", "name": "test.quote", "data": wire, "seq": 4, "time": TIME}
    )
    assert isinstance(event, Quote)
    assert (event.symbol, event.price, event.note, event.seq) == ("ACME", 1.0, "r", 4)
    assert event.type == "custom.emitted"
    assert event.data == {"symbol": "ACME", "price": 1.0, "remark": "r"}


@pytest.mark.parametrize("data", [None, [], "text", {"symbol": 5}, {}])
def test_data_that_does_not_fit_the_class_arrives_as_it_is(data: Any) -> None:
    event = parse_event({"type": "custom.emitted", "name": "test.quote", "data": data})
    assert isinstance(event, CustomEmitted)
    assert event.data == data


def test_a_custom_event_needs_a_name_of_its_own() -> None:
    with pytest.raises(TypeError, match="Nameless needs a name"):

        class Nameless(CustomEvent):
            pass

    with pytest.raises(TypeError, match=r"'test\.quote' is already .*Quote"):

        class Other(CustomEvent, name="test.quote"):
            pass


@pytest.mark.parametrize("name", ["seq", "time", "type", "truncated_bytes", "data"])
def test_a_custom_event_may_not_hide_what_every_event_has(name: str) -> None:
    with pytest.raises(TypeError, match=f"may not declare {name}"):
        new_class(
            "Hiding",
            (CustomEvent,),
            {"name": f"test.hiding.{name}"},
            lambda body: body.update(__module__=__name__, __annotations__={name: int}),
        )


def test_a_class_may_be_defined_again() -> None:
    def define() -> type[CustomEvent]:
        class Reloaded(CustomEvent, name="test.reloaded"):
            value: int

        return Reloaded

    define()
    latest = define()
    data = {"value": 1}
    event = parse_event({"type": "custom.emitted", "name": "test.reloaded", "data": data})
    assert type(event) is latest
