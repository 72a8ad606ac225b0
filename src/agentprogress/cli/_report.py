"""The demonstration's report: figures in, Markdown and a result out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ._measure import COPY_LINES, Copied, Function

__all__ = ["Figures", "write_report"]

# So that the report stays an artifact that can travel as data.
_ROWS = 5
_MAX_CELL_CHARS = 80
_MAX_PATH_CHARS = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the crew found out.

    Attributes:
        name: of the folder.
        found: files in it.
        read: files of text that were read.
        unread: the others, counted by reason.
        lines: for each suffix.
        blank: empty lines.
        functions: of the Python files, with their paths, the longest first.
        classes: of the Python files.
        imported: how many files import a module.
        markers: path and line of each line that is marked as to do.
        copies: the longest first.
    """

    name: str
    found: int
    read: int
    unread: Counter[str]
    lines: Counter[str]
    blank: int
    functions: Sequence[tuple[Function, str]]
    classes: int
    imported: Counter[str]
    markers: Sequence[tuple[str, int]]
    copies: Sequence[Copied]

    def summary(self) -> dict[str, Any]:
        """Returns the figures as the session's result."""
        longest = self.functions[0] if self.functions else None
        return {
            "files": self.found,
            "read": self.read,
            "not_read": dict(self.unread),
            "lines": self.lines.total(),
            "blank_lines": self.blank,
            "lines_by_suffix": dict(self.lines.most_common()),
            "functions": len(self.functions),
            "classes": self.classes,
            "longest_function": longest
            and {
                "name": longest[0].name,
                "lines": longest[0].lines,
                "path": longest[1],
            },
            "modules_imported": len(self.imported),
            "markers": len(self.markers),
            "copies": len(self.copies),
        }


def write_report(figures: Figures) -> str:
    """Returns the report; a few KiB, however much was found."""
    parts = [f"# What is in {_cell(figures.name)}", _overview(figures)]
    rows: list[tuple[str, ...]]
    if figures.lines:
        rows = [(suffix, f"{count:,}") for suffix, count in figures.lines.most_common(_ROWS)]
        parts.append(_table("Lines by kind of file", ("suffix", "lines"), rows))
    if figures.functions:
        longest = figures.functions[:_ROWS]
        rows = [(f.name, f"{f.lines:,}", _where((path, f.line))) for f, path in longest]
        parts.append(_table("Longest functions", ("function", "lines", "where"), rows))
    if figures.imported:
        rows = [(name, f"{count:,}") for name, count in figures.imported.most_common(_ROWS)]
        parts.append(_table("Most imported", ("module", "files"), rows))
    if figures.copies:
        rows = [(f"{c.lines:,}", _where(c.first), _where(c.second)) for c in figures.copies[:_ROWS]]
        parts.append(_table("Longest copies", ("lines", "here", "and here"), rows))
    if figures.markers:
        parts.append(
            "## Marked as to do\n\n"
            + "\n".join(f"- {_cell(_where(m))}" for m in figures.markers[:_ROWS])
        )
    return "\n\n".join(parts) + "\n"


def _overview(figures: Figures) -> str:
    sentences = [f"{_count(figures.read, 'file')} of {figures.found:,} read as text."]
    if figures.read:
        total = figures.lines.total()
        sentences.append(f"{_count(total, 'line')}, {figures.blank:,} of them blank.")
    if figures.functions or figures.classes:
        functions, classes = len(figures.functions), figures.classes
        sentences.append(f"{_count(functions, 'function')} and {_count(classes, 'class', 'es')}.")
    if figures.unread:
        reasons = (f"{_cell(why)} ({n:,})" for why, n in figures.unread.most_common(_ROWS))
        sentences.append(f"Not read: {', '.join(reasons)}.")
    if figures.read:
        markers, copies = len(figures.markers), len(figures.copies)
        runs = f"{_count(copies, 'run')} of {COPY_LINES} or more equal lines"
        sentences.append(f"{_count(markers, 'line')} marked as to do, {runs}.")
    return " ".join(sentences)


def _table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= _MAX_CELL_CHARS else f"{text[: _MAX_CELL_CHARS - 1]}…"


def _where(place: tuple[str, int]) -> str:
    path, line = place
    # The end of a path tells more than its beginning.
    shown = path if len(path) <= _MAX_PATH_CHARS else f"…{path[1 - _MAX_PATH_CHARS :]}"
    return f"{shown}:{line}"


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{'' if number == 1 else plural}"
