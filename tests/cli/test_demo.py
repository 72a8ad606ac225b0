"""`agentprogress demo`: real work on real files, followed by HTTP, on folders of every kind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import pytest

from agentprogress import SessionRegistry
from agentprogress.cli._demo import PLAN, Crew, default_root
from agentprogress.snapshot import SessionSnapshot

from .programs import CLI, Story, demonstrating, fetch, follow, frames, started

pytestmark = [pytest.mark.anyio, pytest.mark.server]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small project, odd files included."""
    (tmp_path / "good.py").write_text(
        "import os\n\ndef long():\n    # TODO: shorten\n    return os\n"
    )
    (tmp_path / "other.py").write_text("import os, re\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "readme.md").write_bytes(b"caf\xe9\n" * 20)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "huge.txt").write_bytes(b"x" * 300_000)
    (tmp_path / "empty").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_text("a name that is not UTF-8")
    return tmp_path


async def played(root: Path) -> tuple[dict[str, object], SessionSnapshot]:
    """Returns the crew's result and the session's last state."""
    registry = SessionRegistry()
    with registry.open(plan=PLAN) as session:
        result = await Crew(root, pace=0)(session)
    assert result is not None
    return result, session.snapshot()


async def test_the_figures_are_those_of_the_files(folder: Path) -> None:
    result, _ = await played(folder)
    assert result == {
        "files": 8,
        "read": 6,
        "not_read": {"binary": 1, "larger than 256 KiB": 1},
        "lines": 5 + 1 + 1 + 20 + 0 + 1,
        "blank_lines": 1,
        "lines_by_suffix": {".md": 20, ".py": 7, "none": 1},
        "functions": 1,
        "classes": 0,
        "longest_function": {"name": "long", "lines": 3, "path": "good.py"},
        "modules_imported": 2,
        "markers": 1,
        "copies": 1,
    }


async def test_the_crew_works_in_phases_with_agents_in_parallel_and_tools(folder: Path) -> None:
    _, state = await played(folder)
    steps = {step.step_id: step for step in state.steps}
    phases = [step.name for step in state.steps if step.kind == "phase"]
    assert phases == ["survey", "read", "compare", "write"]
    parents = [steps[a.parent_id].name for a in state.steps if a.kind == "agent" and a.parent_id]
    assert parents == ["survey", *["read"] * 4, *["compare"] * 2, "write"]
    tools = [step for step in state.steps if step.kind == "tool"]
    assert {steps[tool.parent_id].kind for tool in tools if tool.parent_id} == {"agent"}
    failed = sorted(tool.name for tool in tools if tool.status == "failed")
    assert failed == ["parse_python", "read_file", "read_file"]
    assert state.progress == 1.0


async def test_the_report_is_streamed_and_kept(folder: Path) -> None:
    _, state = await played(folder)
    (text,), (artifact,) = state.texts, state.artifacts
    assert text.text.startswith(f"# What is in {folder.name}\n\n6 files of 8 read as text.")
    assert "| long | 3 | good.py:3 |" in text.text
    assert text.done
    assert artifact.name == "report.md"
    assert artifact.data == text.text


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"no code"}, {"a": b"\0", "b": b"\0"}])
async def test_a_folder_without_code_is_no_trouble(
    tmp_path: Path, content: dict[str, bytes]
) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    result, state = await played(tmp_path)
    assert result["files"] == len(content)
    assert state.progress == 1.0


async def test_a_folder_that_vanishes_is_no_trouble(tmp_path: Path) -> None:
    result, _ = await played(tmp_path / "gone")
    assert result["files"] == 0


async def test_followers_get_the_whole_story_and_the_result_stays(folder: Path) -> None:
    async with demonstrating("--pace", "0", str(folder)) as program:
        story = await follow(program.url)
        assert story.seqs == list(range(1, len(story.seqs) + 1))
        assert story.types[-2:] == ["session.completed", "end"]
        assert story.events == (await follow(program.url)).events
        assert (await fetch(f"{program.url}/result")).json() == story.end["result"]
        page = await fetch(f"{program.url}/view")
        assert page.headers["content-type"].startswith("text/html")
        program.interrupt()
        assert await program.exit_status() == 0
        assert await program.errors() == ""


async def test_once_exits_when_the_crew_is_done(folder: Path) -> None:
    async with demonstrating("--pace", "0", "--once", str(folder)) as program:
        assert await program.exit_status() == 0


async def test_ctrl_c_ends_the_crew_and_the_page_is_told(folder: Path) -> None:
    async with demonstrating("--pace", "60", str(folder)) as program:
        story = Story()
        began = 0.0
        async for frame in frames(program.url):
            story.frames.append(frame)
            if frame[1]["type"] == "step.started" and frame[1]["kind"] == "tool":
                began = anyio.current_time()
                program.interrupt()
        assert story.types[-2:] == ["session.cancelled", "end"]
        assert await program.exit_status() == 128 + signal.SIGINT
        assert anyio.current_time() - began < 3
        assert await program.errors() == ""


async def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    async with started([*CLI, "demo", str(tmp_path / "gone")]) as program:
        assert await program.exit_status() == 2
        assert "there is no" in await program.errors()


def test_the_default_is_the_projects_own_files() -> None:
    assert (default_root() / "src" / "agentprogress" / "cli" / "_demo.py").is_file()
