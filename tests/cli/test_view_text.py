"""Text of others in the terminal view: nothing in it drives the terminal or leaves its line."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from agentprogress._core.jsonable import clean_text
from agentprogress.cli.terminal._plain import PlainLines
from agentprogress.cli.terminal._text import duration, number, pretty, safe_line, safe_lines
from agentprogress.cli.terminal._view import View, render
from agentprogress.snapshot import LogState, SessionSnapshot, Snapshot, StepState, Usage
from tests.cli.scenes import HOSTILE, LIVE, NOON, Scene, crew, line_of, lines
from tests.strategies import RUNS

SGR = re.compile(r"\x1b\[[0-9;]*m")


def painted(scene: Scene, width: int, height: int) -> str:
    return sent(scene.snapshot, scene.now, width, height)


def sent(snapshot: SessionSnapshot, now: datetime, width: int, height: int) -> str:
    """Returns what a terminal would be sent."""
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="truecolor", width=width, height=height
    )
    view = View(snapshot=snapshot, connection=LIVE, now=now, width=width, height=height)
    console.print(render(view))
    return file.getvalue()


@given(HOSTILE)
def test_a_safe_line_is_one_line_without_anything_that_acts(text: str) -> None:
    safe = safe_line(text)
    assert safe.isprintable() or not [c for c in safe if ord(c) < 32 or 0x7F <= ord(c) < 0xA0]
    assert not set(safe) & set("\u202e\u2066\u200b\u200d\ufe0f\u2028\ud800")
    safe.encode()


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("admin\u202egnp.exe", "admingnp.exe"),
        ("one\ntwo\r\nthree", "one two three"),
        ("\tindented", "    indented"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("a\ud800b", "a\ufffdb"),
        ("👩\u200d🚀", "👩🚀"),
        ("e" + "\u0301" * 9, "e" + "\u0301" * 4),
        ("漢字 é", "漢字 é"),
    ],
)
def test_what_acts_is_taken_out_and_the_rest_stays(raw: str, safe: str) -> None:
    assert safe_line(raw) == safe


# JSON brings no lone surrogate.
@given(HOSTILE.map(clean_text), st.integers(1, 130), st.integers(1, 40))
def test_no_text_drives_the_terminal_or_leaves_its_line(text: str, width: int, height: int) -> None:
    error = {"code": text, "message": text}
    scene = Scene().start(text, title=text).step("a", name=text, kind=text, total=3, unit=text)
    scene.step("b", "a", "tool", name=text).tell("step.failed", step_id="b", error=error)
    scene.step("c", "a", "agent", name=text).tell("step.progress", step_id="c", message=text)
    scene.tell("text.delta", message_id="m", delta=text, role=text, channel=text, step_id="c")
    scene.tell("log.message", level=text, message=text, logger=text, step_id="c")
    scene.tell("artifact.created", artifact_id="x", name=text, media_type=text, url=text)
    scene.tell("usage.reported", input_tokens=1, cost=1.5, currency=text)
    asked = {"type": text, "properties": {text: 1}}
    scene.tell("input.requested", request_id=text, prompt=text, schema=asked)
    check(painted(scene, width, height), width, height)
    ended = {"result": {text: [text]}} if width % 2 else {"result": text}
    check(painted(scene.tell("session.completed", **ended), width, height), width, height)


@given(RUNS, st.integers(1, 130), st.integers(1, 40))
def test_every_run_fits_and_ends_in_nothing_but_colour(
    run: list[dict[str, Any]], width: int, height: int
) -> None:
    scene = Scene()
    for wire in run:
        scene.tell(wire["type"], **{k: v for k, v in wire.items() if k != "type"})
    check(painted(scene, width, height), width, height)


FLOATS = st.one_of(st.none(), st.floats())
MOMENTS = st.one_of(st.none(), st.datetimes(), st.datetimes(timezones=st.just(UTC)))
WORDS = st.one_of(HOSTILE.map(clean_text), st.sampled_from(["running", "completed", "planned"]))
STEPS = st.builds(
    StepState,
    step_id=st.sampled_from("abcdef"),
    parent_id=st.sampled_from([None, *"abcdefg"]),
    kind=st.one_of(WORDS, st.sampled_from(["agent", "tool", "phase"])),
    name=WORDS,
    status=WORDS,
    current=FLOATS,
    total=FLOATS,
    progress=FLOATS,
    message=st.one_of(st.none(), WORDS),
    started_at=MOMENTS,
    ended_at=MOMENTS,
)
SNAPSHOTS = st.builds(
    SessionSnapshot,
    session_id=WORDS,
    epoch=WORDS,
    seq=st.integers(0),
    status=st.one_of(WORDS, st.sampled_from(["pending", "waiting", "failed"])),
    attempt=st.integers(),
    started_at=MOMENTS,
    ended_at=MOMENTS,
    progress=FLOATS,
    result=st.one_of(st.none(), WORDS, st.lists(WORDS)),
    result_bytes=st.one_of(st.none(), st.integers()),
    steps=st.lists(STEPS, max_size=8),
    logs=st.lists(st.builds(LogState, seq=st.just(1), time=MOMENTS, message=WORDS), max_size=3),
    usage=st.builds(
        Usage,
        input_tokens=st.integers(-(10**320), 10**320),
        costs=st.dictionaries(WORDS, st.floats(), max_size=2),
    ),
    omitted=st.dictionaries(st.sampled_from(["logs", "artifacts"]), st.floats()),
)


@given(SNAPSHOTS, st.integers(1, 130), st.integers(1, 40))
def test_a_snapshot_that_no_fold_would_make_fits_too(
    snapshot: SessionSnapshot, width: int, height: int
) -> None:
    check(sent(snapshot, NOON, width, height), width, height)
    PlainLines(UTC).lines(Snapshot(snapshot))


def check(output: str, width: int, height: int) -> None:
    plain = SGR.sub("", output)
    assert not [c for c in plain if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0)]
    found = plain.removesuffix("\n").split("\n")
    assert len(found) <= height
    assert max(map(cell_len, found)) <= width
    output.encode()


def test_wide_characters_are_counted_by_what_they_take() -> None:
    scene = Scene().start(title="市場調査レポート" * 10).step("読む" * 30, kind="agent").wait(3)
    found = lines(scene, width=60)
    assert all(cell_len(line) <= 60 for line in found)
    assert found[0].endswith(" running  3 s")
    assert line_of(found, "読む").endswith(" 3 s")


def test_without_colour_every_status_still_differs() -> None:
    shown = {
        lines(Scene().start().tell(type_, error={"code": "e"}, request_id="q"))[0]
        for type_ in ("session.completed", "session.failed", "session.cancelled", "session.waiting")
    }
    assert len(shown) == 4


def test_no_colour_is_sent_to_a_terminal_that_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output = painted(crew(), 80, 24)
    assert not re.search(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|4[0-7])m", output)


# Amounts


@pytest.mark.parametrize(
    ("length", "running", "words"),
    [
        (0, False, "0.0 s"),
        (3.44, False, "3.4 s"),
        (3.44, True, "3 s"),
        (-5, True, "0 s"),
        (59.9, False, "59 s"),
        (80, False, "1 m 20 s"),
        (7500, True, "2 h 05 m"),
        (3_600_000, True, "1,000 h 00 m"),
    ],
)
def test_durations(length: float, running: bool, words: str) -> None:
    assert duration(length, running=running) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1234567, "1,234,567"),
        (12_345_678, "12.3 M"),
        (0.04131, "0.0413"),
        (2.5, "2.50"),
        (1e308, "1e+308"),
        (float("nan"), "?"),
    ],
)
def test_amounts(value: float, words: str) -> None:
    assert number(value) == words


def test_json_for_people_stands_on_one_line_where_it_fits() -> None:
    assert pretty({"a": [1, 2]}, 40) == '{"a": [1, 2]}'
    assert safe_lines(pretty({"a": [1, 2], "b": "x" * 30}, 30)) == [
        "{",
        '  "a": [1, 2],',
        f'  "b": "{"x" * 30}"',
        "}",
    ]
