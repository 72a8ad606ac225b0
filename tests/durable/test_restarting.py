"""Running an id once more: a new epoch, told to everybody who followed the old one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentprogress import ProgressSession, SessionRegistry, Snapshot
from agentprogress.errors import SessionConflict

from .kit import Site, messages, shown

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def run(registry: SessionRegistry, message: str = "first") -> ProgressSession:
    with registry.open(session_id="job") as session:
        session.log(message)
        session.complete(message)
    return session


def test_a_restart_is_a_new_epoch_and_the_next_attempt(site: Sites) -> None:
    job = site()
    old = run(job.here)
    before = job.there.get("job")
    session = job.session(job.there, existing="restart")
    after = job.store.there("job")
    assert after.epoch != before.epoch
    assert (session.attempt, after.attempt, after.head) == (2, 2, 1)
    assert after.fence == 2
    with pytest.raises(SessionConflict):
        job.here.result("job")
    old.log("from the grave")
    job.clock.settle_sync()
    assert job.store.there("job").head == 1


@async_test
async def test_subscribers_in_every_process_are_moved_to_the_new_epoch(site: Sites) -> None:
    job = site()
    await job.here.reserve(session_id="job")
    async with job.following(job.here) as near, job.following(job.there) as far:
        near.stall()
        far.stall()
        run(job.here)
        await job.clock.advance(1)
        session = job.session(job.there, existing="restart")
        session.log("again")
        await job.clock.advance(1)
        near.reads.set()
        far.reads.set()
        await job.clock.advance(1)
        for follower in (near, far):
            told = shown(follower.items)
            assert told[:3] == [
                ("session.started", 1),
                ("log.message", 2),
                ("session.completed", 3),
            ]
            assert told[3:] == [
                ("snapshot", 0, True),
                ("session.started", 1),
                ("log.message", 2),
            ]
            assert not follower.finished


@async_test
async def test_one_who_had_the_end_is_told_of_the_next_run_by_joining_again(site: Sites) -> None:
    job = site()
    old = run(job.here)
    async with job.following(job.there, old.cursor) as follower:
        assert follower.finished
    job.session(existing="restart").flush_sync()
    async with job.following(job.there, old.cursor) as follower:
        assert follower.resume == "reset"
        assert shown(follower.items) == [("snapshot", 0, True), ("session.started", 1)]


@async_test
async def test_a_restart_replaces_result_and_history_at_once(site: Sites) -> None:
    job = site()
    run(job.here)
    async with job.here.open(session_id="job", existing="restart") as session:
        assert job.there.get("job").status == "running"
        assert job.store.result("job") is None
        session.complete("second")
    assert job.there.result("job") == "second"
    async with job.following(job.there) as follower:
        assert messages(follower.items) == []
        assert follower.types == ["session.started", "session.completed"]


def test_an_expired_session_restarts_as_the_next_attempt(site: Sites) -> None:
    job = site(history_ttl=1, result_ttl=2, tombstone_ttl=1000)
    run(job.here)
    job.clock.advance_sync(3)
    assert job.store.there("job").gone
    with job.there.open(session_id="job", existing="restart") as session:
        assert session.attempt == 2
    job.clock.settle_sync()
    assert job.here.get("job").status == "completed"


def test_one_that_nobody_remembers_restarts_as_the_first(site: Sites) -> None:
    job = site(history_ttl=1, result_ttl=2, tombstone_ttl=3)
    run(job.here)
    job.clock.advance_sync(30)
    with job.there.open(session_id="job", existing="restart") as session:
        assert session.attempt == 1


def test_the_expiry_of_the_old_epoch_does_not_touch_the_new_one(site: Sites) -> None:
    job = site(history_ttl=10, result_ttl=20)
    run(job.here)
    job.clock.advance_sync(9)
    session = job.session(job.there, existing="restart")
    job.clock.advance_sync(500)
    session.log("alive")
    session.flush_sync()
    assert job.here.get("job").head == 2


def test_a_reserved_restart_waits_for_its_producer(site: Sites) -> None:
    job = site()
    run(job.here)
    job.there.reserve_sync(session_id="job", existing="restart")
    assert job.here.get("job").status == "pending"
    with job.here.open(session_id="job") as session:
        assert session.attempt == 2


def test_restarting_again_and_again_counts_on(site: Sites) -> None:
    job = site()
    run(job.here)
    for number in range(2, 8):
        process = (job.here, job.there)[number % 2]
        with process.open(session_id="job", existing="restart") as session:
            assert session.attempt == number
    assert job.store.there("job").fence == 7


def test_steps_of_the_plan_are_new_ones(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job", plan=["a"]) as session, session.phase("a"):
        pass
    with job.there.open(session_id="job", existing="restart", plan=["a"]) as session:
        assert [step.status for step in session.snapshot().steps] in ([], ["planned"])
        session.flush_sync()
        assert [step.status for step in session.snapshot().steps] == ["planned"]


@async_test
async def test_a_snapshot_of_the_old_epoch_is_not_shown_in_the_new_one(site: Sites) -> None:
    job = site(max_history_events=4)
    with job.here.open(session_id="job") as session:
        for number in range(20):
            session.log(str(number))
    async with job.following(job.there) as follower:
        assert isinstance(follower.items[0], Snapshot)
    job.session(existing="restart").flush_sync()
    async with job.following(job.there) as follower:
        assert shown(follower.items) == [("session.started", 1)]
        assert follower.resume == "fresh"
