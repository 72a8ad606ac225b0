"""The examples are files that run, under a real server, and can be followed to their end."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from .cli.programs import CLI, client, fetch, follow, started
from .stores.engines import Engine, Kind

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
README_EXAMPLE = EXAMPLES / "fastapi_app.py"


def test_the_readme_shows_the_example_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"```python\n{README_EXAMPLE.read_text('utf-8')}```\n" in readme


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("fastapi_app", 25),
        ("starlette_app", 30),
        ("aiohttp_app", 30),
        ("workers", 30),
        ("celery_worker", 50),
        ("rq_worker", 50),
    ],
)
def test_the_example_is_short(name: str, most: int) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) <= most


@asynccontextmanager
async def running(
    *command: str, announces: str, ready: str = "", env: Mapping[str, str] | None = None
) -> AsyncGenerator[str]:
    """Starts a server on a free port; yields its address, and checks that Ctrl-C ends it well."""
    line = shlex.join((sys.executable, *command))
    async with started(["sh", "-c", f"PORT=0 exec {line} 2>&1"], cwd=ROOT, env=env) as program:
        told = (await program.lines_until(announces))[-1]
        if ready:  # it has the port before it listens
            await program.lines_until(ready)
        yield told.removeprefix(announces).split()[0]
        program.interrupt()
        assert await program.exit_status() == 0


def uvicorn(app: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", app, "--port", "0")


ON_UVICORN = "INFO:     Uvicorn running on "
STARTED = "INFO:     Application startup complete."


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


@pytest.mark.anyio
@pytest.mark.server
async def test_a_run_of_one_worker_is_followed_through_any_of_them(tmp_path: Path) -> None:
    env = {"AGENTPROGRESS_STORE": f"sqlite:///{tmp_path}/progress.db"}
    command = (*uvicorn("examples.workers:app"), "--workers", "2")
    async with running(*command, announces=ON_UVICORN, ready=STARTED, env=env) as origin:
        async with client() as http:
            url = origin + (await http.post(f"{origin}/runs")).json()["url"]
        # Each a connection of its own, which the workers share out among them.
        for _ in range(6):
            story = await follow(url)
            assert story.types[-2:] == ["session.completed", "end"]
            assert story.seqs == list(range(1, len(story.seqs) + 1))
            assert (await fetch(f"{url}/result")).json() == 3


@pytest.mark.anyio
@pytest.mark.server
@pytest.mark.parametrize(
    ("module", "worker"),
    [
        ("examples.celery_worker", "celery -A examples.celery_worker --quiet worker --pool solo"),
        ("examples.rq_worker", "rq.cli worker --url {store} --with-scheduler --quiet"),
    ],
    ids=["celery", "rq"],
)
async def test_a_job_of_a_queue_is_followed_through_a_gateway(module: str, worker: str) -> None:
    with Engine(Kind.VALKEY) as engine:
        mount = "http://127.0.0.1:8765/progress"
        env = {"AGENTPROGRESS_STORE": engine.url, "AGENTPROGRESS_BASE_URL": mount}
        work = (sys.executable, "-m", *worker.format(store=engine.url).split())
        enqueue = (sys.executable, "-m", module, "tea")
        async with (
            started(work, cwd=ROOT, env=env) as at_work,
            started((*CLI, "serve", "--port", "0"), cwd=ROOT, env=env) as gateway,
            started(enqueue, cwd=ROOT, env=env) as web,
        ):
            # The test's gateway has another port than the one in the example.
            served = (await gateway.line()).rpartition(" at ")[2]
            page = (await web.line()).replace(mount, served)
            assert (await fetch(page)).status_code == 200
            url = page.removesuffix("/view")
            story = await follow(url)
            at_work.interrupt(signal.SIGTERM)
            assert await at_work.exit_status() == 0
            assert story.types[-2:] == ["session.completed", "end"]
            assert story.messages == ["read filings", "read news", "read prices"]
            assert (await fetch(f"{url}/result")).json() == {"topic": "tea"}
