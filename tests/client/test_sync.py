"""Following from plain code: the same, with `with` and `for`."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio
import anyio.to_thread
import pytest

from agentprogress import SessionSnapshot
from agentprogress.client import FollowOptions, FollowState, follow_sync
from agentprogress.errors import FollowError, InputSettled, InvalidAnswer, InvalidUrl, NoResult
from agentprogress.events import LogMessage
from agentprogress.testing import ManualClock
from tests.conformance.live import Live
from tests.conformance.oracle import check_items

from .serve import Served
from .storm import EAGER, as_items, url_of

PATIENT = FollowOptions(settings=EAGER)


def test_a_session_is_followed_to_its_end(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("log", 3))
    told: list[FollowState] = []
    with follow_sync(url_of(session), transport=transport, on_state=told.append) as feed:
        assert (feed.cursor, feed.snapshot) == (None, None)
        items = [next(feed) for _ in range(4)]
        assert (feed.cursor, feed.error, feed.retry_in) == (session.do(), None, None)
        head = session.do(("log", 2, 3), ("complete", {"pages": 7}))
        items += list(feed)
        assert list(feed) == []
        assert feed.result() == {"pages": 7}
    check_items(as_items(items), head)
    assert (feed.cursor, feed.transport) == (head, transport)
    assert feed.snapshot == SessionSnapshot.model_validate(session.get().json)
    assert [str(state) for state in told] == ["connecting", "replaying", "live", "ended"]


def test_events_are_given_alone_and_may_be_left_early(live: Live, transport: str) -> None:
    session = live.ended(100)
    with follow_sync(url_of(session), transport=transport) as feed:
        for event in feed.events():
            if isinstance(event, LogMessage) and event.message == "line 9":
                break
        cursor = feed.cursor
        assert cursor is not None
        assert cursor.endswith("-11")
    with follow_sync(url_of(session), cursor, transport=transport) as feed:
        check_items(as_items(feed), session.do(), cursor)


def test_what_a_feed_asks_for_is_asked_for(live: Live) -> None:
    session = live.session("question")
    with follow_sync(url_of(session), token=lambda: session.control_token or "") as feed:
        for _ in feed:
            if feed.snapshot is not None and feed.snapshot.requests:
                break
        request_id = feed.snapshot.requests[0].request_id  # type: ignore[union-attr]  # it is there
        with pytest.raises(InvalidAnswer):
            feed.answer(request_id, 7)
        feed.answer(request_id, {"approve": True})
        with pytest.raises(InputSettled):
            feed.answer(request_id, {"approve": False})
        assert feed.request_cancel("enough") in ("running", "cancelled")
        list(feed)
        with pytest.raises(NoResult):
            feed.result(dict[str, Any])


def test_who_gives_up_says_why(live: Live, transport: str) -> None:
    host, port = live.address
    url = f"http://{host}:{port}/progress/sessions/never-was"
    with follow_sync(url, transport=transport) as feed:
        for ask in (feed.__next__, feed.result):
            with pytest.raises(FollowError) as raised:
                ask()
            assert raised.value.kind == "unknown_session"
        assert feed.state is FollowState.GAVE_UP
        assert feed.error is not None


def test_what_cannot_be_followed_is_refused_before_anything_is_tried() -> None:
    with pytest.raises(InvalidUrl):
        follow_sync("ftp://host/sessions/s")
    with pytest.raises(ValueError, match="max_attempts"):
        follow_sync("https://host/sessions/s", max_attempts=0)


def test_a_feed_is_entered_before_it_is_read_and_only_once(live: Live) -> None:
    feed = follow_sync(url_of(live.ended()))
    for ask in (feed.__next__, feed.result, feed.retry_now):
        with pytest.raises(RuntimeError, match="with follow_sync"):
            ask()
    with feed, pytest.raises(RuntimeError, match="entered once"):
        feed.__enter__()


def test_what_the_block_raises_comes_out_as_it_is(live: Live) -> None:
    session = live.session()
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised, follow_sync(url_of(session)) as feed:
        for _ in feed:
            raise mine
    assert raised.value is mine


def test_leaving_early_leaves_no_thread_and_no_descriptor(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("cargo", 1, 0, 1_000))
    left: list[tuple[int, int]] = []
    for _ in range(3):
        with follow_sync(url_of(session), transport=transport) as feed:
            next(feed)
        gc.collect()
        left.append((threading.active_count(), len(os.listdir("/proc/self/fd"))))
    assert left[0] == left[1] == left[2]


def test_a_rest_is_ended_by_who_knows_better(served: Served) -> None:
    session = served.begin().session(session_id="job-1")
    served.stop()
    resting = threading.Event()

    def tell(state: FollowState) -> None:
        if state is FollowState.RECONNECTING:
            resting.set()

    options = FollowOptions(clock=ManualClock(), random=lambda: 0.9)
    with follow_sync(url_of(session), on_state=tell, options=options) as feed:
        assert resting.wait(10)
        head = served.begin().ended(session_id="job-1").do()
        feed.retry_now()
        check_items(as_items(feed), head)


def test_a_feed_works_in_a_thread_of_the_callers(live: Live) -> None:
    session = live.ended()
    found: list[Any] = []

    def watch() -> None:
        with follow_sync(url_of(session)) as feed:
            found.extend(feed)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    check_items(as_items(found), session.do())


@pytest.mark.anyio
async def test_a_feed_works_beside_a_running_event_loop(live: Live) -> None:
    session = live.session()

    def watch() -> list[Any]:
        with follow_sync(url_of(session)) as feed:
            return list(feed)

    async def end() -> None:
        await anyio.to_thread.run_sync(lambda: session.until(subscribers=1))
        session.do(("log", 3), ("complete", None))

    items: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        items += await anyio.to_thread.run_sync(watch)
    check_items(as_items(items), session.do())


# Ctrl-C -------------------------------------------------------------------------------------------


def interrupted(call: Callable[[threading.Event], object]) -> None:
    """Calls something, which is interrupted as by Ctrl-C.

    That happens while it waits for the feed's own thread, after it has set what it is given.
    """
    ready = threading.Event()
    main = threading.get_ident()
    assert main == threading.main_thread().ident

    def interrupt() -> None:
        ready.wait()
        while not _is_waiting(sys._current_frames()[main]):
            pass
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        call(ready)
    thread.join()


def _is_waiting(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is wait.__code__:
            return True
        frame = frame.f_back
    return False


def test_who_is_interrupted_can_go_on_and_has_lost_nothing(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("log", 3))
    with follow_sync(url_of(session), transport=transport) as feed:
        items: list[Any] = []

        def take(ready: threading.Event) -> None:
            ready.set()
            items.extend(feed)

        for _ in range(5):
            interrupted(take)
        head = session.do(("log", 3, 3), ("complete", None))
        items += list(feed)
    check_items(as_items(items), head)


@pytest.mark.parametrize("what", ["result", "request_cancel", "__next__"])
def test_who_is_interrupted_while_nobody_answers_leaves_at_once(what: str) -> None:
    # Time stands still: who waited for the end of a rest would wait for ever.
    options = FollowOptions(clock=ManualClock(), random=lambda: 0.9)
    with unreachable() as url, follow_sync(url, options=options) as feed:

        def ask(ready: threading.Event) -> None:
            ready.set()
            getattr(feed, what)()

        interrupted(ask)


def test_who_is_interrupted_and_leaves_the_block_leaves_it_at_once() -> None:
    options = FollowOptions(clock=ManualClock(), random=lambda: 0.9)

    def ask(ready: threading.Event) -> None:
        with follow_sync(url, options=options) as feed:
            ready.set()
            feed.result()

    with unreachable() as url:
        interrupted(ask)


@contextmanager
def unreachable() -> Iterator[str]:
    """Makes a URL where nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{place.getsockname()[1]}/sessions/s"
