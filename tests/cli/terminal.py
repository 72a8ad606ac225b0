"""A terminal that a test looks at: a pseudo-terminal, and what would be seen on its screen."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Sequence

import anyio
from rich.cells import cell_len

from tests.cli.programs import PATIENCE

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
# Makes the terminal the one whose keys it gets as signals, and becomes the program.
_LEAD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_OPEN = re.compile(r"\x1b(?:\[[?0-9;]*)?\Z")


class Surface:
    """The cells of a terminal and its cursor; knows what the view uses, and refuses the rest.

    Attributes:
        scrolled: the lines that have left at the top.
        hidden: whether the cursor is.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.scrolled: list[str] = []
        self.hidden = False
        self._cells = [[" "] * columns for _ in range(lines)]
        self._x = self._y = 0
        self._waiting = ""

    @property
    def text(self) -> list[str]:
        """The lines as they are seen."""
        return ["".join(line).rstrip() for line in self._cells]

    def feed(self, data: str) -> None:
        """Takes what is written to the terminal."""
        data = self._waiting + data
        cut = _OPEN.search(data)
        self._waiting = data[cut.start() :] if cut else ""
        rest = data[: cut.start()] if cut else data
        while rest:
            found = _SEQUENCE.match(rest)
            if found:
                self._control(found[1], found[2])
                rest = rest[found.end() :]
            else:
                self._put(rest[0])
                rest = rest[1:]

    def _put(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._down()
        else:
            assert char.isprintable(), f"{char!r} reached the terminal"
            width = cell_len(char)
            if self._x + width > self.columns:
                self._x = 0
                self._down()
            if width:
                self._cells[self._y][self._x : self._x + width] = [char] + [""] * (width - 1)
            self._x += width

    def _down(self) -> None:
        if self._y + 1 < self.lines:
            self._y += 1
            return
        self.scrolled.append("".join(self._cells.pop(0)).rstrip())
        self._cells.append([" "] * self.columns)

    def _control(self, parameters: str, final: str) -> None:
        if final == "A":
            self._y = max(0, self._y - int(parameters or 1))
        elif (parameters, final) == ("2", "K"):
            self._cells[self._y] = [" "] * self.columns
        elif (parameters, final) == ("", "J"):
            self._cells[self._y][self._x :] = [" "] * max(0, self.columns - self._x)
            for below in range(self._y + 1, self.lines):
                self._cells[below] = [" "] * self.columns
        elif parameters == "?25":
            self.hidden = final == "l"
        else:
            assert final == "m" or parameters == "?2026", f"CSI {parameters}{final}"


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int, surface: Surface) -> None:
        self.process = process
        self.surface = surface
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    async def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Returns the lines as soon as they are as told, or the program has ended."""
        while not seen(self.surface.text) and await self._read():
            pass
        return self.surface.text

    async def shows(self, words: str) -> list[str]:
        """Waits for words on the screen."""
        found = await self.until(lambda lines: any(words in line for line in lines))
        assert any(words in line for line in found), found
        return found

    async def exit_status(self) -> int:
        """Reads to the end, and returns how the program ended."""
        while await self._read():
            pass
        return await anyio.to_thread.run_sync(self.process.wait)

    def press(self, keys: bytes) -> None:
        """Types."""
        os.write(self._descriptor, keys)

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size; what was there is gone, as when it is cleared."""
        _set_size(self._descriptor, columns, lines)

    async def _read(self) -> bool:
        await anyio.wait_readable(self._descriptor)
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.surface.feed(self._decoder.decode(data))
        return bool(data)


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@contextlib.asynccontextmanager
async def in_terminal(
    command: Sequence[str], *, columns: int = 80, lines: int = 24, **environment: str
) -> AsyncIterator[Terminal]:
    """Runs a program in a terminal of its own, which it leads, and leaves nothing of it behind."""
    descriptor, inner = pty.openpty()
    _set_size(descriptor, columns, lines)
    known = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "", **environment}
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-c", _LEAD, *command],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={name: value for name, value in known.items() if name not in ("COLUMNS", "LINES")},
        start_new_session=True,
    )
    os.close(inner)
    try:
        with anyio.fail_after(PATIENCE):
            yield Terminal(process, descriptor, Surface(columns, lines))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(descriptor)
