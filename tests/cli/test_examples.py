"""The README's example is a file that runs, under a real server, and can be followed to its end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from .programs import client, fetch, follow, started

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "fastapi_app.py"


def test_the_readme_shows_the_example_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"```python\n{EXAMPLE.read_text('utf-8')}```\n" in readme


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 25


@pytest.mark.anyio
@pytest.mark.server
async def test_the_example_answers_at_once_and_its_run_is_followed_to_the_end() -> None:
    command = [sys.executable, "-m", "uvicorn", "examples.fastapi_app:app", "--port", "0"]
    async with started(["sh", "-c", f"exec {shlex.join(command)} 2>&1"], cwd=ROOT) as program:
        line = (await program.lines_until("INFO:     Uvicorn running on"))[-1]
        origin = line.split()[4]
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
        program.interrupt()
        assert await program.exit_status() == 0
