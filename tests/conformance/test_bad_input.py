"""What clients should not send: each gets its code, and the server goes on."""

from __future__ import annotations

import contextlib

import pytest

from .live import Live, Session, whatever_the_store
from .oracle import check_history
from .wire import exchange

pytestmark = whatever_the_store

PONG = '{"type": "pong"}'
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "code", "close"),
    [
        ('"' + "x" * 20_000 + '"', "too_large", 4413),
        ("hello", "bad_request", 4400),
        ("[]", "bad_request", 4400),
        ("", "bad_request", 4400),
        ('{"type": "cancel"}', "bad_request", 4400),
        ("[" * 10_000, "bad_request", 4400),
    ],
    ids=["too large", "not JSON", "an array", "nothing", "unknown type", "deep"],
)
def test_a_text_that_is_no_pong_is_refused(live: Live, text: str, code: str, close: int) -> None:
    session = live.session()
    with session.websocket() as socket:
        frames = socket.frames()
        assert next(frames)["type"] == "welcome"
        socket.send(text)
        last = list(frames)[-1]
        assert (last["type"], last["code"], last["retryable"]) == ("error", code, False)
        assert socket.close_code == close
    session.until(subscribers=0)


def test_a_binary_frame_is_refused(live: Live) -> None:
    session = live.session()
    with session.websocket() as socket:
        frames = socket.frames()
        next(frames)
        socket.send_binary(PONG.encode())
        assert list(frames)[-1]["code"] == "bad_request"
        assert socket.close_code == 4400


def test_text_that_is_not_utf8_closes_the_connection(live: Live) -> None:
    session = live.session()
    with session.websocket() as socket:
        frames = socket.frames()
        next(frames)
        socket.send(b"\xff\xfe")
        list(frames)
        assert socket.over
        assert socket.close_code != 1000
    session.until(subscribers=0)


def test_ten_thousand_pongs_do_no_harm(live: Live) -> None:
    session = live.session()
    with session.websocket() as socket:
        frames = socket.frames()
        next(frames)
        socket.send(PONG, times=2_500)
        session.do(("log", 1))
        assert next(f for f in frames if f["type"] != "heartbeat")["type"] == "session.started"
        before = live.control("stats")["rss_bytes"]
        for _ in range(3):
            socket.send(PONG, times=2_500)
        # Some servers would hold a connection whose application left messages unread.
        socket.round_trip()
        session.do(("log", 1, 1), ("complete", None))
        told = list(frames)
        assert told[-1]["type"] == "end"
        assert socket.close_code == 1000
    assert live.control("stats")["rss_bytes"] - before < 16 * MIB


def test_a_header_with_a_line_break_reaches_nobody(live: Live) -> None:
    session = live.ended()
    path = live.path(f"/sessions/{session.id}/events")
    for value in (b"x\r\nX-Injected: yes", b"x\nX-Injected: yes", b"x\rX-Injected: yes"):
        answer = exchange(
            live.address,
            b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLast-Event-ID: %b\r\n\r\n"
            % (path.encode(), value),
        )
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert b"injected" not in head.lower()
    check_history(session.follow("sse"))


@pytest.mark.parametrize(
    "query", ["wait=soon", "wait=-1", "limit=x", "limit=nan", "wait=inf&limit=-1"]
)
def test_a_query_that_cannot_be_understood_is_a_problem(live: Live, query: str) -> None:
    answer = live.ended().get(f"/page?{query}")
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


def test_a_very_long_cursor_is_answered_like_any_other(live: Live) -> None:
    session = live.ended(lines=1)
    frames = session.follow("page", "x" * 4000)
    check_history(frames)
    assert frames[0]["resume"] == "reset"


# A thousand on each of eleven servers would take minutes; what would pile up shows with these.
HANDSHAKES = 200


def test_handshakes_over_the_limit_are_each_answered_and_leave_nothing(live: Live) -> None:
    session = live.session()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(session.websocket(query="as=ann"))
        session.until(subscribers=3)
        before = _stats_after_refusals(session, HANDSHAKES // 2)
        after = _stats_after_refusals(session, HANDSHAKES // 2)
        session.until(subscribers=3)
        assert after["subscribers"] == before["subscribers"]
        assert after["rss_bytes"] - before["rss_bytes"] < 4 * MIB


def _stats_after_refusals(session: Session, count: int) -> dict[str, int]:
    for _ in range(count):
        with session.websocket(query="as=ann") as socket:
            assert [frame["code"] for frame in socket.frames()] == ["rate_limited"]
            assert socket.close_code == 4105
    stats: dict[str, int] = session.live.control("stats")
    return stats
