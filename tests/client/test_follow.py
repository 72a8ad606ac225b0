"""What a program sees that follows a session of a real server, and what is left when it leaves."""

from __future__ import annotations

import gc
import logging
import os

import anyio
import pytest

from agentprogress import Gap, Snapshot
from agentprogress.client import FollowOptions, FollowState, follow
from agentprogress.errors import FollowError, InvalidUrl
from agentprogress.events import Event, LogMessage
from agentprogress.testing import Cut, FaultProxy, Faults, ManualClock
from tests.conformance.live import Live
from tests.conformance.oracle import check_items

from .storm import EAGER, as_items, everything, state_of, url_of

pytestmark = pytest.mark.anyio

PATIENT = FollowOptions(settings=EAGER)


# What comes ---------------------------------------------------------------------------------------


async def test_a_session_is_followed_from_its_first_event_to_its_end(
    live: Live, transport: str
) -> None:
    session = live.session()
    head = session.do(("log", 3))
    async with follow(url_of(session), transport=transport) as feed:
        items = [await anext(feed) for _ in range(4)]
        assert (feed.cursor, feed.snapshot) == (head, state_of(session))
        head = session.do(("log", 2, 3), ("complete", {"report": 7}))
        items += await everything(feed)
    check_items(as_items(items), head)
    assert [item.message for item in items if isinstance(item, LogMessage)] == [
        f"line {number}" for number in range(5)
    ]
    assert (feed.cursor, feed.snapshot) == (head, state_of(session))


async def test_the_state_of_the_connection_goes_from_idle_to_ended(
    live: Live, transport: str
) -> None:
    session = live.session()
    session.do(("log", 3))
    told: list[FollowState] = []
    async with follow(url_of(session), transport=transport, on_state=told.append) as feed:
        for _ in range(4):
            await anext(feed)
        assert feed.state is FollowState.LIVE
        session.do(("complete", None))
        await everything(feed)
    assert [str(state) for state in told] == ["connecting", "replaying", "live", "ended"]
    assert (feed.state, feed.error, feed.retry_in) == (FollowState.ENDED, None, None)
    assert feed.transport == transport


async def test_a_cut_is_told_and_is_no_error_any_more_once_it_is_over(
    live: Live, transport: str
) -> None:
    session = live.ended(30)
    told: list[tuple[FollowState, str | None]] = []

    def tell(state: FollowState) -> None:
        told.append((state, feed.error.kind if feed.error else None))

    plan = lambda number: Faults(cut=Cut(2_500, "rst")) if number == 0 else Faults()  # noqa: E731
    async with FaultProxy(*live.address, plan=plan) as proxy:
        url = proxy.url(session.url)
        async with follow(url, transport=transport, on_state=tell, options=PATIENT) as feed:
            items = await everything(feed)
    check_items(as_items(items), feed.cursor or "")
    assert (FollowState.RECONNECTING, "network") in told
    assert told[-1] == (FollowState.ENDED, None)


async def test_events_are_given_alone_when_they_are_asked_for(live: Live) -> None:
    cursor = live.ended().do()
    session = live.ended(5)
    # A cursor of another log is answered with a reset, which is told by a snapshot.
    async with follow(url_of(session), after=cursor) as feed:
        events = [event async for event in feed.events()]
    assert [event.seq for event in events] == list(range(1, 8))


async def test_nothing_is_known_before_something_has_come(live: Live) -> None:
    feed = follow(url_of(live.ended()))
    assert (feed.cursor, feed.snapshot, feed.state) == (None, None, FollowState.IDLE)
    async with feed:
        pass


async def test_a_session_whose_producer_has_not_started_is_waited_for(
    live: Live, transport: str
) -> None:
    reserved = live.session("reserve", session_id=f"waits-{transport}-{os.urandom(4).hex()}")
    became_live = anyio.Event()

    def tell(state: FollowState) -> None:
        if state is FollowState.LIVE:
            became_live.set()

    async with follow(url_of(reserved), transport=transport, on_state=tell) as feed:
        await became_live.wait()
        session = live.session(session_id=reserved.id)
        head = session.do(("log", 1), ("complete", None))
        check_items(as_items(await everything(feed)), head)


