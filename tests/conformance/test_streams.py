"""Streams as they live: what comes when, in which bytes, and how it ends."""

from __future__ import annotations

import json

import pytest

from .live import Live, Session, whatever_the_store
from .oracle import check_history, messages_of
from .servers import Limit
from .wire import exchange

PROTOCOL = "agentprogress.v1"


def test_a_stream_is_followed_live_to_its_end(live: Live) -> None:
    session = live.session(title="live")
    with session.sse() as stream, session.websocket() as socket:
        followers = (stream.frames(), socket.frames())
        told: list[list[dict[str, object]]] = [[], []]
        for round_ in range(5):
            session.do(("log", 3, round_ * 3))
            for frames, follower in zip(told, followers, strict=True):
                while f"line {round_ * 3 + 2}" not in messages_of(frames):
                    frames.append(next(follower))
        session.do(("complete", {"lines": 15}))
        for frames, follower in zip(told, followers, strict=True):
            frames.extend(follower)
            check_history(frames)
            assert messages_of(frames) == [f"line {number}" for number in range(15)]
    assert (socket.close_code, socket.accepted) == (1000, True)
    assert socket.close_reason == ("" if live.cannot(Limit.NO_CLOSE_REASON) else "end")


def test_text_and_failure_arrive_like_everything_else(live: Live) -> None:
    session = live.session()
    session.do(("text", "Hello ", "wörld \u2028 \U0001f600"), ("fail", "The disk is full."))
    for frames in (session.follow("websocket"), session.follow("sse"), session.follow("page")):
        check_history(frames)
        deltas = [frame["delta"] for frame in frames if frame["type"] == "text.delta"]
        assert "".join(deltas) == "Hello wörld \u2028 \U0001f600"
        assert frames[-2]["error"]["message"] == "The disk is full."
        assert frames[-1]["status"] == "failed"


def test_who_was_cut_resumes_where_it_was(live: Live) -> None:
    session = live.session()
    session.do(("log", 4))
    with session.sse() as stream:
        frames = stream.frames()
        assert next(frames)["resume"] == "fresh"
        next(frame for frame in frames if frame["type"] == "log.message")
        cursor = stream.last_id
    session.do(("log", 4, 4), ("complete", None))
    with session.sse(headers={"Last-Event-ID": cursor}) as stream:
        told = list(stream.frames())
    check_history(told, cursor)
    assert messages_of(told) == [f"line {number}" for number in range(1, 8)]


def test_of_two_cursors_the_header_wins(live: Live) -> None:
    session = live.session()
    early = session.do(("log", 1))
    late = session.do(("log", 2, 1))
    session.do(("complete", None))
    with session.sse(early, headers={"Last-Event-ID": late}) as stream:
        frames = list(stream.frames())
    check_history(frames, late)
    assert [frame["type"] for frame in frames] == ["welcome", "session.completed", "end"]


@whatever_the_store
def test_the_headers_of_a_stream_keep_proxies_from_holding_it(live: Live) -> None:
    with live.ended().sse() as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-length" not in stream.headers
        assert stream.headers.get("connection", "close") == "close"
        list(stream.messages())


@whatever_the_store
def test_a_finished_stream_closes_a_connection_that_was_to_be_closed(live: Live) -> None:
    path = live.path(f"/sessions/{live.ended().id}/events")
    sent = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert b"event: end\n" in exchange(live.address, sent.encode())


def test_a_head_request_gets_the_headers_alone(live: Live) -> None:
    session = live.session()
    for route in ("", "/events", "/page", "/result"):
        path = f"/sessions/{session.id}{route}"
        answer = live.request("HEAD", path)
        assert answer.status == (202 if route == "/result" else 200)
        assert answer.body == b""
        expected = "text/event-stream" if route == "/events" else "application/json"
        assert answer.headers["content-type"].startswith(expected)
    session.until(subscribers=0)


