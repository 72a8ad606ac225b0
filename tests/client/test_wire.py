from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentprogress.client._wire import Malformed, read_frame, read_frames, read_page, read_state
from agentprogress.events import EXACT

from .hostile import JSON_AND_MORE
from .line import EPOCH, SETTINGS, end, error, event, gap, heartbeat, snapshot, welcome

Json = dict[str, Any]

FRAMES = [
    welcome(),
    snapshot(1),
    gap(1, 2),
    heartbeat(),
    {"type": "reconnect", "retry_after": 1.5},
    error("internal"),
    end(3),
    event(1),
]
# What a client can do without.
OPTIONAL = {"server_time", "retryable", "retry_window", "time"}
REQUIRED = [
    (frame, name)
    for frame in FRAMES
    for name in frame
    if not (name in OPTIONAL and (frame["type"], name) != ("welcome", "retry_window"))
]


def name_of(value: object) -> str:
    return str(value["type"]) if isinstance(value, dict) else str(value)


def read(frame: Json) -> Json:
    return read_frame(json.dumps(frame))


@pytest.mark.parametrize("frame", FRAMES, ids=name_of)
def test_a_frame_is_read_as_it_is_with_all_that_is_not_known(frame: Json) -> None:
    more = {**frame, "later": {"a": [1, None]}}
    assert read(more) == more
    assert read_frames(json.dumps([more, frame])) == [more, frame]
    assert read_page(json.dumps({"frames": [more]}).encode()) == [more]


@pytest.mark.parametrize(("frame", "name"), REQUIRED, ids=name_of)
@pytest.mark.parametrize("wrong", ["absent", None, [], True])
def test_a_frame_without_a_field_that_it_needs_is_malformed(
    frame: Json, name: str, wrong: object
) -> None:
    without = {key: value for key, value in frame.items() if key != name}
    if wrong != "absent":
        without[name] = wrong
    with pytest.raises(Malformed):
        read(without)


@pytest.mark.parametrize("value", [-1, 1.0, "1", EXACT + 1, 10**400, True])
@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (event(1), "seq"),
        (snapshot(1), "seq"),
        (gap(1, 2), "missed_from"),
        (gap(1, 2), "missed_to"),
        (end(1), "head"),
        (welcome(), "head"),
        (welcome(), "protocol"),
        (heartbeat(), "head"),
    ],
    ids=name_of,
)
def test_a_seq_is_an_integer_that_every_language_reads_the_same(
    frame: Json, name: str, value: object
) -> None:
    with pytest.raises(Malformed):
        read({**frame, name: value})


@pytest.mark.parametrize(("frame", "name"), [(event(1), "seq"), (gap(1, 2), "missed_from")])
def test_seqs_begin_at_1(frame: Json, name: str) -> None:
    with pytest.raises(Malformed):
        read({**frame, name: 0})


@pytest.mark.parametrize("value", [0, 1.5, -3, inf, EXACT])
def test_a_duration_is_any_number(value: float) -> None:
    assert read(welcome(retry_window=value))["retry_window"] == value


@pytest.mark.parametrize("value", [10**400, -(10**400), "1", None, True])
def test_a_duration_that_no_float_holds_is_none(value: object) -> None:
    for name in ("retry_window", "heartbeat_interval"):
        with pytest.raises(Malformed, match=f"welcome lacks {name}"):
            read({**welcome(), name: value})
    with pytest.raises(Malformed):
        read({"type": "reconnect", "retry_after": value})


def test_a_welcome_of_another_version_may_lack_anything_but_its_number() -> None:
    frame = {"type": "welcome", "protocol": 2}
    assert read(frame) == frame
    with pytest.raises(Malformed, match="welcome lacks protocol"):
        read({"type": "welcome"})


@pytest.mark.parametrize("kind", ["", "weather", "Welcome", "welcome2"])
def test_a_control_frame_that_is_not_known_needs_nothing(kind: str) -> None:
    assert read({"type": kind}) == {"type": kind}


def test_a_dot_makes_an_event_of_any_type() -> None:
    assert read({"type": ".", "seq": 1}) == {"type": ".", "seq": 1}
    with pytest.raises(Malformed, match="has no seq"):
        read({"type": "."})


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"frames":[]}', '{"frames":{}}', '[{"frames":1}]']
)
def test_what_is_no_page_is_malformed(body: str) -> None:
    with pytest.raises(Malformed, match=r"not a page of frames|not JSON"):
        read_page(body.encode())


@pytest.mark.parametrize("text", ["\ud800", '"\ud800"', "[" * 5_000, '[{"type":"\\ud800.a"}]'])
def test_what_is_no_text_for_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        read_frame(text)
    with pytest.raises(Malformed):
        read_frames(text)


ANYTHING = (
    st.binary()
    | JSON_AND_MORE.map(lambda value: json.dumps(value).encode())
    | st.lists(st.sampled_from(FRAMES) | JSON_AND_MORE).map(lambda v: json.dumps(v).encode())
)


@given(ANYTHING)
@example(b"\xff")
@example(b"\xef\xbb\xbf[]")
def test_whatever_comes_is_frames_or_malformed(data: bytes) -> None:
    for read_some in (read_frames, read_page, lambda raw: [read_frame(raw.decode("latin-1"))]):
        try:
            frames = read_some(data)
        except Malformed:
            continue
        assert all(isinstance(frame["type"], str) for frame in frames)


# States


def test_a_state_has_every_member_whatever_came() -> None:
    wire, typed = read_state({"session_id": "a", "epoch": EPOCH, "seq": 3, "status": "x"}, SETTINGS)
    assert (wire["steps"], wire["usage"]["costs"], wire["omitted"]) == ([], {}, {})
    assert typed.model_dump(mode="json", by_alias=True) == wire


def test_what_a_state_has_is_of_the_types_that_a_fold_reckons_with() -> None:
    state = {
        **snapshot(3)["state"],
        "seq": "3",
        "steps": [{"step_id": "a", "name": "n", "status": "running", "current": "2"}],
        "texts": [{"message_id": "m"}],
        "usage": {"input_tokens": "3"},
        "later": True,
    }
    wire, typed = read_state(state, SETTINGS)
    assert (wire["seq"], typed.seq) == (3, 3)
    assert wire["steps"][0]["current"] == 2
    assert wire["steps"][0]["parent_id"] is None
    assert wire["texts"][0]["done"] is False
    assert wire["usage"] == {"input_tokens": 3, "output_tokens": 0, "costs": {}}
    assert "later" not in wire


def test_a_state_that_does_not_fit_says_what_of_it() -> None:
    with pytest.raises(Malformed, match="A snapshot does not fit: "):
        read_state({**snapshot(3)["state"], "steps": 7}, SETTINGS)
