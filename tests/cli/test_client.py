"""`agentprogress client`: the browser package in a folder, and nobody's files lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentprogress import __version__
from agentprogress.browser import package_files
from agentprogress.cli import main

# No file can be larger than the first argument: what a full disk is to one.
LIMITED = """\
import resource, sys
from agentprogress.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(["client", "--out", sys.argv[2]]))
"""


def files_in(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def test_the_whole_package_is_written_and_told_how_to_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "static" / "progress"
    assert main(["client", "--out", str(folder)]) == 0
    assert files_in(folder) == package_files()
    told = capsys.readouterr().out
    assert f"agentprogress {__version__} is in {folder}" in told
    assert '<script type="module" src="/progress/define.js"></script>' in told
    assert "<agent-progress src=" in told
    assert f"npm install {folder}\n" in told


def test_a_folder_that_is_named_from_here_is_named_so_that_npm_takes_it_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["client", "--out", "vendor/progress"]) == 0
    assert "npm install ./vendor/progress\n" in capsys.readouterr().out


def test_an_older_copy_is_replaced_and_what_is_not_of_it_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = {"name": "agentprogress", "version": "0.0.1"}
    (tmp_path / "package.json").write_text(json.dumps(older))
    (tmp_path / "index.js").write_text("// older")
    (tmp_path / "gone.js").write_text("// of the older one, or somebody's")
    assert main(["client", "--out", str(tmp_path)]) == 0
    left = files_in(tmp_path)
    assert left.pop("gone.js") == b"// of the older one, or somebody's"
    assert left == package_files()
    assert "left as it was: gone.js" in capsys.readouterr().out
    assert main(["client", "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "mine"),
        ("package.json", '{"name": "an-application"}'),
        ("package.json", "[]"),
        ("package.json", "not JSON"),
    ],
)
def test_a_folder_of_somebody_else_is_left_alone(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["client", "--out", str(tmp_path)]) == 1
    assert files_in(tmp_path) == {name: text.encode()}
    said = capsys.readouterr().err
    assert said.startswith("agentprogress: ")
    assert name in said
    assert str(tmp_path / "agentprogress") in said


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    assert main(["client", "--out", str(tmp_path)]) == 0
    assert files_in(tmp_path) == package_files()


def test_a_run_that_broke_off_can_be_repeated(tmp_path: Path) -> None:
    limit = len(package_files()["package.json"])
    command = [sys.executable, "-c", LIMITED, str(limit), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sentence = f"agentprogress: cannot write {tmp_path}: File too large\n"
    assert (done.returncode, done.stderr) == (1, sentence)
    assert 0 < len(files_in(tmp_path)) < len(package_files())
    assert main(["client", "--out", str(tmp_path)]) == 0
    assert files_in(tmp_path) == package_files()


def test_what_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        assert main(["client", "--out", str(out)]) == 1
        assert f"agentprogress: cannot write {out}: Not a directory" in capsys.readouterr().err


def test_where_to_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["client"])
    assert exited.value.code == 2
    assert "--out" in capsys.readouterr().err
