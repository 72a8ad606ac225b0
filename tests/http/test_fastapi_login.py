"""The examples with a login, on a real uvicorn: one line protects every route there is."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
import websockets
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from agentprogress import SessionRegistry
from agentprogress._http import ROUTES
from agentprogress.access import Access, AccessRequest
from agentprogress.starlette import progress_router
from examples import fastapi_login, fastapi_owners
from examples.fastapi_login import current_user

from .asking import bearer_protocol
from .peers import serving


@pytest.fixture
def anyio_backend() -> str:
    """uvicorn runs on asyncio."""
    return "asyncio"


pytestmark = pytest.mark.anyio

ANN = {"Authorization": "Bearer login-of-ann"}
BOB = {"Authorization": "Bearer login-of-bob"}
WRONG: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic bG9naW4tb2YtYW5u"},
    {"Cookie": "login=wrong"},
)
# What is public asks nobody; tests/http/test_client_files.py has it behind a dependency.
EVERY = [(method, route) for route in ROUTES if not route.public for method in route.methods]


@pytest.fixture(autouse=True)
def no_override_stays() -> Iterator[None]:
    yield
    for app in (fastapi_login.app, fastapi_owners.app):
        app.dependency_overrides.clear()


class Site:
    """A served application."""

    def __init__(self, address: str, client: httpx2.AsyncClient) -> None:
        self.address = address
        self.client = client

    async def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        return await self.client.request(method, f"/progress{path}", **more)

    async def follow(
        self, session_id: str, headers: dict[str, str], subprotocols: tuple[str, ...] = ()
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Follows by WebSocket to the close; returns the frames and its code."""
        url = f"{self.address.replace('http', 'ws', 1)}/progress/sessions/{session_id}/ws"
        offered: Any = list(subprotocols) or None
        frames: list[dict[str, Any]] = []
        async with websockets.connect(
            url, additional_headers=headers, subprotocols=offered, proxy=None
        ) as socket:
            with suppress(websockets.ConnectionClosedError):
                async for text in socket:
                    frames += json.loads(text)
        return frames, socket.close_code


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[Site]:
    async with (
        serving(app) as address,
        httpx2.AsyncClient(base_url=address, timeout=20) as client,
    ):
        yield Site(address, client)


def ended(registry: SessionRegistry, **options: Any) -> str:
    with registry.open(**options) as session:
        session.log("one")
        session.complete("done")
    return session.id


def at(path: str, session_id: str) -> str:
    return path.format(session_id=session_id, request_id="q")


@pytest.mark.parametrize("app", [fastapi_login, fastapi_owners], ids=["login", "owners"])
async def test_no_route_answers_anybody_without_the_right_login(app: Any) -> None:
    session_id = ended(app.registry, owner="ann")
    async with served(app.app) as site:
        for headers in WRONG:
            for method, route in EVERY:
                answer = await site.ask(method, at(route.path, session_id), headers=headers)
                assert answer.status_code == 401, route
                if method != "HEAD":
                    told = answer.json()
                    assert (told["code"], told["detail"]) == ("unauthorized", "Log in first.")
            frames, code = await site.follow(session_id, headers)
            assert [(each["code"], each["message"]) for each in frames] == [
                ("unauthorized", "Log in first.")
            ]
            assert code == 4401
        for each in ("wrong", "", "\xff"):
            frames, code = await site.follow(session_id, {}, (bearer_protocol(each),))
            assert ([each["type"] for each in frames], code) == (["error"], 4401)


# What each route says to somebody who may: of an ended session, and without a body.
FOUND = {
    ("GET", "list"): 200,
    ("HEAD", "list"): 200,
    ("GET", "ws"): 400,
    ("HEAD", "ws"): 400,
    ("POST", "cancel"): 200,
    ("POST", "answer"): 400,
}


@pytest.mark.parametrize(
    "login",
    [ANN, {"Cookie": "login=login-of-ann"}, {"Cookie": "a=b; login=login-of-ann"}],
    ids=["bearer", "cookie", "cookies"],
)
async def test_every_route_answers_the_right_login(login: dict[str, str]) -> None:
    session_id = ended(fastapi_owners.registry, owner="ann")
    async with served(fastapi_owners.app) as site:
        for method, route in EVERY:
            answer = await site.ask(method, at(route.path, session_id), headers=login)
            assert answer.status_code == FOUND.get((method, route.name), 200), route
        frames, code = await site.follow(session_id, login)
        assert (frames[-1]["type"], code) == ("end", 1000)


