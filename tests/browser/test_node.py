"""The tests of the browser package's pure modules, which are JavaScript: one case for each file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.test.js"))


def outcome(file: Path) -> str:
    """Runs a file; returns what is wrong with it, with all that it said, or nothing."""
    node = shutil.which("node")
    assert node, "These tests need node on the PATH."
    command = [node, "--test-reporter=spec", str(file)]
    ran = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    said = f"{ran.stdout}{ran.stderr}"
    if ran.returncode:
        return said
    counts = {name: int(number) for name, number in re.findall(r"\b(tests|pass) (\d+)\b", said)}
    # `node --test` would count a file without a test as one that passed.
    if not counts.get("tests") or counts["tests"] != counts.get("pass"):
        return f"{file.name} has no test, or one that it does not run.\n{said}"
    return ""


def test_there_are_files_to_run() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_file_passes_in_node(file: Path) -> None:
    wrong = outcome(file)
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no test"),
        ("export const nothing = 1;", "has no test"),
        ('import test from "node:test"; test.skip("later", () => {});', "does not run"),
        ('import test from "node:test"; test("no", () => { throw new Error("why"); });', "why"),
        ('import test from "node:test"; test("one", () => {}); await nobody;', "nobody"),
    ],
)
def test_a_file_that_tests_nothing_or_fails_does_not_pass(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "given.test.mjs"
    file.write_text(text)
    assert told in outcome(file)


def test_a_file_that_tests_something_passes(tmp_path: Path) -> None:
    file = tmp_path / "given.test.mjs"
    file.write_text('import test from "node:test"; test("a name with pass 7 in it", () => {});')
    assert not outcome(file)
