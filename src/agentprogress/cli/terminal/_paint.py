"""Strokes of the terminal view: pieces of one line, measured in cells and never wider than told.

Only `rich.text.Text` is used, no markup is parsed. Colours are the terminal's own sixteen, never a
background; what is secondary is dim in the terminal's own colour, so that it can be read on any.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells
from rich.text import Text

__all__ = ["ACCENT", "BAD", "DIM", "GOOD", "WARN", "bar", "fit", "heading", "ink", "spread", "wrap"]

ACCENT = "bright_blue"
GOOD = "green"
BAD = "red"
WARN = "yellow"
DIM = "dim"

_HALF = 0.5


def ink(text: str, style: str = "") -> Text:
    """Returns a piece whose style ends with it: what is appended has its own."""
    return Text().append(text, style)


def fit(text: Text, width: int) -> Text:
    """Cuts a line to its room, in place, and returns it; what is cut ends in an ellipsis."""
    if width <= 0:
        return Text()
    text.truncate(width, overflow="ellipsis")
    return text


def spread(left: Text, right: Text, width: int) -> Text:
    """Returns a line with a part at either end; the left one gives way."""
    right = fit(right, width)
    room = width - right.cell_len
    if not right.cell_len:
        return fit(left, width)
    line = fit(left, max(0, room - 2))
    line.append(" " * (width - line.cell_len - right.cell_len))
    return line.append_text(right)


def bar(share: float, width: int, style: str) -> Text:
    """Returns a bar. What is done is a heavy line, so that it shows without any colour."""
    share = min(1.0, max(0.0, share))
    done = share * width
    whole = int(done)
    half = whole < width and done - whole >= _HALF
    # Neither empty once something has been done, nor full before all has.
    if share > 0 and whole == 0:
        half = True
    if share < 1 and whole == width:
        whole, half = width - 1, True
    text = Text()
    text.append("━" * whole + "╸" * half, style)
    return text.append("─" * (width - whole - half), DIM)


def heading(words: Text, width: int) -> Text:
    """Returns the line that a part of the view begins with."""
    line = fit(words.copy(), max(0, width - 3))
    line.append(" ")
    return line.append("─" * max(0, width - line.cell_len), DIM)


def wrap(line: str, width: int) -> Iterator[str]:
    """Gives a line in pieces that fit, cut between words where that can be."""
    room = max(1, width)
    piece: str | None = None
    used = 0
    for word in line.split(" "):
        rest, size = word, cell_len(word)
        if piece is not None and used + 1 + size <= room:
            piece, used = f"{piece} {rest}", used + 1 + size
            continue
        if piece is not None:
            yield piece
        if size > room:
            *whole, rest = chop_cells(word, room) or [""]
            yield from whole
        piece, used = rest, cell_len(rest)
    yield piece or ""