async def test_with_a_login_alone_whoever_knows_an_id_may_follow_it() -> None:
    registry = fastapi_login.registry
    with registry.open(owner="ann") as session:
        async with served(fastapi_login.app) as site:
            path = f"/sessions/{session.id}"
            assert (await site.ask("GET", path, headers=BOB)).status_code == 200
            # Whoever logs in by bearer has no other one to send: that takes an `authorize`.
            assert (await site.ask("POST", f"{path}/cancel", headers=ANN)).status_code == 403
            token = {"Authorization": f"Bearer {session.handle()['control_token']}"}
            both = {"Cookie": "login=login-of-ann", **token}
            assert (await site.ask("POST", f"{path}/cancel", headers=token)).status_code == 401
            assert not session.cancel_requested
            assert (await site.ask("POST", f"{path}/cancel", headers=both)).status_code == 202
            assert session.cancel_requested


async def test_owners_alone_follow_control_and_list() -> None:
    with fastapi_owners.registry.open(session_id="report-7", owner="ann") as session:
        async with served(fastapi_owners.app) as site:
            for method, route in EVERY:
                if route.name not in ("list", "view", "health", "ws"):
                    answer = await site.ask(method, at(route.path, session.id), headers=BOB)
                    assert answer.status_code == 403, route
            frames, code = await site.follow(session.id, BOB)
            assert ([frame["code"] for frame in frames], code) == (["forbidden"], 4403)
            for headers, found in ((BOB, []), (ANN, [session.id])):
                answer = await site.ask("GET", "/sessions?status=running", headers=headers)
                assert [each["session_id"] for each in answer.json()["sessions"]] == found
            cancel = f"/sessions/{session.id}/cancel"
            assert not session.cancel_requested
            assert (await site.ask("POST", cancel, headers=ANN)).status_code == 202
            assert session.cancel_requested


async def test_a_run_belongs_to_who_made_it_and_is_followed_by_a_browsers_bearer() -> None:
    async with served(fastapi_owners.app) as site:
        assert (await site.client.post("/runs/report-8")).status_code == 401
        made = await site.client.post("/runs/report-8", headers=ANN)
        assert made.status_code == 202
        offered = ("agentprogress.v1", bearer_protocol("login-of-ann"))
        frames, code = await site.follow("report-8", {}, offered)
        assert (frames[-1]["type"], code) == ("end", 1000)
        assert fastapi_owners.registry.get("report-8").owner == "ann"


async def test_the_applications_overrides_hold_for_websockets_too() -> None:
    session_id = ended(fastapi_owners.registry, owner="carol")
    app = fastapi_owners.app

    def carol(request: Request) -> str:
        request.state.user = "carol"
        return "carol"

    async with served(app) as site:
        assert (await site.follow(session_id, {}))[1] == 4401
        app.dependency_overrides[current_user] = carol
        frames, code = await site.follow(session_id, {})
        assert (frames[-1]["type"], code) == ("end", 1000)
        assert (await site.ask("GET", f"/sessions/{session_id}")).status_code == 200
        app.dependency_overrides.clear()
        assert (await site.follow(session_id, {}))[1] == 4401


class Guard:
    """An application with a dependency of the test's, one session, and what happened."""

    def __init__(self, dependency: Any) -> None:
        self.registry = SessionRegistry()
        self.session_id = ended(self.registry)
        self.app = FastAPI()
        self.asked: list[AccessRequest] = []
        router = progress_router(self.registry, self._authorize, [Depends(dependency)])
        self.app.include_router(router, prefix="/progress")

    def _authorize(self, request: AccessRequest) -> Access:
        self.asked.append(request)
        return Access()

    async def tried(self) -> tuple[int, list[dict[str, Any]], int | None]:
        """Returns what a request and a WebSocket get."""
        async with served(self.app) as site:
            answer = await site.ask("GET", f"/sessions/{self.session_id}")
            frames, code = await site.follow(self.session_id, {})
        return answer.status_code, frames, code


@pytest.mark.parametrize(
    ("status", "code", "close"),
    [
        (401, "unauthorized", 4401),
        (403, "forbidden", 4403),
        (402, "forbidden", 4403),
        (404, "not_found", 4406),
        (500, "internal", 4107),
        (503, "internal", 4107),
    ],
)
async def test_a_dependency_refuses_by_status(status: int, code: str, close: int) -> None:
    async def dependency() -> None:
        raise HTTPException(status, "Your plan is over.")

    guard = Guard(dependency)
    refused, frames, closed = await guard.tried()
    assert refused == status
    assert [(each["code"], each["message"]) for each in frames] == [(code, "Your plan is over.")]
    assert closed == close
    assert guard.asked == []


async def test_what_a_dependency_needs_and_does_not_get_is_a_refusal() -> None:
    def dependency(plan: int) -> int:
        return plan

    refused, frames, closed = await Guard(dependency).tried()
    assert refused == 422
    assert ([frame["code"] for frame in frames], closed) == (["bad_request"], 4400)


