from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.encode import Encoder, Redact
from agentprogress._core.jsonable import clean_text, text_bytes
from agentprogress.errors import EventTooLarge, InvalidEvent
from agentprogress.events import (
    ArtifactCreated,
    CustomEmitted,
    CustomEvent,
    ErrorInfo,
    Event,
    InputRequested,
    LogMessage,
    StepFailed,
    StepStarted,
    TextDelta,
    UnknownEvent,
    UsageReported,
    parse_event,
)
from agentprogress.settings import Settings
from tests.strategies import JSON, LIFECYCLE_EVENTS, RUNNING_EVENTS, TERMINAL_EVENTS, TINY

KIB = 1024


class Measured(CustomEvent, name="test.measured"):
    celsius: float
    count: int = 0
    labels: frozenset[str] = frozenset()


def encoder(redact: Redact | None = None, **changes: Any) -> Encoder:
    return Encoder(Settings(**changes), redact)


def strict(event: Any, redact: Redact | None = None) -> dict[str, Any]:
    wire: dict[str, Any] = json.loads(encoder(redact).strict(event))
    return wire


def lenient(wire: dict[str, Any], redact: Redact | None = None, **changes: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(encoder(redact, **changes).lenient(wire))
    return encoded


def decoded(body: bytes) -> Event:
    return parse_event(json.loads(body))


# Typed events


def test_an_event_is_encoded_without_what_is_absent() -> None:
    assert strict(LogMessage(message="a")) == {
        "type": "log.message",
        "level": "info",
        "message": "a",
    }


def test_a_received_event_is_passed_on_without_its_place_in_the_other_log() -> None:
    event = parse_event(
        {"type": "log.message", "message": "a", "seq": 7, "time": "2026-11-22T19:30:00.000Z"}
    )
    assert isinstance(event, LogMessage)
    assert "seq" not in strict(event)
    assert "time" not in strict(event)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), None),
        (2**60, "1152921504606846976"),
        ("\ud800", "\ufffd"),
        ({1: ErrorInfo(code="a", message="b")}, None),
    ],
)
def test_free_values_are_normalised(value: Any, written: Any) -> None:
    data = strict(CustomEmitted(name="a", data=[value]))["data"]
    assert data == [written] or data[0]["1"]["code"] == "a"


def test_an_errors_detail_is_as_free_as_any_value() -> None:
    error = ErrorInfo(code="a", message="b", detail={"big": 2**60, "password": "hunter2"})
    assert strict(StepFailed(step_id="s", error=error))["error"]["detail"] == {
        "big": "1152921504606846976",
        "password": "***",
    }


def test_a_lone_surrogate_in_a_text_is_replaced() -> None:
    assert strict(LogMessage(message="a\ud800"))["message"] == "a\ufffd"


def test_a_number_beyond_what_readers_keep_exact_is_rounded_here() -> None:
    assert strict(StepStarted(step_id="a", name="n", total=2**60))["total"] == float(2**60)
    assert strict(StepStarted(step_id="a", name="n", total=float("inf"))).get("total") is None


@pytest.mark.parametrize("data", [b"\xff", object(), (n for n in [1]), {"a": {1, object()}}])
def test_a_value_without_a_json_form_is_refused(data: Any) -> None:
    with pytest.raises(InvalidEvent):
        encoder().strict(CustomEmitted(name="a", data=data))


def test_a_cycle_is_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with pytest.raises(InvalidEvent, match="refers to itself"):
        encoder().strict(ArtifactCreated(artifact_id="a", name="n", media_type="m", data=cycle))


def test_an_event_over_the_limit_is_refused_with_both_numbers() -> None:
    with pytest.raises(EventTooLarge) as caught:
        encoder().strict(LogMessage(message="x" * 64 * KIB))
    assert caught.value.limit_bytes == 64 * KIB
    assert caught.value.size_bytes > 64 * KIB


def test_a_long_id_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="step_id has 129 characters; the limit is 128"):
        encoder().strict(LogMessage(message="a", step_id="x" * 129))


def test_a_custom_event_round_trips_typed() -> None:
    event = Measured(celsius=21.5, count=2**60, labels=frozenset({"kitchen"}))
    assert decoded(encoder().strict(event)) == event


def test_a_custom_events_secret_is_masked() -> None:
    class Login(CustomEvent, name="test.login"):
        password: str

    assert strict(Login(password="hunter2"))["data"] == {"password": "***"}


# The sugar's wire objects


