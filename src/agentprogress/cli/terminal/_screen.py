"""Draws frames in place in a terminal, and when: on what happens, at least each second.

Only lines that have changed are written, in one write, so that nothing flickers; the frame stays
within the terminal, so that nothing scrolls; and no other screen is used, so that the last frame
stays where the command was typed.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from io import StringIO
from types import TracebackType
from typing import Self

import anyio
from rich.console import Console
from rich.text import Text

from .._output import forget_output
from ._view import View, render

__all__ = ["Screen", "Sight", "is_terminal"]

_FRAMES_PER_SECOND = 8
_TICK_SECONDS = 1.0
# For so many times as long as a frame took is rested after it, however much there is to draw.
_REST = 4

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Terminals that know it show what is between them at once; others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_ERASE_LINE, _ERASE_BELOW = "\x1b[2K", "\x1b[J"


def is_terminal() -> bool:
    """True when standard output is a terminal that frames can be drawn in."""
    console = Console()
    return sys.stdout.isatty() and not console.is_dumb_terminal and not console.legacy_windows


class Screen:
    """A frame in the terminal, from the line where the cursor stands downwards."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._cells: list[int] = []
        self._size = os.terminal_size((0, 0))

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines of the terminal, less the line that the cursor will end in."""
        found = Console().size
        return os.terminal_size((max(1, found.width), max(1, found.height - 1)))

    def __enter__(self) -> Self:
        _write(_HIDE_CURSOR)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _write(("\r\n" if self._lines else "") + _SHOW_CURSOR)

    def draw(self, frame: Text) -> None:
        """Shows a frame in the place of the last one."""
        size = self.size
        lines = _painted(frame, size.columns)
        kept = self._lines if size == self._size else []
        parts = [_BEGIN, "\r", _up(self._rows(size.columns) - 1), "" if kept else _ERASE_BELOW]
        for at, line in enumerate(lines):
            # The last line is written in any case: after it stands what keys have echoed.
            if at == len(lines) - 1 or at >= len(kept) or kept[at] != line:
                parts.append(_ERASE_LINE + line)
            if at < len(lines) - 1:
                parts.append("\r\n")
        if len(kept) > len(lines):
            parts += ["\r\n", _ERASE_BELOW, _up(1)]
        _write("".join([*parts, _END]))
        self._lines = lines
        self._cells = [line.cell_len for line in frame.split("\n", allow_blank=True)]
        self._size = size

    def say(self, line: str) -> None:
        """Writes a line above the frame, where it stays."""
        _write("".join(["\r", _up(self._rows(self.size.columns) - 1), _ERASE_BELOW, line, "\r\n"]))
        self._lines, self._cells = [], []

    def _rows(self, columns: int) -> int:
        """Returns how many rows the last frame takes now: a narrower terminal has wrapped it."""
        return sum(max(1, math.ceil(cells / columns)) for cells in self._cells) or 1


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows > 0 else ""


def _painted(frame: Text, width: int) -> list[str]:
    """Returns the lines as the terminal gets them, each with its own colours."""
    console = Console(width=width, file=StringIO(), force_terminal=True)
    with console.capture() as captured:
        console.print(frame, end="", soft_wrap=True)
    return captured.get().split("\n")


def _write(data: str) -> None:
    try:
        sys.stdout.write(data)
        sys.stdout.flush()
    except OSError:  # the terminal has gone
        forget_output()


class Sight:
    """Keeps a screen up to date with what a function sees.

    Args:
        look: returns what is to be seen in a terminal of so many columns and lines.
    """

    def __init__(self, look: Callable[[os.terminal_size], View]) -> None:
        self._look = look
        self._changed = anyio.Event()

    def change(self) -> None:
        """Something has happened."""
        self._changed.set()

    async def keep(self, screen: Screen) -> None:
        """Draws until it is cancelled, and once more then."""
        try:
            while True:
                self._changed = anyio.Event()
                began = anyio.current_time()
                self._draw(screen)
                took = anyio.current_time() - began
                await anyio.sleep(max(1 / _FRAMES_PER_SECOND, took * _REST))
                with anyio.move_on_after(_TICK_SECONDS - 1 / _FRAMES_PER_SECOND):
                    await self._changed.wait()
        finally:
            self._draw(screen)

    def _draw(self, screen: Screen) -> None:
        screen.draw(render(self._look(screen.size)))
