"""A store that cannot be reached: producers go on, followers stay, everything comes afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.abc import Refusal
from agentprogress.errors import InvalidSettings, StoreUnavailable

from .kit import Site, Waiting, durable, held, kill, messages, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


@async_test
async def test_what_is_emitted_meanwhile_comes_afterwards_in_order(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.here) as near, job.following(job.there) as far:
        job.store.available = False
        for number in range(50):
            session.log(str(number))
            await job.clock.advance(1)
        assert messages(near.items) == messages(far.items) == []
        assert job.here.stats().waiting == 50
        job.store.available = True
        await job.clock.advance(5)
        expected = [str(number) for number in range(50)]
        assert messages(near.items) == messages(far.items) == expected
        assert near.seqs == far.seqs == list(range(1, 52))
        assert job.here.stats().waiting == 0


@async_test
async def test_who_follows_stays_and_who_joins_is_sent_away(site: Sites) -> None:
    job = site()
    job.session()
    async with job.following(job.there) as follower:
        job.store.available = False
        await job.clock.advance(60)
        assert not follower.finished
        assert not job.there.stats().store_available
        with pytest.raises(StoreUnavailable):
            async with job.there.subscribe("job"):
                pass
        with pytest.raises(StoreUnavailable):
            async with job.there.subscribe("other"):
                pass
        job.store.available = True
        await job.clock.advance(5)
        assert job.there.stats().store_available
        async with job.following(job.there) as late:
            assert late.types == ["session.started"]


@async_test
async def test_a_join_that_finds_the_store_away_says_so(site: Sites) -> None:
    job = site()
    job.store.available = False
    with pytest.raises(StoreUnavailable):
        async with job.there.subscribe("job"):
            pass
    for ask in (job.there.get, job.there.snapshot, job.there.result, job.there.cancel):
        with pytest.raises(StoreUnavailable):
            ask("job")
    with pytest.raises(StoreUnavailable):
        job.there.list()


async def turned_away(job: Site, number: int, *times: float) -> list[float]:
    """Has so many join at once by a store that hangs until the last of these times.

    Returns after how many seconds each was sent away.
    """
    for each in range(number):
        job.session(session_id=f"n{each}")
    await job.clock.settle()
    kill(job.here)
    job.store.hangs = times[-1]
    begun, waited = job.clock.monotonic(), list[float]()

    async def join(session_id: str) -> None:
        with pytest.raises(StoreUnavailable):
            async with job.there.subscribe(session_id):
                pass
        waited.append(job.clock.monotonic() - begun)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for each in range(number):
                tasks.start_soon(join, f"n{each}")
            for time in times:
                await job.clock.advance(begun + time - job.clock.monotonic())
            job.store.hangs = 0
    await job.clock.advance(times[-1])  # nobody waits for it any more
    return waited


@async_test
async def test_who_joins_while_the_store_hangs_is_sent_away_as_soon_as_anybody_knows(
    site: Sites,
) -> None:
    assert await turned_away(site(), 8, 5) == [5] * 8


@async_test
async def test_who_joins_stands_in_line_only_so_long(site: Sites) -> None:
    assert await turned_away(site(store_wait=30), 5, 30, 100) == [30] * 3 + [100] * 2


# One session that cannot be reached


@async_test
async def test_a_session_that_cannot_be_reached_holds_up_no_other(site: Sites) -> None:
    job = site(min_store_delay=0.1)
    session, other = job.session(), job.session(session_id="other")
    await job.clock.settle()
    job.store.refuses["job"] = Refusal.UNAVAILABLE
    async with job.following(job.there) as far:
        session.log("waits")
        tries = sum(each.session_id == "job" for each in job.store.appended)
        for number in range(10):
            other.log(str(number))
            await job.clock.advance(0.1)
            assert job.store.there("other").head == number + 2
        assert sum(each.session_id == "job" for each in job.store.appended) - tries <= 11
        assert job.here.stats().store_available
        assert job.here.stats().waiting == 1
        job.store.refuses.clear()
        await job.clock.advance(0.1)
        assert messages(far.items) == ["waits"]
    assert job.here.stats().waiting == 0


def test_what_is_asked_of_a_session_that_cannot_be_reached_fails_and_nothing_else(
    site: Sites,
) -> None:
    job = site()
    job.session()
    job.clock.settle_sync()
    job.store.refuses["job"] = Refusal.UNAVAILABLE
    with pytest.raises(StoreUnavailable, match="job"):
        job.there.cancel("job")
    assert job.there.stats().store_available
    job.store.refuses.clear()
    assert job.there.cancel("job")


@async_test
async def test_a_session_that_cannot_be_reached_is_left_as_it_is_known(site: Sites) -> None:
    job = site(news_interval=15, max_store_delay=2, lost_after=None)
    session, other = job.session(), job.session(session_id="other")
    async with job.following(job.there) as away, job.following(job.there, None, "other") as well:
        job.store.away = _is_job
        session.log("waits")
        for number in range(20):
            other.log(str(number))
            await job.clock.advance(1)
        assert messages(well.items) == [str(number) for number in range(20)]
        assert not away.finished
        assert job.there.stats().store_available
        job.store.silent = True
        job.store.away = _none
        await job.clock.advance(3)
        assert messages(away.items) == ["waits"]


@async_test
async def test_who_joins_a_session_that_cannot_be_reached_is_sent_away_and_no_other(
    site: Sites,
) -> None:
    job = site()
    job.session()
    job.session(session_id="other")
    await job.clock.settle()
    job.store.away = _is_job
    with pytest.raises(StoreUnavailable, match="job"):
        async with job.there.subscribe("job"):
            pass
    assert job.there.stats().store_available
    async with job.following(job.there, None, "other") as well:
        assert well.types == ["session.started"]


def test_a_session_that_cannot_be_claimed_waits_and_no_other(site: Sites) -> None:
    job = site()
    other = job.session(session_id="other")
    job.clock.settle_sync()
    job.store.away = lambda call, _: call == "claim"
    session = job.session(session_id=None)
    for number in range(10):
        session.log(str(number))
        session.log("once more")
        replica_of(job.here, session.id).hurry()
        other.log(str(number))
        job.clock.advance_sync(0.5)
        assert job.store.there("other").head == number + 2
    assert job.store.claims <= 10
    assert job.here.stats().store_available
    job.store.away = _none
    job.clock.advance_sync(2)
    assert job.store.there(session.id).head == 21
    assert job.here.stats().waiting == 0


def test_what_waits_for_a_claim_is_bounded(site: Sites) -> None:
    job = site(max_outbox_events=10, max_append_events=10)
    job.store.away = lambda call, _: call == "claim"
    session = job.session(session_id=None)
    for number in range(1_000):
        session.log(str(number))
        job.clock.advance_sync(0.1)
    assert job.here.stats().waiting <= 16 * 10 + 20


def test_who_opens_a_session_that_cannot_be_reached_waits_for_it(site: Sites) -> None:
    job = site(store_wait=5)
    job.store.away = _is_job
    with Waiting(job.clock, job.session) as opening:
        job.clock.advance_sync(2)
        assert opening.ended is None
        job.clock.advance_sync(4)
    assert isinstance(opening.error, StoreUnavailable)
    assert job.here.stats().store_available


def test_a_log_that_cannot_be_cut_is_cut_later(site: Sites) -> None:
    job = site(max_history_events=10)
    session, other = job.session(), job.session(session_id="other")
    job.store.away = lambda call, session_id: call == "trim" and session_id == "job"
    for number in range(30):
        session.log(str(number))
        other.log(str(number))
        job.clock.advance_sync(0.1)
    assert job.store.there("other").oldest > 1
    assert (job.store.there("job").oldest, job.store.there("job").head) == (1, 31)
    assert job.here.stats().store_available
    job.store.away = _none
    session.log("one more")
    job.clock.advance_sync(1)
    assert job.store.there("job").oldest > 1


def _is_job(_call: str, session_id: str) -> bool:
    return session_id == "job"


def _none(_call: str, _session_id: str) -> bool:
    return False


# When it is tried again


def test_the_store_is_tried_again_ever_more_seldom(site: Sites) -> None:
    job = site(min_store_delay=0.1, max_store_delay=2)
    job.session()
    job.clock.settle_sync()
    job.store.available = False
    tries = job.store.tries
    job.clock.advance_sync(1_000)
    # Two threads, about a second apart on average, and never closer than the shortest delay.
    assert 200 <= job.store.tries - tries <= 3_000
    job.store.available = True
    job.clock.advance_sync(2)
    assert job.here.stats().store_available


def test_delays_differ_between_processes(site: Sites) -> None:
    job = site(min_store_delay=0.1, max_store_delay=2)
    job.session(session_id="a")
    job.session(job.there, session_id="b")
    job.clock.settle_sync()
    job.store.available = False
    job.clock.advance_sync(100)
    assert durable(job.here).reachability.retry_at != durable(job.there).reachability.retry_at


def test_an_outage_is_told_once_when_it_begins_and_when_it_ends(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    job.session()
    job.clock.settle_sync()
    caplog.clear()
    job.store.available = False
    job.clock.advance_sync(100)
    assert len(caplog.records) == 1
    job.store.available = True
    job.clock.advance_sync(100)
    assert len(caplog.records) == 2
    assert "back" in caplog.records[-1].getMessage()


def test_a_flush_waits_only_so_long(site: Sites) -> None:
    job = site()
    session = job.session()
    job.store.available = False
    session.log("hello")
    with pytest.raises(StoreUnavailable):
        session.flush_sync(timeout=0)


@async_test
async def test_an_async_flush_raises_after_the_store_wait_and_the_events_wait_on(
    site: Sites,
) -> None:
    job = site(store_wait=30)
    session = job.session()
    job.store.available = False
    session.log("hello")
    raised: list[float] = []

    async def flush() -> None:
        with pytest.raises(StoreUnavailable):
            await session.flush()
        raised.append(job.clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flush)
        await job.clock.advance(29)
        assert raised == []
        await job.clock.advance(2)
        assert raised == [30]
    job.store.available = True
    await job.clock.advance(5)
    assert b"hello" in job.store.entries("job")[-1]


@async_test
async def test_a_flush_returns_when_the_store_is_back_in_time(site: Sites) -> None:
    job = site(store_wait=30)
    session = job.session()
    job.store.available = False
    session.log("hello")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.flush)
        await job.clock.advance(20)
        job.store.available = True
        await job.clock.advance(5)
    assert job.store.there("job").head == 2


@async_test
async def test_leaving_a_block_waits_and_then_logs_the_loss(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site(close_flush_timeout=5)
    left: list[float] = []

    async def block() -> None:
        async with job.here.open(session_id="job") as session:
            job.store.available = False
            session.complete("done")
        left.append(job.clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(block)
        await job.clock.advance(4)
        assert left == []
        await job.clock.advance(2)
        assert left == [5]
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "did not take its last events" in errors[-1].getMessage()
    # It is not given up: the process may live on.
    job.store.available = True
    await job.clock.advance(5)
    assert job.there.result("job") == "done"


def test_a_generated_id_begins_without_the_store(site: Sites) -> None:
    job = site()
    job.store.available = False
    session = job.session(session_id=None)
    session.log("hello")
    job.clock.advance_sync(10)
    assert session.status == "running"
    job.store.available = True
    job.clock.advance_sync(5)
    assert job.there.get(session.id).head == 2


def completing(job: Site) -> None:
    with job.here.open(session_id="job") as session:
        session.complete("done")


def test_a_chosen_id_waits_for_the_store_and_then_raises(site: Sites) -> None:
    job = site(store_wait=30)
    job.store.available = False
    with Waiting(job.clock, lambda: completing(job)) as begin:
        job.clock.advance_sync(29)
        assert begin.ended is None
        job.clock.advance_sync(4)
    assert isinstance(begin.error, StoreUnavailable)
    assert begin.ended == pytest.approx(30, abs=2.1)
    job.store.available = True
    job.clock.advance_sync(5)
    assert job.store.find("job") is None


@async_test
async def test_an_async_block_waits_for_the_store_while_its_loop_goes_on(site: Sites) -> None:
    job = site(store_wait=30)
    job.store.available = False

    async def begin() -> None:
        async with job.here.open(session_id="job") as session:
            session.complete("done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        await job.clock.advance(10)
        job.store.available = True
        await job.clock.advance(5)
    assert job.there.result("job") == "done"


def test_a_store_that_hangs_keeps_no_event_loop_from_its_work_for_long(site: Sites) -> None:
    job = site(flush_timeout=1)
    took: list[float] = []
    job.store.hangs = 5

    async def main() -> None:
        job.session(session_id=None)
        took.append(job.clock.monotonic())

    with Waiting(job.clock, lambda: anyio.run(main)) as waiting:
        job.clock.advance_sync(10)
        job.store.hangs = 0
        job.clock.advance_sync(10)
    assert waiting.error is None
    assert took == [1]
    [stored] = job.there.list()
    assert stored.status == "running"


def test_a_chosen_id_begins_when_the_store_is_back_in_time(site: Sites) -> None:
    job = site(store_wait=30)
    job.store.available = False
    with Waiting(job.clock, lambda: completing(job)):
        job.clock.advance_sync(10)
        job.store.available = True
        job.clock.advance_sync(5)
    assert job.there.result("job") == "done"


def test_a_store_that_goes_between_claim_and_first_event_leaves_an_id_that_may_be_taken(
    site: Sites,
) -> None:
    job = site(store_wait=10)

    def go() -> None:
        job.store.available = False

    job.store.meanwhile("append", go)
    with Waiting(job.clock, lambda: completing(job)) as begin:
        job.clock.advance_sync(15)
    assert isinstance(begin.error, StoreUnavailable)
    job.store.available = True
    job.clock.advance_sync(5)
    assert job.store.there("job").status == "pending"
    assert job.session(job.there).status == "running"


# A store that only reads


def refused(job: Site) -> ProgressSession:
    """Begins a session, and has its store take nothing any more."""
    session = job.session()
    session.flush_sync()
    job.store.read_only = True
    return session


def test_that_a_store_answers_is_no_sign_that_it_can_be_written_to(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site(min_store_delay=0.1, max_store_delay=2)
    session = refused(job)
    caplog.clear()
    tries = job.store.tries
    for number in range(1_000):
        session.log(str(number))
        job.clock.advance_sync(0.1)
        assert job.here.list()
        assert not job.here.stats().store_available
    assert len(caplog.records) == 1
    # It is read from 1,000 times, and connected to after each write that was refused.
    assert job.store.tries - tries <= 200
    job.store.read_only = False
    job.clock.advance_sync(3)
    assert len(caplog.records) == 2
    assert job.here.stats().store_available
    assert job.here.stats().waiting == 0


def test_who_joins_is_answered_by_a_store_that_only_reads(site: Sites) -> None:
    job = site()
    session = refused(job)
    session.log("waits")
    job.clock.advance_sync(10)
    assert job.here.get("job").status == job.there.get("job").status == "running"


def test_a_write_that_was_refused_is_no_trouble_for_long_where_nothing_else_is_written(
    site: Sites,
) -> None:
    job = site(lease_ttl=30)
    refused(job)
    with pytest.raises(StoreUnavailable):
        job.there.cancel("job")
    assert not job.there.stats().store_available
    job.clock.advance_sync(11)
    assert job.there.stats().store_available


# A store that must not be used as it is


def test_an_unfit_store_is_refused_at_each_use(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    job.store.unfit = True
    for session_id in (None, None, "job"):
        with pytest.raises(InvalidSettings, match="evicts"):
            job.session(session_id=session_id)
    with pytest.raises(InvalidSettings):
        job.here.get("job")
    job.clock.settle_sync()
    assert held(job.here) == []
    (warning,) = caplog.records
    assert "until that is changed" in warning.getMessage()
    job.store.unfit = False
    job.clock.advance_sync(3)
    assert job.session().status == "running"


@async_test
async def test_an_unfit_store_is_refused_to_who_joins(site: Sites) -> None:
    job = site()
    job.store.unfit = True
    for _ in range(2):
        with pytest.raises(InvalidSettings):
            async with job.here.subscribe("job"):
                pass


# Answers that get lost


@async_test
async def test_an_append_whose_answer_was_lost_is_done_once(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.there) as follower:
        job.store.cuts = 3
        for number in range(5):
            session.log(str(number))
        await job.clock.advance(20)
        assert messages(follower.items) == ["0", "1", "2", "3", "4"]
        assert job.store.there("job").head == 6
        assert replica_of(job.here).history.head == 6


@async_test
async def test_what_comes_after_a_lost_answer_is_not_mixed_into_the_repetition(
    site: Sites,
) -> None:
    job = site()
    session = job.session()
    job.store.cuts = 1
    session.log("answer lost")
    await job.clock.settle()
    session.log("emitted meanwhile")
    await job.clock.advance(20)
    texts = [log.message for log in job.there.snapshot("job").logs]
    assert texts == ["answer lost", "emitted meanwhile"]


def test_the_end_of_a_session_whose_answer_was_lost_is_stored_once(site: Sites) -> None:
    job = site()
    ended: list[str] = []
    job.here.on_end(lambda info: ended.append(info.status))
    session = job.session()
    job.store.cuts = 1
    replica_of(job.here).transition({"type": "session.completed"})
    job.clock.advance_sync(20)
    assert session.status == "completed"
    assert job.store.there("job").head == 2
    assert ended == ["completed"]


def test_a_claim_whose_answer_was_lost_is_ours(site: Sites) -> None:
    job = site()
    job.store.cut_claims = 1
    session = job.session(session_id=None)
    job.clock.advance_sync(20)
    session.log("hello")
    session.flush_sync()
    assert job.there.get(session.id).head == 2
    assert session.status == "running"


def test_a_chosen_id_whose_claim_was_answered_too_late_begins(site: Sites) -> None:
    job = site()
    job.store.cut_claims = 1
    with Waiting(job.clock, lambda: completing(job)):
        job.clock.advance_sync(20)
    assert job.there.result("job") == "done"


def test_an_answer_to_a_request_to_stop_that_was_lost_may_be_repeated(site: Sites) -> None:
    job = site()
    session = job.session()
    job.there.get("job")
    job.store.cuts = 1
    with pytest.raises(StoreUnavailable):
        job.there.cancel("job")
    job.clock.advance_sync(20)
    job.there.cancel("job")
    job.clock.settle_sync()
    assert session.cancel_requested
    assert job.store.there("job").head == 2
