"""What a process holds of sessions that live elsewhere, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agentprogress.registry import engine_of

from .kit import Site, held, messages, replica_of

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
