"""The read routes on a real uvicorn, through a real client: what curl and an EventSource see."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.asgi import ProgressApp

from .peers import read_sse, serving


@pytest.fixture
def anyio_backend() -> str:
    """uvicorn runs on asyncio."""
    return "asyncio"


pytestmark = pytest.mark.anyio


class Live:
    """A server, a client, and the registry behind."""

    def __init__(self, registry: SessionRegistry, client: httpx2.AsyncClient) -> None:
        self.registry = registry
        self.client = client

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(
            path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def events(
        self, session_id: str, **headers: str
    ) -> list[tuple[str, dict[str, Any], str]]:
        """Reads a stream to its end."""
        return read_sse((await self.get(f"/sessions/{session_id}/events", **headers)).text)


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    registry = SessionRegistry(Settings(max_history_events=20, min_history_bytes=1024))
    async with (
        serving(ProgressApp(registry, allow_anyone)) as address,
        httpx2.AsyncClient(base_url=address, timeout=20) as client,
    ):
        yield Live(registry, client)


def finished(live: Live, lines: int = 3, **options: Any) -> ProgressSession:
    """Returns a session that has ended with a result."""
    with live.registry.open(**options) as session:
        for number in range(lines):
            session.log(f"line {number}")
        session.complete({"lines": lines})
    return session


async def test_a_stream_that_is_followed_from_the_start_ends_with_the_end(live: Live) -> None:
    started = anyio.Event()
    go_on = anyio.Event()

    async def job(session: ProgressSession) -> str:
        started.set()
        await go_on.wait()
        session.log("while followed")
        return "done"

    session = live.registry.start(job)
    await started.wait()
    async with live.client.stream("GET", f"/sessions/{session.id}/events") as response:
        text = ""
        async for chunk in response.aiter_text():
            text += chunk
            if "session.started" in text:
                go_on.set()
    frames = read_sse(text)
    assert [event for event, _, _ in frames] == ["welcome", "message", "message", "message", "end"]
    assert frames[-2][1]["result"] == "done"


async def test_stream_headers_keep_proxies_from_holding_it(live: Live) -> None:
    response = await live.get(f"/sessions/{finished(live).id}/events")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert "access-control-allow-origin" not in response.headers


async def test_data_comes_before_the_id_in_lines_that_end_with_lf(live: Live) -> None:
    text = (await live.get(f"/sessions/{finished(live).id}/events")).text
    assert "\r" not in text
    for block in text.strip().split("\n\n"):
        names = [line.split(":")[0] for line in block.split("\n")]
        assert names in (["data", "id"], ["event", "data", "id"], ["event", "data", "id", "retry"])


async def test_last_event_id_continues_exactly_and_wins_over_the_query(live: Live) -> None:
    session = finished(live)
    epoch, head = session.cursor.split("-")
    path = f"/sessions/{session.id}/events?after=rubbish"
    response = await live.get(path, Last_Event_ID=f"{epoch}-2")
    frames = read_sse(response.text)
    assert frames[0][1]["resume"] == "exact"
    assert frames[0][2] == f"{epoch}-2"
    assert [data["seq"] for event, data, _ in frames if event == "message"] == [3, 4, 5]
    assert frames[-1][2] == f"{epoch}-{head}"


async def test_the_welcome_of_a_fresh_stream_carries_the_beginning_as_its_id(live: Live) -> None:
    session = finished(live)
    frames = await live.events(session.id)
    assert frames[0][2] == session.cursor.split("-")[0] + "-0"


async def test_a_snapshot_carries_the_id_of_its_seq(live: Live) -> None:
    session = finished(live, lines=100)
    frames = await live.events(session.id)
    assert frames[1][0] == "snapshot"
    assert frames[1][2] == f"{session.cursor.split('-')[0]}-{frames[1][1]['seq']}"


async def test_an_event_source_that_has_everything_is_told_to_stop(live: Live) -> None:
    session = finished(live)
    assert (
        await live.get(f"/sessions/{session.id}/events", Last_Event_ID=session.cursor)
    ).status_code == 204
    frames = read_sse(
        (await live.get(f"/sessions/{session.id}/events?after={session.cursor}")).text
    )
    assert [data["type"] for _, data, _ in frames] == ["welcome", "end"]
    assert frames[0][1]["resume"] == "exact"


@pytest.mark.parametrize("route", ["", "/events", "/page", "/result", "/view"])
async def test_head_answers_the_headers_alone(live: Live, route: str) -> None:
    session = finished(live)
    path = f"/sessions/{session.id}{route}"
    head, get = await live.client.head(path), await live.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_other_methods_are_refused_with_those_that_are_allowed(live: Live) -> None:
    response = await live.client.delete(f"/sessions/{finished(live).id}")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


async def test_a_snapshot_has_an_etag_that_saves_the_body(live: Live) -> None:
    session = finished(live)
    first = await live.get(f"/sessions/{session.id}")
    assert first.json()["status"] == "completed"
    assert first.json()["result"] == {"lines": 3}
    again = await live.get(f"/sessions/{session.id}", If_None_Match=first.headers["etag"])
    assert again.status_code == 304
    assert again.content == b""


async def test_a_page_holds_the_same_frames_as_a_stream(live: Live) -> None:
    session = finished(live, lines=50)
    streamed = [data for _, data, _ in await live.events(session.id)]
    page = (await live.get(f"/sessions/{session.id}/page")).json()
    assert page["done"] is True
    assert page["cursor"] == session.cursor
    assert page["frames"][1:] == streamed[1:]
    assert page["frames"][0]["type"] == "welcome"


async def test_pages_follow_each_other_by_their_cursor(live: Live) -> None:
    session = finished(live, lines=10)
    seqs: list[int] = []
    cursor, done = "", False
    while not done:
        query = f"?limit=3&after={cursor}" if cursor else "?limit=3"
        page = (await live.get(f"/sessions/{session.id}/page{query}")).json()
        seqs += [frame["seq"] for frame in page["frames"] if "." in frame["type"]]
        cursor, done = page["cursor"], page["done"]
    assert seqs == list(range(1, 13))


async def test_an_export_has_one_frame_a_line(live: Live) -> None:
    session = finished(live)
    response = await live.get(f"/sessions/{session.id}/page?format=ndjson")
    assert response.headers["content-type"] == "application/x-ndjson"
    types = [json.loads(line)["type"] for line in response.text.splitlines()]
    assert types[0] == "welcome"
    assert types[-1] == "end"


async def test_a_long_poll_returns_with_the_first_news(live: Live) -> None:
    with live.registry.open() as session:
        async with anyio.create_task_group() as tasks:

            async def emit_when_followed() -> None:
                while not live.registry.get(session.id).subscribers:
                    await anyio.lowlevel.checkpoint()
                session.log("news")

            tasks.start_soon(emit_when_followed)
            path = f"/sessions/{session.id}/page?after={session.cursor}&wait=15"
            page = (await live.get(path)).json()
            assert [frame["type"] for frame in page["frames"]] == ["welcome", "log.message"]
            assert page["done"] is False
    assert live.registry.stats().subscribers == 0


async def test_a_long_poll_that_the_client_gives_up_leaves_nothing(live: Live) -> None:
    with live.registry.open() as session:
        async with anyio.create_task_group() as tasks:
            path = f"/sessions/{session.id}/page?after={session.cursor}&wait=15"
            tasks.start_soon(live.client.get, path)
            while not live.registry.get(session.id).subscribers:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        while live.registry.get(session.id).subscribers:
            await anyio.lowlevel.checkpoint()
    assert live.registry.stats().subscribers == 0


@pytest.mark.parametrize("query", ["wait=soon", "wait=-1", "limit=nan", "limit=x"])
async def test_a_bad_query_is_a_problem(live: Live, query: str) -> None:
    response = await live.get(f"/sessions/{finished(live).id}/page?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "bad_request"


async def test_a_result_is_there_after_the_end_and_promised_before(live: Live) -> None:
    with live.registry.open() as session:
        early = await live.get(f"/sessions/{session.id}/result")
        session.complete({"pages": 3})
    assert early.status_code == 202
    assert early.headers["retry-after"] == "1"
    late = await live.get(f"/sessions/{session.id}/result")
    assert (late.status_code, late.json()) == (200, {"pages": 3})


async def test_a_result_can_be_waited_for(live: Live) -> None:
    block = live.registry.open()
    session = block.__enter__()
    async with anyio.create_task_group() as tasks:

        async def end_when_waited_for() -> None:
            while not live.registry.get(session.id).subscribers:
                await anyio.lowlevel.checkpoint()
            session.log("not the end yet")
            session.complete(42)
            block.__exit__(None, None, None)

        tasks.start_soon(end_when_waited_for)
        response = await live.get(f"/sessions/{session.id}/result?wait=15")
        assert (response.status_code, response.json()) == (200, 42)


async def test_a_large_result_is_announced_by_its_size_and_fetched(live: Live) -> None:
    text = "x" * 100_000
    with live.registry.open() as session:
        session.complete(text)
    frames = await live.events(session.id)
    assert frames[-2][1]["result_bytes"] == 100_002
    assert "result" not in frames[-2][1]
    assert (await live.get(f"/sessions/{session.id}/result")).json() == text


async def test_a_failed_session_has_no_result_but_a_reason(live: Live) -> None:
    with pytest.raises(ZeroDivisionError), live.registry.open() as session:
        _ = 1 / 0
    response = await live.get(f"/sessions/{session.id}/result")
    assert response.status_code == 409
    assert response.json()["session"]["status"] == "failed"
    assert response.json()["session"]["error"]["code"] == "exception"
    assert "ZeroDivision" not in response.text


@pytest.mark.parametrize("route", ["", "/events", "/page", "/result"])
@pytest.mark.parametrize(
    ("session_id", "status", "code"),
    [
        ("never-there", 404, "session_unknown"),
        ("s_zzzz0123456789012345678901", 421, "wrong_process"),
        ("not%20an%20id", 400, "bad_request"),
    ],
)
async def test_an_id_that_leads_nowhere_is_a_problem(
    live: Live, route: str, session_id: str, status: int, code: str
) -> None:
    response = await live.get(f"/sessions/{session_id}{route}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.json()["retryable"] is False


async def test_a_removed_session_is_gone_and_says_how_it_ended(live: Live) -> None:
    session = finished(live)
    live.registry.delete(session.id)
    response = await live.get(f"/sessions/{session.id}/events")
    assert response.status_code == 410
    assert response.json()["session"]["status"] == "completed"


async def test_nothing_is_revealed_before_access_is_granted() -> None:
    asked: list[AccessRequest] = []

    async def authorize(request: AccessRequest) -> Access | None:
        asked.append(request)
        return Access() if request.connection.bearer == "key" else None

    registry = SessionRegistry()
    with registry.open(session_id="report-7", owner="ann", private={"team": 3}):
        pass
    async with (
        serving(ProgressApp(registry, authorize)) as address,
        httpx2.AsyncClient(base_url=address) as client,
    ):
        known, unknown = [
            (await client.get(f"/sessions/{name}/events")) for name in ("report-7", "report-8")
        ]
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
        assert known.status_code == 403
        allowed = await client.get("/sessions/report-7", headers={"Authorization": "Bearer key"})
        assert allowed.status_code == 200
        assert "ann" not in allowed.text
    assert asked[0].session is not None
    assert (asked[0].session.owner, asked[0].session.private) == ("ann", {"team": 3})


async def test_an_authorize_that_fails_is_an_internal_error_without_details() -> None:
    def authorize(request: AccessRequest) -> Access:
        raise RuntimeError("the password is hunter2")

    registry = SessionRegistry()
    async with (
        serving(ProgressApp(registry, authorize)) as address,
        httpx2.AsyncClient(base_url=address) as client,
    ):
        response = await client.get("/sessions/anything")
    assert response.status_code == 500
    assert "hunter2" not in response.text


async def test_health_says_when_the_server_drains(live: Live) -> None:
    assert (await live.get("/health")).json() == {"status": "ok"}
    await live.registry.drain()
    assert (await live.get("/health")).status_code == 503


async def test_a_drain_ends_what_is_followed_definitely(live: Live) -> None:
    session = live.registry.start(_for_ever)
    received = ""
    async with live.client.stream("GET", f"/sessions/{session.id}/events") as response:
        async for chunk in response.aiter_text():
            received += chunk
            if "session.started" in chunk:
                await live.registry.drain()
    frames = read_sse(received)
    assert frames[-2][1]["error"]["code"] == "server_shutdown"
    assert frames[-2][1]["error"]["retryable"] is True
    assert frames[-1][1] == {"type": "end", "status": "failed", "head": 2}


async def _for_ever(session: ProgressSession) -> None:
    await anyio.sleep_forever()


async def test_the_view_page_runs_nothing_but_its_own_and_this_servers(live: Live) -> None:
    response = await live.get(f"/sessions/{finished(live).id}/view")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "{version}" not in response.text
