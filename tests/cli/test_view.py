"""The terminal view: what it shows, and what gives way when there is not room for all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from agentprogress.cli.terminal._connection import Connection
from tests.cli.scenes import LIVE, Scene, crew, line_of, lines

# What is shown


def test_the_head_tells_title_status_time_and_how_far_it_is() -> None:
    scene = Scene().start("one", "two").wait(80).step("plan.0", name="one").done("plan.0")
    head, bar, *_ = lines(scene)
    assert head.startswith("● Market report ")
    assert head.endswith(" running  1 m 20 s")
    assert bar.endswith("  50 %")
    assert 30 < bar.count("━") < 40


@pytest.mark.parametrize(
    ("type_", "fields", "words"),
    [
        ("session.waiting", {"request_id": "q"}, "? Market report|waiting for an answer"),
        ("session.completed", {"result": 1}, "✓ Market report|completed"),
        ("session.failed", {"error": {"code": "e", "message": "no"}}, "✗ Market report|failed"),
        ("session.cancelled", {}, "⊘ Market report|cancelled"),
        ("session.lost", {}, "✗ Market report|lost"),
        ("cancel.requested", {}, "● Market report|stopping"),
        (
            "session.retrying",
            {"attempt": 2, "error": {"code": "e", "message": "no"}},
            "○ Market report|waiting to start again, attempt 2",
        ),
    ],
)
def test_each_status_has_a_mark_and_words(type_: str, fields: dict[str, Any], words: str) -> None:
    head = lines(Scene().start().tell(type_, **fields))[0]
    mark, status = words.split("|")
    assert head.startswith(mark)
    assert status in head


def test_a_session_that_has_not_started_waits_to_start() -> None:
    assert lines(Scene())[0].endswith("waiting to start")


def test_without_a_snapshot_the_name_and_the_connection_are_shown() -> None:
    assert lines(None, Connection(state="connecting"))[:1] == ["○ s_scene"]
    assert lines(None, Connection(state="connecting"))[-1] == "○ connecting"


def test_a_silent_producer_is_stalled() -> None:
    assert "stalled: its producer is silent" in lines(crew(), stalled=True)[0]
    ended = crew().tell("session.completed", result=None)
    assert "completed" in lines(ended, stalled=True)[0]


def test_steps_stand_below_their_parents_with_mark_bar_amount_message_and_time() -> None:
    found = lines(crew(agents=1, calls=3))
    assert line_of(found, "survey").startswith("✓ survey ")
    assert line_of(found, "survey").endswith(" 2.0 s")
    reader = line_of(found, "reader 1")
    assert reader.startswith("  ● ◆ reader 1 ")
    assert "━" in reader
    assert "3/10 file  page 0 " in reader
    assert reader.endswith(" 5 s")
    assert line_of(found, "read_file").startswith("    ● ▸ read_file")
    assert line_of(found, "write") == "○ write"


def test_times_of_what_runs_go_on() -> None:
    scene = crew(agents=1)
    assert line_of(lines(scene), "reader 1").endswith(" 5 s")
    assert line_of(lines(scene.wait(60)), "reader 1").endswith(" 1 m 05 s")


@pytest.mark.parametrize(
    ("kind", "mark"), [("agent", "◆ "), ("tool", "▸ "), ("model", "✦ "), ("quantum", "")]
)
def test_each_kind_has_its_mark_and_an_unknown_one_none(kind: str, mark: str) -> None:
    assert f"● {mark}thing" in "\n".join(lines(Scene().start().step("thing", kind=kind)))


@pytest.mark.parametrize(
    ("type_", "fields", "mark", "says"),
    [
        ("step.completed", {}, "✓", ""),
        ("step.failed", {"error": {"code": "e", "message": "no such file"}}, "✗", "no such file"),
        ("step.cancelled", {}, "⊘", "cancelled"),
        ("session.resumed", {}, "⊖", "interrupted"),
        ("session.lost", {}, "✗", "lost"),
    ],
)
def test_an_ended_step_tells_how(type_: str, fields: dict[str, Any], mark: str, says: str) -> None:
    scene = Scene().start().step("thing").tell(type_, step_id="thing", **fields)
    line = line_of(lines(scene), "thing")
    assert line.startswith(f"{mark} thing")
    assert says in line


def test_an_error_too_long_for_its_line_gets_one_of_its_own_where_there_is_room() -> None:
    error = {"code": "e", "message": "the answer did not come " * 3 + "in time"}
    scene = Scene().start().step("thing").tell("step.failed", step_id="thing", error=error)
    at = next(at for at, line in enumerate(lines(scene)) if "thing" in line)
    assert lines(scene)[at + 1].strip().startswith("the answer did not come")


def test_a_planned_step_that_never_began_is_skipped() -> None:
    found = lines(Scene().start("one", "two").tell("session.failed", error={"code": "e"}))
    assert line_of(found, "- one").split() == ["-", "one", "skipped"]


def test_finished_calls_are_a_number_beside_the_running_one() -> None:
    scene = crew(agents=1, calls=7)
    assert re.search("read_file +after 7 tool calls ", line_of(lines(scene), "read_file"))
    scene.tell("step.failed", step_id="reader 1 now", error={"code": "e", "message": "no"})
    assert "    ✓ 8 tool calls, 1 failed" in lines(scene)


def test_the_text_that_is_being_written_is_shown_by_its_end() -> None:
    scene = Scene().start().step("writer", kind="agent")
    for word in range(200):
        scene.tell("text.delta", message_id="m", step_id="writer", delta=f"word{word} ")
    found = lines(scene)
    assert line_of(found, "writer ──")
    assert line_of(found, "word199")
    assert not [line for line in found if "word1 " in line]


def test_two_texts_at_once_share_the_room() -> None:
    scene = Scene().start()
    for name in ("one", "two"):
        scene.tell("text.delta", message_id=name, role=name, delta=f"{name} begins\n" * 20)
    found = lines(scene)
    assert 3 <= found.count("one begins") <= found.count("two begins") + 1


def test_the_log_has_times_levels_and_counts_what_is_above() -> None:
    scene = Scene().start()
    for number_ in range(70):
        level = "warning" if number_ % 2 else "info"
        scene.tell("log.message", level=level, message=f"line {number_}")
    found = lines(scene)
    assert "12:00:00  warning  line 69" in found
    assert "12:00:00  info     line 68" in found
    shown = sum(1 for line in found if line.startswith("12:"))
    assert f"log  {70 - shown} earlier" in line_of(found, "log ")


def test_an_open_question_tells_how_it_is_answered_and_until_when() -> None:
    scene = (
        Scene()
        .start()
        .tell(
            "input.requested",
            request_id="rq_1",
            prompt="Publish?",
            schema={"type": "object", "properties": {"approved": {}, "comment": {}}},
            expires_at="2026-11-22T12:05:00.000Z",
        )
    )
    found = lines(scene)
    assert re.fullmatch(r"\? Publish\? +5 m 00 s left", line_of(found, "Publish?"))
    assert '{"value": {approved, comment}} to …/inputs/rq_1' in line_of(found, "POST")


def test_artifacts_usage_and_the_result_are_shown() -> None:
    scene = Scene().start()
    scene.tell("artifact.created", artifact_id="a", name="r.md", media_type="text/markdown")
    scene.tell("usage.reported", input_tokens=1200, output_tokens=30, cost=0.5, currency="USD")
    scene.tell("session.completed", result={"files": 3, "by": {"a": 1}})
    found = lines(scene)
    assert "↓ r.md  text/markdown" in found
    assert '{"files": 3, "by": {"a": 1}}' in found
    assert found[-1].endswith("1,200 tokens in, 30 out, 0.5 USD")


def test_a_large_result_says_how_much_of_it_is_not_shown() -> None:
    scene = Scene().start().tell("session.completed", result=list(range(500)))
    found = lines(scene)
    assert len(found) == 24
    assert re.search(r"… 4\d\d more lines", "\n".join(found))


def test_a_result_that_is_text_is_shown_as_text() -> None:
    found = lines(Scene().start().tell("session.completed", result="# Title\n\nbody"))
    assert found[-5:-2] == ["# Title", "", "body"]


def test_a_result_that_is_only_announced_says_where_it_is() -> None:
    found = lines(Scene().start().tell("session.completed", result_bytes=20_000))
    assert "20,000 bytes, at …/result" in found


def test_a_failure_tells_its_code_and_its_words() -> None:
    error = {"code": "timeout", "message": "No answer.", "retryable": True}
    found = lines(Scene().start().tell("session.failed", error=error))
    assert line_of(found, "error  timeout, can be tried again")
    assert "No answer." in found


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        (Connection(state="idle"), "○ not connected yet"),
        (Connection(state="connecting"), "○ connecting"),
        (Connection(state="replaying", transport="sse"), "○ catching up by SSE"),
        (LIVE, "● live by WebSocket"),
        (
            Connection(state="reconnecting", retry_in=2.2, reason="refused"),
            "○ reconnecting in 3 s: refused",
        ),
        (Connection(state="reconnecting", reason="refused"), "○ reconnecting now: refused"),
        (Connection(state="ended"), "✓ the session has ended"),
        (Connection(state="gave_up", reason="gone"), "✗ gave up: gone"),
        (Connection(state="levitating"), "○ levitating"),
    ],
)
def test_the_last_line_tells_the_connection(connection: Connection, line: str) -> None:
    assert lines(crew(), connection)[-1] == line


def test_who_gave_up_is_told_what_to_do_and_that_the_state_is_old() -> None:
    found = lines(crew(), Connection(state="gave_up", reason="gone", advice="Ask again."))
    assert found[-2:] == ["✗ gave up: gone", "  Ask again."]
    assert "running when last seen" in found[0]


# What gives way


def large(steps: int = 500) -> Scene:
    scene = Scene().start()
    for number_ in range(steps // 10):
        scene.step(f"phase {number_}")
        for child in range(9):
            scene.step(f"{number_}.{child}", f"phase {number_}", "agent")
        if number_ < steps // 10 - 1:
            scene.done(*(f"{number_}.{child}" for child in range(9)), f"phase {number_}")
    scene.tell("log.message", message="still here")
    return scene


@pytest.mark.parametrize("height", [1, 2, 3, 8, 12, 24, 40, 100])
@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_five_hundred_steps_fit_every_terminal(width: int, height: int) -> None:
    found = lines(large(), width=width, height=height)
    assert len(found) <= height
    assert max(map(cell_len, found)) <= width


def test_finished_branches_fold_before_anything_else_gives_way() -> None:
    found = lines(large(), height=70)
    assert line_of(found, "✓ phase 0 ").split()[3:5] == ["9", "agents"]
    assert line_of(found, "● phase 49")
    assert sum(line.startswith("  ● ◆ 49.") for line in found) == 9
    assert line_of(found, "still here")


def test_what_was_finished_last_folds_last() -> None:
    found = lines(large(40), height=44)
    assert "9 agents" in line_of(found, "phase 0")
    assert "9 agents" not in line_of(found, "phase 2")


def test_finished_siblings_become_a_number_when_there_are_too_many() -> None:
    found = lines(large(), height=24)
    assert line_of(found, "✓ 49 phases, 441 agents")
    assert sum(line.startswith("  ● ◆ 49.") for line in found) == 9


def test_planned_steps_become_a_number_before_running_ones_go() -> None:
    scene = Scene().start(*(f"phase {number_}" for number_ in range(30)))
    for number_ in range(9):
        scene.step(f"plan.{number_}", name=f"phase {number_}")
    found = lines(scene, height=20)
    assert "○ 21 planned" in found
    assert sum(line.startswith("● phase") for line in found) == 9


def test_too_many_running_steps_are_counted() -> None:
    scene = Scene().start()
    for number_ in range(100):
        scene.step(f"runner {number_}")
    found = lines(scene, height=24)
    shown = sum(line.startswith("● runner") for line in found)
    assert f"⋮ {100 - shown} more lines" in found
    assert len(found) <= 24


def test_a_low_terminal_keeps_the_head_and_the_connection() -> None:
    found = lines(crew(), height=4)
    assert found[0].startswith("● Market report")
    assert found[-1] == "● live by WebSocket"


def test_a_circle_of_parents_and_a_lost_parent_are_shown_at_the_top() -> None:
    scene = Scene().start().step("a", "b").step("b", "a").step("c", "nowhere").step("d", "d")
    found = lines(scene)
    for name in "abcd":
        assert line_of(found, f"● {name}")


def test_the_same_state_gives_the_same_lines() -> None:
    assert lines(crew(calls=9)) == lines(crew(calls=9))
