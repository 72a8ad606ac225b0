"""`agentprogress serve`: a gateway to a store, beside producers in processes of their own."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.jwt import TokenSigner
from tests.stores.engines import Engine, Kind, Options

from .programs import CLI, Story, client, fetch, follow, frames, gateway, started

pytestmark = [pytest.mark.anyio, pytest.mark.server]

KEY = "k" * 40
OLD_KEY = "o" * 40
OTHER_KEY = "x" * 40


@pytest.fixture(scope="module")
def valkey() -> Iterator[Engine]:
    with Engine(Kind.VALKEY, Options(password="hush")) as engine:
        yield engine


@pytest.fixture(params=["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store's URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/progress.db"
    engine: Engine = request.getfixturevalue("valkey")
    return engine.url


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a store in a file, where it does not matter which store it is."""
    return f"sqlite:///{tmp_path}/progress.db"


@asynccontextmanager
async def producing(store: str, session_id: str | None = None) -> AsyncIterator[ProgressSession]:
    """A session of another process than the gateway's: of this one."""
    ready = anyio.Event()

    async def work(session: ProgressSession) -> None:
        await session.flush()
        ready.set()
        await anyio.sleep_forever()

    async with SessionRegistry(store=store) as registry:
        if session_id is None:
            session = registry.start(work)
        else:
            session = registry.start(work, session_id=session_id)
        await ready.wait()
        yield session


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def status_of(store: str, session_id: str) -> str:
    """Returns what a process that has just come finds."""
    with SessionRegistry(store=store) as registry:
        return registry.get(session_id).status


async def run_to_the_end(store: str, *command: str) -> str:
    """Runs ``agentprogress run --store`` and returns the session's id."""
    async with started([*CLI, "run", "--store", store, "--", *command]) as program:
        told = await program.line()
        assert await program.exit_status() == 0, await program.errors()
    session_id, _, where = told.removeprefix("Session: ").partition(" in ")
    assert "hush" not in where
    return session_id


async def test_a_session_is_followed_and_its_result_read_when_its_process_is_gone(
    store: str,
) -> None:
    session_id = await run_to_the_end(store, "echo", "hello")
    async with gateway(store) as program:
        url = f"{program.url}/sessions/{session_id}"
        story = await follow(url)
        assert story.messages == ["hello"]
        assert story.types[-2:] == ["session.completed", "end"]
        assert (await fetch(f"{url}/result")).json()["exit_status"] == 0
        assert (await fetch(url)).json()["status"] == "completed"
        page = (await fetch(f"{url}/page")).json()
        assert page["done"]
        assert (await fetch(f"{url}/view")).status_code == 200
        assert (await fetch(f"{program.url}/health")).json() == {"status": "ok"}


async def test_a_session_is_followed_while_another_process_runs_it(store: str) -> None:
    async with gateway(store) as program, producing(store) as session:
        seen: list[str] = []
        async for _, frame in frames(f"{program.url}/sessions/{session.id}"):
            seen.append(frame["type"])
            if frame["type"] == "session.started":
                session.log("here")  # only once the gateway follows
            if frame["type"] == "log.message":
                break
        assert seen == ["welcome", "session.started", "log.message"]


async def test_a_session_is_controlled_by_its_control_token_only(store: str) -> None:
    async with gateway(store) as program, producing(store) as session, client() as http:
        url = f"{program.url}/sessions/{session.id}/cancel"
        assert (await http.post(url)).status_code == 401
        assert (await http.post(url, headers=bearer("wrong"))).status_code == 403
        assert not session.cancel_requested
        token = session.handle()["control_token"]
        answer = await http.post(url, headers=bearer(token), json={"reason": "enough"})
        assert answer.status_code == 202
        assert (await follow(f"{program.url}/sessions/{session.id}")).end["reason"] == "enough"


async def test_without_keys_no_other_machine_may_connect(file: str) -> None:
    async with started([*CLI, "serve", "--store", file, "--host", "0.0.0.0"]) as program:
        assert await program.exit_status() == 1
        assert await program.errors() == (
            "agentprogress: Without keys only this machine may connect, and '0.0.0.0' is reached "
            "from others: pass --key-file, or set AGENTPROGRESS_KEY.\n"
        )


