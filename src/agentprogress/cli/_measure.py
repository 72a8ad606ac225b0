"""Finds, reads and measures files, whatever they turn out to be. Bounded; changes nothing."""

from __future__ import annotations

import ast
import os
import re
import stat
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "Copied",
    "FileFacts",
    "Function",
    "PythonFacts",
    "Survey",
    "Unreadable",
    "find_copies",
    "find_files",
    "most_imported",
    "parse_python",
    "read_file",
]

MAX_FOUND = 50_000
MAX_FILES = 300
MAX_FILE_BYTES = 256 * 1024
MAX_COMPARED_LINES = 200_000
# Shorter runs of equal lines are what languages are like.
COPY_LINES = 8

# Two threads in ast.parse may end in "AST constructor recursion depth mismatch" (Python 3.11).
_parsing = threading.Lock()

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "venv", "build", "dist"))
_MARKER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


class Unreadable(Exception):
    """A file that is not read. Carries the reason."""


@dataclass(slots=True)
class Survey:
    """What was found below a folder.

    Attributes:
        files: those to read, in the order of their paths.
        found: how many there are.
        by_suffix: their number for each suffix.
        unreadable: folders that could not be entered.
        cut: True when not every folder was looked into.
    """

    files: list[Path] = field(default_factory=list[Path])
    found: int = 0
    by_suffix: Counter[str] = field(default_factory=Counter[str])
    unreadable: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a text file is like.

    Attributes:
        text: all of it.
        lines: their number.
        blank: how many of them are empty.
        longest: the length of the longest, in characters.
        markers: the numbers of lines that are marked as to do.
    """

    text: str
    lines: int
    blank: int
    longest: int
    markers: tuple[int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Function:
    """A function of a Python file."""

    lines: int
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What a Python file declares and imports."""

    functions: tuple[Function, ...]
    classes: int
    imports: frozenset[str]


@dataclass(frozen=True, slots=True)
class Copied:
    """A run of equal lines in two places, each a path and the number of its first line."""

    lines: int
    first: tuple[str, int]
    second: tuple[str, int]


def find_files(root: Path, max_found: int = MAX_FOUND) -> Survey:
    """Looks for the files below a folder, or takes the one file that `root` is.

    Hidden folders and those of tools are left out, links are not followed. Of too many files the
    largest that are not too large are read.
    """
    survey = Survey()
    sizes: dict[Path, int] = {}
    for path in _walk(root, survey):
        try:
            about = path.lstat()
        except OSError:
            continue
        if not stat.S_ISREG(about.st_mode):
            continue
        if survey.found == max_found:
            survey.cut = True
            break
        sizes[path] = about.st_size
        survey.found += 1
        survey.by_suffix[path.suffix or "none"] += 1
    chosen = sorted(sizes, key=lambda path: (sizes[path] > MAX_FILE_BYTES, -sizes[path]))
    survey.files = sorted(chosen[:MAX_FILES])
    return survey


def _walk(root: Path, survey: Survey) -> Iterator[Path]:
    def refused(_: OSError) -> None:
        survey.unreadable += 1

    if not root.is_dir():
        yield root
    for folder, folders, names in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _SKIPPED)
        yield from (Path(folder, name) for name in sorted(names))


def read_file(path: Path) -> FileFacts:
    """Reads and measures a text file.

    Raises:
        Unreadable: it is binary, too large, or cannot be opened.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            data = file.read(MAX_FILE_BYTES + 1) or b""
    except OSError as error:
        raise Unreadable(error.strerror or "cannot be read") from error
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES // 1024} KiB")
    if b"\0" in data:
        raise Unreadable("binary")
    text = data.decode("utf-8", "replace")
    lines = text.splitlines()
    return FileFacts(
        text=text,
        lines=len(lines),
        blank=sum(not line.strip() for line in lines),
        longest=max(map(len, lines), default=0),
        markers=tuple(n for n, line in enumerate(lines, 1) if _MARKER.search(line)),
    )


def _open(path: str, flags: int) -> int:
    """Opens a file so that reading it never waits: what was a file may be a pipe by now."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse_python(text: str) -> PythonFacts:
    """Parses a Python file.

    Raises:
        Unreadable: it does not parse; says where.
    """
    try:
        with _parsing:
            tree = ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(f"line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"does not parse: {error}") from error
    functions: list[Function] = []
    imports: set[str] = set()
    classes = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            functions.append(Function(length, node.name, node.lineno))
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.add("." * node.level + (node.module or ""))
    return PythonFacts(tuple(functions), classes, frozenset(imports))


def most_imported(imports: Iterable[Iterable[str]]) -> Counter[str]:
    """Counts for each top-level module how many files import it."""
    return Counter(
        top
        for names in imports
        for top in {name.partition(".")[0] if name[0] != "." else "(relative)" for name in names}
    )


def find_copies(texts: Mapping[str, str]) -> list[Copied]:
    """Finds runs of equal lines, blank ones and indentation aside, the longest first.

    Of very much text the end is not looked at.
    """
    files: dict[str, list[tuple[int, str]]] = {}
    room = MAX_COMPARED_LINES
    for path, text in texts.items():
        files[path] = _contents(text)[:room]
        room -= len(files[path])
    places: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for path, lines in files.items():
        for start in range(len(lines) - COPY_LINES + 1):
            window = hash(tuple(text for _, text in lines[start : start + COPY_LINES]))
            places[window].append((path, start))
    found: list[Copied] = []
    covered: set[tuple[str, int]] = set()
    for same in places.values():
        first = same[0]
        for second in same[1:]:
            if second not in covered and (length := _common(files, first, second)) >= COPY_LINES:
                covered.update((second[0], second[1] + n) for n in range(length))
                found.append(Copied(length, _place(files, first), _place(files, second)))
    return sorted(found, key=lambda copied: -copied.lines)


_Files = Mapping[str, list[tuple[int, str]]]


def _contents(text: str) -> list[tuple[int, str]]:
    """Returns the lines that say something, with their numbers."""
    lines = enumerate(text.splitlines(), 1)
    return [(n, line.strip()) for n, line in lines if line.strip()]


def _common(files: _Files, first: tuple[str, int], second: tuple[str, int]) -> int:
    (path, start), (other_path, other_start) = first, second
    lines, others = files[path], files[other_path]
    most = min(len(lines) - start, len(others) - other_start)
    if path == other_path:  # a run may not be its own copy
        most = min(most, abs(other_start - start))
    length = 0
    while length < most and lines[start + length][1] == others[other_start + length][1]:
        length += 1
    return length


def _place(files: _Files, at: tuple[str, int]) -> tuple[str, int]:
    path, index = at
    return path, files[path][index][0]
