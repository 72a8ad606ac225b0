from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.encode import Encoder
from agentprogress._core.outbox import Counter, Delta, Encoded, Entry, Outbox, Progress
from agentprogress.settings import Settings

ENCODER = Encoder(Settings())
ABOUT: dict[str, str | None] = {"role": "assistant", "channel": None, "step_id": None}


def alone(wire: dict[str, Any], time: str = "t0") -> Encoded:
    return Encoded(time, ENCODER.lenient(wire))


def delta(message_id: str, text: str, time: str = "t0") -> Delta:
    return Delta(time, message_id, text, ABOUT)


def taken(*entries: Entry, max_delta_chars: int = 4096) -> list[dict[str, Any]]:
    outbox = Outbox(ENCODER, max_delta_chars)
    for entry in entries:
        outbox.add(entry)
    length = len(outbox)
    events = outbox.take()
    assert (len(events), len(outbox), outbox.take()) == (length, 0, [])
    return [{"time": time, **json.loads(body)} for time, body in events]


def test_moves_of_a_step_become_one_that_says_how_far_it_is() -> None:
    counter = Counter("s")
    events = taken(
        *(Progress(f"t{n}", counter, advance=1) for n in range(1000)),
        Progress("t1000", counter, message="half", total=2000),
    )
    assert events == [
        {
            "time": "t1000",
            "type": "step.progress",
            "step_id": "s",
            "current": 1000,
            "total": 2000,
            "message": "half",
        }
    ]


def test_a_step_goes_on_from_where_it_was_told_to_be() -> None:
    counter = Counter("s")
    assert (
        taken(Progress("t", counter, current=5), Progress("t", counter, advance=2))[0]["current"]
        == 7
    )
    assert taken(Progress("t", counter, advance=1))[0]["current"] == 8


def test_a_count_beyond_all_numbers_is_left_out() -> None:
    counter = Counter("s")
    moves = [Progress("t", counter, advance=1e308) for _ in range(2)]
    assert "current" not in taken(*moves)[0]


def test_deltas_of_a_message_become_one() -> None:
    assert taken(delta("m", "Hel"), delta("other", "x"), delta("m", "lo", "t1")) == [
        {
            "time": "t0",
            "type": "text.delta",
            "message_id": "m",
            "delta": "Hello",
            "role": "assistant",
        },
        {
            "time": "t0",
            "type": "text.delta",
            "message_id": "other",
            "delta": "x",
            "role": "assistant",
        },
    ]


@given(st.lists(st.text(st.sampled_from("aé😀\0"), max_size=12), max_size=6), st.integers(1, 5))
def test_a_text_arrives_whole_in_deltas_of_the_allowed_length(parts: list[str], most: int) -> None:
    deltas = [
        event["delta"] for event in taken(*(delta("m", p) for p in parts), max_delta_chars=most)
    ]
    assert "".join(deltas) == "".join(parts)
    assert all(len(each) == most for each in deltas[:-1])


def test_a_huge_text_is_split_in_linear_time() -> None:
    # at one copy of the rest for each part this would be 12 GB to move
    assert len(taken(delta("m", "x" * 10_000_000))) == 2442


def test_everything_else_is_kept_one_by_one_and_in_order() -> None:
    events = taken(
        alone({"type": "log.message", "level": "info", "message": "a"}),
        delta("m", "x"),
        alone({"type": "log.message", "level": "info", "message": "b"}),
        delta("m", "y"),
    )
    assert [event.get("message", event.get("delta")) for event in events] == ["a", "xy", "b"]


@pytest.mark.parametrize(
    "boundary",
    [
        {"step_id": "s", "type": "step.completed"},
        {"type": "step.cancelled", "step_id": "s"},
        {"type": "step.started", "step_id": "s", "name": "again"},
    ],
)
def test_progress_does_not_move_across_its_steps_begin_or_end(boundary: dict[str, Any]) -> None:
    first, second = Counter("s"), Counter("s")
    events = taken(
        Progress("t", first, advance=1),
        Progress("t", Counter("other"), advance=1),
        alone(boundary),
        Progress("t", second, advance=5),
        Progress("t", Counter("other"), advance=1),
    )
    moves = [(event["step_id"], event.get("current", event["type"])) for event in events]
    assert moves == [("s", 1), ("other", 1), ("s", boundary["type"]), ("s", 5)]


def test_a_delta_does_not_move_across_the_end_of_its_text() -> None:
    events = taken(
        delta("m", "all"), alone({"type": "text.completed", "message_id": "m"}), delta("m", "late")
    )
    assert [event["type"] for event in events] == ["text.delta", "text.completed", "text.delta"]


def test_what_redact_refuses_is_counted_and_takes_nothing_with_it() -> None:
    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        if wire.get("delta") == "secret":
            raise RuntimeError
        return wire

    outbox = Outbox(Encoder(Settings(), redact), 4096)
    outbox.add(delta("m", "secret"))
    outbox.add(delta("n", "open"))
    assert [json.loads(body)["delta"] for _, body in outbox.take()] == ["open"]
    assert outbox.refused == 1