def test_nothing_is_said_of_what_is_none() -> None:
    assert lenient({"type": "log.message", "level": "info", "message": "a", "logger": None}) == {
        "type": "log.message",
        "level": "info",
        "message": "a",
    }


@pytest.mark.parametrize("length", [8 * KIB, 8 * KIB + 1, 100 * KIB])
def test_a_long_text_is_cut_and_the_event_says_so(length: int) -> None:
    wire = lenient({"type": "log.message", "message": "x" * length, "level": "info"})
    assert wire["message"] == "x" * 8 * KIB
    assert wire.get("truncated_bytes", 0) == length - 8 * KIB


@pytest.mark.parametrize("character", ["é", "€", "😀", "\0", '"', "\n"])
def test_a_text_is_cut_by_what_it_takes_in_json_and_no_character_is_split(character: str) -> None:
    message = "x" + character * 10_000
    wire = lenient({"type": "log.message", "message": message, "level": "info"})
    kept: str = wire["message"]
    assert message.startswith(kept)
    assert text_bytes(kept) - 2 <= 8 * KIB < text_bytes(kept + character) - 2
    assert wire["truncated_bytes"] == text_bytes(message) - text_bytes(kept)


@pytest.mark.parametrize("character", ["x", "é", "😀", "\0", '"'])
def test_however_much_is_passed_the_event_fits(character: str) -> None:
    long = character * 100_000
    for wire in (
        dict.fromkeys(("step_id", "name", "kind", "parent_id", "unit", "input"), long)
        | {"type": "step.started"},
        {
            "type": "session.started",
            "attempt": 1,
            "title": long,
            "metadata": {"a": long},
            "plan": [{"name": long, "kind": long, "step_id": str(n)} for n in range(20)],
        },
        {"type": "session.failed", "error": {"code": long, "message": long, "detail": [long]}},
        {"type": "log.message", "message": long, "level": long, "fields": {"a": long}},
    ):
        body = encoder().lenient(wire)
        assert len(body) <= 64 * KIB
        event = decoded(body)
        assert not isinstance(event, UnknownEvent)
        assert json.loads(body)["truncated_bytes"] > 0


def test_a_delta_is_never_cut() -> None:
    delta = "\0" * 4096
    assert lenient({"type": "text.delta", "message_id": "m", "delta": delta})["delta"] == delta


def test_a_long_id_is_shortened_so_that_it_stays_the_same_and_different() -> None:
    ids = ["x" * 1000, "x" * 1001, "x" * 1000 + "y"]
    first = [lenient({"type": "step.completed", "step_id": each})["step_id"] for each in ids]
    again = [lenient({"type": "step.progress", "step_id": each})["step_id"] for each in ids]
    assert first == again
    assert len(set(first)) == 3
    assert {len(each) for each in first} == {128}


def test_a_value_that_is_too_large_becomes_the_beginning_of_its_json() -> None:
    wire = lenient({"type": "step.completed", "step_id": "s", "output": ["word"] * 5000})
    assert wire["output"].startswith('["word","word",')
    assert wire["truncated_bytes"] == len(json.dumps(["word"] * 5000, separators=(",", ":"))) - len(
        wire["output"]
    )


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        ({"a": 1}, {"a": 1}),
        ([1], {"value": [1]}),
        ("text", {"value": "text"}),
        ({"a": "x" * 10_000}, {"truncated": '{"a":"' + "x" * 8183}),
    ],
)
def test_what_must_be_an_object_is_one(given_: Any, written: Any) -> None:
    wire = lenient({"type": "session.started", "attempt": 1, "metadata": given_})
    assert wire["metadata"] == written


def test_what_has_no_json_form_becomes_a_short_repr() -> None:
    class Long:
        def __repr__(self) -> str:
            return "L" * 1000

    wire = lenient({"type": "step.completed", "step_id": "s", "output": [Long(), b"\xff", 1]})
    assert wire["output"] == ["L" * 98 + "..." + "L" * 99, "b'\\xff'", 1]


def test_the_repr_of_something_huge_reads_only_its_beginning() -> None:
    described = encoder().describe(list(range(10_000_000)))
    assert described == "[0, 1, 2, 3, 4, 5, ...]"


def test_when_even_a_repr_fails_the_type_is_named() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

        __str__ = __repr__

    assert encoder().describe(Broken()).startswith("<Broken")
    wire = lenient({"type": "log.message", "level": "info", "message": Broken()})
    assert wire["message"] == "<Broken>"


