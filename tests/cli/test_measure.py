"""What the demonstration finds out about files is true, and odd files are no trouble."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from agentprogress.cli._measure import (
    COPY_LINES,
    MAX_FILE_BYTES,
    MAX_FILES,
    Copied,
    Function,
    Unreadable,
    find_copies,
    find_files,
    most_imported,
    parse_python,
    read_file,
)
from agentprogress.cli._report import Figures, write_report

SOURCE = """\
import os, collections.abc
from . import sibling
from .package.module import name

class Outer:
    def method(self):
        async def inner():
            pass
        return inner
"""


def test_hidden_folders_those_of_tools_and_links_are_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.txt", ".git/config", "node_modules/x.js", "__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link.py").symlink_to("a.py")
    survey = find_files(tmp_path)
    assert survey.files == [tmp_path / "a.py", tmp_path / "sub/b.txt"]
    assert survey.found == 2
    assert survey.by_suffix == {".py": 1, ".txt": 1}
    assert not survey.cut


def test_a_single_file_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "only").write_text("x")
    assert find_files(tmp_path / "only").files == [tmp_path / "only"]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find_files(tmp_path).files == []
    assert find_files(tmp_path / "gone").found == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe in the file system")
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_files(tmp_path).found == 0
    assert read_file(tmp_path / "pipe").lines == 0


def test_of_too_many_files_the_largest_fitting_ones_are_read(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 2):
        (tmp_path / f"{number:03}").write_text("x" * number)
    (tmp_path / "huge").write_text("x" * (MAX_FILE_BYTES + 1))
    survey = find_files(tmp_path)
    assert survey.found == MAX_FILES + 3
    assert survey.files == [tmp_path / f"{number:03}" for number in range(2, MAX_FILES + 2)]


def test_looking_ends_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert find_files(tmp_path, max_found=1).cut
    assert not find_files(tmp_path, max_found=2).cut


def test_a_text_file_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("eins\n\n  TODO: zw\xf6lf\n".encode("latin-1"))
    facts = read_file(path)
    assert (facts.lines, facts.blank, facts.longest, facts.markers) == (3, 1, 13, (3,))


def test_what_is_no_readable_text_says_why(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x7fELF\0")
    (tmp_path / "huge").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    for name, reason in {
        "binary": "binary",
        "huge": "larger than 256 KiB",
        "gone": "No such file or directory",
    }.items():
        with pytest.raises(Unreadable, match=reason):
            read_file(tmp_path / name)


def test_a_python_file_is_parsed() -> None:
    facts = parse_python(SOURCE)
    assert facts.functions == (Function(4, "method", 6), Function(2, "inner", 7))
    assert facts.classes == 1
    assert facts.imports == {"os", "collections.abc", ".", ".package.module"}


@pytest.mark.parametrize("source", ["x = (", "def f(:\n", "a" + "(" * 5000, "x\ud800 = 1"])
def test_a_python_file_that_does_not_parse_says_so(source: str) -> None:
    with pytest.raises(Unreadable):
        parse_python(source)


def test_imports_count_once_for_each_file_and_top_level_module() -> None:
    imports = [{"os", "os.path", "re"}, {"os", ".", ".sibling"}, set[str]()]
    assert most_imported(imports) == {"os": 2, "re": 1, "(relative)": 1}


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(count)]


def test_copies_are_found_whatever_their_indentation_and_blank_lines() -> None:
    run = _numbered("run", COPY_LINES + 2)
    here = "\n".join([*_numbered("here", 5), *run])
    there = "\n\n".join([*_numbered("there", 3), *(f"    {line}" for line in run)])
    longest = Copied(COPY_LINES + 2, ("a", 6), ("b", 7))
    assert find_copies({"a": here, "b": there}) == [longest]


def test_short_runs_are_not_copies_and_no_run_is_its_own() -> None:
    run = "\n".join(_numbered("run", COPY_LINES - 1))
    assert find_copies({"a": run, "b": run}) == []
    assert find_copies({"a": "same\n" * (2 * COPY_LINES - 1)}) == []


def test_a_report_is_small_whatever_was_found() -> None:
    wide = "very " * 200 + "|long"
    figures = Figures(
        name=wide,
        found=10**6,
        read=10**5,
        unread=Counter({f"{wide}{n}": n for n in range(100)}),
        lines=Counter({f".{wide}{n}": n for n in range(100)}),
        blank=3,
        functions=[(Function(n, wide, n), wide) for n in range(1000)],
        classes=1,
        imported=Counter({f"{wide}{n}": n for n in range(100)}),
        markers=[(wide, n) for n in range(100)],
        copies=[Copied(n, (wide, n), (wide, n)) for n in range(100)],
    )
    assert len(write_report(figures).encode()) < 8 * 1024
