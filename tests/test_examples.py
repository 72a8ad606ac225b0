"""The examples are files that run, under a real server, and can be followed to their end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from .cli.programs import client, fetch, follow, started

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
README_EXAMPLE = EXAMPLES / "fastapi_app.py"


def test_the_readme_shows_the_example_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"```python\n{README_EXAMPLE.read_text('utf-8')}```\n" in readme


@pytest.mark.parametrize(
    ("name", "most"), [("fastapi_app", 25), ("starlette_app", 30), ("aiohttp_app", 30)]
)
def test_the_example_is_short(name: str, most: int) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) <= most


@asynccontextmanager
async def running(*command: str, announces: str) -> AsyncGenerator[str]:
    """Starts a server on a free port; yields its address, and checks that Ctrl-C ends it well."""
    line = shlex.join((sys.executable, *command))
    async with started(["sh", "-c", f"PORT=0 exec {line} 2>&1"], cwd=ROOT) as program:
        told = (await program.lines_until(announces))[-1]
        yield told.removeprefix(announces).split()[0]
        program.interrupt()
        assert await program.exit_status() == 0


def uvicorn(app: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", app, "--port", "0")


ON_UVICORN = "INFO:     Uvicorn running on "


@pytest.mark.anyio
@pytest.mark.server
async def test_the_example_answers_at_once_and_its_run_is_followed_to_the_end() -> None:
    async with running(*uvicorn("examples.fastapi_app:app"), announces=ON_UVICORN) as origin:
        async with client() as http:
            answer = await http.post(f"{origin}/runs", params={"topic": "tea"})
        assert answer.status_code == 202
        handle = answer.json()
        assert handle["control_token"]
        assert handle["url"] == f"/progress/sessions/{handle['session_id']}"
        url = f"{origin}{handle['url']}"
        assert (await fetch(f"{url}/result")).status_code == 202
        story = await follow(url)
        assert story.events[0]["title"] == "Report on tea"
        assert story.types[-2:] == ["session.completed", "end"]
        assert (await fetch(f"{url}/result")).json() == {"topic": "tea"}


@pytest.mark.anyio
@pytest.mark.server
async def test_the_following_program_prints_the_run_of_the_other_example() -> None:
    async with running(*uvicorn("examples.fastapi_app:app"), announces=ON_UVICORN) as origin:
        async with client() as http:
            answer = await http.post(f"{origin}/runs", params={"topic": "tea"})
        program = [sys.executable, str(EXAMPLES / "follow.py"), origin + answer.json()["url"]]
        done = await anyio.run_process(program, cwd=ROOT)
    told = done.stdout.decode().splitlines()
    assert told[0] == "1 session.started"
    assert told[-1] == "{'topic': 'tea'}"
    assert done.stderr.decode().splitlines()[0] == "-- connecting"


@pytest.mark.anyio
@pytest.mark.server
@pytest.mark.parametrize(
    ("command", "announces"),
    [
        (uvicorn("examples.starlette_app:app"), ON_UVICORN),
        (("-u", "-m", "examples.aiohttp_app"), "======== Running on "),
    ],
    ids=["starlette", "aiohttp"],
)
async def test_a_run_of_another_framework_is_followed_to_the_end(
    command: tuple[str, ...], announces: str
) -> None:
    async with running(*command, announces=announces) as origin:
        async with client() as http:
            answer = await http.post(f"{origin}/runs")
        assert answer.status_code == 202
        url = f"{origin}{answer.json()['url']}"
        story = await follow(url)
        assert story.events[0]["title"] == "Count"
        assert story.types[-2:] == ["session.completed", "end"]
        assert (await fetch(f"{url}/result")).json() == 3