async def test_a_dependency_with_a_cleanup_is_cleaned_up_once_for_each_handshake() -> None:
    steps: list[str] = []

    async def dependency(request: Request) -> AsyncGenerator[str]:
        steps.append("begin")
        request.state.user = "ann"
        try:
            yield "ann"
        finally:
            steps.append("clean")

    guard = Guard(dependency)
    status, frames, code = await guard.tried()
    assert (status, frames[-1]["type"], code) == (200, "end", 1000)
    assert steps == ["begin", "clean"] * 2
    assert [each.connection.state["user"] for each in guard.asked] == ["ann", "ann"]


async def test_a_dependency_that_refuses_after_another_has_begun_lets_that_one_clean_up() -> None:
    steps: list[str] = []

    async def database() -> AsyncGenerator[str]:
        try:
            yield "database"
        finally:
            steps.append("closed")

    async def dependency(found: str = Depends(database)) -> None:
        raise HTTPException(403, f"Not in the {found}.")

    status, frames, code = await Guard(dependency).tried()
    assert (status, frames[0]["message"], code) == (403, "Not in the database.", 4403)
    assert steps == ["closed"] * 2


async def test_a_dependency_that_fails_tells_a_websocket_that_the_server_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def dependency() -> None:
        raise LookupError("what-nobody-may-see")

    guard = Guard(dependency)
    status, frames, code = await guard.tried()
    assert status == 500
    assert ([frame["code"] for frame in frames], code) == (["internal"], 4107)
    assert "what-nobody-may-see" not in str(frames)
    assert "what-nobody-may-see" in caplog.text
    assert guard.asked == []


async def test_what_dependencies_put_off_is_done_for_each_request() -> None:
    done: list[str] = []

    def ours(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "ours")

    def theirs(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "theirs")

    registry = SessionRegistry()
    session_id = ended(registry)
    app = FastAPI()
    router = progress_router(registry, dependencies=[Depends(ours)])
    app.include_router(router, prefix="/progress", dependencies=[Depends(theirs)])
    async with served(app) as site:
        for _ in range(2):
            answer = await site.ask("GET", f"/sessions/{session_id}")
            assert answer.status_code == 200
    assert sorted(done) == ["ours", "ours", "theirs", "theirs"]


async def test_a_redirect_of_a_dependency_is_followed_by_requests_and_refuses_a_websocket() -> None:
    def dependency() -> None:
        raise HTTPException(307, headers={"Location": "/login"})

    guard = Guard(dependency)
    async with served(guard.app) as site:
        answer = await site.ask("GET", f"/sessions/{guard.session_id}/view")
        frames, code = await site.follow(guard.session_id, {})
    assert (answer.status_code, answer.headers["location"]) == (307, "/login")
    assert ([frame["code"] for frame in frames], code) == (["forbidden"], 4403)


async def test_the_cookies_that_a_dependency_sets_arrive_on_a_yes_and_on_a_no() -> None:
    def dependency(request: Request, response: Response) -> None:
        if "refused" in request.query_params:
            headers = {"WWW-Authenticate": "Ours"}
            raise HTTPException(401, "No.", headers=headers)
        response.set_cookie("seen", "now")
        # Not a dependency's to decide: the answer has its own.
        response.status_code = 202

    guard = Guard(dependency)

    @guard.app.exception_handler(401)
    async def forget(request: Request, error: HTTPException) -> JSONResponse:
        answer = JSONResponse({"detail": error.detail}, 401, headers=dict(error.headers or {}))
        answer.delete_cookie("a")
        answer.delete_cookie("b")
        return answer

    async with served(guard.app) as site:
        yes = await site.ask("GET", f"/sessions/{guard.session_id}")
        no = await site.ask("GET", f"/sessions/{guard.session_id}?refused")
        frames, code = await site.follow(guard.session_id, {})
    assert (yes.status_code, yes.json()["status"]) == (200, "completed")
    assert yes.headers["set-cookie"].startswith("seen=now")
    assert (no.status_code, no.json()["code"]) == (401, "unauthorized")
    assert no.headers["www-authenticate"] == "Ours"
    assert [each[:2] for each in no.headers.get_list("set-cookie")] == ["a=", "b="]
    assert (frames[-1]["type"], code) == ("end", 1000)


async def test_a_handler_that_streams_its_refusal_holds_nobody_up() -> None:
    def dependency() -> None:
        raise HTTPException(403, "No.")

    guard = Guard(dependency)

    @guard.app.exception_handler(403)
    async def stream(request: Request, error: HTTPException) -> StreamingResponse:
        return StreamingResponse(iter(['{"detail": ', '"No."}']), 403)

    refused, frames, code = await guard.tried()
    assert (refused, frames[0]["message"], code) == (403, "No.", 4403)


async def test_a_handler_may_answer_with_nothing_at_all() -> None:
    def dependency() -> None:
        raise HTTPException(403)

    guard = Guard(dependency)

    @guard.app.exception_handler(403)
    async def silence(request: Request, error: HTTPException) -> Response:
        return Response(status_code=200)

    refused, frames, code = await guard.tried()
    assert (refused, [frame["code"] for frame in frames], code) == (200, ["forbidden"], 4403)
