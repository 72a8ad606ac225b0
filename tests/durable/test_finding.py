"""Asking one process for what another one has made: what it is, how it stands, what came of it."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.errors import (
    InvalidSessionId,
    SessionConflict,
    SessionGone,
    SessionUnknown,
)

from .kit import Site, held

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def test_what_is_known_of_a_session_is_known_everywhere(site: Sites) -> None:
    job = site()
    job.session(title="Report", owner="ann", private={"row": 7})
    here, there = job.here.get("job"), job.there.get("job")
    assert here == there
    assert (there.title, there.owner, there.private) == ("Report", "ann", {"row": 7})
    assert (there.status, there.attempt, there.head) == ("running", 1, 1)
    assert there.created_at <= (there.started_at or "")


def test_its_state_is_read_anywhere(site: Sites) -> None:
    job = site()
    session = job.session(title="Report", metadata={"topic": "tea"}, plan=["read", "write"])
    with session.phase("read", total=2) as phase:
        phase.advance()
    session.flush_sync()
    assert job.there.snapshot("job") == job.here.snapshot("job")
    assert [step.status for step in job.there.snapshot("job").steps] == ["completed", "planned"]


@async_test
async def test_a_look_from_elsewhere_sees_what_was_stored_meanwhile(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.there):
        for number in range(5):
            session.log(str(number))
            await session.flush()
            await job.clock.settle()
            assert job.there.get("job").head == number + 2


def test_a_look_at_what_nobody_hears_of_asks_the_store(site: Sites) -> None:
    job = site()
    session = job.session()
    assert job.there.get("job").head == 1
    session.log("hello")
    session.flush_sync()
    job.clock.settle_sync()
    assert job.there.get("job").head == 2


def test_a_result_is_decoded_anywhere_once_it_is_there(site: Sites) -> None:
    job = site()
    session = job.session()
    with pytest.raises(SessionConflict):
        job.there.result("job")
    session.complete([1, 2])
    del session
    with job.here.open(session_id="done") as other:
        other.complete({"a": [1, 2]})
    assert job.there.result("done") == {"a": [1, 2]}


def test_a_session_that_failed_has_no_result(site: Sites) -> None:
    job = site()
    with pytest.raises(LookupError), job.here.open(session_id="job") as session:
        session.complete("half")
        raise LookupError
    with pytest.raises(SessionConflict):
        job.there.result("job")


def test_what_never_was_is_unknown_and_what_is_no_id_is_none(site: Sites) -> None:
    job = site()
    for ask in (job.there.get, job.there.snapshot, job.there.result, job.there.cancel):
        with pytest.raises(SessionUnknown):
            ask("unknown")
        with pytest.raises(InvalidSessionId):
            ask("no id")


# Lists


def test_sessions_of_all_processes_are_listed_in_the_order_of_their_creation(site: Sites) -> None:
    job = site()
    for number in range(6):
        process = (job.here, job.there)[number % 2]
        job.session(process, session_id=f"n{number}", owner="ann" if number < 4 else "bob")
        job.clock.advance_sync(1)
    with job.here.open(session_id="n6", owner="ann"):
        pass
    assert [info.id for info in job.there.list()] == [f"n{number}" for number in range(7)]
    assert [info.id for info in job.there.list(owner="bob")] == ["n4", "n5"]
    assert [info.id for info in job.here.list(owner="ann", status="completed")] == ["n6"]
    assert [info.id for info in job.here.list(limit=2)] == ["n0", "n1"]
    assert [info.id for info in job.here.list(limit=2, after="n1")] == ["n2", "n3"]
    assert [info.id for info in job.there.list(owner="ann", after="n2")] == ["n3", "n6"]
    assert job.there.list(after="unknown") == []


def test_odd_questions_are_answered_with_nothing_as_without_a_store(site: Sites) -> None:
    job = site()
    job.session(title="\ud800", owner="\ud800")
    assert job.there.list(limit=0) == job.there.list(limit=-1) == []
    assert job.there.list(after="\ud800") == []
    assert len(job.there.list(limit=10**30, owner="\ud800")) == 1


def test_what_a_list_tells_is_what_get_tells(site: Sites) -> None:
    job = site()
    session = job.session(title="Report", owner="ann", private={"row": 7})
    session.log("hello")
    session.flush_sync()
    job.clock.advance_sync(1)
    with pytest.raises(LookupError), job.here.open(session_id="failed"):
        raise LookupError
    assert job.there.list() == [job.there.get("job"), job.there.get("failed")]


def test_a_list_holds_nothing_here(site: Sites) -> None:
    job = site()
    job.session()
    assert len(job.there.list()) == 1
    assert held(job.there) == []


# Cancelling from elsewhere


def test_a_request_to_stop_reaches_the_producer_wherever_it_is(site: Sites) -> None:
    job = site()
    session = job.session()
    asked: list[str] = []
    session.on_cancel(lambda: asked.append("here"))
    assert job.there.cancel("job", "enough", by="ann")
    job.clock.settle_sync()
    assert (session.cancel_requested, session.cancel_reason) == (True, "enough")
    assert asked == ["here"]
    assert job.there.snapshot("job").cancel_requested


def test_only_the_first_request_is_one(site: Sites) -> None:
    job = site()
    session = job.session()
    assert job.there.cancel("job")
    assert not job.there.cancel("job")
    job.clock.settle_sync()
    assert not job.here.cancel("job")
    assert not session.request_cancel()
    assert job.store.there("job").head == 2


def test_of_two_requests_of_the_same_moment_one_counts(site: Sites) -> None:
    job = site()
    job.session()
    third = job.process()
    answers: list[bool] = []
    job.there.get("job")
    job.store.meanwhile("append", lambda: answers.append(third.cancel("job", "third")))
    answers.append(job.there.cancel("job", "second"))
    assert answers == [True, False]
    assert job.store.there("job").head == 2


@async_test
async def test_a_job_of_another_process_is_cancelled(site: Sites) -> None:
    job = site()

    async def work(session: object) -> None:
        await anyio.sleep_forever()

    session = job.here.start(work, session_id="job")
    await job.clock.settle()
    assert job.there.cancel("job", "enough")
    await job.clock.settle()
    assert session.status == "cancelled"
    assert job.there.get("job").status == "cancelled"


def test_after_the_end_a_request_changes_nothing(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        pass
    assert not job.there.cancel("job")
    assert job.store.there("job").head == 2


def test_a_pending_session_is_cancelled_by_whoever_asks(site: Sites) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")
    assert job.there.cancel("job", "not needed")
    job.clock.settle_sync()
    assert job.here.get("job").status == "cancelled"
    with (
        pytest.raises(SessionConflict),
        job.here.open(session_id="job"),
    ):
        pass


def test_a_waiting_session_is_cancelled_by_whoever_asks(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    assert job.there.cancel("job", "not needed")
    job.clock.settle_sync()
    assert job.here.get("job").status == "cancelled"
    assert job.here.snapshot("job").requests == []


def test_a_session_that_begins_while_it_is_cancelled_hears_of_it(site: Sites) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")
    begun = []
    job.store.meanwhile("append", lambda: begun.append(job.session()))
    assert job.there.cancel("job")
    job.clock.settle_sync()
    (session,) = begun
    assert session.status == "running"
    assert session.cancel_requested


# Deleting


@async_test
async def test_a_deleted_session_is_gone_everywhere_and_who_follows_is_told(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        pass
    async with job.following(job.there) as follower:
        assert follower.finished
    job.here.delete("job")
    await job.clock.settle()
    for process in (job.here, job.there):
        with pytest.raises(SessionGone):
            process.get("job")
    assert job.here.list() == []


@async_test
async def test_who_follows_a_running_session_that_is_deleted_is_told_wherever_it_is(
    site: Sites,
) -> None:
    job = site()
    job.session()
    async with job.following(job.here) as near, job.following(job.there) as far:
        job.there.delete("job")
        await job.clock.advance(1)
        for follower in (near, far):
            assert follower.finished
            ended = follower.types[-1] == "session.cancelled"
            assert ended or isinstance(follower.error, SessionGone)
    with pytest.raises(SessionGone):
        job.there.get("job")


@async_test
async def test_a_job_whose_session_is_deleted_elsewhere_is_told(site: Sites) -> None:
    job = site()
    stopped: list[str] = []

    async def work(session: ProgressSession) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            session.log("late")
            stopped.append(session.id)

    session = job.here.start(work, session_id="job")
    await job.clock.settle()
    job.there.delete("job")
    await job.clock.advance(1)
    assert stopped == ["job"]
    assert (session.cancel_requested, session.status) == (True, "cancelled")
    with pytest.raises(SessionGone):
        job.here.get("job")


def test_a_deleted_id_may_be_restarted(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        pass
    job.there.delete("job")
    with job.here.open(session_id="job", existing="restart") as session:
        assert session.attempt == 2
    assert job.there.get("job").status == "completed"


# What has expired


def test_what_has_expired_is_swept_little_by_little_until_nothing_is_left(site: Sites) -> None:
    job = site(lease_ttl=30, max_sweep=1)
    job.session()
    job.clock.settle_sync()
    job.store.litter = 20
    job.clock.advance_sync(10)
    assert job.store.litter >= 18
    job.clock.advance_sync(5)
    assert job.store.litter == 0
