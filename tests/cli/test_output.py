"""Writing for a reader that stops or goes."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from io import TextIOWrapper

import anyio
import anyio.to_thread
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from agentprogress.cli._output import Pen, Printer, until_unread

from .programs import CLI

pytestmark = pytest.mark.anyio
# More than any pipe holds.
MUCH = b"x" * (4 << 20)


class Pipe:
    """A pipe, of which a test reads as much as it likes."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._is_open = True

    def close_reader(self) -> None:
        if self._is_open:
            os.close(self.reader)
        self._is_open = False

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.reader, size - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    found = Pipe()
    yield found
    found.close_reader()
    os.close(found.writer)


async def test_a_reader_that_stops_holds_up_nobody_else(pipe: Pipe) -> None:
    with Pen(pipe.writer) as pen:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pen.write, MUCH)
            await wait_all_tasks_blocked()
            assert await anyio.to_thread.run_sync(pipe.read, len(MUCH)) == MUCH


async def test_what_is_written_by_several_comes_whole_and_in_order(pipe: Pipe) -> None:
    with Pen(pipe.writer) as pen:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pen.write, MUCH)
            await wait_all_tasks_blocked()
            tasks.start_soon(pen.write, b"after")
            told = await anyio.to_thread.run_sync(pipe.read, len(MUCH) + 5)
            assert told[-6:] == b"xafter"


async def test_who_waits_for_a_reader_can_be_cancelled_and_nothing_waits_at_the_exit(
    pipe: Pipe,
) -> None:
    with Pen(pipe.writer) as pen:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pen.write, MUCH)
            await wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    [thread] = [each for each in threading.enumerate() if each.name == "agentprogress output"]
    assert thread.daemon
    pipe.close_reader()
    thread.join()


async def test_a_reader_that_has_gone_is_told_once(pipe: Pipe) -> None:
    told: list[str] = []
    with Pen(pipe.writer) as pen, TextIOWrapper(os.fdopen(os.dup(pipe.writer), "wb")) as stream:
        printer = Printer(stream, pen, lambda: told.append("broken"))
        pipe.close_reader()
        await printer.print(["one"])
        await printer.print(["two"])
    assert told == ["broken"]
    assert isinstance(printer.broken, BrokenPipeError)


async def test_a_reader_that_goes_while_nothing_is_written_is_noticed(pipe: Pipe) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(until_unread, pipe.writer)
        await wait_all_tasks_blocked()
        pipe.close_reader()


async def test_lines_of_code_that_may_not_wait_come_first_and_are_bounded(pipe: Pipe) -> None:
    with Pen(pipe.writer) as pen, TextIOWrapper(os.fdopen(os.dup(pipe.writer), "wb")) as stream:
        printer = Printer(stream, pen, on_broken=lambda: None)
        for number in range(1000):
            printer.add(f"note {number}")
        await printer.print(["line"])
    lines = os.read(pipe.reader, 1 << 16).decode().splitlines()
    assert lines == [*(f"note {number}" for number in range(900, 1000)), "line"]


async def test_what_is_added_is_written_without_being_asked_for(pipe: Pipe) -> None:
    with Pen(pipe.writer) as pen, TextIOWrapper(os.fdopen(os.dup(pipe.writer), "wb")) as stream:
        printer = Printer(stream, pen, on_broken=lambda: None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(printer.keep)
            for line in ("one", "two"):
                printer.add(line)
                await checkpoint()
                read = await anyio.to_thread.run_sync(pipe.read, len(line) + 1)
                assert read == f"{line}\n".encode()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_without_its_streams_still_has_its_exit_status(closed: str) -> None:
    run = (*CLI, "run", "--port", "0", "--linger", "0", "--", "sh", "-c", "exit 3")
    line = f"exec {shlex.join(run)} {closed}"
    assert subprocess.run(["sh", "-c", line], check=False, timeout=30).returncode == 3
