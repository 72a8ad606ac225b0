"""`agentprogress run` as people use it: a real process, real signals, real HTTP."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
from pathlib import Path

import anyio
import httpx2
import pytest

from agentprogress import ProgressSession, SessionCancelled, SessionRegistry
from agentprogress.cli._run import Command

from .programs import CLI, Story, fetch, follow, frames, is_alive, is_running, running, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.server,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's"),
]

BOTH_OUTPUTS = 'echo out; read line; echo "err $line" >&2; read line; echo "out $line"'
# Prints its process id, then ignores the polite signal; ends with its input.
STUBBORN = "trap '' TERM INT; echo $$; while read line; do :; done"


async def test_the_lines_of_both_outputs_are_log_messages_of_the_commands_step() -> None:
    async with running("sh", "-c", BOTH_OUTPUTS) as program:
        live = frames(program.url)
        story = Story()
        async for frame in live:
            story.frames.append(frame)
            if frame[1]["type"] == "log.message":
                await program.write(b"again\n")
        assert story.messages == ["out", "err again", "out again"]
        logs = [event for event in story.events if event["type"] == "log.message"]
        assert [log.get("logger") for log in logs] == [None, "stderr", None]
        step = next(event for event in story.events if event["type"] == "step.started")
        assert step["name"] == "sh"
        assert step["input"]["command"] == ["sh", "-c", BOTH_OUTPUTS]
        assert {log["step_id"] for log in logs} == {step["step_id"]}
        assert story.types[-2:] == ["session.completed", "end"]
        assert story.end["result"]["exit_status"] == 0
        assert story.end["result"]["seconds"] > 0


async def test_whoever_comes_whenever_ends_with_the_same_story() -> None:
    async with running("cat") as program:
        early = frames(program.url)
        await anext(early)
        first = Story()
        stories = []
        async with anyio.create_task_group() as tasks:
            await program.write(b"one\ntwo\n")
            while first.messages[-1:] != ["two"]:
                first.frames.append(await anext(early))

            async def join() -> None:
                stories.append(await follow(program.url))

            tasks.start_soon(join)
            assert (await fetch(f"{program.url}/result")).status_code == 202
            await program.write(b"three\n")
            await program.end_of_input()
            first.frames += [frame async for frame in early]
        after = await follow(program.url)
        assert first.messages == ["one", "two", "three"]
        assert [first.events, first.events] == [stories[0].events, after.events]
        assert first.seqs == list(range(1, len(first.seqs) + 1))
        result = await fetch(f"{program.url}/result")
        assert result.status_code == 200
        assert result.json() == first.end["result"]


async def test_a_last_event_id_continues_exactly() -> None:
    async with running("seq", "100") as program:
        whole = await follow(program.url)
        ids = [(name, frame["seq"]) for name, frame in whole.frames if "." in frame["type"]]
        for name, seq in (ids[0], ids[40], ids[-2]):
            rest = await follow(program.url, last_event_id=name)
            assert rest.events == [event for event in whole.events if event["seq"] > seq]
            assert rest.frames[0][1]["resume"] == "exact"
            assert rest.types[-1] == "end"


async def test_what_the_command_prints_is_passed_on_unchanged() -> None:
    printed = b"caf\xe9\r\n\x1b[31mred\x1b[0m\0 50%\r100%\nno newline"
    async with running("cat", options=["--linger", "0"]) as program:
        await program.write(printed)
        await program.end_of_input()
        assert await program.rest() == printed
        assert await program.errors() == ""
        assert await program.exit_status() == 0


async def test_quiet_passes_nothing_on() -> None:
    async with running("echo", "hidden", options=["--quiet", "--linger", "0"]) as program:
        assert await program.rest() == b""
        assert await program.exit_status() == 0


async def test_bytes_that_are_not_utf_8_and_escape_sequences_harm_nobody() -> None:
    async with running("cat") as program:
        await program.write(b"caf\xe9\n\x1b[1mbold\x1b[0m\nnul\0nul\n\xff" * 3)
        await program.end_of_input()
        story = await follow(program.url)
    assert story.messages[:3] == ["caf\ufffd", "bold", "nulnul"]
    assert story.messages[-1] == "\ufffd"


async def test_a_line_that_is_redrawn_is_the_progress_message() -> None:
    async with running("cat") as program:
        seen: list[str] = []
        live = frames(program.url)
        async for _, frame in live:
            if frame["type"] == "step.started":
                await program.write(b"50%\r60%\r")
            elif frame["type"] == "step.progress":
                seen.append(frame["message"])
                if seen == ["60%"] or seen[-2:] == ["50%", "60%"]:
                    await program.write(b"100%\n")
                    await program.end_of_input()
        story = await follow(program.url)
    assert seen[-1] == "100%"
    assert story.messages == ["100%"]


async def test_an_unfinished_line_is_shown_while_the_command_waits() -> None:
    async with running("sh", "-c", 'printf "name? "; read name; echo "hello $name"') as program:
        live = frames(program.url)
        async for _, frame in live:
            if frame["type"] == "step.progress" and frame["message"] == "name?":
                await program.write(b"you\n")
        story = await follow(program.url)
    assert story.messages == ["name? hello you"]


async def test_a_fast_command_waits_for_those_who_follow_it() -> None:
    script = "read line; seq 25000"  # more than the history holds
    async with running("sh", "-c", script, options=["--quiet"]) as program:
        live = frames(program.url)
        await anext(live)
        await program.write(b"\n")
        story = Story([frame async for frame in live])
    assert story.messages == [str(number) for number in range(1, 25_001)]
    assert "gap" not in story.types


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_line_without_end_takes_no_memory() -> None:
    script = (
        "import sys\nprint('ready'); input()\nfor _ in range(800): sys.stdout.write('x' * 65536)"
    )
    async with running(sys.executable, "-c", script, options=["--quiet"]) as program:
        story = Story()
        before = 0
        async for frame in frames(program.url):
            story.frames.append(frame)
            if story.messages == ["ready"] and not before:
                before = _peak_bytes(program.process.pid)
                await program.write(b"\n")
        grown = _peak_bytes(program.process.pid) - before
    assert len(story.messages) == 2
    assert story.messages[1].endswith(f"x [{800 * 65536 - 8192:,} more bytes]")
    assert grown < 8 << 20


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_an_exit_status_is_the_error_and_passed_on() -> None:
    async with running("sh", "-c", "echo so; exit 3", options=["--linger", "60"]) as program:
        story = await follow(program.url)
        assert story.types[-2:] == ["session.failed", "end"]
        assert story.end["error"]["code"] == "exit_status"
        assert story.end["error"]["message"] == "sh exited with status 3."
        assert (await fetch(f"{program.url}/result")).status_code == 409
        program.interrupt()
        assert await program.exit_status() == 3


async def test_a_command_ended_by_a_signal_names_it() -> None:
    async with running("sh", "-c", "kill -KILL $$", options=["--linger", "60"]) as program:
        story = await follow(program.url)
        assert story.end["error"]["message"] == "sh was ended by SIGKILL."
        program.interrupt()
        assert await program.exit_status() == 128 + signal.SIGKILL


async def test_a_command_that_does_not_exist_is_told_and_not_waited_for() -> None:
    async with started([*CLI, "run", "--port", "0", "--", "no-such-command"]) as program:
        assert await program.exit_status() == 127
        assert "Cannot run 'no-such-command': command not found." in await program.errors()


async def test_followers_learn_that_a_command_cannot_be_started(tmp_path: Path) -> None:
    async with running(str(tmp_path), options=["--linger", "60"]) as program:
        story = await follow(program.url)
        assert story.end["error"]["code"] == "command_not_started"
        program.interrupt()
        assert await program.exit_status() == 126


async def test_linger_zero_exits_when_the_followers_have_been_told() -> None:
    async with running("cat", options=["--linger", "0"]) as program:
        live = frames(program.url)
        await anext(live)
        await program.write(b"last words\n")
        await program.end_of_input()
        story = Story([frame async for frame in live])
        assert story.messages == ["last words"]
        assert story.types[-2:] == ["session.completed", "end"]
        assert await program.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_command_and_the_page_is_told(number: signal.Signals) -> None:
    async with running("sh", "-c", "echo $$; cat") as program:
        live = frames(program.url)
        story = Story()
        began = 0.0
        async for frame in live:
            story.frames.append(frame)
            if story.messages and not began:
                began = anyio.current_time()
                program.interrupt(number)
        assert story.types[-2:] == ["session.cancelled", "end"]
        assert "cancel.requested" in story.types
        assert await program.exit_status() == 128 + number
        assert anyio.current_time() - began < 3
        assert not is_alive(int(story.messages[0]))
        assert await program.errors() == ""


async def test_a_follower_that_does_not_read_holds_nothing_up() -> None:
    async with running("sh", "-c", "seq 30000; cat", options=["--quiet"]) as program:
        address = httpx2.URL(program.url)
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stalled.connect((address.host, address.port))
            stalled.sendall(f"GET {address.path}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            began = 0.0
            async for _, frame in frames(program.url):
                if frame.get("message") == "30000":
                    began = anyio.current_time()
                    program.interrupt()
            assert await program.exit_status() == 128 + signal.SIGINT
            assert anyio.current_time() - began < 4


async def test_the_second_ctrl_c_is_at_once() -> None:
    async with running("sh", "-c", STUBBORN) as program:
        pid = 0
        async for _, frame in frames(program.url):
            if frame["type"] == "log.message":
                pid = int(frame["message"])
                program.interrupt()
            elif frame["type"] == "cancel.requested":
                break
        began = anyio.current_time()
        program.interrupt()
        assert await program.exit_status() == 128 + signal.SIGINT
        assert anyio.current_time() - began < 3
        assert not is_alive(pid)


async def test_the_second_ctrl_c_is_at_once_also_while_nobody_reads_the_output() -> None:
    async with running("sh", "-c", "exec yes $(printf %03000d 0)") as program:
        logs = 0
        async for _, frame in frames(program.url):
            logs += frame["type"] == "log.message"
            if frame["type"] == "cancel.requested":
                break
            if logs == 60:
                program.interrupt()
        program.interrupt()
        assert await program.exit_status() == 128 + signal.SIGINT


async def test_ctrl_c_after_the_end_leaves_the_commands_exit_status() -> None:
    async with running("true") as program:
        assert "until Ctrl-C" in await program.line()
        program.interrupt()
        assert await program.exit_status() == 0


async def test_what_a_command_leaves_running_does_not_keep_its_session_open() -> None:
    script = "exec 3<&0; cat <&3 & echo started"
    async with running("sh", "-c", script) as program:
        story = await follow(program.url)
        assert story.messages == ["started"]
        assert story.types[-2:] == ["session.completed", "end"]


async def test_output_that_nobody_reads_any_more_does_not_stop_the_command() -> None:
    script = "read line; seq 20000"
    words = [*CLI, "run", "--port", "0", "--linger", "0", "--", "sh", "-c", script]
    async with started(["sh", "-c", f"{shlex.join(words)} | head -n 3"]) as program:
        await program.addresses()
        live = frames(program.url)
        await anext(live)
        await program.write(b"\n")
        story = Story([frame async for frame in live])
        assert story.messages[-1] == "20000"
        assert story.end["type"] == "session.completed"
        assert await program.errors() == ""


async def test_a_cancel_kills_the_whole_group_when_it_ignores_being_asked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    script = "trap '' TERM; read line <>never & echo $!; read line <>never"
    command = Command(
        ["sh", "-c", f"cd {shlex.quote(str(tmp_path))}; {script}"], quiet=True, grace_seconds=0.1
    )
    registry = SessionRegistry()
    block = registry.open()
    session = block.__enter__()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_when_it_prints, registry, session)
        with pytest.raises(SessionCancelled) as cancelled:
            await command(session)
        block.__exit__(cancelled.type, cancelled.value, cancelled.tb)
    assert session.status == "cancelled"
    assert command.exit_status == 128 + signal.SIGKILL
    printed = session.snapshot().logs[0].message
    assert not is_running(int(printed))


async def _cancel_when_it_prints(registry: SessionRegistry, session: ProgressSession) -> None:
    async with registry.subscribe(session.id) as subscription:
        async for event in subscription.events():
            if event.type == "log.message":
                session.request_cancel("enough")
