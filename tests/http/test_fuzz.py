"""Anything a client can send: the answer is always one of ours, whole, and nothing is left."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from agentprogress import SessionRegistry, Settings
from agentprogress._core.connection import Connection, Terms, Transport
from agentprogress._core.frames import Tempo
from agentprogress._core.history import Join, Joined, Resume
from agentprogress._core.outputs import Close, Write
from agentprogress._core.states import SessionStatus
from agentprogress._http import ROUTES, Request
from agentprogress.asgi import ProgressApp
from agentprogress.codes import CODES
from agentprogress.errors import InvalidRequest

SETTINGS = Settings(max_client_frame_bytes=200)

texts = st.text(st.characters(), max_size=300)
near_pongs = st.sampled_from(
    [
        '{"type":"pong"}',
        ' {"type" : "pong", "x": 1}\n',
        '{"type":"pong"',
        "[]",
        "NaN",
        "1e999",
        '""',
    ]
)
client_frames = st.lists(st.one_of(near_pongs, texts, st.binary(max_size=300)), max_size=8)

JOINED = Joined(Join(Resume.FRESH, 0), "abcdefghij", 0, SessionStatus.RUNNING, None)


@given(client_frames)
def test_client_frames_are_pongs_or_end_the_connection(sent: list[str | bytes]) -> None:
    connection = Connection(Transport.WEBSOCKET, SETTINGS, Terms(pongs=True))
    connection.joined("s", JOINED, None, Tempo("2026-11-22T12:00:00.000Z", 1.0))
    while connection.next() is not None:
        pass
    for data in sent:
        connection.received(data)
    steps = list(iter(connection.next, None))
    if not steps:
        assert connection.wants_more
        assert all(isinstance(data, str) and is_pong(data) for data in sent)
        return
    write, close = steps
    assert isinstance(write, Write)
    assert isinstance(close, Close)
    (frame,) = json.loads(write.data)
    assert frame["code"] in ("bad_request", "too_large")
    assert close.code == CODES[frame["code"]].websocket


def is_pong(text: str) -> bool:
    try:
        frame = json.loads(text)
    except ValueError:
        return False
    return isinstance(frame, dict) and frame.get("type") == "pong"


raw = st.binary(max_size=40)
header_names = st.one_of(
    raw,
    st.sampled_from(
        [
            b"authorization",
            b"cookie",
            b"host",
            b"if-none-match",
            b"last-event-id",
            b"origin",
            b"access-control-request-method",
            b"sec-websocket-protocol",
        ]
    ),
)
header_values = st.one_of(
    raw,
    st.sampled_from(
        [
            b"Bearer x",
            b"bearer",
            b"Bearer \xff",
            b"https://[",
            b"https://a:99999",
            b"null",
            b"a=b; c",
            b'W/"x", *',
            b"abcdefghij-1",
            b"\r\nx: y",
        ]
    ),
)
queries = st.one_of(
    raw,
    st.sampled_from(
        [b"wait=nan", b"limit=1e400", b"limit=-1", b"limit=0.5", b"after=%ff", b"a=&=b"]
    ),
)
segments = st.one_of(
    st.text(st.characters(), max_size=20), st.sampled_from(["x" * 5000, "..", "s_", "%2e"])
)


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from([route.path for route in ROUTES] + ["/", "", "/sessions//page"]))
    for name in ("{session_id}", "{request_id}"):
        path = path.replace(name, draw(segments))
    # A long poll would only wait.
    query = draw(queries).replace(b"wait=", b"wait=0&x=")
    return {
        "type": "http",
        "method": draw(st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "get", "\x00"])),
        "path": path,
        "query_string": query,
        "headers": draw(st.lists(st.tuples(header_names, header_values), max_size=5)),
    }


async def answer(scope: dict[str, Any], body: list[bytes]) -> list[dict[str, Any]]:
    registry = SessionRegistry(SETTINGS)
    app = ProgressApp(registry, allowed_origins=("https://app.example",), chain_signals=False)
    sent: list[dict[str, Any]] = []
    inbox: list[dict[str, Any]] = [
        *({"type": "http.request", "body": chunk, "more_body": True} for chunk in body),
        {"type": "http.request", "body": b""},
    ]

    async def receive() -> dict[str, Any]:
        return inbox.pop(0) if inbox else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert registry.stats().subscribers == 0
    return sent


@given(scopes(), st.lists(raw, max_size=8))
def test_every_request_gets_one_whole_answer(scope: dict[str, Any], body: list[bytes]) -> None:
    start, end = anyio.run(answer, scope, body)
    assert start["type"] == "http.response.start"
    assert end["type"] == "http.response.body"
    status, headers = start["status"], dict(start["headers"])
    assert status < 500
    length = int(headers.get(b"content-length", 0))
    assert len(end["body"]) == (0 if scope["method"] == "HEAD" else length)
    if status >= 400 and scope["method"] != "HEAD":
        problem = json.loads(end["body"])
        assert problem["status"] == status == CODES[problem["code"]].http
        assert problem["retryable"] is CODES[problem["code"]].retryable


@given(st.lists(st.tuples(header_names, header_values), max_size=8), queries, raw)
def test_what_cannot_be_read_is_an_invalid_request(
    headers: list[tuple[bytes, bytes]], query: bytes, body: bytes
) -> None:
    request = Request.read("GET", "/", headers, query=query, client=None, state={}, body=body)
    request.offering(["agentprogress.bearer.", "agentprogress.bearer.\u20ac", "x"])
    assert isinstance(request.knows(b'"x"'), bool)
    for read in (request.fields, lambda: request.number("limit", 1, 9)):
        with suppress(InvalidRequest):
            assert read() is not None
