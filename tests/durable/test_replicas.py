"""What a process holds of sessions that live elsewhere, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agentprogress._core.batch import Batch
from agentprogress._following import SubscriberBase
from agentprogress.registry import engine_of

from .kit import Site, durable, held, messages, replica_of

pytestmark = pytest.mark.anyio

Sites = Callable[..., Site]


def threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("agentprogress")}


async def test_two_who_follow_share_one_replica(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.there) as first, job.following(job.there) as second:
        reads = job.store.reads
        session.log("for both")
        await job.clock.advance(1)
        assert messages(first.items) == messages(second.items) == ["for both"]
        assert job.store.reads == reads + 1
        assert len(replica_of(job.there).subscribers) == 2
        assert job.there.get("job").subscribers == 2
        assert job.here.get("job").subscribers == 0


async def test_a_process_does_not_read_what_it_wrote_itself(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.here) as follower:
        reads = job.store.reads
        for number in range(10):
            session.log(str(number))
            await job.clock.advance(1)
        assert len(messages(follower.items)) == 10
        assert job.store.reads == reads


async def test_it_is_let_go_a_while_after_its_last_follower(site: Sites) -> None:
    job = site(replica_ttl=10)
    job.session()
    async with job.following(job.there):
        await job.clock.advance(100)
        assert held(job.there) == ["job"]
    await job.clock.advance(9)
    assert held(job.there) == ["job"]
    await job.clock.advance(2)
    assert held(job.there) == []
    assert held(job.here) == ["job"]


async def test_who_comes_back_in_time_finds_it_held(site: Sites) -> None:
    job = site(replica_ttl=10)
    job.session()
    async with job.following(job.there):
        pass
    await job.clock.advance(9)
    before = replica_of(job.there)
    async with job.following(job.there):
        await job.clock.advance(9)
        assert replica_of(job.there) is before
    await job.clock.advance(9)
    assert held(job.there) == ["job"]


async def test_what_was_only_looked_at_is_let_go_too(site: Sites) -> None:
    job = site(replica_ttl=10)
    job.session()
    assert job.there.get("job").status == "running"
    await job.clock.advance(11)
    assert held(job.there) == []


async def test_a_session_that_has_ended_is_let_go_where_it_ran(site: Sites) -> None:
    job = site(replica_ttl=10)
    with job.here.open(session_id="job"), job.here.open():
        pass
    assert len(held(job.here)) == 2
    await job.clock.advance(11)
    assert held(job.here) == []
    assert job.here.stats().held_bytes == 0


async def test_a_suspended_session_is_held_where_its_question_was_asked(site: Sites) -> None:
    job = site(replica_ttl=10)
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    await job.clock.advance(100)
    assert held(job.here) == ["job"]


def test_no_more_are_held_than_a_process_may_have_sessions(site: Sites) -> None:
    job = site(max_sessions=3)
    third = job.process()
    for number in range(10):
        with third.open(session_id=f"n{number}"):
            pass
        job.there.get(f"n{number}")
    assert held(job.there) == ["n7", "n8", "n9"]
    assert held(third) == ["n7", "n8", "n9"]


def test_those_that_somebody_needs_are_held_however_many(site: Sites) -> None:
    job = site(max_sessions=2)
    third = job.process()
    for number in range(2):
        job.session(session_id=f"n{number}")
    job.session(third, session_id="other")
    assert job.here.get("other").status == "running"
    assert held(job.here) == ["n0", "n1", "other"]
    job.session(third, session_id="another")
    assert job.here.get("another").status == "running"
    assert held(job.here) == ["n0", "n1", "another"]


def test_who_only_looks_holds_no_more_bytes_than_it_may(site: Sites) -> None:
    job = site(max_store_bytes=128 * 1024, max_history_bytes=64 * 1024)
    for number in range(20):
        with job.here.open(session_id=f"n{number}") as session:
            session.log("x" * 10_000)
    job.clock.settle_sync()
    for number in range(20):
        assert len(job.there.snapshot(f"n{number}").logs) == 1
        assert job.there.stats().held_bytes <= job.settings.max_store_bytes
    assert held(job.there)[-1] == "n19"


class Reader(SubscriberBase):
    def wake(self) -> None: ...

    def drain(self) -> None: ...


async def test_who_comes_when_it_was_just_let_go_of_is_told_all_the_same(site: Sites) -> None:
    job = site(max_sessions=1)
    session = job.session()
    job.session(job.process(), session_id="other")
    found = durable(job.there).record("job")
    before = job.there.stats().held_bytes
    job.there.get("other")
    assert held(job.there) == ["other"]
    reader = Reader(found, None)
    engine_of(job.there).admit(reader, None)
    assert held(job.there) == ["job"]
    assert job.there.stats().held_bytes == before
    session.log("hello")
    await job.clock.settle()
    taken = [found.take(reader), found.take(reader)]
    assert any(isinstance(batch, Batch) and b"hello" in batch.frames[-1] for batch in taken)
    engine_of(job.there).dismiss(reader)


def test_what_is_read_on_for_one_that_was_let_go_of_leaves_no_hole_in_another(site: Sites) -> None:
    job = site(replica_ttl=10)
    session = job.session()
    session.log("first")
    helper = job.there.attach("job")
    job.clock.advance_sync(20)
    assert held(job.there) == []
    session.log("second")
    job.clock.settle_sync()
    assert helper.request_cancel("enough")
    assert [log.message for log in job.there.snapshot("job").logs] == ["first", "second"]


def test_what_was_dropped_stays_counted(site: Sites) -> None:
    job = site(replica_ttl=10)
    with job.here.open() as session:
        pass
    session.log("late")
    assert job.here.stats().dropped == 1
    job.clock.advance_sync(20)
    assert held(job.here) == []
    assert job.here.stats().dropped == 1


async def test_an_unknown_id_leaves_nothing(site: Sites) -> None:
    job = site()
    with pytest.raises(LookupError), job.there.open(session_id="failed"):
        raise LookupError
    async with job.following(job.here, session_id="unknown") as follower:
        assert follower.error is not None
    assert held(job.here) == []


async def test_no_thread_is_there_before_the_store_is_needed_nor_after_the_block(
    site: Sites,
) -> None:
    before = threads()
    job = site()
    assert threads() == before
    async with job.here, job.there, job.here.open(session_id="job"), job.following(job.there):
        assert len(threads() - before) == 4
    assert threads() == before


def test_a_plain_block_leaves_no_thread(site: Sites) -> None:
    before = threads()
    job = site()
    with job.here, job.here.open() as session:
        session.log("hello")
    assert threads() == before
    assert job.there.get(session.id).status == "completed"


async def test_after_everything_has_expired_nothing_is_left_anywhere(site: Sites) -> None:
    job = site(history_ttl=5, result_ttl=10, tombstone_ttl=10, replica_ttl=3, pending_ttl=20)
    await job.here.reserve(session_id="never")
    async with job.here.open(session_id="job") as session, job.following(job.there):
        session.log("hello")
        await session.flush()
    await job.clock.advance(200)
    assert job.store.list(owner=None, status=None, limit=10, after=None) == []
    assert job.store.find("job") is job.store.find("never") is None
    for process in (job.here, job.there):
        stats = process.stats()
        assert held(process) == []
        assert (stats.sessions, stats.tombstones, stats.deadlines) == ({}, 0, 0)
        assert (stats.held_bytes, stats.subscribers, stats.waiting) == (0, 0, 0)
        assert engine_of(process).local.size_bytes == 0
