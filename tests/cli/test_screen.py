"""Drawing in place: what is written, and what is then seen on a terminal."""

from __future__ import annotations

import os

import anyio
import pytest
from rich.text import Text

from agentprogress.cli.terminal._connection import Connection
from agentprogress.cli.terminal._screen import Screen, Sight
from agentprogress.cli.terminal._view import View
from tests.cli.scenes import NOON, Scene

from .terminal import Surface


class Seen:
    """A screen on a surface of 20 columns and 8 lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm-256color")
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.screen = Screen()
        self.resize(20, 8)

    def resize(self, columns: int, lines: int) -> None:
        self._monkeypatch.setenv("COLUMNS", str(columns))
        self._monkeypatch.setenv("LINES", str(lines))
        self.surface = Surface(columns, lines)

    def draw(self, *lines: str) -> str:
        """Draws a frame and returns what was written."""
        self.screen.draw(Text("\n".join(lines)))
        return self.read()

    def read(self) -> str:
        written = self._capsys.readouterr().out
        self.surface.feed(written)
        return written

    @property
    def text(self) -> list[str]:
        return [line for line in self.surface.text if line]


@pytest.fixture
def seen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(capsys, monkeypatch)


def test_only_lines_that_changed_are_written_and_the_last(seen: Seen) -> None:
    seen.draw("one", "two", "three", "foot")
    written = seen.draw("one", "2", "three", "foot")
    assert seen.text == ["one", "2", "three", "foot"]
    assert "one" not in written
    assert "three" not in written


def test_a_shorter_frame_leaves_nothing_of_the_longer_one(seen: Seen) -> None:
    seen.draw("one", "two", "three", "four")
    seen.draw("one", "foot")
    assert seen.text == ["one", "foot"]
    seen.draw("one", "two", "foot")
    assert seen.text == ["one", "two", "foot"]


def test_what_keys_echo_at_its_end_is_gone_with_the_next_frame(seen: Seen) -> None:
    seen.draw("one", "foot")
    seen.surface.feed("^C")
    assert seen.text == ["one", "foot^C"]
    seen.draw("one", "foot")
    assert seen.text == ["one", "foot"]


def test_a_full_frame_does_not_scroll(seen: Seen) -> None:
    lines = ["x" * 20] * seen.screen.size.lines
    for _ in range(3):
        seen.draw(*lines)
    assert seen.text == lines
    assert seen.surface.scrolled == []


def test_a_line_that_is_said_stays_above_the_frame(seen: Seen) -> None:
    seen.draw("one", "foot")
    seen.screen.say("-- said")
    seen.draw("one", "foot")
    assert seen.text == ["-- said", "one", "foot"]


def test_in_a_narrower_terminal_the_wrapped_frame_is_taken_away(seen: Seen) -> None:
    seen.draw("x" * 20, "foot")
    seen.resize(10, 8)
    seen.surface.feed("x" * 10 + "\r\n" + "x" * 10 + "\r\nfoot")  # what the terminal makes of it
    seen.draw("y" * 10, "foot")
    assert seen.text == ["y" * 10, "foot"]


def test_the_cursor_is_hidden_while_there_is_a_screen_and_ends_below_it(seen: Seen) -> None:
    with seen.screen:
        seen.draw("one")
        assert seen.surface.hidden
    seen.read()
    assert not seen.surface.hidden
    seen.surface.feed("$ ")
    assert seen.surface.text[:2] == ["one", "$"]


@pytest.mark.anyio
async def test_what_happened_last_is_seen_at_the_end(seen: Seen) -> None:
    scene = Scene().start(title="First")

    def look(size: os.terminal_size) -> View:
        return View(
            snapshot=scene.snapshot,
            connection=Connection(state="live"),
            now=NOON,
            width=size.columns,
            height=size.lines,
        )

    sight = Sight(look)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sight.keep, seen.screen)
        await anyio.wait_all_tasks_blocked()
        scene.tell("session.started", attempt=1, title="Last")
        sight.change()
        tasks.cancel_scope.cancel()
    seen.read()
    assert "Last" in seen.text[0]
