"""`agentprogress follow` as people use it: a real process that follows a real server."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentprogress import SessionRegistry
from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.asgi import ProgressApp
from tests.http.peers import serving

from .programs import CLI, running, started
from .terminal import in_terminal

pytestmark = [pytest.mark.anyio, pytest.mark.server]
posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")

FOLLOW = (*CLI, "follow")


class Server:
    """A server in this process, and the registry behind it."""

    def __init__(self, registry: SessionRegistry, address: str) -> None:
        self.registry = registry
        self.address = address

    def url(self, session_id: str) -> str:
        return f"{self.address}/sessions/{session_id}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    registry = SessionRegistry()
    async with serving(ProgressApp(registry, allow_anyone)) as address:
        yield Server(registry, address)


def refused() -> str:
    """Returns the address of a session where no server is."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/sessions/s_x"


async def followed(*arguments: str) -> tuple[int, list[str], str]:
    """Follows to the end: exit status, lines, errors."""
    async with started([*FOLLOW, *arguments]) as program:
        output = (await program.rest()).decode()
        return await program.exit_status(), output.splitlines(), await program.errors()


# Outcomes


async def test_a_session_that_completes_is_told_in_lines_with_its_result(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        with session.phase("read", total=2) as phase:
            phase.advance(2)
        session.complete({"pages": 2})
    status, lines, errors = await followed(server.url(session.id))
    assert (status, errors) == (0, "")
    told = [line[9:] for line in lines if line[2:3] == ":"]
    assert told[0] == "started: Report"
    assert told[1] == "phase read started"
    assert told[2].startswith("phase read 100 % (2/2)")
    assert told[-1].startswith("completed in ")
    assert lines[-1] == '{"pages": 2}'


@pytest.mark.parametrize("after", [None, 1])
async def test_a_result_that_is_only_announced_is_fetched(
    server: Server, after: int | None
) -> None:
    with server.registry.open() as session:
        session.complete({"pages": ["x" * 30_000, "last"]})
    cursor = [] if after is None else ["--after", f"{session.snapshot().epoch}-{after}"]
    status, lines, errors = await followed(server.url(session.id), *cursor)
    assert (status, errors) == (0, "")
    assert "bytes and is at" not in "".join(lines)
    assert '    "last"' in lines
    assert lines[-1] == f"-- the result has 30,022 bytes: curl {server.url(session.id)}/result"


async def test_the_exit_status_is_the_outcome(server: Server) -> None:
    with pytest.raises(ValueError, match="no"), server.registry.open() as failed:
        raise ValueError("no")
    reserved = [(await server.registry.reserve())["session_id"] for _ in range(2)]
    server.registry.cancel(reserved[0])
    assert (await followed(server.url(failed.id)))[0] == 1
    assert (await followed(server.url(reserved[0])))[0] == 2
    assert (await followed(server.url("s_unknown"), "--max-attempts", "1"))[0] == 3
    assert (await followed(refused(), "--max-attempts", "1"))[0] == 3


async def test_who_could_not_follow_is_told_why_and_what_to_do() -> None:
    status, lines, errors = await followed(refused(), "--max-attempts", "1")
    assert (status, [line for line in lines if not line.startswith("-- ")]) == (3, [])
    assert errors.startswith("agentprogress: gave up: ")
    assert "Is the server running" in errors
    assert "Traceback" not in errors


# What is printed


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll"])
async def test_json_is_every_event_once_by_every_transport(server: Server, transport: str) -> None:
    with server.registry.open() as session:
        for number in range(300):
            session.log(f"line {number}")
    status, lines, errors = await followed(
        server.url(session.id), "--json", "--transport", transport
    )
    events = [json.loads(line) for line in lines]
    assert (status, errors) == (0, "")
    assert [event["seq"] for event in events] == list(range(1, 303))
    assert events[0]["type"] == "session.started"
    assert events[-1]["type"] == "session.completed"


async def test_it_goes_on_after_a_cursor(server: Server) -> None:
    with server.registry.open() as session:
        session.log("one")
        session.log("two")
    cursor = f"{session.snapshot().epoch}-2"
    status, lines, _ = await followed(server.url(session.id), "--json", "--after", cursor)
    assert [json.loads(line)["seq"] for line in lines] == [3, 4]
    assert status == 0
    head = f"{session.snapshot().epoch}-4"
    assert await followed(server.url(session.id), "--json", "--after", head) == (0, [], "")


async def test_events_are_told_as_they_come() -> None:
    script = "read line; echo $line; read line"
    async with (
        running("sh", "-c", script) as job,
        started([*FOLLOW, f"{job.url}/view"]) as follower,
    ):
        await follower.lines_until("-- live")
        await job.write(b"hello\n")
        while not (await follower.line()).endswith(" hello"):
            pass
        await job.write(b"bye\n")
        assert await follower.exit_status() == 0


@posix
async def test_a_closed_pipe_ends_it_quietly(server: Server) -> None:
    with server.registry.open() as session:
        for number in range(900):
            session.log("x" * 200 + str(number))
    command = '"$@" | head -1; echo "${PIPESTATUS[*]}"'
    async with started(["bash", "-c", command, "-", *FOLLOW, server.url(session.id)]) as program:
        lines = (await program.rest()).decode().splitlines()
        assert lines[1:] == ["141 0"]
        assert await program.errors() == ""


@posix
async def test_a_closed_pipe_ends_it_also_while_the_server_is_away() -> None:
    command = '"$@" | head -1; echo "${PIPESTATUS[*]}"'
    async with started(["bash", "-c", command, "-", *FOLLOW, refused()]) as program:
        lines = (await program.rest()).decode().splitlines()
        assert lines[0].startswith("-- reconnecting")
        assert lines[1:] == ["141 0"]
        assert await program.errors() == ""


@posix
async def test_an_interrupt_is_at_once_also_while_nobody_reads(server: Server) -> None:
    with server.registry.open() as session:
        for _ in range(900):
            session.log("x" * 3000)
    async with started([*FOLLOW, server.url(session.id), "--json"]) as program:
        await program.line()
        program.interrupt()
        assert await program.exit_status() == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
async def test_a_full_disk_is_told_in_a_sentence(server: Server) -> None:
    with server.registry.open() as session:
        pass
    command = ["sh", "-c", 'exec "$@" >/dev/full', "-", *FOLLOW, server.url(session.id)]
    async with started(command) as program:
        assert await program.exit_status() == 3
        errors = await program.errors()
    assert errors == "agentprogress: cannot write: No space left on device\n"


@pytest.mark.parametrize("command", [("follow", "http://host/s"), ("run", "--watch", "--", "true")])
async def test_without_the_extra_it_says_what_to_install(command: tuple[str, ...]) -> None:
    without = "import sys; sys.modules['rich'] = None; sys.modules['rich.text'] = None; "
    program = f"{without}from agentprogress.cli import main; sys.exit(main({list(command)}))"
    async with started([sys.executable, "-c", program]) as missing:
        assert await missing.exit_status() in (1, 3)
        errors = await missing.errors()
    assert "pip install 'agentprogress[cli]'" in errors
    assert "Traceback" not in errors


@posix
async def test_an_interrupt_leaves_quietly_and_the_session_goes_on(server: Server) -> None:
    with server.registry.open() as session:
        async with started([*FOLLOW, server.url(session.id)]) as program:
            await program.lines_until("-- live")
            program.interrupt()
            assert await program.exit_status() == 130
            assert await program.errors() == ""
        assert not session.cancel_requested


# Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://host/sessions/s_1"], "must begin with http://"),
        (["http://u:p@host/sessions/s_1"], "pass a token"),
        (["http://host/s", "--transport", "pigeon"], "invalid choice"),
        (["http://host/s", "--max-attempts", "0"], "--max-attempts"),
        (["http://host/s", "--token-file", "/nowhere"], "cannot read '/nowhere'"),
        (["http://host/s", "--ca", "/nowhere"], "no certificates in '/nowhere'"),
        ([], "URL"),
    ],
)
async def test_misuse_is_status_2_with_a_sentence(arguments: list[str], words: str) -> None:
    status, lines, errors = await followed(*arguments)
    assert (status, lines) == (2, [])
    assert "usage: agentprogress follow" in errors
    assert words in errors