@pytest.mark.parametrize(
    ("field", "passed", "written"),
    [
        ("total", "12", 12),
        ("total", True, 1),
        ("total", float("inf"), None),
        ("total", "many", None),
        ("total", 2**60, float(2**60)),
        ("unit", 5, "5"),
        ("parent_id", 7, "7"),
        ("kind", None, None),
    ],
)
def test_a_field_of_the_wrong_type_is_repaired(field: str, passed: Any, written: Any) -> None:
    wire = lenient({"type": "step.started", "step_id": "s", "name": "n", field: passed})
    assert wire.get(field) == written


@pytest.mark.parametrize("tokens", [1.5, 2**60, 1e300, "7", True])
def test_token_counts_are_whole_numbers_that_every_reader_keeps(tokens: Any) -> None:
    event = decoded(encoder().lenient({"type": "usage.reported", "input_tokens": tokens}))
    assert isinstance(event, UsageReported)
    assert event.input_tokens == min(2**53, int(tokens))


ANYTHING = st.one_of(
    JSON,
    st.floats(),
    st.integers(),
    st.binary(max_size=5),
    st.builds(object),
    st.just("x" * 20_000),
    st.just("\ud800"),
    st.just([[]] * 3000),
)
SUGAR: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("step.started"),
            "step_id": ANYTHING.map(lambda v: v or "s"),
            "name": st.text(),
        },
        optional=dict.fromkeys(("kind", "parent_id", "total", "unit", "weight", "input"), ANYTHING),
    ),
    st.fixed_dictionaries(
        {"type": st.just("log.message"), "message": st.text(), "level": ANYTHING.map(str)},
        optional=dict.fromkeys(("fields", "logger", "step_id"), ANYTHING),
    ),
    st.fixed_dictionaries(
        {"type": st.just("usage.reported")},
        optional=dict.fromkeys(
            ("model", "input_tokens", "output_tokens", "cost", "currency"), ANYTHING
        ),
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("artifact.created"),
            "artifact_id": st.text(),
            "name": st.text(),
            "media_type": ANYTHING.map(lambda v: v if v is not None else "m"),
        },
        optional=dict.fromkeys(("url", "data"), ANYTHING),
    ),
    st.fixed_dictionaries(
        {"type": st.just("session.started"), "attempt": st.just(1)},
        optional=dict.fromkeys(("title", "metadata"), ANYTHING),
    ),
    RUNNING_EVENTS,
    LIFECYCLE_EVENTS,
    TERMINAL_EVENTS,
)


@given(SUGAR, st.sampled_from([None, lambda wire: wire]))
def test_whatever_was_passed_the_event_is_read_as_its_own_type(
    wire: dict[str, Any], redact: Redact | None
) -> None:
    body = encoder(redact).lenient(wire)
    assert len(body) <= 64 * KIB
    event = decoded(body)
    assert not isinstance(event, UnknownEvent)
    assert event.type == wire["type"]


@given(st.one_of(LIFECYCLE_EVENTS, TERMINAL_EVENTS))
def test_a_lifecycle_event_comes_out_under_the_lowest_limits(wire: dict[str, Any]) -> None:
    event = decoded(Encoder(TINY).lenient(wire))
    assert event.type == wire["type"]
    assert not isinstance(event, UnknownEvent)


def test_strict_settings_raise_where_something_would_be_cut_or_replaced() -> None:
    with pytest.raises(EventTooLarge):
        lenient({"type": "log.message", "message": "x" * 9000}, strict=True)
    with pytest.raises(InvalidEvent):
        lenient({"type": "step.completed", "step_id": "s", "output": object()}, strict=True)


# Masking and redacting


def test_secrets_in_free_values_are_masked_before_they_are_cut() -> None:
    fields = {"password": "hunter2", "rest": "x" * 10_000}
    wire = lenient({"type": "log.message", "message": "m", "level": "info", "fields": fields})
    assert "hunter2" not in json.dumps(wire)


PASSWORD_FORM = {
    "type": "object",
    "properties": {"password": {"type": "string", "title": "Password"}},
    "required": ["password"],
}


def test_a_schema_describes_secrets_and_holds_none() -> None:
    typed = InputRequested(request_id="r", prompt="Sign in", schema=PASSWORD_FORM)
    assert strict(typed)["schema"] == PASSWORD_FORM
    wire = {"type": "input.requested", "request_id": "r", "prompt": "?", "schema": PASSWORD_FORM}
    assert lenient(wire)["schema"] == PASSWORD_FORM


