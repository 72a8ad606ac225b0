"""Splits a command's output into lines, in bounded memory, and cleans them for people.

Pure. What comes out is the same however the bytes are cut into chunks.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_LINE_BYTES", "Line", "LineSplitter", "clean_line"]

MAX_LINE_BYTES = 8 * 1024

# Several returns before a newline are what a \r\n becomes on its way through a terminal.
# It begins with a set of characters because that is searched for several times faster.
_BREAK = re.compile(rb"[\r\n](?:(?<=\r)\r*\n?)?")

# ECMA-48: control strings up to their terminator (OSC also ends with BEL), control sequences, and
# the short escapes. The last alternative takes a sequence that a cut has left without its end.
_ANSI = re.compile(
    r"\x1b[PX^_][^\x1b]*\x1b\\"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
    r"|(?:\x1b[P\[\]X^_]|\x9b)[^\x1b\n]*\Z"
    r"|\x1b"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output.

    Attributes:
        text: decoded, as it came: bytes that are no UTF-8 are U+FFFD.
        redrawn: True when a carriage return ended it: the next line takes its place.
        cut_bytes: how many bytes are missing from its end.
    """

    text: str
    redrawn: bool = False
    cut_bytes: int = 0


class LineSplitter:
    """Turns chunks of bytes into lines. Holds one line of at most `max_line_bytes`.

    Args:
        max_line_bytes: of a longer line the beginning is kept and the rest only counted.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._kept = bytearray()
        self._cut_bytes = 0
        self._returned = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Takes a chunk and gives the lines that end in it. Exhaust it before the next call."""
        if self._returned:
            data = b"\r" + data
        # What a return means shows in the byte after it.
        whole = data.rstrip(b"\r")
        self._returned = len(whole) < len(data)
        start = 0
        for found in _BREAK.finditer(whole):
            self._keep(whole, start, found.start())
            start = found.end()
            yield self._take(redrawn=whole[start - 1] != ord("\n"))
        self._keep(whole, start, len(whole))

    def finish(self) -> Line | None:
        """Gives the line that the output ended in, if it ended in one."""
        self._returned = False
        return self._take(redrawn=False) if self._kept else None

    @property
    def open_line(self) -> Line | None:
        """The line that has begun and not ended, as a terminal would show it now."""
        return self._line(redrawn=False) if self._kept else None

    def _keep(self, data: bytes, start: int, end: int) -> None:
        room = self._max_line_bytes - len(self._kept)
        stop = min(end, start + room)
        self._kept += data[start:stop]
        self._cut_bytes += end - stop

    def _take(self, *, redrawn: bool) -> Line:
        line = self._line(redrawn=redrawn)
        self._kept.clear()
        self._cut_bytes = 0
        return line

    def _line(self, *, redrawn: bool) -> Line:
        if not self._cut_bytes:
            return Line(self._kept.decode("utf-8", "replace"), redrawn)
        # A code point that the cut goes through belongs to what is missing.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(bytes(self._kept))
        broken, _ = decoder.getstate()
        return Line(text, redrawn, self._cut_bytes + len(broken))


def clean_line(text: str) -> str:
    """Returns a line without escape sequences, control characters and trailing space."""
    return _CONTROLS.sub("", _ANSI.sub("", text)).rstrip()