async def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authorize(request: AccessRequest) -> Access | None:
        known = request.connection.bearer == "secret-7"
        return Access(principal="ann", actions=frozenset({"follow"})) if known else None

    registry = SessionRegistry()
    async with serving(ProgressApp(registry, authorize)) as address:
        with registry.open() as session:
            pass
        url = f"{address}/sessions/{session.id}"
        (tmp_path / "token").write_text("secret-7\n")
        assert (await followed(url, "--token-file", str(tmp_path / "token")))[0] == 0
        status, _, errors = await followed(url)
        assert status == 3
        assert "gave up" in errors
        monkeypatch.setenv("AGENTPROGRESS_TOKEN", "secret-7")
        assert (await followed(url))[0] == 0


# In a terminal


@posix
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


@posix
async def test_a_terminal_shows_a_result_that_is_only_announced(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        session.complete(["first", "x" * 30_000])
    async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
        assert await terminal.exit_status() == 0
    assert '  "first",' in terminal.surface.text


@posix
async def test_times_tick_while_nothing_happens(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
            first = await terminal.until(lambda lines: lines[0].startswith("● Report"))
            await terminal.until(lambda lines: lines[0] != first[0])
            assert terminal.surface.text[0].startswith("● Report")


@posix
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


@posix
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


@posix
async def test_an_interrupt_in_a_terminal_gives_it_back(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        async with in_terminal([*FOLLOW, server.url(session.id)]) as terminal:
            await terminal.shows("Ctrl-C leaves")
            terminal.press(b"\x03")
            assert await terminal.exit_status() == 130
            assert not terminal.surface.hidden
            assert not any("Traceback" in line for line in terminal.surface.text)
        assert not session.cancel_requested


@posix
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


@posix
async def test_a_terminal_that_cannot_be_drawn_in_gets_lines(server: Server) -> None:
    with server.registry.open(title="Report") as session:
        pass
    async with in_terminal([*FOLLOW, server.url(session.id)], TERM="dumb") as terminal:
        assert await terminal.exit_status() == 0
    assert any(line.endswith("started: Report") for line in terminal.surface.text)