async def test_with_keys_it_listens_anywhere_and_tokens_decide(store: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n\n{OLD_KEY}\n")
    options = ("--host", "0.0.0.0", "--key-file", str(keys))
    async with gateway(store, *options) as program, producing(store, "job-7") as session:
        url = f"{program.url}/sessions/{session.id}"

        async def status(token: str | None, path: str = "") -> int:
            async with client() as http:
                headers = {} if token is None else bearer(token)
                answer = await (http.post if path else http.get)(url + path, headers=headers)
            return answer.status_code

        follower = TokenSigner(KEY).issue("job-7")
        assert await status(None) == 401
        assert await status(follower) == 200
        assert await status(TokenSigner(OLD_KEY).issue("job-7")) == 200
        assert await status(TokenSigner(OTHER_KEY).issue("job-7")) == 401
        assert await status(TokenSigner(KEY).issue("job-8")) == 403
        assert await status(follower, "/cancel") == 403
        # The session's own token is none of those.
        assert await status(session.handle()["control_token"], "/cancel") == 401
        assert await status(TokenSigner(KEY).issue("job-7", ("control",)), "/cancel") == 202


async def test_the_key_and_the_store_may_come_from_the_environment(file: str) -> None:
    env = {"AGENTPROGRESS_STORE": file, "AGENTPROGRESS_KEY": KEY}
    async with started([*CLI, "serve", "--port", "0"], env=env) as program:
        url = (await program.line()).rpartition(" at ")[2]
        assert (await fetch(f"{url}/sessions/job-7")).status_code == 401


async def test_pages_of_another_origin_may_call_when_they_are_named(file: str) -> None:
    session_id = await run_to_the_end(file, "true")
    origin = "https://app.example"
    async with gateway(file, "--allowed-origin", origin) as program, client() as http:
        url = f"{program.url}/sessions/{session_id}"
        answer = await http.get(url, headers={"origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert (await http.get(url, headers={"origin": "https://other.example"})).status_code == 403


async def test_a_store_that_does_not_answer_ends_it_with_a_sentence() -> None:
    with Engine(Kind.VALKEY, Options(password="hush")) as engine:
        engine.stop()
        where = f"Redis at 127.0.0.1:{engine.port} cannot be used: "
        words = [*CLI, "serve", "--store", engine.url, "--port", "0"]
        async with started(words, env={"AGENTPROGRESS_STORE_WAIT": "0.2"}) as program:
            assert await program.exit_status() == 1
            assert await program.rest() == b""
            waiting, last = (await program.errors()).splitlines()
    assert waiting.startswith(where)
    assert "until it is back" in waiting
    assert last.startswith(f"agentprogress: {where}")


async def test_a_store_that_comes_late_is_waited_for() -> None:
    with Engine(Kind.VALKEY) as engine:
        engine.stop()
        words = [*CLI, "serve", "--store", engine.url, "--port", "0"]
        async with started(words) as program:
            assert "until it is back" in await program.error_line()
            await anyio.to_thread.run_sync(engine.start)
            url = (await program.line()).rpartition(" at ")[2]
            assert (await fetch(f"{url}/health")).status_code == 200
            program.interrupt()
            assert await program.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_tells_those_who_follow_to_come_back(
    store: str, number: signal.Signals
) -> None:
    async with gateway(store) as program, producing(store) as session:
        story = Story()
        async for frame in frames(f"{program.url}/sessions/{session.id}"):
            story.frames.append(frame)
            if frame[1]["type"] == "session.started":
                program.interrupt(number)
        assert story.types[-1] == "reconnect"
        assert await program.exit_status() == 0
        assert (await program.rest(), await program.errors()) == (b"", "")
        # The session is not the gateway's to end.
        assert await anyio.to_thread.run_sync(status_of, store, session.id) == "running"


async def test_another_gateway_goes_on_where_the_first_one_stopped(store: str) -> None:
    async with producing(store) as session:
        last = ""
        async with gateway(store) as first:
            async for reached, frame in frames(f"{first.url}/sessions/{session.id}"):
                last = reached
                if frame["type"] == "session.started":
                    break
        session.log("meanwhile")
        await session.flush()
        async with gateway(store) as second:
            resumed = frames(f"{second.url}/sessions/{session.id}", last)
            seen = [(await anext(resumed))[1], (await anext(resumed))[1]]
            await resumed.aclose()  # type: ignore[attr-defined]
    assert seen[0]["resume"] == "exact"
    assert seen[1]["message"] == "meanwhile"


async def test_the_demonstration_goes_to_a_store_too(file: str, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a line")
    words = ["demo", str(tmp_path / "one.txt"), "--pace", "0", "--store", file]
    async with started([*CLI, *words]) as program:
        told = await program.line()
        assert await program.exit_status() == 0
    session_id = told.split()[1]
    assert await anyio.to_thread.run_sync(status_of, file, session_id) == "completed"


async def test_a_command_is_stopped_from_a_gateway_when_the_session_is_in_a_store(
    file: str,
) -> None:
    words = [*CLI, "run", "--store", file, "--", sys.executable, "-c", "input()"]
    async with started(words) as program:
        session_id = (await program.line()).split()[1]
        async with SessionRegistry(store=file) as registry:
            await anyio.to_thread.run_sync(registry.cancel, session_id, "not needed")
            assert await program.exit_status() == 128 + signal.SIGTERM
        assert await anyio.to_thread.run_sync(status_of, file, session_id) == "cancelled"


@pytest.mark.parametrize(
    ("words", "env", "sentence"),
    [
        (["--store", "mysql://x"], {}, "mysql:// names no store: use sqlite:///file.db"),
        (["--store", "sqlite:////no/such/folder/p.db"], {}, "There is no folder /no/such/folder"),
        ([], {"AGENTPROGRESS_KEY": "short"}, "A key for HS256 must have at least 32 bytes"),
        ([], {"AGENTPROGRESS_LEASE_TTL": "soon"}, "AGENTPROGRESS_LEASE_TTL"),
        (["--allowed-origin", "app"], {}, "'app'"),
        (["--host", "no such host"], {}, "Cannot listen on 'no such host'"),
    ],
    ids=["scheme", "folder", "key", "setting", "origin", "host"],
)
async def test_what_it_cannot_serve_is_told_in_a_sentence(
    words: list[str], env: dict[str, str], sentence: str, file: str
) -> None:
    command = [*CLI, "serve", "--store", file, "--port", "0", *words]
    async with started(command, env=env) as program:
        assert await program.exit_status() == 1
        told = await program.errors()
    assert told.startswith("agentprogress: ")
    assert told.count("\n") == 1
    assert sentence in told


async def test_a_store_has_to_be_named(tmp_path: Path) -> None:
    empty = tmp_path / "keys"
    empty.write_text("\n")
    for words, sentence in (
        (["serve"], "serve needs a store"),
        (["serve", "--store", "sqlite:///x", "--key-file", str(empty)], "has no key"),
    ):
        async with started([*CLI, *words]) as program:
            assert await program.exit_status() == 2
            assert sentence in await program.errors()
