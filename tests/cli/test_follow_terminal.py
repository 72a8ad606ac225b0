"""`agentprogress follow` in a terminal: the tree, drawn in place, and what is left of it."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from .following import FOLLOW, Server
from .programs import running
from .terminal import in_terminal

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.server,
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's"),
]


async def test_a_terminal_shows_the_tree_and_keeps_the_last_frame(server: Server) -> None:
    with ExitStack() as block:
        session = block.enter_context(server.registry.open(title="Report"))
        phase = session.phase("read", total=4)
        async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
            await terminal.shows("live by WebSocket")
            phase.advance(1, message="page one")
            found = await terminal.shows("page one")
            assert found[0].startswith("● Report")
            assert terminal.surface.hidden
            phase.complete()
            session.complete({"pages": 4})
            block.close()
            assert await terminal.exit_status() == 0
        found = terminal.surface.text
        assert found[0].startswith("✓ Report")
        assert '{"pages": 4}' in found
        assert "✓ the session has ended" in found
        assert terminal.surface.scrolled == []
        assert not terminal.surface.hidden


async def test_a_terminal_shows_a_result_that_is_only_announced(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        session.complete(["first", "x" * 30_000])
    async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
        assert await terminal.exit_status() == 0
    assert '  "first",' in terminal.surface.text


async def test_times_tick_while_nothing_happens(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
            first = await terminal.until(lambda lines: lines[0].startswith("● Report"))
            await terminal.until(lambda lines: lines[0] != first[0])
            assert terminal.surface.text[0].startswith("● Report")


async def test_more_than_a_screen_full_never_scrolls_it(server: Server) -> None:
    with ExitStack() as block:
        session = block.enter_context(server.registry.open(title="Report"))
        async with in_terminal([*FOLLOW, server.url(session.id)], columns=60, lines=12) as terminal:
            await terminal.shows("live")
            for number in range(40):
                session.agent(f"agent {number} 漢字" * 4).log("\x1b[2J\x1b[99A line\n" * 3)
                await session.flush()
            await terminal.shows("more lines")
            block.close()
            assert await terminal.exit_status() == 0
        assert terminal.surface.scrolled == []
        assert terminal.surface.text[0].startswith("✓ Report")


async def test_another_size_of_the_terminal_is_drawn_anew(server: Server) -> None:
    with ExitStack() as block:
        session = block.enter_context(server.registry.open(title="Report"))
        session.log("one")
        async with in_terminal(
            [*FOLLOW, server.url(session.id)], columns=120, lines=30
        ) as terminal:
            await terminal.until(lambda lines: any(line == "─" * 120 for line in lines))
            terminal.resize(70, 30)
            await terminal.until(lambda lines: any(line == "─" * 70 for line in lines))
            block.close()
            assert await terminal.exit_status() == 0


async def test_an_interrupt_in_a_terminal_gives_it_back(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
            await terminal.shows("Ctrl-C leaves")
            terminal.press(b"\x03")
            assert await terminal.exit_status() == 130
            assert not terminal.surface.hidden
            assert not any("Traceback" in line for line in terminal.surface.text)
        assert not session.cancel_requested


async def test_a_server_that_is_gone_is_waited_for_and_then_given_up() -> None:
    async with (
        running("cat") as job,
        in_terminal([*FOLLOW, job.url, "--max-attempts", "2"]) as terminal,
    ):
        await terminal.shows("live by WebSocket")
        job.process.kill()
        await terminal.shows("reconnecting")
        assert await terminal.exit_status() == 3
    found = terminal.surface.text
    assert any(line.startswith("✗ gave up: ") for line in found)
    assert "running when last seen" in found[0]


async def test_a_terminal_that_cannot_be_drawn_in_gets_lines(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        pass
    async with in_terminal([*FOLLOW, server.url(session.id)], TERM="dumb") as terminal:
        assert await terminal.exit_status() == 0
    assert any(line.endswith("started: Report") for line in terminal.surface.text)
