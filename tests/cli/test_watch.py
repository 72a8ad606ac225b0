"""`agentprogress run --watch`: the session of a command in the terminal that it runs in."""

from __future__ import annotations

import sys

import pytest

from .programs import CLI, is_running, started
from .terminal import Terminal, in_terminal

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.server,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's"),
]

WATCH = (*CLI, "run", "--port", "0", "--watch", "--linger", "0", "--title", "Job", "--")


def after(terminal: Terminal, words: str) -> list[str]:
    """Returns the lines of the screen from the one that has the words on."""
    found = terminal.surface.text
    at = next(at for at, line in enumerate(found) if words in line)
    return found[at:]


async def test_the_commands_output_is_the_log_of_what_is_shown() -> None:
    script = r"printf 'one\n\033[2J\033[1;31mtwo\033[0m\n'; echo err >&2; exec cat"
    async with in_terminal([*WATCH, "sh", "-c", f"({script}) </dev/null"]) as terminal:
        assert await terminal.exit_status() == 0
    found = after(terminal, "✓ Job")
    assert found[0].rpartition("completed")[1]
    logs = [line.split("  ", 1)[1].strip() for line in found if line[2:3] == ":"]
    assert sorted(logs) == ["err", "one", "two"]
    assert terminal.surface.text[0].startswith("Watch: http://127.0.0.1:")
    assert terminal.surface.scrolled == []
    assert not terminal.surface.hidden


async def test_the_exit_status_is_the_commands() -> None:
    async with in_terminal([*WATCH, "sh", "-c", "exit 7"]) as terminal:
        assert await terminal.exit_status() == 7
    assert any("sh exited with status 7" in line for line in after(terminal, "✗ Job"))


async def test_a_command_that_is_not_there_is_the_sessions_error() -> None:
    async with in_terminal([*WATCH, "no-such-command"]) as terminal:
        assert await terminal.exit_status() == 127
    found = after(terminal, "✗ Job")
    assert any("command not found" in line for line in found)
    assert not any(line.startswith("agentprogress: ") for line in terminal.surface.text)


async def test_an_interrupt_stops_the_command_and_gives_the_terminal_back() -> None:
    async with in_terminal([*WATCH, "sh", "-c", "echo pid $$; exec sleep 1000"]) as terminal:
        found = await terminal.shows("pid ")
        pid = int(next(line for line in found if "pid " in line).rpartition(" ")[2])
        await terminal.shows("Ctrl-C stops it")
        terminal.press(b"\x03")
        assert await terminal.exit_status() == 130
    assert after(terminal, "⊘ Job")
    assert not terminal.surface.hidden
    assert not is_running(pid)


async def test_it_stays_when_it_is_to_stay() -> None:
    staying = [word for word in WATCH if word not in ("--linger", "0")]
    staying.insert(staying.index("--port") + 1, "0")
    async with in_terminal([*staying, "true"]) as terminal:
        await terminal.shows("The session is completed and stays here until Ctrl-C.")
        assert after(terminal, "✓ Job")[-1] == ""
        terminal.press(b"\x03")
        assert await terminal.exit_status() == 0


async def test_without_a_terminal_there_is_a_line_for_what_happens() -> None:
    async with started([*WATCH, "sh", "-c", "echo hello; exit 3"]) as program:
        lines = (await program.rest()).decode().splitlines()
        assert await program.exit_status() == 3
        assert await program.errors() == ""
    assert lines[0].startswith("Watch: ")
    told = [line[9:] for line in lines if line[2:3] == ":"]
    assert told[:3] == ["started: Job", "step sh started", "hello"]
    assert told[-1].startswith("failed in ")


async def test_a_reader_that_goes_does_not_end_the_command() -> None:
    script = '"$@" sh -c "echo one; echo two; exit 5" | head -1; echo "${PIPESTATUS[*]}"'
    async with started(["bash", "-c", script, "-", *WATCH]) as program:
        lines = (await program.rest()).decode().splitlines()
        assert lines[-1] == "5 0"
        assert await program.errors() == ""
