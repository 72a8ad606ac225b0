"""Sessions whose producers are gone for good: ended once, by somebody who can be sure of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from agentprogress.errors import SessionConflict
from agentprogress.events import SessionLost

from .kit import Site, durable, kill

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def losing(job: Site) -> int:
    """Returns how often the loss of the session is in the log."""
    return sum(b'"session.lost"' in entry for entry in job.store.entries("job"))


def dead(job: Site, watchers: int = 1) -> None:
    """Begins a session that others have seen, and kills its process at second 0."""
    job.session()
    job.there.get("job")
    for _ in range(watchers - 1):
        job.process().get("job")
    job.clock.settle_sync()
    kill(job.here)


def test_a_producer_that_does_not_come_back_is_lost(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site(lease_ttl=30, lost_after=90)
    dead(job)
    job.clock.advance_sync(89)
    assert job.there.get("job").status == "running"
    # Who watches looks three times in the life of a lease.
    job.clock.advance_sync(12)
    assert job.there.get("job").status == "lost"
    assert [each for each in caplog.records if "is lost" in each.getMessage()]


def test_it_is_lost_once_however_many_watch(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    dead(job, watchers=3)
    job.clock.advance_sync(300)
    assert losing(job) == 1
    assert job.there.get("job").status == "lost"


def test_it_is_lost_once_by_two_that_find_out_in_the_same_moment(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    dead(job)
    third = job.process()
    third.get("job")
    job.clock.advance_sync(85)
    sessions = durable(third)
    lost = job.store.there("job")
    job.store.meanwhile("append", lambda: sessions.end_lost(lost, 0.0))
    job.clock.advance_sync(100)
    assert losing(job) == 1


@async_test
async def test_viewers_are_told_and_when_it_was_last_seen(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    session = job.session()
    session.phase("half done")
    async with job.following(job.there) as follower:
        await job.clock.advance(12)
        kill(job.here)
        await job.clock.advance(200)
        assert follower.finished
        lost = follower.items[-1]
        assert isinstance(lost, SessionLost)
        assert lost.last_seen is not None
        seen = lost.last_seen.timestamp() - (job.clock.wall() - job.clock.monotonic())
        assert seen == pytest.approx(10, abs=0.01)
    snapshot = job.there.snapshot("job")
    assert (snapshot.status, [step.status for step in snapshot.steps]) == ("lost", ["lost"])


def test_a_process_that_never_saw_the_session_ends_it_as_well(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    job.session()
    job.there.list()
    job.there.reserve_sync(session_id="other")  # so that it looks after anything at all
    job.clock.settle_sync()
    kill(job.here)
    job.clock.advance_sync(200)
    assert losing(job) == 1


def test_after_it_was_lost_the_old_producer_has_no_say(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    session = job.session()
    job.there.get("job")
    job.clock.settle_sync()
    kill(job.here)
    job.clock.advance_sync(200)
    session.log("from the grave")
    job.clock.settle_sync()
    assert job.store.entries("job")[-1].count(b"session.lost") == 1
    assert session.status == "lost"
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="resume")


def test_a_lost_session_may_be_restarted(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    dead(job)
    job.clock.advance_sync(200)
    assert job.session(job.there, existing="restart").attempt == 2


# Nobody is lost for somebody else's sleep


def test_with_lost_after_none_nobody_ever_is(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=None)
    dead(job)
    job.clock.advance_sync(3_000)
    assert job.there.get("job").status == "running"


def test_those_that_never_are_lost_hide_none_that_was_never_begun(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=None, pending_ttl=60, max_sweep=1)
    dead(job)
    job.there.reserve_sync(session_id="queued")
    job.clock.advance_sync(100)
    assert job.there.get("job").status == "running"
    assert job.there.get("queued").status == "lost"


def test_a_clock_that_jumps_loses_nobody(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    session = job.session()
    job.there.get("job")
    job.clock.advance_sync(100)
    for _ in range(5):
        job.clock.jump(10_000)
        job.clock.advance_sync(50)
    assert job.there.get("job").status == "running"
    session.log("still here")
    session.flush_sync()


def test_an_outage_loses_nobody(site: Sites, caplog: pytest.LogCaptureFixture) -> None:
    job = site(lease_ttl=30, lost_after=90)
    session = job.session()
    job.there.get("job")
    job.clock.advance_sync(100)
    caplog.set_level(logging.CRITICAL)
    job.store.available = False
    job.clock.advance_sync(500)
    job.store.available = True
    job.clock.advance_sync(300)
    assert job.there.get("job").status == "running"
    session.log("still here")
    session.flush_sync()


def test_an_outage_that_begins_just_after_a_lease_ran_out_loses_nobody(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    job.session()
    job.there.get("job")
    job.clock.settle_sync()
    kill(job.here)
    # Else it is a race who of its two threads finds out first that the store is back.
    durable(job.there).listening.stop(10)
    job.clock.advance_sync(41)
    job.store.available = False
    job.clock.advance_sync(200)
    job.store.available = True
    job.clock.advance_sync(60)
    assert losing(job) == 0


def test_after_an_outage_a_dead_producer_is_lost_only_when_it_had_the_time_to_come_back(
    site: Sites,
) -> None:
    job = site(lease_ttl=30, lost_after=90)
    dead(job)
    job.clock.advance_sync(5)
    job.store.available = False
    job.clock.advance_sync(500)
    job.store.available = True
    job.clock.advance_sync(85)
    assert job.there.get("job").status == "running"
    job.clock.advance_sync(40)
    assert job.there.get("job").status == "lost"


def test_a_watcher_that_has_just_come_gives_it_time(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    job.session()
    job.clock.settle_sync()
    kill(job.here)
    job.clock.advance_sync(1_000)
    watcher = job.process()
    watcher.get("job")
    job.clock.advance_sync(85)
    assert watcher.get("job").status == "running"
    job.clock.advance_sync(40)
    assert watcher.get("job").status == "lost"


def test_one_whose_watcher_slept_is_not_lost(site: Sites) -> None:
    # A laptop that is closed for an hour: its own producers and those it watches.
    job = site(lease_ttl=30, lost_after=90)
    job.session()
    job.session(job.there, session_id="other")
    job.clock.advance_sync(100)
    job.clock.jump(3_600)
    job.clock.advance_sync(1)
    assert job.there.get("job").status == "running"
    assert job.here.get("other").status == "running"
    job.clock.advance_sync(200)
    assert job.there.get("job").status == "running"
    assert job.here.get("other").status == "running"