def test_redact_sees_schemas_too() -> None:
    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        return {**wire, "schema": {"seen": wire["schema"] == PASSWORD_FORM}}

    typed = InputRequested(request_id="r", prompt="Sign in", schema=PASSWORD_FORM)
    assert strict(typed, redact)["schema"] == {"seen": True}
    wire = {"type": "input.requested", "request_id": "r", "prompt": "?", "schema": PASSWORD_FORM}
    assert lenient(wire, redact)["schema"] == {"seen": True}


def test_redact_sees_whole_plain_values_and_replaces_the_masking() -> None:
    seen: list[dict[str, Any]] = []

    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        seen.append(json.loads(json.dumps(wire)))
        wire["output"]["card"] = "****"
        return wire

    output = {"card": "4111", "token": "kept", "rest": "x" * 20_000}
    wire = lenient({"type": "step.completed", "step_id": "s", "output": output}, redact)
    assert seen[0]["output"] == output
    assert wire["output"].startswith('{"card":"****","token":"kept","rest":"x')
    assert output["card"] == "4111"


def test_redact_sees_typed_events_and_results_alike() -> None:
    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps(wire).replace("hunter2", "?"))  # type: ignore[no-any-return]

    assert strict(LogMessage(message="hunter2"), redact)["message"] == "?"
    assert strict(Measured(celsius=1, labels=frozenset({"hunter2"})), redact)["data"]["labels"] == [
        "?"
    ]
    assert encoder(redact).result({"answer": "hunter2"}) == b'{"answer":"?"}'


def no_dict(wire: dict[str, Any]) -> Any:
    return None


def other_type(wire: dict[str, Any]) -> dict[str, Any]:
    return {**wire, "type": "session.completed"}


def no_message(wire: dict[str, Any]) -> dict[str, Any]:
    return {"type": wire["type"]}


def raises(wire: dict[str, Any]) -> dict[str, Any]:
    raise LookupError("secret")


def empties(wire: dict[str, Any]) -> dict[str, Any]:
    wire.clear()
    return wire


@pytest.mark.parametrize("redact", [no_dict, other_type, no_message, raises, empties])
def test_a_redact_that_fails_lets_nothing_out(redact: Redact) -> None:
    with pytest.raises(InvalidEvent, match="redact"):
        encoder(redact).strict(LogMessage(message="hunter2"))
    with pytest.raises(InvalidEvent, match="redact") as caught:
        encoder(redact).lenient({"type": "log.message", "level": "info", "message": "hunter2"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("redact", [no_dict, no_message, raises, empties])
def test_a_redact_that_fails_cannot_hide_that_a_session_ended(redact: Redact) -> None:
    error = {"code": "hunter2", "message": "hunter2", "retryable": True}
    wire = lenient({"type": "session.failed", "error": error}, redact)
    assert wire == {
        "type": "session.failed",
        "error": {
            "code": "withheld",
            "message": "The details could not be encoded.",
            "retryable": True,
        },
    }


def test_redact_cannot_write_what_the_log_assigns() -> None:
    wire = strict(LogMessage(message="m"), lambda wire: {**wire, "seq": 99, "time": "never"})
    assert wire == {"type": "log.message", "level": "info", "message": "m"}


def test_what_redact_returns_is_normalised_again() -> None:
    wire = strict(
        CustomEmitted(name="a"), lambda wire: {**wire, "data": [2**60, float("nan"), "\ud800"]}
    )
    assert wire["data"] == ["1152921504606846976", None, "\ufffd"]
    body = encoder(lambda wire: {**wire, "message": 5}).lenient(
        {"type": "log.message", "level": "info", "message": "m"}
    )
    assert json.loads(body)["message"] == "5"


# Results


def test_a_result_is_masked_bounded_and_repaired() -> None:
    assert encoder().result({"token": "t", "at": float("inf")}) == b'{"token":"***","at":null}'
    assert encoder().result(object()).startswith(b'"<object object')
    with pytest.raises(EventTooLarge):
        encoder(max_result_bytes=16 * KIB).result("x" * 17 * KIB)
    with pytest.raises(InvalidEvent):
        encoder(strict=True).result(object())


@given(st.text(st.characters(), max_size=30))
def test_a_typed_delta_comes_back_as_it_was_but_for_lone_surrogates(delta: str) -> None:
    event = decoded(encoder().strict(TextDelta(message_id="m", delta=delta)))
    assert isinstance(event, TextDelta)
    assert event.delta == clean_text(delta)
