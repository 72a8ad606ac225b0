"""A store that lost what it had: a new epoch, no seq twice, the state as it was, everybody told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentprogress import Snapshot
from agentprogress.errors import SessionGone, SessionUnknown
from tests.kit import Follower

from .kit import Site, held, kill, messages, shown

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def lose_the_end(job: Site) -> None:
    job.store.lose("job", 2)


def wipe(job: Site) -> None:
    job.store.wipe()


ways = pytest.mark.parametrize("lose", [lose_the_end, wipe])


def resets(follower: Follower) -> list[Snapshot]:
    return [item for item in follower.items if isinstance(item, Snapshot) and item.reset]


@ways
@async_test
async def test_it_goes_on_in_a_new_epoch_and_everybody_is_told(
    site: Sites, lose: Callable[[Site], None]
) -> None:
    job = site()
    session = job.session(title="Report")
    with session.phase("read"):
        pass
    session.phase("write")
    await session.flush()
    before = job.store.there("job")
    async with job.following(job.here) as near, job.following(job.there) as far:
        lose(job)
        session.log("after the loss")
        await job.clock.advance(20)
        after = job.store.there("job")
        assert after.epoch != before.epoch
        assert after.head == before.head + 1
        assert (after.attempt, after.status) == (1, "running")
        for follower in (near, far):
            (reset,) = resets(follower)
            assert [step.status for step in reset.state.steps] == ["completed", "running"]
            assert (reset.seq, reset.state.epoch) == (before.head, after.epoch)
            assert messages(follower.items) == ["after the loss"]
            assert follower.seqs == [1, 2, 3, 4, 4, 5]
            assert not follower.finished
    snapshot = job.process().snapshot("job")
    assert (snapshot.title, snapshot.epoch, snapshot.seq) == ("Report", after.epoch, after.head)


@ways
def test_its_producer_goes_on_and_ends_it(site: Sites, lose: Callable[[Site], None]) -> None:
    job = site()
    with job.here.open(session_id="job", owner="ann", private={"row": 7}) as session:
        for number in range(5):
            session.log(str(number))
        session.flush_sync()
        lose(job)
        session.log("after")
        session.flush_sync()
        assert session.dropped == 0
        session.complete("done")
    info = job.there.get("job")
    assert (info.status, info.owner, info.private) == ("completed", "ann", {"row": 7})
    assert job.there.result("job") == "done"
    logs = [log.message for log in job.there.snapshot("job").logs]
    assert logs == ["0", "1", "2", "3", "4", "after"]


@ways
@async_test
async def test_a_cursor_of_what_was_lost_is_answered_with_a_reset(
    site: Sites, lose: Callable[[Site], None]
) -> None:
    job = site()
    session = job.session()
    for number in range(5):
        session.log(str(number))
    await session.flush()
    cursor = session.cursor
    lose(job)
    session.log("after")
    await session.flush()
    async with job.following(job.there, cursor) as follower:
        assert follower.resume == "reset"
        assert shown(follower.items) == [("snapshot", 6, True), ("log.message", 7)]


def test_a_silent_producer_notices_that_it_was_wiped(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    session.log("before")
    session.flush_sync()
    job.store.wipe()
    job.clock.advance_sync(11)
    assert job.there.get("job").status == "running"
    assert [log.message for log in job.there.snapshot("job").logs] == ["before"]


def test_an_owner_whose_take_over_was_lost_is_not_taken_for_dead(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    job.session()
    job.clock.settle_sync()
    kill(job.here)
    job.clock.advance_sync(31)
    fall_back = job.store.backup("job")
    session = job.session(job.there, existing="resume")
    session.flush_sync()
    fall_back()
    watcher = job.process()
    watcher.get("job")
    job.clock.advance_sync(200)
    assert not session.cancel_requested
    assert (watcher.get("job").status, session.status) == ("running", "running")
    session.log("still there")
    session.flush_sync()


@async_test
async def test_who_follows_it_waits_for_its_producer_to_bring_it_back(site: Sites) -> None:
    job = site(lease_ttl=30, news_interval=1)
    session = job.session()
    async with job.following(job.there) as follower:
        await job.clock.advance(9)
        job.store.wipe()
        await job.clock.advance(30)
        assert len(resets(follower)) == 1
        session.log("after")
        await job.clock.advance(1)
        assert messages(follower.items) == ["after"]


@async_test
async def test_a_loss_during_an_outage_is_found_afterwards(site: Sites) -> None:
    job = site()
    session = job.session()
    for number in range(5):
        session.log(str(number))
    await session.flush()
    async with job.following(job.there) as follower:
        job.store.available = False
        session.log("meanwhile")
        await job.clock.advance(10)
        job.store.lose("job", 3)
        job.store.available = True
        await job.clock.advance(20)
        assert len(resets(follower)) == 1
        assert messages(follower.items) == ["0", "1", "2", "3", "4", "meanwhile"]
        assert follower.seqs[-1] == 7


def test_it_may_be_lost_again_and_again(site: Sites) -> None:
    job = site()
    session = job.session()
    epochs = {job.store.there("job").epoch}
    for number in range(6):
        session.log(str(number))
        session.flush_sync()
        (lose_the_end if number % 2 else wipe)(job)
    session.flush_sync()
    session.log("last")
    session.flush_sync()
    epochs.add(job.store.there("job").epoch)
    assert len(epochs) == 2
    logs = [log.message for log in job.there.snapshot("job").logs]
    assert logs == ["0", "1", "2", "3", "4", "5", "last"]
    assert job.store.there("job").head == 8


def test_a_recovery_whose_answer_was_lost_is_done_once(site: Sites) -> None:
    job = site()
    session = job.session()
    session.log("before")
    session.flush_sync()
    job.store.wipe()
    job.store.cut_claims = 1
    session.log("after")
    job.clock.advance_sync(20)
    logs = [log.message for log in job.there.snapshot("job").logs]
    assert logs == ["before", "after"]
    assert job.store.there("job").head == 3


def test_a_trimmed_log_is_recovered_with_its_state(site: Sites) -> None:
    job = site(max_history_events=10)
    session = job.session()
    phase = session.phase("read", total=100)
    for _ in range(100):
        phase.advance()
        session.usage(input_tokens=1)
        session.flush_sync()
    job.store.wipe()
    session.usage(input_tokens=1)
    session.flush_sync()
    snapshot = job.there.snapshot("job")
    assert (snapshot.steps[0].current, snapshot.usage.input_tokens) == (100, 101)


def test_a_producer_whose_session_was_begun_anew_by_somebody_else_is_none_any_more(
    site: Sites,
) -> None:
    job = site()
    session = job.session()
    session.flush_sync()
    job.store.wipe()
    other = job.session(job.there)
    session.log("from the grave")
    job.clock.advance_sync(20)
    assert session.dropped >= 1
    other.log("mine")
    other.flush_sync()
    assert [log.message for log in job.process().snapshot("job").logs] == ["mine"]


def test_a_step_stays_open_across_a_loss_and_ends_as_ever(site: Sites) -> None:
    job = site()
    session = job.session()
    phase = session.phase("read")
    session.flush_sync()
    job.store.wipe()
    phase.advance()
    phase.complete()
    session.flush_sync()
    job.clock.advance_sync(1)
    assert [step.status for step in job.there.snapshot("job").steps] == ["completed"]


# What nobody can bring back


@async_test
async def test_a_waiting_session_that_is_wiped_is_unknown_to_those_who_follow(
    site: Sites,
) -> None:
    job = site(news_interval=15, unknown_timeout=30)
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    async with job.following(job.here) as near, job.following(job.there) as far:
        job.store.wipe()
        await job.clock.advance(60)
        for follower in (near, far):
            assert follower.finished
            assert isinstance(follower.error, SessionUnknown)
    assert held(job.here) == held(job.there) == []


@async_test
async def test_an_ended_session_that_is_wiped_is_gone_for_those_who_still_read(
    site: Sites,
) -> None:
    job = site(news_interval=15)
    await job.here.reserve(session_id="job")
    async with job.following(job.there) as follower:
        follower.stall()
        with job.here.open(session_id="job") as session:
            session.log("hello")
        await job.clock.advance(1)
        job.store.wipe()
        await job.clock.advance(60)
        follower.reads.set()
        await job.clock.settle()
        assert follower.finished
        assert follower.types[-1:] == ["session.completed"] or isinstance(
            follower.error, SessionGone
        )
    with pytest.raises(SessionUnknown):
        job.there.get("job")


@async_test
async def test_a_reserved_session_that_is_wiped_may_be_reserved_again(site: Sites) -> None:
    job = site(news_interval=15)
    await job.here.reserve(session_id="job")
    async with job.following(job.there) as follower:
        job.store.wipe()
        await job.clock.advance(16)
        await job.here.reserve(session_id="job")
        with job.here.open(session_id="job"):
            pass
        await job.clock.advance(20)
        assert follower.types[-2:] == ["session.started", "session.completed"]
        assert follower.finished
