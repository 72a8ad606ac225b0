"""A store that comes back with what was before: whose producer lives, and whose is gone as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import ClassVar

import pytest

from agentprogress import Gap, ProgressSession, SessionRegistry, Snapshot
from agentprogress._core.history import Resume
from agentprogress._following import Moved, SubscriberBase
from agentprogress.errors import SessionConflict
from agentprogress.events import Event
from agentprogress.registry import engine_of
from tests.kit import entered

from .kit import Site, durable, kill, messages, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def said(registry: SessionRegistry) -> list[str]:
    """Returns what the log of the session says, in a process."""
    return [log.message for log in registry.snapshot("job").logs]


def since_reset(items: Sequence[Event | Snapshot | Gap]) -> list[str]:
    """Returns what the messages after the last reset say."""
    resets = [
        place for place, item in enumerate(items) if isinstance(item, Snapshot) and item.reset
    ]
    assert resets
    return messages(items[resets[-1] :])


# Its producer lives


def test_a_run_whose_beginning_was_lost_goes_on(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as first:
        first.log("first")
    first_run = job.store.backup("job")
    job.clock.advance_sync(1)
    with job.here.open(session_id="job", existing="restart") as session:
        session.log("before")
        session.flush_sync()
        first_run()
        session.log("after")
        session.flush_sync()
    assert session.dropped == 0
    there = job.store.there("job")
    assert (there.attempt, there.status) == (2, "completed")
    assert said(job.there) == ["before", "after"]


@async_test
async def test_who_follows_such_a_run_is_not_shown_the_one_before(site: Sites) -> None:
    job = site(news_interval=1)
    with job.here.open(session_id="job"):
        pass
    first_run = job.store.backup("job")
    await job.clock.advance(1)
    session = job.session(existing="restart")
    session.log("before")
    await session.flush()
    async with job.following(job.there) as follower:
        first_run()
        await job.clock.advance(3)
        assert not follower.finished
        session.log("after")
        await job.clock.advance(1)
        assert since_reset(follower.items) == ["after"]
        assert messages(follower.items) == ["before", "after"]


def test_what_was_lost_for_a_while_and_is_restored_is_not_another_owners(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.log("before")
        session.flush_sync()
        restore = job.store.backup("job")
        job.store.wipe()
        session.log("meanwhile")
        session.flush_sync()
        restore()
        session.log("after")
        session.flush_sync()
    assert session.dropped == 0
    assert said(job.there) == ["before", "meanwhile", "after"]


def test_what_is_restored_just_before_it_is_brought_back_is_replaced(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.log("before")
        session.flush_sync()
        restore = job.store.backup("job")
        job.store.wipe()
        job.store.meanwhile("claim", restore)
        session.log("after")
        session.flush_sync()
    assert session.dropped == 0
    assert said(job.there) == ["before", "after"]


def test_what_is_lost_again_just_before_it_is_brought_back_is_made_anew(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.log("before")
        session.flush_sync()
        job.store.lose("job", 1)
        job.store.meanwhile("claim", job.store.wipe)
        session.log("after")
        session.flush_sync()
    assert session.dropped == 0
    assert said(job.there) == ["before", "after"]


def taken_twice(job: Site) -> ProgressSession:
    """Begins a session and takes it over in the same process, so that its fence is 2."""
    first = job.process()
    job.session(first)
    job.clock.settle_sync()
    kill(first)
    job.clock.advance_sync(31)
    session = job.session(existing="resume")
    session.flush_sync()
    return session


def test_who_has_begun_it_anew_since_it_was_lost_keeps_it_whatever_the_fences(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=None)
    session = taken_twice(job)
    job.store.wipe()
    other = job.session(job.there)
    session.log("from the grave")
    with pytest.raises(SessionConflict):
        session.flush_sync()
    other.log("mine")
    other.flush_sync()
    assert said(job.process()) == ["mine"]


# Its producer is gone with what was lost


class Lost:
    """A session of which a follower has seen more than the store has by now, without a producer."""

    def __init__(self, job: Site) -> None:
        self.job = job
        self.session = job.session()
        for number in range(3):
            self.session.log(f"a{number}")
        self.session.flush_sync()
        self._fall_back = job.store.backup("job")

    def fall_back(self) -> None:
        """Its process dies, and the store falls back."""
        kill(self.job.here)
        self._fall_back()

    async def fall_back_late(self) -> None:
        """The same, but the store falls back when the lease has run out, and nobody looks."""
        kill(self.job.here)
        await self.job.clock.advance(31)
        self._fall_back()

    def go_on(self, written: int, process: SessionRegistry | None = None) -> None:
        """Another process takes it over and writes so many messages; nobody is woken by it.

        It ends the session, unless it is a process that is given, whose part stays open.
        """
        self.job.store.silent = True
        with ExitStack() as ends:
            block = (process or self.job.process()).open(session_id="job", existing="resume")
            session = entered(block) if process else ends.enter_context(block)
            for number in range(written):
                session.log(f"b{number}")
            session.flush_sync()


@async_test
@pytest.mark.parametrize("written", [0, 1, 20], ids=["behind", "level", "beyond"])
async def test_who_has_seen_more_begins_again_with_what_the_next_owner_writes(
    site: Sites, written: int
) -> None:
    job = site(lease_ttl=30, lost_after=None, news_interval=100)
    lost = Lost(job)
    async with job.following(job.there) as follower:
        lost.session.log("a3")
        lost.session.log("a4")
        lost.session.log("a5")
        await job.clock.advance(1)
        assert messages(follower.items)[-1] == "a5"
        await lost.fall_back_late()
        lost.go_on(written)
        await job.clock.advance(100)
        assert since_reset(follower.items) == [
            *("a0", "a1", "a2"),
            *(f"b{number}" for number in range(written)),
        ]
        assert follower.types[-1] == "session.completed"
        assert follower.finished
    assert said(job.there) == said(job.process())


@async_test
async def test_who_has_seen_more_is_shown_what_is_left_once_nobody_can_bring_it_back(
    site: Sites,
) -> None:
    job = site(lease_ttl=30, lost_after=None, news_interval=10)
    lost = Lost(job)
    async with job.following(job.there) as follower:
        lost.session.log("a3")
        await job.clock.advance(1)
        lost.fall_back()
        await job.clock.advance(15)
        assert messages(follower.items)[-1] == "a3"
        await job.clock.advance(30)
        assert since_reset(follower.items) == ["a0", "a1", "a2"]


class Remote(SubscriberBase):
    remote: ClassVar[bool] = True

    def wake(self) -> None: ...

    def drain(self) -> None: ...


@async_test
async def test_a_client_that_comes_back_is_not_answered_by_its_number_alone(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=None, news_interval=100, replica_ttl=1000)
    lost = Lost(job)
    reader = Remote(durable(job.there).record("job"), None)
    engine = engine_of(job.there)
    engine.admit(reader, None)
    lost.session.log("a3")
    lost.session.log("a4")
    await job.clock.advance(1)
    record = reader.record
    while (taken := record.take(reader)) is not None:
        assert not isinstance(taken, Moved)
    cursor = f"{record.epoch}-{record.history.head}"
    await lost.fall_back_late()
    lost.go_on(20)
    await job.clock.advance(100)
    assert isinstance(record.take(reader), Moved)
    engine.dismiss(reader)
    for resume in (Resume.RESET, Resume.EXACT):  # the second one has read the log that is there now
        again = Remote(replica_of(job.there), None)
        assert engine.admit(again, cursor).answer.resume is resume
        engine.dismiss(again)


@async_test
async def test_a_process_that_has_seen_another_log_takes_over_the_one_that_is_there(
    site: Sites,
) -> None:
    job = site(lease_ttl=30, lost_after=None, news_interval=1000, replica_ttl=1000)
    lost = Lost(job)
    lost.session.log("a3")
    lost.session.flush_sync()
    assert said(job.there)[-1] == "a3"
    await lost.fall_back_late()
    second = job.process()
    lost.go_on(5, second)
    kill(second)
    await job.clock.advance(31)
    session = job.session(job.there, existing="resume")
    session.log("c")
    session.flush_sync()
    expected = ["a0", "a1", "a2", "b0", "b1", "b2", "b3", "b4", "c"]
    assert said(job.there) == said(job.process()) == expected


def test_what_has_ended_and_was_lost_runs_again_for_those_who_look(site: Sites) -> None:
    job = site(lost_after=None, replica_ttl=1000)
    with job.here.open(session_id="job") as session:
        session.flush_sync()
        earlier = job.store.backup("job")
    assert job.there.get("job").status == "completed"
    job.clock.advance_sync(40)
    earlier()
    job.clock.advance_sync(20)
    assert job.there.get("job").status == "running"


# Who helps to produce it


@async_test
async def test_who_is_attached_elsewhere_attaches_again_after_a_loss(site: Sites) -> None:
    job = site(news_interval=1)
    session = job.session()
    await session.flush()
    helper = job.there.attach("job")
    job.store.wipe()
    session.log("after")
    await job.clock.advance(2)
    helper.log("lost")
    with pytest.raises(SessionConflict):
        await helper.flush()
    assert helper.dropped == 1
    helper = job.there.attach("job")
    helper.log("again")
    await helper.flush()
    assert said(job.process()) == ["after", "again"]
