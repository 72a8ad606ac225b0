"""Starlette's test client, which runs an application in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp
from tests.backings import EVERYWHERE, Backing, Stores, Way

from .oracle import check_history, messages_of


# The client has a loop in a thread of its own, and real time.
@pytest.fixture(params=[way for way in EVERYWHERE if not way.apart], ids=str)
def registry(request: pytest.FixtureRequest, stores: Stores) -> Iterator[SessionRegistry]:
    way: Way = request.param
    with Backing(way, stores, virtual=False) as backing:
        yield backing.registries()[0]


@pytest.fixture
def client(registry: SessionRegistry) -> Iterator[TestClient]:
    app = Starlette(routes=[Mount("/progress", ProgressApp(registry))])
    with TestClient(app) as client:
        yield client


def ended(registry: SessionRegistry) -> ProgressSession:
    with registry.open() as session:
        session.log("line 0")
        session.complete({"pages": 3})
    return session


def test_a_websocket_tells_everything_and_closes(
    registry: SessionRegistry, client: TestClient
) -> None:
    frames = []
    path = f"/progress/sessions/{ended(registry).id}/ws"
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(path) as socket:
        while True:
            frames += socket.receive_json()
    check_history(frames)
    assert messages_of(frames) == ["line 0"]
    assert closed.value.code == 1000


def test_a_stream_of_an_ended_session_is_read_whole(
    registry: SessionRegistry, client: TestClient
) -> None:
    answer = client.get(f"/progress/sessions/{ended(registry).id}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.rstrip().split("\n")[-2].startswith('data: {"type":"end"')


def test_pages_and_results_need_no_lifespan(registry: SessionRegistry) -> None:
    client = TestClient(ProgressApp(registry))
    session = ended(registry)
    check_history(client.get(f"/sessions/{session.id}/page").json()["frames"])
    assert client.get(f"/sessions/{session.id}/result").json() == {"pages": 3}
    assert client.get(f"/sessions/{session.id}").json()["status"] == "completed"


def test_every_request_may_have_an_event_loop_of_its_own(registry: SessionRegistry) -> None:
    client = TestClient(ProgressApp(registry))
    session = ended(registry)
    for _ in range(3):
        assert client.get(f"/sessions/{session.id}/page").status_code == 200
        with client.websocket_connect(f"/sessions/{session.id}/ws") as socket:
            assert socket.receive_json()[0]["type"] == "welcome"
    assert registry.stats().subscribers == 0


def test_a_cancel_needs_the_control_token(registry: SessionRegistry, client: TestClient) -> None:
    with registry.open() as session:
        handle = session.handle()
        url = f"{handle['url']}/cancel"
        assert client.post(url).status_code == 401
        bearer = {"Authorization": f"Bearer {handle['control_token']}"}
        assert client.post(url, headers=bearer).status_code == 202
        assert session.cancel_requested
