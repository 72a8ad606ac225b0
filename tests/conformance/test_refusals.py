"""Who is turned away, with what, and how little that reveals."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from .backend import ALLOWED_ORIGIN
from .live import Live, whatever_the_store
from .oracle import check_history
from .servers import Limit, Target
from .wire import Answer, WebSocket

PROBLEM = {"type", "title", "status", "detail", "code", "retryable"}
EVIL = "https://evil.example"
ELSEWHERE = "s_zzzz0123456789012345678901"


def is_problem(answer: Answer, status: int, code: str) -> Any:
    """Checks that an answer is problem details, and returns them."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert body.keys() >= PROBLEM
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"].strip()
    assert b"Traceback" not in answer.body
    return body


def refusal(socket: WebSocket) -> dict[str, Any]:
    """Reads a WebSocket that was accepted only to say no."""
    assert socket.accepted
    frames = list(socket.frames())
    assert [frame["type"] for frame in frames] == ["error"]
    assert frames[0].keys() >= {"code", "message", "retryable"}
    return frames[0]


def neighbour(live: Live) -> str:
    """Returns an id that this process could have made, and has not."""
    return live.ended().id[:6] + "0" * 22


def elsewhere(live: Live) -> tuple[int, str]:
    """Returns what is said of another process's id; on a store no id is of a process."""
    return (421, "wrong_process") if live.target.store is None else (404, "session_unknown")


@pytest.mark.parametrize("route", ["", "/events", "/page", "/result"])
@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("unknown", 404, "session_unknown"),
        (ELSEWHERE, 421, "wrong_process"),
        ("report-7", 403, "forbidden"),
        ("-no-id", 400, "bad_request"),
        ("x" * 200, 400, "bad_request"),
    ],
    ids=["unknown", "another process's", "chosen by the application", "none", "too long"],
)
def test_an_id_that_leads_nowhere_is_a_problem(
    live: Live, route: str, case: str, status: int, code: str
) -> None:
    session_id = neighbour(live) if case == "unknown" else case
    if case == ELSEWHERE:
        status, code = elsewhere(live)
    answer = live.request("GET", f"/sessions/{session_id}{route}")
    assert is_problem(answer, status, code)["retryable"] is False


@pytest.mark.parametrize(
    ("case", "close", "code"),
    [
        ("unknown", 4404, "session_unknown"),
        (ELSEWHERE, 4421, "wrong_process"),
        ("report-7", 4403, "forbidden"),
        ("-no-id", 4400, "bad_request"),
    ],
    ids=["unknown", "another process's", "chosen by the application", "none"],
)
def test_a_websocket_is_accepted_to_be_told_why_not(
    live: Live, case: str, close: int, code: str
) -> None:
    session_id = neighbour(live) if case == "unknown" else case
    if case == ELSEWHERE:
        close, code = elsewhere(live)
        close += 4000
    for subprotocols in ((), ("agentprogress.v1",)):
        with live.websocket(session_id, subprotocols=subprotocols) as socket:
            assert refusal(socket)["code"] == code
            assert socket.close_code == close


def test_a_chosen_id_is_refused_with_the_remedy(live: Live) -> None:
    answer = live.request("GET", "/sessions/report-7")
    assert "authorize=" in is_problem(answer, 403, "forbidden")["detail"]


@whatever_the_store
def test_another_process_is_named_with_the_remedy(live: Live) -> None:
    answer = live.request("GET", f"/sessions/{ELSEWHERE}")
    assert "one worker" in is_problem(answer, 421, "wrong_process")["detail"]


def test_subscribers_over_the_limit_are_sent_away_for_a_while(live: Live) -> None:
    session = live.session()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stream = stack.enter_context(session.sse(query="as=ann"))
            assert next(stream.frames())["type"] == "welcome"
        with session.sse(query="as=ann") as stream:
            assert stream.status == 200
            (message,) = stream.messages()
            assert message.event == message.frame["type"] == "reconnect"
            assert message.retry is not None
            assert message.frame["retry_after"] >= 0
        with session.websocket(query="as=ann") as socket:
            frame = refusal(socket)
            assert (frame["code"], frame["retryable"]) == ("rate_limited", True)
            assert frame["retry_after"] >= 0
            assert socket.close_code == 4105
        with session.sse(query="as=bob") as stream:
            assert next(stream.frames())["type"] == "welcome"
    session.until(subscribers=0)
    with session.sse(query="as=ann") as stream:
        assert next(stream.frames())["type"] == "welcome"


