"""A server that is told to stop: everybody hears it from us, and the process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .live import Live, Session
from .servers import Target, start
from .wire import EventStream, WebSocket

pytestmark = pytest.mark.server

# Those that let a program hear of the signal before they close its streams; docs/servers.md tells
# what the others do.
GRACEFUL = ("uvicorn", "uvicorn-wsproto", "granian", "aiohttp")
FOLLOWERS = 50
WITHIN = 3.0


@pytest.fixture(params=GRACEFUL)
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A process of its own: the case ends it."""
    target = Target(request.param, "bare")
    running = start(target)
    yield Live(target, running)
    running.stop()


def last_frames(followers: list[EventStream | WebSocket]) -> list[str]:
    return [[frame["type"] for frame in follower.frames()][-1] for follower in followers]


def follow(session: Session, count: int, stack: ExitStack) -> list[EventStream | WebSocket]:
    opened: list[EventStream | WebSocket] = []
    for number in range(count):
        if number % 2:
            opened.append(stack.enter_context(session.sse()))
        else:
            opened.append(stack.enter_context(session.websocket()))
    session.until(subscribers=count)
    return opened


def test_everybody_is_told_and_the_process_ends(live: Live) -> None:
    running, reserved = live.session("job"), live.session("reserve")
    with ExitStack() as stack:
        of_running = follow(running, FOLLOWERS, stack)
        of_reserved = follow(reserved, FOLLOWERS, stack)
        took = live.running.terminate(WITHIN)
        assert took is not None, live.running.text
        # A job of this process ends with it; what has not begun lives on for whoever returns.
        assert set(last_frames(of_running)) == {"end"}
        assert set(last_frames(of_reserved)) == {"reconnect"}


def test_a_follower_that_reads_nothing_does_not_hold_the_process(live: Live) -> None:
    session = live.session()
    with session.sse(receive_buffer=4096), session.websocket() as reader:
        session.do(("fill", 40, 60_000))
        took = live.running.terminate(WITHIN)
        assert took is not None, live.running.text
        assert [frame["type"] for frame in reader.frames()][-1] == "end"
