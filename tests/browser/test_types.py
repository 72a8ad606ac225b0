"""What TypeScript makes of the package: what should compile does, and what should not does not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from agentprogress.browser import package_files
from agentprogress.cli import main
from scripts.event_types import FILE, render

from .consumer import FOLDER, compile_types, installed

RESOLUTIONS = [("esnext", "bundler"), ("nodenext", "nodenext")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = installed(tmp_path_factory.mktemp("typed"))
    shutil.copytree(FOLDER / "types", folder / "src")
    declared = folder / "src/custom/declared.d.ts"
    assert main(["types", "tests.browser.events_of_an_application", "--out", str(declared)]) == 0
    return folder / "src"


def test_the_types_of_events_are_those_of_the_models() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), "Run: python -m scripts.event_types"


@pytest.mark.parametrize(("module", "resolution"), RESOLUTIONS)
@pytest.mark.parametrize("part", [".", "custom"])
def test_types_let_in_what_is_right_and_nothing_else(
    project: Path, part: str, module: str, resolution: str
) -> None:
    options = ("--module", module, "--moduleResolution", resolution)
    compile_types(project / part, *options)


def test_a_type_that_is_wrong_is_an_error(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project.parent, tmp_path / "copy", symlinks=True)
    wrong = tmp_path / "copy/src"
    text = (wrong / "index.ts").read_text()
    (wrong / "index.ts").write_text(re.sub(r"// @ts-expect-error no transport.*", "", text))
    with pytest.raises(AssertionError, match="carrier-pigeon"):
        compile_types(wrong)


def test_every_kind_of_event_has_its_place_in_the_union() -> None:
    text = package_files()["events.d.ts"].decode()
    union = text.split("export type SessionEvent =")[1].split(";")[0]
    made = re.findall(r"export interface (\w+) extends EventBase \{\n  readonly type: \"", text)
    assert len(made) > 20
    assert set(made) | {"CustomEmitted", "UnknownEvent"} == set(re.findall(r"\w+", union))
