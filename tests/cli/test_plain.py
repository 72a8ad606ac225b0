"""A session as lines: for people where no terminal is, and as JSON for programs."""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given

from agentprogress._core.jsonable import clean_text
from agentprogress.cli._target import bounded
from agentprogress.cli.terminal._connection import Connection
from agentprogress.cli.terminal._plain import (
    MAX_CHARS,
    PlainLines,
    connection_line,
    fetched_lines,
)
from agentprogress.cli.terminal._wire import json_line
from agentprogress.events import CustomEvent, parse_event
from agentprogress.snapshot import Gap, Snapshot
from tests.cli.scenes import HOSTILE, Scene, crew
from tests.strategies import RUNS, numbered


class Rate(CustomEvent, name="plain.rate"):
    """An application's own event."""

    value: float


def told(scene: Scene) -> list[str]:
    plain = PlainLines(UTC)
    return [line for event in scene.events for line in plain.lines(event)]


def told_of(type_: str, **fields: Any) -> list[str]:
    """Returns the lines of one event."""
    return PlainLines(UTC).lines(Scene().tell(type_, **fields).events[0])


# Lines for people


def test_a_session_is_told_from_its_start_to_its_result() -> None:
    scene = Scene().start().wait(1).step("research").wait(2).step("search", "research", "tool")
    scene.wait(0.5).done("search").tell("log.message", level="warning", message="slow").wait(77)
    scene.done("research").tell("session.completed", result={"pages": 3})
    assert told(scene) == [
        "12:00:00 started: Market report",
        "12:00:01 phase research started",
        "12:00:03 tool search started",
        "12:00:03 tool search completed in 0.5 s",
        "12:00:03 warning: slow",
        "12:01:20 phase research completed in 1 m 19 s",
        "12:01:20 completed in 1 m 20 s",
        '{"pages": 3}',
    ]


@pytest.mark.parametrize(
    ("type_", "fields", "line"),
    [
        ("session.failed", {"error": {"code": "e", "message": "no"}}, "failed: no (e)"),
        ("session.cancelled", {"reason": "late"}, "cancelled: late"),
        ("session.lost", {}, "lost: its producer is gone"),
        ("session.waiting", {"request_id": "q"}, "waiting for an answer"),
        ("session.resumed", {}, "running again"),
        (
            "session.retrying",
            {"attempt": 2, "error": {"code": "e", "message": "no"}},
            "attempt 2 follows: no (e)",
        ),
        (
            "step.failed",
            {"step_id": "x", "error": {"code": "e", "message": ""}},
            "step x failed: e",
        ),
        ("step.cancelled", {"step_id": "x", "reason": "late"}, "step x cancelled: late"),
        ("cancel.requested", {"by": "ann", "reason": "late"}, "asked to stop by ann: late"),
        ("input.requested", {"request_id": "rq", "prompt": "Go?"}, "question rq: Go?"),
        ("input.resolved", {"request_id": "rq", "outcome": "answered"}, "question rq answered"),
        (
            "artifact.created",
            {"artifact_id": "a", "name": "r.md", "media_type": "text/markdown", "url": "/r"},
            "artifact r.md (text/markdown) /r",
        ),
        ("custom.emitted", {"name": "quote", "data": {"a": 1}}, 'quote {"a": 1}'),
        (
            "custom.emitted",
            {"name": "plain.rate", "data": {"value": 1.5}},
            'plain.rate {"value": 1.5}',
        ),
    ],
)
def test_what_happens_is_told_in_one_line(type_: str, fields: dict[str, Any], line: str) -> None:
    assert told_of(type_, **fields) == [f"12:00:00 {line}"]


def test_what_the_producer_gave_up_is_told() -> None:
    lines = told_of("events.dropped", by_type={"text.delta": 3, "log.message": 1})
    assert lines == ["-- the producer had to give up 4 events"]


@pytest.mark.parametrize(
    ("type_", "fields"),
    [("usage.reported", {"input_tokens": 3}), ("quantum.leaped", {"far": True})],
)
def test_sums_and_what_is_unknown_are_not_told(type_: str, fields: dict[str, Any]) -> None:
    assert told_of(type_, **fields) == []


def test_progress_is_told_for_each_tenth() -> None:
    scene = Scene().start().step("load", total=1000, unit="row")
    for current in range(1, 1001):
        scene.tell("step.progress", step_id="load", current=current, message=f"row {current}")
    lines = [line for line in told(scene) if "%" in line]
    assert lines[0] == "12:00:00 phase load 10 % (100/1,000 row): row 100"
    assert len(lines) == 10


def test_progress_without_a_total_is_told_each_five_seconds() -> None:
    scene = Scene().start().step("load")
    for current in range(60):
        scene.wait(0.5).tell("step.progress", step_id="load", current=current)
    assert len([line for line in told(scene) if "phase load " in line]) == 1 + 6


def test_a_text_is_told_by_its_lines_and_none_of_it_is_lost() -> None:
    scene = Scene().start().step("writer", kind="agent")
    for delta in ("# Ti", "tle\n\nbo", "dy", "x" * 900):
        scene.tell("text.delta", message_id="m", step_id="writer", delta=delta)
    scene.tell("text.completed", message_id="m")
    lines = [line.partition(" | ")[2] for line in told(scene) if "agent writer |" in line]
    assert lines[0] == "# Title"
    assert "".join(lines[1:]) == "body" + "x" * 900


def test_a_text_that_the_end_closes_is_told_before_it() -> None:
    scene = Scene().start().tell("text.delta", message_id="m", delta="so far")
    assert told(scene.tell("session.cancelled"))[-2:] == [
        "12:00:00 text | so far",
        "12:00:00 cancelled in 0.0 s",
    ]


