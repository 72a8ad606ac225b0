"""A server that is ended and begun again under its clients, or not. It has its sessions in memory.

Each case has a server of its own, so clients of all transports share it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from agentprogress import Gap, Snapshot
from agentprogress.client import Feed, FollowOptions, FollowState, follow
from agentprogress.errors import FollowError, NoResult
from agentprogress.events import Event, LogMessage, SessionFailed
from agentprogress.testing import Cut, FaultProxy, Faults, ManualClock
from tests.conformance.live import Live, Session
from tests.conformance.oracle import check_items

from .conftest import TRANSPORTS
from .serve import Served
from .storm import EAGER, as_items, url_of

pytestmark = pytest.mark.anyio

PATIENT = FollowOptions(settings=EAGER)
IMPATIENT = FollowOptions(settings=replace(EAGER, unknown_timeout=0.3))
REFUSED = Faults(refuse=True)


class Watch:
    """A client that follows to the end, and what it got."""

    def __init__(self, url: str, transport: str, **options: Any) -> None:
        self.items: list[Event | Snapshot | Gap] = []
        self.states: list[FollowState] = []
        self.error: FollowError | None = None
        self.feed: Feed = follow(url, transport=transport, on_state=self._told, **options)
        self._changed = anyio.Event()

    async def run(self) -> None:
        try:
            async with self.feed as feed:
                async for item in feed:
                    self.items.append(item)
                    self._tell()
        except FollowError as error:
            self.error = error

    async def until_state(self, state: FollowState) -> None:
        while self.feed.state is not state:
            await self._changed.wait()

    async def until_lines(self, first: int, count: int) -> None:
        """Waits for log lines, which have come last."""
        wanted = [f"line {number}" for number in range(first, first + count)]
        while self.lines[-count:] != wanted:
            await self._changed.wait()

    @property
    def lines(self) -> list[str]:
        return [item.message for item in self.items if isinstance(item, LogMessage)]

    def _told(self, state: FollowState) -> None:
        self.states.append(state)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def watching(session: Session, **options: Any) -> AsyncGenerator[list[Watch]]:
    """Follows a session by each transport; the block is left when all have ended."""
    watches = [Watch(url_of(session), transport, **options) for transport in TRANSPORTS]
    async with anyio.create_task_group() as tasks:
        for watch in watches:
            tasks.start_soon(watch.run)
        yield watches


async def test_a_log_that_began_anew_is_told_and_given_in_full(served: Served) -> None:
    session = served.begin().session(session_id="job-7")
    session.do(("log", 3))
    async with watching(session, options=PATIENT) as watches:
        for watch in watches:
            await watch.until_lines(0, 3)
        served.kill()
        for watch in watches:
            await watch.until_state(FollowState.RECONNECTING)
        live = await anyio.to_thread.run_sync(served.begin)
        # At first the server knows nothing of it.
        session = live.session(session_id="job-7")
        head = session.do(("log", 5, 100), ("complete", "done"))
    for watch in watches:
        resets = [item for item in watch.items if isinstance(item, Snapshot)]
        assert [item.reset for item in resets] == [True]
        check_items(as_items(watch.items), head)
        assert watch.lines == [f"line {number}" for number in (0, 1, 2, *range(100, 105))]
        assert (watch.error, watch.feed.state) == (None, FollowState.ENDED)


async def test_a_session_that_a_restart_has_lost_is_given_up_in_words(served: Served) -> None:
    session = served.begin().session()
    session.do(("log", 3))
    async with watching(session, options=IMPATIENT) as watches:
        for watch in watches:
            await watch.until_lines(0, 3)
        served.kill()
        await anyio.to_thread.run_sync(served.begin)
    for watch in watches:
        assert watch.error is not None
        assert watch.error is watch.feed.error
        assert "restarted without a durable store" in str(watch.error)
        assert (watch.error.kind, watch.error.retryable) == ("unknown_session", False)
        assert watch.states[-2:] == [FollowState.RECONNECTING, FollowState.GAVE_UP]


async def test_a_server_that_is_stopped_ends_its_jobs_and_its_clients_know(served: Served) -> None:
    session = served.begin().session()
    async with watching(session, options=PATIENT) as watches:
        for watch in watches:
            await watch.until_state(FollowState.LIVE)
        await anyio.to_thread.run_sync(served.stop)
    for watch in watches:
        last = watch.items[-1]
        assert isinstance(last, SessionFailed)
        assert (last.error.code, last.error.retryable) == ("server_shutdown", True)
        assert (watch.error, watch.feed.state) == (None, FollowState.ENDED)
        with pytest.raises(NoResult, match="failed"):
            await watch.feed.result()


async def test_a_job_that_waits_for_its_producer_is_followed_through_a_restart(
    served: Served,
) -> None:
    reserved = served.begin().session("reserve", session_id="job-8")
    async with watching(reserved, options=PATIENT) as watches:
        for watch in watches:
            await watch.until_state(FollowState.LIVE)
        await anyio.to_thread.run_sync(served.stop)
        live = await anyio.to_thread.run_sync(served.begin)
        session = live.session(session_id="job-8")
        head = session.do(("log", 2), ("complete", None))
    for watch in watches:
        check_items(as_items(watch.items), head)
        assert isinstance(watch.items[0], Snapshot)
        assert watch.items[0].reset


async def test_a_cursor_of_before_the_restart_is_answered_with_a_reset(served: Served) -> None:
    cursor = served.begin().session(session_id="job-9").do(("log", 3))
    served.kill()
    session = served.begin().session(session_id="job-9")
    head = session.do(("log", 1), ("complete", None))
    async with watching(session, after=cursor, options=PATIENT) as watches:
        pass
    for watch in watches:
        check_items(as_items(watch.items), head, cursor)
        assert isinstance(watch.items[0], Snapshot)
        assert watch.items[0].reset


async def test_a_server_that_is_gone_for_good_is_given_up_after_so_many_attempts(
    served: Served,
) -> None:
    session = served.begin().session()
    session.do(("log", 3))
    async with watching(session, max_attempts=3, options=PATIENT) as watches:
        for watch in watches:
            await watch.until_lines(0, 3)
        served.kill()
    for watch in watches:
        assert watch.error is not None
        assert (watch.error.kind, watch.error.retryable) == ("network", True)
        assert watch.error is watch.feed.error
        assert watch.states[-2:] == [FollowState.RECONNECTING, FollowState.GAVE_UP]
        assert (len(watch.lines), watch.feed.retry_in) == (3, None)


# The way to the server ----------------------------------------------------------------------------


async def test_attempts_that_bring_something_are_not_counted(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("log", 3))
    # A cut that comes when the next events do, then nothing any more.
    faults = {0: Faults(cut=Cut(3_000))}
    async with FaultProxy(*live.address, plan=lambda n: faults.get(n, REFUSED)) as proxy:
        watch = Watch(proxy.url(session.url), transport, max_attempts=4, options=PATIENT)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            await watch.until_lines(0, 3)
            session.do(("fill", 1, 5_000))
        # A page that is cut is an attempt of its own, and brought nothing.
        vain = 3 if transport == "long-poll" else 4
        assert (len(watch.lines), proxy.connections) == (3, 1 + vain)
        assert watch.error is not None
        assert watch.error.kind == "network"


async def test_an_outage_on_the_way_loses_nothing(live: Live, transport: str) -> None:
    session = live.ended(50)
    faults = dict.fromkeys(range(1, 20), REFUSED) | {0: Faults(cut=Cut(2_000))}
    async with FaultProxy(*live.address, plan=lambda n: faults.get(n, Faults())) as proxy:
        watch = Watch(proxy.url(session.url), transport, options=PATIENT)
        await watch.run()
        assert proxy.connections > 20
    check_items(as_items(watch.items), watch.feed.cursor or "")
    assert watch.lines == [f"line {number}" for number in range(50)]


async def test_a_long_outage_is_waited_out_and_the_next_attempt_is_known(
    live: Live, transport: str
) -> None:
    session, clock = live.ended(3), ManualClock()
    options = FollowOptions(clock=clock)
    async with FaultProxy(*live.address, plan=REFUSED) as proxy:
        watch = Watch(proxy.url(session.url), transport, options=options)
        feed = watch.feed
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            for attempt in range(1, 30):
                await _until(lambda: feed.retry_in is not None)
                assert proxy.connections == attempt
                assert 0 <= (feed.retry_in or 0) <= options.settings.max_retry_delay
                assert feed.error is not None
                assert (feed.error.kind, feed.state) == ("network", FollowState.RECONNECTING)
                proxy.plan = REFUSED if attempt < 29 else Faults()
                # A little more, because the difference of two times is rounded.
                await clock.advance((feed.retry_in or 0) + 0.001)
    assert (len(watch.lines), feed.error, feed.retry_in) == (3, None, None)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()
