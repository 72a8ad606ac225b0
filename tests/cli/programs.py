"""The command line as a process, and followers of the session that it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

CLI = (sys.executable, "-W", "default", "-m", "agentprogress.cli")
# A test that waits for longer than this hangs; nothing here takes a tenth of it.
PATIENCE = 50
MAX_LINE_BYTES = 1 << 20


class Program:
    """A started command: what it prints, line by line, and its end."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = ""
        self._output = BufferedByteReceiveStream(process.stdout)
        assert process.stderr is not None
        self._errors = BufferedByteReceiveStream(process.stderr)

    async def line(self) -> str:
        """Returns the next line of its standard output."""
        line = await self._output.receive_until(b"\n", MAX_LINE_BYTES)
        return line.decode("utf-8", "replace")

    async def error_line(self) -> str:
        """Returns the next line of its standard error output."""
        line = await self._errors.receive_until(b"\n", MAX_LINE_BYTES)
        return line.decode("utf-8", "replace")

    async def lines_until(self, beginning: str) -> list[str]:
        """Returns the lines up to the first one that begins so."""
        lines = [await self.line()]
        while not lines[-1].startswith(beginning):
            lines.append(await self.line())
        return lines

    async def addresses(self) -> list[str]:
        """Reads what it prints first, and keeps the session's address in `url`."""
        lines = await self.lines_until("Result: ")
        self.url = lines[0].removeprefix("Watch: ").removesuffix("/view")
        return lines

    async def write(self, data: bytes) -> None:
        """Writes to its standard input, which a command under `run` has for its own."""
        assert self.process.stdin is not None
        await self.process.stdin.send(data)

    async def end_of_input(self) -> None:
        """Closes its standard input."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Sends a signal: Ctrl-C by default."""
        self.process.send_signal(number)

    async def rest(self) -> bytes:
        """Returns the rest of its standard output."""
        assert self.process.stdout is not None
        chunks = [chunk async for chunk in self.process.stdout]
        return b"".join([self._output.buffer, *chunks])

    async def errors(self) -> str:
        """Returns the rest of its standard error output."""
        assert self.process.stderr is not None
        chunks = [chunk async for chunk in self.process.stderr]
        return b"".join([self._errors.buffer, *chunks]).decode("utf-8", "replace")

    async def exit_status(self) -> int:
        """Waits for its end."""
        return await self.process.wait()


@asynccontextmanager
async def started(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Starts a program and leaves nothing of it behind. Its command ends with its input.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        env: variables that it has besides those of this process.
    """
    process = await anyio.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    with anyio.fail_after(PATIENCE):
        try:
            yield Program(process)
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()


@asynccontextmanager
async def running(*command: str, options: Sequence[str] = ()) -> AsyncIterator[Program]:
    """Starts ``agentprogress run`` on a free port and reads the addresses."""
    async with started([*CLI, "run", "--port", "0", *options, "--", *command]) as program:
        await program.addresses()
        yield program


@asynccontextmanager
async def demonstrating(*options: str) -> AsyncIterator[Program]:
    """Starts ``agentprogress demo`` on a free port and reads the addresses."""
    async with started([*CLI, "demo", "--port", "0", *options]) as program:
        await program.addresses()
        yield program


@asynccontextmanager
async def gateway(
    store: str, *options: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Starts ``agentprogress serve`` on a free port; `url` is where sessions are found."""
    words = [*CLI, "serve", "--store", store, "--port", "0", *options]
    async with started(words, env=env) as program:
        program.url = (await program.line()).rpartition(" at ")[2]
        yield program


@dataclass
class Story:
    """What one follower got."""

    frames: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events; their types are dotted."""
        return [frame for _, frame in self.frames if "." in frame["type"]]

    @property
    def types(self) -> list[str]:
        """The types of all frames."""
        return [frame["type"] for _, frame in self.frames]

    @property
    def messages(self) -> list[str]:
        """The texts of all log messages."""
        return [e["message"] for e in self.events if e["type"] == "log.message"]

    @property
    def end(self) -> dict[str, Any]:
        """The terminal event."""
        return self.events[-1]

    @property
    def seqs(self) -> list[int]:
        """The events' numbers."""
        return [event["seq"] for event in self.events]


def client() -> httpx2.AsyncClient:
    """Returns a client that waits as long as the test does."""
    return httpx2.AsyncClient(timeout=PATIENCE)


async def frames(
    url: str, last_event_id: str | None = None
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Follows by server-sent events: each frame with the id that the stream has reached."""
    headers = {} if last_event_id is None else {"last-event-id": last_event_id}
    async with client() as http, http.sse(f"{url}/events", headers=headers) as source:
        async for message in source:
            frame: Any = message.json()
            yield message.id, frame


async def follow(url: str, last_event_id: str | None = None) -> Story:
    """Follows to the end of the stream."""
    return Story([frame async for frame in frames(url, last_event_id)])


async def fetch(url: str) -> httpx2.Response:
    """Gets one answer."""
    async with client() as http:
        return await http.get(url)


def is_alive(pid: int) -> bool:
    """True while there is such a process, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_running(pid: int) -> bool:
    """True while there is such a process and, where that can be seen, it is no zombie.

    For those that others than their parent have to reap.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return (
            stat.read_text().rpartition(") ")[2][0] != "Z"
            if Path("/proc/self").exists()
            else is_alive(pid)
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
