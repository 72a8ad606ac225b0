"""`agentprogress follow` with a real server: a process where pipes or signals matter."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from agentprogress import SessionRegistry
from agentprogress._asgi import Message, Receive, Scope, Send
from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.asgi import ProgressApp
from agentprogress.cli import main
from agentprogress.settings import Settings
from tests.http.peers import serving

from .following import FOLLOW, Server, refused
from .programs import PATIENCE, running, started

pytestmark = [pytest.mark.anyio, pytest.mark.server]
posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")

Followed = Callable[..., Awaitable[tuple[int, list[str], str]]]


@pytest.fixture
def followed(capfd: pytest.CaptureFixture[str]) -> Followed:
    """Follows to the end, beside the server: exit status, lines, errors."""

    def follow(arguments: Sequence[str]) -> int:
        try:
            return main(["follow", *arguments])
        except SystemExit as exited:
            return exited.code if isinstance(exited.code, int) else -1

    async def follow_beside(*arguments: str) -> tuple[int, list[str], str]:
        with anyio.fail_after(PATIENCE):
            status = await anyio.to_thread.run_sync(follow, arguments, abandon_on_cancel=True)
        output, errors = capfd.readouterr()
        return status, output.splitlines(), errors

    return follow_beside


# Outcomes


async def test_a_session_that_completes_is_told_in_lines_with_its_result(
    server: Server, followed: Followed
) -> None:
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
    server: Server, after: int | None, followed: Followed
) -> None:
    with server.registry.open() as session:
        session.complete({"pages": ["x" * 30_000, "last"]})
    cursor = [] if after is None else ["--after", f"{session.snapshot().epoch}-{after}"]
    status, lines, errors = await followed(server.url(session.id), *cursor)
    assert (status, errors) == (0, "")
    assert "bytes and is at" not in "".join(lines)
    assert '    "last"' in lines
    assert lines[-1] == f"-- the result has 30,021 bytes: curl {server.url(session.id)}/result"


async def test_the_exit_status_is_the_outcome(server: Server, followed: Followed) -> None:
    with pytest.raises(ValueError, match="no"), server.registry.open() as failed:
        raise ValueError("no")
    reserved = [(await server.registry.reserve())["session_id"] for _ in range(2)]
    server.registry.cancel(reserved[0])
    assert (await followed(server.url(failed.id)))[0] == 1
    assert (await followed(server.url(reserved[0])))[0] == 2
    assert (await followed(server.url("s_unknown"), "--max-attempts", "1"))[0] == 3
    assert (await followed(refused(), "--max-attempts", "1"))[0] == 3


async def test_who_could_not_follow_is_told_why_and_what_to_do(followed: Followed) -> None:
    status, lines, errors = await followed(refused(), "--max-attempts", "1")
    assert (status, [line for line in lines if not line.startswith("-- ")]) == (3, [])
    assert errors.startswith("agentprogress: gave up: ")
    assert "Is the server running" in errors
    assert "Traceback" not in errors


# What is printed


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll"])
async def test_json_is_every_event_once_by_every_transport(
    server: Server, transport: str, followed: Followed
) -> None:
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


async def test_it_goes_on_after_a_cursor(server: Server, followed: Followed) -> None:
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


@dataclass
class Answered:
    """Serves an application, and knows when a client has answered its second heartbeat."""

    app: ProgressApp
    twice: anyio.Event = field(default_factory=anyio.Event)
    pongs: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched() -> Message:
            message = await receive()
            self.pongs += '"pong"' in (message.get("text") or "")
            if self.pongs == 2:
                self.twice.set()
            return message

        await self.app(scope, watched, send)


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The end of a pipe that is written to; nobody reads it, and nothing more goes in."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, b"." * size):
                pass
    os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


@posix
async def test_a_reader_that_stops_costs_neither_the_connection_nor_ctrl_c(full_pipe: int) -> None:
    registry = SessionRegistry(Settings(heartbeat_interval=1))
    app = Answered(ProgressApp(registry, allow_anyone))
    with anyio.fail_after(PATIENCE):
        async with serving(app) as address:
            with registry.open() as session:
                command = [*FOLLOW, f"{address}/sessions/{session.id}"]
                async with await anyio.open_process(command, stdout=full_pipe) as process:
                    await app.twice.wait()
                    process.send_signal(signal.SIGINT)
                    assert await process.wait() == 130


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
async def test_misuse_is_status_2_with_a_sentence(
    arguments: list[str], words: str, followed: Followed
) -> None:
    status, lines, errors = await followed(*arguments)
    assert (status, lines) == (2, [])
    assert "usage: agentprogress follow" in errors
    assert words in errors


async def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, followed: Followed
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