def test_a_log_message_of_several_lines_is_several_lines() -> None:
    lines = told_of("log.message", level="error", message="Traceback:\n  File x")
    assert lines == ["12:00:00 error: Traceback:", "12:00:00 error:   File x"]


def test_a_hole_is_told_and_the_state_after_it() -> None:
    plain = PlainLines(UTC)
    assert plain.lines(Gap(3, 9, "slow")) == ["-- 7 events (3 to 9) can no longer be had"]
    scene = crew(agents=1)
    assert plain.lines(Snapshot(scene.snapshot)) == [
        f"-- Market report: running, 33 %, after {scene.snapshot.seq} events"
    ]
    scene.done("reader 1")
    assert plain.lines(scene.events[-1]) == ["12:00:08 agent reader 1 completed in 5.0 s"]


def test_a_snapshot_of_the_end_has_the_outcome() -> None:
    scene = Scene().start().wait(3).tell("session.completed", result=[1, 2])
    assert PlainLines(UTC).lines(Snapshot(scene.snapshot, reset=True)) == [
        "-- the session has started over",
        "-- Market report: completed, 100 %, after 2 events",
        "12:00:03 completed in 3.0 s",
        "[1, 2]",
    ]


@pytest.mark.parametrize("text", [None, "one\ntwo"])
def test_a_result_that_was_only_announced_is_told_and_where_the_whole_is(text: str | None) -> None:
    where = "https://h.example/sessions/job-7/result?a=b&c=d"
    *shown, last = fetched_lines(text, 20_000, where)
    assert shown == (text or "").splitlines()
    assert last == f"-- the result has 20,000 bytes: curl '{where}'"


def test_a_large_result_is_cut_and_only_made_as_far_as_it_is_shown() -> None:
    assert bounded("x" * 100_000) == "x" * 65_536 + "…"
    assert bounded(list(range(1_000_000)))[:9] == "[\n  0,\n  "
    assert len(bounded(list(range(1_000_000)))) == 65_537
    assert bounded({"a": 1}) == '{"a": 1}'


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        (Connection(state="live", transport="sse"), "-- live by SSE"),
        (
            Connection(state="reconnecting", retry_in=1.4, reason="The connection was refused."),
            "-- reconnecting in 2 s: The connection was refused.",
        ),
        (
            Connection(state="gave_up", reason="It is gone.", advice="Ask again."),
            "-- gave up: It is gone. Ask again.",
        ),
    ],
)
def test_changes_of_the_connection_are_told(connection: Connection, line: str) -> None:
    assert connection_line(connection) == line


@given(RUNS, HOSTILE.map(clean_text))
def test_each_line_is_one_line_bounded_and_harmless(run: list[dict[str, Any]], text: str) -> None:
    plain = PlainLines(UTC)
    extra: list[dict[str, Any]] = [
        {"type": "log.message", "level": text, "message": text},
        {"type": "step.started", "step_id": "h", "name": text, "kind": text, "unit": text},
        {"type": "text.delta", "message_id": "h", "delta": text * 50, "step_id": "h"},
        {"type": "session.failed", "error": {"code": text, "message": text}},
    ]
    for wire in numbered([*run, *extra]):
        for line in plain.lines(parse_event(wire)):
            assert len(line) <= MAX_CHARS
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2066-\u2069]", line)
            line.encode()


# JSON lines


@given(RUNS)
def test_an_event_as_json_is_what_was_on_the_wire(run: list[dict[str, Any]]) -> None:
    for wire in numbered(run):
        event = parse_event(wire)
        again = json.loads(json_line(event))
        assert parse_event(again) == event
        assert list(again)[:3] == ["seq", "time", "type"]
        assert again["time"] == wire["time"]


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "log.message", "level": "info", "message": "é\x1b", "fields": {"a": None}},
        {"type": "session.failed", "error": {"code": "e", "message": "m", "retryable": False}},
        {"type": "custom.emitted", "name": "plain.rate", "data": {"value": 1.5}},
        {"type": "quantum.leaped", "far": [None, {"b": 1}]},
        {"type": "step.started", "step_id": "a", "kind": "step", "name": "n", "truncated_bytes": 9},
        {
            "type": "input.requested",
            "request_id": "q",
            "prompt": "?",
            "schema": {"type": "null"},
            "expires_at": "2026-11-22T12:00:00.250Z",
        },
    ],
)
def test_json_has_the_members_that_the_wire_has(wire: dict[str, Any]) -> None:
    [whole] = numbered([wire])
    assert json.loads(json_line(parse_event(whole))) == whole


def test_a_snapshot_and_a_gap_are_json_lines_too() -> None:
    assert json.loads(json_line(Gap(3, 9, "slow"))) == {
        "type": "gap",
        "missed_from": 3,
        "missed_to": 9,
        "reason": "slow",
    }
    scene = (
        Scene()
        .start()
        .wait(0.25)
        .tell("input.requested", request_id="q", prompt="?", schema={"type": "null"})
    )
    frame = json.loads(json_line(Snapshot(scene.snapshot)))
    assert (frame["type"], frame["seq"], frame["reset"]) == ("snapshot", 2, False)
    assert json.loads(json_line(Snapshot(scene.snapshot, reset=True)))["reset"] is True
    assert frame["state"]["started_at"] == "2026-11-22T12:00:00.000Z"
    assert frame["state"]["requests"][0]["schema"] == {"type": "null"}
    assert frame["state"]["ended_at"] is None


@given(HOSTILE.map(clean_text))
def test_json_is_one_harmless_line_whatever_a_text_holds(text: str) -> None:
    event = parse_event({"type": "log.message", "level": "info", "message": text})
    line = json_line(event)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2066-\u2069]", line)
    assert json.loads(line)["message"] == text