def test_data_comes_before_the_id_in_lines_that_end_with_lf(live: Live) -> None:
    session = live.session()
    session.do(("log", 80), ("complete", None))
    with session.sse() as stream:
        messages = list(stream.messages())
    assert b"\r" not in stream.raw
    assert messages[0].lines == ("event", "data", "id", "retry")
    for message in messages[1:]:
        control = "." not in message.frame["type"]
        assert message.event == (message.frame["type"] if control else "message")
        assert message.lines == (("event",) * control + ("data", "id"))


def test_every_message_says_what_the_client_holds_then(live: Live) -> None:
    session = live.session()
    cursor = session.do(("log", 3))
    session.do(("complete", None))
    epoch = cursor.split("-")[0]
    with session.sse() as stream:
        fresh = list(stream.messages())
    assert [message.last_id for message in fresh] == [
        f"{epoch}-{seq}" for seq in (0, 1, 2, 3, 4, 5, 5)
    ]
    assert fresh[0].retry is not None
    assert fresh[0].retry > 0
    with session.sse(cursor) as stream:
        resumed = list(stream.messages())
    assert [message.last_id for message in resumed] == [f"{epoch}-{seq}" for seq in (4, 5, 5)]


def test_each_websocket_message_is_an_array_of_frames(live: Live) -> None:
    session = live.ended(lines=30)
    with session.websocket() as socket:
        frames = list(socket.frames())
    assert all(isinstance(json.loads(message), list) for message in socket.messages)
    assert len(socket.messages) < len(frames)
    check_history(frames)


@whatever_the_store
def test_the_protocol_is_selected_and_a_bearer_is_never_echoed(live: Live) -> None:
    session = live.ended()
    token = "agentprogress.bearer.c2VjcmV0"
    for offered, selected in (
        ((), None),
        ((PROTOCOL,), PROTOCOL),
        ((PROTOCOL, token), PROTOCOL),
        (("chat", PROTOCOL), PROTOCOL),
    ):
        with session.websocket(subprotocols=offered) as socket:
            assert socket.subprotocol == selected
            assert "bearer" not in str(socket.response.headers)
            check_history(socket.frames())


@whatever_the_store
def test_a_bearer_offered_alone_is_not_selected(live: Live) -> None:
    with live.ended().websocket(subprotocols=("agentprogress.bearer.c2VjcmV0",)) as socket:
        assert socket.subprotocol is None
        check_history(socket.frames())


def test_the_heart_beats_on_both_kinds_of_streams(live: Live) -> None:
    session = live.session()
    with session.sse() as stream, session.websocket() as socket:
        for frames in (stream.frames(), socket.frames()):
            beat = next(frame for frame in frames if frame["type"] == "heartbeat")
            assert (beat["head"], beat["producer"]) == (1, "alive")
            assert beat["server_time"].endswith("Z")
    session.do(("complete", None))


@whatever_the_store
def test_who_answers_heartbeats_is_kept(live: Live) -> None:
    session = live.session()
    with session.websocket(subprotocols=(PROTOCOL,)) as socket:
        beats = 0
        for frame in socket.frames():
            if frame["type"] == "heartbeat":
                beats += 1
                socket.send('{"type": "pong"}')
            if beats == 3:
                session.do(("complete", None))
                beats += 1
        assert socket.close_code == 1000


@whatever_the_store
def test_who_promised_to_answer_and_does_not_is_closed(live: Live) -> None:
    session = live.session()
    with session.websocket(subprotocols=(PROTOCOL,)) as socket:
        frames = list(socket.frames())
        assert (frames[-1]["type"], frames[-1]["code"]) == ("error", "no_pong")
        assert frames[-1]["retryable"] is True
        assert socket.close_code == 4102
    session.until(subscribers=0)
    session.do(("complete", None))


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_who_leaves_in_the_middle_leaves_nothing_behind(live: Live, reset: bool) -> None:
    session = live.session()
    for follow in (session.sse, session.websocket):
        stream = follow()
        assert next(stream.frames())["type"] == "welcome"
        session.until(subscribers=1)
        session.do(("log", 3))
        stream.close(reset=reset)
        session.until(subscribers=0)
    session.do(("log", 3), ("complete", None))
    assert_served(session)


def assert_served(session: Session) -> None:
    """The server is as good as new."""
    check_history(session.follow("sse"))
    check_history(session.follow("websocket"))