async def test_a_session_that_has_ended_is_given_in_full_and_nothing_comes_twice(
    live: Live, transport: str
) -> None:
    session = live.ended(2_000)
    async with follow(url_of(session), transport=transport) as feed:
        items = await everything(feed)
        assert await everything(feed) == []
    check_items(as_items(items), feed.cursor or "")
    assert (len(items), feed.snapshot) == (2_002, state_of(session))


async def test_a_reader_that_is_cancelled_while_it_waits_loses_nothing(
    live: Live, transport: str
) -> None:
    session = live.session()
    items: list[Event | Snapshot | Gap] = []
    async with follow(url_of(session), transport=transport) as feed:
        for number in range(0, 50, 5):
            session.do(("log", 5, number))
            while len(items) < number + 6:
                # Now nothing is there yet, and now more than is taken.
                with anyio.move_on_after(0.001):
                    items.append(await anext(feed))
        head = session.do(("complete", None))
        items += await everything(feed)
    check_items(as_items(items), head)


async def test_two_feeds_of_one_program_do_not_disturb_each_other(
    live: Live, transport: str
) -> None:
    one, other = live.session(), live.session()
    async with (
        follow(url_of(one), transport=transport) as first,
        follow(url_of(other), transport=transport) as second,
        follow(url_of(one), transport=transport) as third,
    ):
        heads = [session.do(("log", 3), ("complete", None)) for session in (one, other)]
        for feed, head in ((first, heads[0]), (second, heads[1]), (third, heads[0])):
            check_items(as_items(await everything(feed)), head)


# Leaving ------------------------------------------------------------------------------------------


async def test_what_the_block_raises_comes_out_as_it_is(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("log", 100))
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised:
        async with follow(url_of(session), transport=transport) as feed:
            async for _ in feed:
                raise mine
    assert raised.value is mine


@pytest.mark.parametrize(
    "mine",
    [
        pytest.param(ExceptionGroup("mine", [ValueError("mine")]), id="group"),
        pytest.param(BaseExceptionGroup("mine", [KeyboardInterrupt()]), id="base group"),
        pytest.param(SystemExit(4), id="exit"),
        pytest.param(FollowError("network", "Mine.", retryable=True), id="error of ours"),
    ],
)
async def test_a_group_that_the_block_raises_is_in_no_other_one(
    live: Live, mine: BaseException
) -> None:
    session = live.session()
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - which one is what is tested
        async with follow(url_of(session)) as feed:
            async for _ in feed:
                raise mine
    assert raised.value is mine


