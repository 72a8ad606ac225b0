"""A client that stops reading harms nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .live import Live, Session
from .oracle import check_history
from .servers import GATEWAYS, TARGETS, Limit
from .wire import EventStream, WebSocket

# What a client does not read fills buffers of the process that serves, whatever the store; of one
# that also produces, they are the same ones.
pytestmark = pytest.mark.parametrize("live", [*TARGETS, *GATEWAYS], ids=str, indirect=True)

SIZE = 60_000
AT_ONCE = 8

# By then every buffer between the server and a client that does not read is full: Linux lets the
# sender's grow to 4 MiB.
ENOUGH = 16 * 1024 * 1024


def stalled(session: Session, transport: str) -> EventStream | WebSocket:
    """Follows with the smallest buffer there is, and reads no more than the welcome."""
    if transport == "sse":
        stream = session.sse(receive_buffer=4096)
        assert next(stream.messages()).event == "welcome"
        return stream
    socket = session.websocket(receive_buffer=4096)
    assert next(socket.frames())["type"] == "welcome"
    return socket


def fill(session: Session, healthy: Iterator[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    """Emits events, and lets the healthy follower read them all."""
    head = int(session.do(("fill", AT_ONCE, SIZE), "flush").split("-")[1])
    while told[-1].get("seq") != head:
        told.append(next(healthy))


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_who_stops_reading_delays_nobody_and_is_let_go(live: Live, transport: str) -> None:
    session = live.session()
    detached = live.control("stats")["detached"]
    follower = stalled(session, transport)
    with session.websocket() as socket:
        healthy = socket.frames()
        told = [next(healthy)]
        for _ in range(ENOUGH // (AT_ONCE * SIZE)):
            fill(session, healthy, told)
        if live.cannot(Limit.BUFFERS_WITHOUT_BOUND):
            session.until(subscribers=2)
        else:
            session.until(subscribers=1)
            assert live.control("stats")["detached"] == detached + 1
        session.do(("complete", "done"))
        told += healthy
        check_history(told)
        assert {frame["type"] for frame in told} <= {
            "welcome",
            "heartbeat",
            "session.started",
            "custom.emitted",
            "session.completed",
            "end",
        }
    follower.close()
    session.until(subscribers=0)