@whatever_the_store
@pytest.mark.parametrize(
    ("method", "route", "allowed"),
    [
        ("DELETE", "", {"GET", "HEAD"}),
        ("POST", "/events", {"GET", "HEAD"}),
        ("PUT", "/page", {"GET", "HEAD"}),
        ("PATCH", "/result", {"GET", "HEAD"}),
        ("GET", "/cancel", {"POST"}),
        ("DELETE", "/inputs/anything", {"POST"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    live: Live, method: str, route: str, allowed: set[str]
) -> None:
    answer = live.request(method, f"/sessions/{live.ended().id}{route}")
    if live.cannot(Limit.FRAMEWORK_ANSWERS_METHODS):
        assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
    else:
        is_problem(answer, 405, "method_not_allowed")
    assert {name.strip() for name in answer.headers["allow"].split(",")} - {"OPTIONS"} == allowed


@whatever_the_store
@pytest.mark.parametrize("path", ["/nothing", "/sessions/a/nothing", "/sessions/a/events/more"])
def test_an_unknown_path_is_a_problem(live: Live, path: str) -> None:
    answer = live.request("GET", path)
    if live.cannot(Limit.FRAMEWORK_ANSWERS_PATHS):
        assert (answer.status, b"Not Found" in answer.body) == (404, True)
    else:
        is_problem(answer, 404, "not_found")


@whatever_the_store
def test_a_page_of_another_origin_is_refused_by_name(live: Live) -> None:
    session = live.session()
    host = f"{live.address[0]}:{live.address[1]}"
    headers = {"Origin": EVIL, "Cookie": "login=1"}
    for route in ("", "/events", "/page", "/result"):
        answer = session.get(route, **headers)
        detail = is_problem(answer, 403, "forbidden")["detail"]
        assert "evil.example" in detail
        assert host in detail
        assert "allowed_origins" in detail
        assert "access-control-allow-origin" not in answer.headers
    with session.websocket(headers=headers) as socket:
        message = refusal(socket)["message"]
        assert "evil.example" in message
        assert host in message
        assert "allowed_origins" in message
        assert socket.close_code == 4403


@whatever_the_store
def test_a_page_of_an_allowed_origin_may_read_the_answers(live: Live) -> None:
    session = live.ended()
    headers = {"Origin": ALLOWED_ORIGIN, "Cookie": "login=1"}
    for route in ("", "/events", "/page"):
        answer = session.get(route, **headers)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert "etag" in exposed
        assert "retry-after" in exposed
        assert "origin" in answer.headers["vary"].lower()
    with session.websocket(headers=headers) as socket:
        check_history(socket.frames())


@whatever_the_store
def test_a_page_of_the_same_host_is_no_foreign_one(live: Live) -> None:
    session = live.ended()
    headers = {"Origin": f"http://{live.address[0]}:{live.address[1]}", "Cookie": "login=1"}
    assert session.get("", **headers).status == 200
    with session.websocket(headers=headers) as socket:
        check_history(socket.frames())


@whatever_the_store
def test_a_browser_that_asks_first_is_told_what_it_may_send(live: Live) -> None:
    session = live.ended()
    asking = {
        "Origin": ALLOWED_ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "last-event-id, authorization",
    }
    answer = live.request("OPTIONS", f"/sessions/{session.id}/events", asking)
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower()
    for name in ("last-event-id", "authorization", "if-none-match"):
        assert name in allowed
    foreign = live.request("OPTIONS", f"/sessions/{session.id}/events", asking | {"Origin": EVIL})
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize("live", [Target("uvicorn", "fastapi-router")], ids=str, indirect=True)
def test_an_applications_own_dependency_guards_every_route(live: Live) -> None:
    session = live.ended()
    for route in ("", "/events", "/page", "/result", "/view"):
        assert session.get(f"{route}?user=nobody").status == 401
    assert session.post("/cancel?user=nobody").status == 401
    with session.websocket(query="user=nobody") as socket:
        frame = refusal(socket)
        assert (frame["code"], frame["message"]) == ("unauthorized", "Who are you?")
        assert socket.close_code == 4401
    check_history(session.follow("websocket"))
