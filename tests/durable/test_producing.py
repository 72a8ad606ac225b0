"""Bringing what a producer emits into a store: when it is there, and in how many pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.abc import Refusal
from agentprogress.errors import SessionConflict, SessionEnded, StoreUnavailable
from agentprogress.events import LogMessage
from tests.kit import entered

from .kit import Site, messages, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def emit(sessions: Iterable[ProgressSession]) -> None:
    """Emits into each, with its place among them as the message."""
    for number, session in enumerate(sessions):
        session.log(str(number))


def sent(job: Site) -> list[list[bytes]]:
    """Returns the events of each append, without that which begins the session."""
    return [list(each.entries) for each in job.store.appended][1:]


def test_what_was_flushed_is_stored(site: Sites) -> None:
    job = site()
    session = job.session()
    session.log("hello")
    session.flush_sync()
    assert b"hello" in job.store.entries("job")[-1]


@async_test
async def test_what_was_flushed_is_stored_in_a_loop_as_well(site: Sites) -> None:
    job = site()
    async with job.here.open(session_id="job") as session:
        for number in range(3_000):
            session.log(str(number))
        await session.flush()
        assert job.store.there("job").head == 3_001


def test_a_block_is_left_when_its_end_is_stored(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.complete("done")
    assert job.store.there("job").status == "completed"
    assert job.store.result("job") == b'"done"'


@async_test
async def test_an_async_block_is_left_when_its_end_is_stored(site: Sites) -> None:
    job = site()
    async with job.here.open() as session:
        pass
    assert job.store.there(session.id).status == "completed"


@async_test
async def test_a_job_is_over_when_its_end_is_stored(site: Sites) -> None:
    job = site()

    async def work(_: object) -> str:
        return "done"

    session = job.here.start(work)
    await job.clock.settle()
    assert job.there.result(session.id) == "done"


def test_a_standalone_event_goes_at_once(site: Sites) -> None:
    job = site()
    session = job.session()
    for number in range(3):
        session.log(str(number))
        job.clock.settle_sync()
        assert job.store.there("job").head == number + 2
    assert job.clock.monotonic() == 0


@async_test
async def test_an_event_emitted_before_the_last_one_was_published_is_sent(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.here) as follower:
        session.log("first")
        # The loop is not given the time to publish it.
        job.clock.settle_sync()
        session.log("second")
        await job.clock.advance(1)
        assert messages(follower.items) == ["first", "second"]


def test_what_grows_waits_for_the_next_tick_and_goes_as_one(site: Sites) -> None:
    job = site()
    session = job.session()
    phase = session.phase("read", total=1_000)
    job.clock.settle_sync()
    with session.text() as text:
        for number in range(1_000):
            phase.advance()
            text.write(str(number % 10))
        job.clock.settle_sync()
        assert job.store.there("job").head == 2
        job.clock.advance_sync(job.settings.delivery_interval)
    job.clock.settle_sync()
    kinds = [entry.split(b'"type":"')[1].split(b'"')[0] for entry in job.store.entries("job")]
    assert kinds == [
        b"session.started",
        b"step.started",
        b"step.progress",
        b"text.delta",
        b"text.completed",
    ]


def test_progress_of_a_long_loop_costs_one_event_a_tick(site: Sites) -> None:
    job = site()
    session = job.session()
    phase = session.phase("read")
    job.clock.settle_sync()
    for _ in range(10):
        for _ in range(100):
            phase.advance()
        job.clock.settle_sync()
        job.clock.advance_sync(job.settings.delivery_interval)
    assert job.store.there("job").head == 12
    assert job.there.snapshot("job").steps[0].current == 1_000


def test_many_events_at_once_go_in_few_appends(site: Sites) -> None:
    job = site(max_append_events=100)
    session = job.session()
    job.store.meanwhile("append", lambda: emit([session] * 450))
    session.log("first")
    session.flush_sync()
    session.flush_sync()
    assert sum(map(len, sent(job))) == 451
    assert max(map(len, sent(job))) == 100
    assert len(sent(job)) <= 6


def test_sessions_share_a_commit(site: Sites) -> None:
    job = site()
    first, second = job.session(), job.session(session_id="second")
    calls = job.store.commits
    job.store.meanwhile("append", lambda: emit([first, second]))
    first.log("a")
    first.flush_sync()
    second.flush_sync()
    assert job.store.commits == calls + 2
    assert job.store.there("job").head == 3
    assert job.store.there("second").head == 2


def test_commits_of_a_process_are_some_time_apart_unless_somebody_waits(site: Sites) -> None:
    job = site(commit_interval=0.5)
    session = job.session()
    session.log("waits")
    job.clock.settle_sync()
    assert job.store.there("job").head == 1
    job.clock.advance_sync(0.5)
    assert job.store.there("job").head == 2
    session.log("is waited for")
    session.flush_sync()
    assert job.store.there("job").head == 3
    assert job.clock.monotonic() == 0.5


def test_a_flush_in_the_middle_of_a_commit_does_not_wait_for_the_next_one(site: Sites) -> None:
    job = site(commit_interval=0.5)
    session = job.session()

    def emit() -> None:
        session.log("urgent")
        replica_of(job.here).hurry()

    job.store.meanwhile("claim", emit)
    entered(job.here.open())
    job.clock.settle_sync()
    assert job.store.there("job").head == 2


# The stored log


def test_the_stored_log_is_trimmed_and_with_its_base_is_always_everything(site: Sites) -> None:
    job = site(max_history_events=10)
    session = job.session()
    for number in range(200):
        session.usage(input_tokens=1)
        session.log(str(number))
        session.flush_sync()
        stored = job.store.there("job")
        assert stored.head - stored.oldest + 1 <= 10 * 2
        if number % 50 == 49:
            assert job.process().snapshot("job").usage.input_tokens == number + 1


def test_it_is_trimmed_by_its_size_too(site: Sites) -> None:
    job = site(max_history_bytes=64 * 1024, min_history_bytes=1024)
    session = job.session()
    for _ in range(100):
        session.log("x" * 4_000)
        session.flush_sync()
    kept = sum(map(len, job.store.entries("job")))
    assert kept <= 2 * 64 * 1024
    assert job.there.get("job").head == 101


@async_test
async def test_a_burst_beyond_four_times_the_bound_is_stored_all_the_same(site: Sites) -> None:
    job = site(max_history_events=10, max_append_events=7)
    async with job.here.open(session_id="job") as session:
        for number in range(500):
            session.log(str(number))
        await session.flush()
        assert job.store.there("job").head == 501
    async with job.following(job.there) as follower:
        assert messages(follower.items)[-1] == "499"


def test_what_another_producer_writes_is_trimmed_by_an_owner_that_is_silent(site: Sites) -> None:
    job = site(max_history_events=5)
    job.session()
    other = job.there.attach("job")
    for number in range(100):
        other.log(str(number))
        job.clock.advance_sync(0.1)
    assert job.there.stats().waiting == 0
    stored = job.store.there("job")
    assert stored.head == 101
    assert stored.head - stored.oldest + 1 <= 5 * 1.5 + 1


def test_a_log_that_is_full_and_cannot_be_cut_here_is_tried_again_after_a_rest(site: Sites) -> None:
    job = site()
    session = job.session()
    job.clock.settle_sync()
    job.store.refuses["job"] = Refusal.FULL
    session.log("waits")
    tried = job.store.commits
    job.clock.advance_sync(10 * job.settings.delivery_interval)
    assert job.store.commits - tried <= 11
    job.store.refuses.clear()
    job.clock.advance_sync(job.settings.delivery_interval)
    assert job.store.there("job").head == 2


# The end


def test_a_result_beyond_what_goes_inline_is_stored_beside_the_log(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.complete("x" * 20_000)
    assert job.there.result("job") == "x" * 20_000
    snapshot = job.there.snapshot("job")
    assert (snapshot.result, snapshot.result_bytes) == (None, 20_002)
    assert len(job.store.entries("job")[-1]) < 200


def test_what_is_emitted_after_the_end_is_dropped_and_counted(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        pass
    session.log("late")
    session.log("later")
    assert session.dropped == 2
    assert job.here.stats().dropped == 2
    assert job.store.there("job").head == 2
    assert len([each for each in caplog.records if "after the end" in each.getMessage()]) == 1
    with pytest.raises(SessionEnded):
        session.emit(LogMessage(level="info", message="late"))


def test_strict_settings_raise_it(site: Sites) -> None:
    job = site(strict=True)
    with job.here.open(session_id="job") as session:
        pass
    with pytest.raises(SessionEnded):
        session.log("late")


def test_an_exception_fails_it_for_everybody_and_propagates(site: Sites) -> None:
    job = site(expose_errors=True)
    with pytest.raises(LookupError), job.here.open(session_id="job"):
        raise LookupError("missing")
    snapshot = job.there.snapshot("job")
    assert snapshot.status == "failed"
    assert snapshot.error is not None
    assert "missing" in snapshot.error.message


@async_test
async def test_a_block_that_is_cancelled_is_stored_as_cancelled(site: Sites) -> None:
    job = site()
    with anyio.CancelScope() as scope:
        async with job.here.open(session_id="job"):
            scope.cancel()
            await anyio.sleep_forever()
    assert job.there.get("job").status == "cancelled"


def test_a_session_has_its_own_times_to_live(site: Sites) -> None:
    job = site(tombstone_ttl=10)
    with job.here.open(session_id="job", history_ttl=5, result_ttl=20) as session:
        session.complete("done")
    job.clock.advance_sync(4)
    assert len(job.store.entries("job")) == 2
    job.clock.advance_sync(2)
    assert job.store.entries("job") == []
    assert job.there.result("job") == "done"
    job.clock.advance_sync(15)
    assert job.store.there("job").gone
    job.clock.advance_sync(10)
    assert job.store.find("job") is None


# Somebody else's commit


def test_a_flush_waits_for_what_was_emitted_before_it_only(site: Sites) -> None:
    job = site()
    session = job.session()
    session.log("before")
    session.flush_sync()
    replica = replica_of(job.here)
    assert (len(replica.upload.sending), replica.history.head) == (0, 2)


def test_in_the_middle_of_a_write_nothing_is_said_to_be_stored(site: Sites) -> None:
    """So it is where a signal handler flushes that has interrupted a write."""
    job = site()
    session = job.session()
    replica = replica_of(job.here)
    job.store.available = False
    session.log("not stored")
    assert replica.locked(lambda _: replica.barrier(list))


def test_a_producer_whose_session_was_taken_hears_of_it_by_its_flush(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    job.clock.jump(31)
    with job.there.open(session_id="job", existing="resume"):
        session.log("from the grave")
        with pytest.raises(SessionConflict):
            session.flush_sync()
    assert b"grave" not in b"".join(job.store.entries("job"))


def test_a_flush_gives_up_after_its_timeout(site: Sites) -> None:
    job = site()
    session = job.session()
    job.store.available = False
    session.log("hello")
    with pytest.raises(StoreUnavailable):
        session.flush_sync(timeout=0)