@pytest.mark.parametrize("mine", [SystemExit(4), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("at", [FollowState.CONNECTING, FollowState.LIVE])
async def test_what_no_code_should_catch_comes_out_of_a_callback_as_it_is(
    live: Live, at: FollowState, mine: BaseException
) -> None:
    session = live.session()

    def tell(state: FollowState) -> None:
        if state is at:
            raise mine

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - which one is what is tested
        async with follow(url_of(session), on_state=tell) as feed:
            await everything(feed)
    assert raised.value is mine


async def test_a_cancelled_scope_around_a_feed_is_left_at_once(live: Live, transport: str) -> None:
    session = live.session()
    with anyio.CancelScope() as scope:
        async with follow(url_of(session), transport=transport) as feed:
            async for _ in feed:
                scope.cancel()
    assert scope.cancelled_caught


async def test_a_feed_in_a_cancelled_task_is_left_at_once(live: Live, transport: str) -> None:
    session, began = live.session(), anyio.Event()

    async def watch() -> None:
        async with follow(url_of(session), transport=transport) as feed:
            async for _ in feed:
                began.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await began.wait()
        tasks.cancel_scope.cancel()


async def test_leaving_early_leaves_nothing(live: Live, transport: str) -> None:
    session = live.session()
    session.do(("cargo", 1, 0, 1_000))
    left: list[tuple[int, int]] = []
    for turn in range(4):
        async with follow(url_of(session), transport=transport) as feed:
            async for event in feed.events():
                if event.seq == 10 * turn + 1:
                    break
        left.append(left_over())
    assert set(left) == {left[0]}
    session.until(subscribers=0)


def left_over() -> tuple[int, int]:
    """Counts what a feed could leave: descriptors and tasks of this process.

    Threads are not counted: a loop keeps idle ones for a while.
    """
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(anyio.get_running_tasks())


async def test_an_iteration_after_the_block_ends(live: Live) -> None:
    session = live.session()
    async with follow(url_of(session)) as feed:
        await anext(feed)
    assert await everything(feed) == []


# Being called -------------------------------------------------------------------------------------


async def test_a_callback_that_raises_is_logged_and_disturbs_nothing(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    session = live.ended()
    with caplog.at_level(logging.ERROR, "agentprogress.client"):
        async with follow(url_of(session), on_state=lambda _: 1 / 0) as feed:
            check_items(as_items(await everything(feed)), session.do())
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {
        ZeroDivisionError
    }


async def test_a_rest_is_ended_by_who_knows_better(live: Live, transport: str) -> None:
    session, rests = live.ended(), anyio.Event()
    options = FollowOptions(clock=ManualClock(), random=lambda: 0.9)

    def tell(state: FollowState) -> None:
        if state is FollowState.RECONNECTING:
            rests.set()

    async with (
        FaultProxy(*live.address, plan=Faults(refuse=True)) as proxy,
        follow(proxy.url(session.url), transport=transport, on_state=tell, options=options) as feed,
    ):
        await rests.wait()
        assert feed.retry_in == pytest.approx(0.9)
        proxy.plan = Faults()
        feed.retry_now()
        check_items(as_items(await everything(feed)), session.do())


async def test_a_feed_is_entered_once(live: Live) -> None:
    feed = follow(url_of(live.ended()))
    async with feed:
        with pytest.raises(RuntimeError, match="entered once"):
            await feed.__aenter__()
    with pytest.raises(RuntimeError, match="entered once"):
        await feed.__aenter__()


async def test_a_feed_is_entered_before_it_is_read(live: Live) -> None:
    feed = follow(url_of(live.ended()))
    for use in (feed.__anext__, feed.result, feed.request_cancel, lambda: feed.answer("q", 1)):
        with pytest.raises(RuntimeError, match="async with follow"):
            await use()


async def test_nothing_is_asked_for_after_the_block(live: Live) -> None:
    async with follow(url_of(live.session())) as feed:
        await anext(feed)
    for ask in (feed.result, feed.request_cancel, lambda: feed.answer("q", 1)):
        with pytest.raises(RuntimeError, match="async with follow"):
            await ask()


def test_what_cannot_be_followed_is_refused_before_anything_is_tried() -> None:
    with pytest.raises(ValueError, match="no transport 'pigeon'"):
        follow("https://host/sessions/s", transport="pigeon")
    with pytest.raises(InvalidUrl):
        follow("ftp://host/sessions/s")
    for most in (0, -1, 1.5, True, "3"):
        with pytest.raises(ValueError, match="max_attempts"):
            follow("https://host/sessions/s", max_attempts=most)  # type: ignore[arg-type]  # not only
    for token in (b"x", 7):
        with pytest.raises(TypeError, match="token"):
            follow("https://host/sessions/s", token=token)  # type: ignore[arg-type]  # on purpose

    async def tell(_: FollowState) -> None:
        """Nobody would wait for it."""

    with pytest.raises(TypeError, match="on_state"):
        follow("https://host/sessions/s", on_state=tell)


async def test_a_session_that_never_was_is_given_up_at_once(live: Live, transport: str) -> None:
    async with FaultProxy(*live.address) as proxy:
        url = proxy.url("/progress/sessions/never-was")
        async with follow(url, transport=transport) as feed:
            with pytest.raises(FollowError) as raised:
                await everything(feed)
            assert (raised.value.kind, raised.value.retryable) == ("unknown_session", False)
            assert (feed.error, feed.state) == (raised.value, FollowState.GAVE_UP)
            with pytest.raises(FollowError):
                await anext(feed)
        assert proxy.connections == 1


async def test_a_query_of_the_users_own_goes_with_every_request(live: Live, transport: str) -> None:
    session = live.ended(result="x" * 20_000)
    async with follow(f"{url_of(session)}?tenant=x", "old", transport=transport) as feed:
        await everything(feed)
        await feed.result()
    asked = live.control("asked", session_id=session.id)
    assert len(asked) >= 3  # the state, the events, the result
    assert {each["query"].get("tenant") for each in asked} == {"x"}
