"""What nginx does to streams when it is told the wrong things, or too little."""

from __future__ import annotations

import ssl

import pytest
from websockets.exceptions import InvalidStatus

from tests.conformance.live import Live
from tests.conformance.oracle import check_history, messages_of

from .clients import follow_events, follow_websocket, get, open_unread
from .conftest import Start

pytestmark = pytest.mark.server


def test_without_upgrade_a_handshake_is_refused_and_events_are_live(
    live: Live, nginx: Start, tls: ssl.SSLContext
) -> None:
    proxy = nginx("no_upgrade")
    session = live.session()
    with pytest.raises(InvalidStatus) as refused:
        follow_websocket(proxy, session, tls).__enter__()
    assert refused.value.response.status_code == 400
    assert b"Upgrade is missing" in refused.value.response.body
    with follow_events(proxy, session, tls) as frames:
        assert next(frames)["resume"] == "fresh"
        session.do(("complete", None))
        assert list(frames)[-1]["type"] == "end"


def test_compressed_events_are_live_because_of_their_header(
    live: Live, nginx: Start, tls: ssl.SSLContext
) -> None:
    proxy = nginx("gzip")
    session = live.session()
    assert get(proxy.url(live.ended()) + "/events", tls).headers["content-encoding"] == "gzip"
    with follow_events(proxy, session, tls) as frames:
        told = [next(frames)]
        for number in range(3):
            session.do(("log", 1, number))
            while f"line {number}" not in messages_of(told):
                told.append(next(frames))
        session.do(("complete", None))
        check_history([*told, *frames])


@pytest.mark.parametrize("kind", ["buffering", "chained"])
def test_where_that_header_is_lost_events_are_held_back_and_pages_are_not(
    live: Live, nginx: Start, tls: ssl.SSLContext, kind: str
) -> None:
    proxy = nginx(kind)
    session = live.session()
    with open_unread(proxy, session, tls) as connection:
        session.until(subscribers=1)
        session.do(("log", 3), "flush")
        # A whole request passes, and of the stream there is not even a header.
        assert messages_of(get(proxy.url(session) + "/page", tls).json()["frames"]) != []
        connection.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            connection.recv(1)
        connection.setblocking(True)
        session.do(("complete", None))
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 200")
    assert told.count(b"\ndata: ") == 7
