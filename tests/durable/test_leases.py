"""A producer's proof of life: kept without its doing; those who follow hear when it is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.abc import Lease

from .kit import Site, kill, producer_of, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def test_the_leases_of_a_process_are_renewed_together_three_times_in_their_life(
    site: Sites,
) -> None:
    job = site(lease_ttl=30)
    for number in range(20):
        job.session(session_id=f"n{number}")
    job.clock.advance_sync(1)
    calls = len(job.store.renewed)
    job.clock.advance_sync(300)
    since = job.store.renewed[calls:]
    assert len(since) == 30
    assert {len(leases) for leases in since} == {20}


def test_what_runs_not_has_no_lease_to_renew(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.here.reserve_sync(session_id="pending")
    job.clock.settle_sync()
    with job.here.open(session_id="waiting") as session:
        session.suspend("Deploy?")
    with job.here.open(session_id="ended"):
        pass
    job.clock.advance_sync(100)
    assert job.store.renewed == []


def test_a_process_that_only_follows_renews_nothing(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.there.get("job")
    job.clock.advance_sync(100)
    mine = job.store.there("job").fence
    assert all(lease.fence == mine for leases in job.store.renewed for lease in leases)
    assert len(job.store.renewed) <= 11


def test_a_session_that_is_silent_for_hours_stays_alive(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.there.get("job")
    job.clock.advance_sync(3_000)
    assert job.there.get("job").status == "running"


@async_test
async def test_the_producer_is_alive_to_those_who_follow_elsewhere(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    async with job.following(job.there):
        for _ in range(20):
            await job.clock.advance(10)
            assert producer_of(job.there) == ("alive", None)


@async_test
async def test_a_dead_one_is_stalled_when_its_lease_has_run_out(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    async with job.following(job.there):
        await job.clock.settle()
        kill(job.here)
        await job.clock.advance(29)
        assert producer_of(job.there) == ("alive", None)
        await job.clock.advance(2)
        assert producer_of(job.there) == ("stalled", "silent")
        assert producer_of(job.here) == ("alive", None)


@async_test
async def test_it_is_alive_again_once_somebody_has_taken_over(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    async with job.following(job.there):
        await job.clock.settle()
        kill(job.here)
        await job.clock.advance(40)
        assert producer_of(job.there) == ("stalled", "silent")
        job.session(job.process(), existing="resume")
        await job.clock.advance(1)
        assert producer_of(job.there) == ("alive", None)


@async_test
async def test_a_waiting_session_says_so(site: Sites) -> None:
    job = site(lease_ttl=30)
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    async with job.following(job.there):
        await job.clock.advance(100)
        assert producer_of(job.there) == ("waiting", None)


# Trouble with the store


def test_a_store_that_takes_nothing_keeps_the_leases_of_what_runs(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    busy = job.session(session_id="busy")
    job.clock.settle_sync()
    job.store.read_only = True
    for _ in range(10):
        busy.log("waits")
        job.clock.advance_sync(11)
        for session_id in ("job", "busy"):
            left = job.store.there(session_id).lease_left
            assert left is not None
            assert left > 15
    # Leases are renewed no more often than at other times.
    assert len(job.store.renewed) <= 12


def test_after_an_outage_leases_are_renewed_before_anything_is_written(site: Sites) -> None:
    job = site(lease_ttl=30, max_store_delay=1)
    session = job.session()
    job.clock.advance_sync(5)
    job.store.available = False
    session.log("waits")
    job.clock.advance_sync(20)
    left: list[float | None] = []
    job.store.meanwhile("append", lambda: left.append(job.store.there("job").lease_left))
    job.store.available = True
    job.clock.advance_sync(2)
    assert left == [pytest.approx(30)]


# A loop that is blocked


class Blocking:
    """An application whose event loop is blocked, in a thread of its own.

    Args:
        job: where.
        way: what blocks it: a ``block`` of the application's, or a ``job`` of the registry's.
    """

    def __init__(self, job: Site, way: str) -> None:
        self._job = job
        self._way = way
        self._go_on = threading.Event()
        self._begun = threading.Event()
        self._freed = threading.Event()
        self._over = threading.Event()
        self._ended = anyio.Event()

    @contextmanager
    def running(self) -> Generator[None]:
        thread = threading.Thread(target=lambda: anyio.run(self._main), daemon=True)
        thread.start()
        assert self._begun.wait(10)
        try:
            yield
        finally:
            self._go_on.set()
            self._over.set()
            thread.join(10)
        assert not thread.is_alive()

    async def _main(self) -> None:
        if self._way == "block":
            async with self._job.here.open(session_id="job"):
                await self._block()
        else:
            async with self._job.here:
                self._job.here.start(self._block, session_id="job")
                await self._ended.wait()

    async def _block(self, *_: object) -> None:
        self._begun.set()
        self._go_on.wait(20)
        for _turn in range(20):
            await anyio.lowlevel.checkpoint()
        self._freed.set()
        self._over.wait(20)
        self._ended.set()

    def free(self) -> None:
        self._go_on.set()
        assert self._freed.wait(10)


def test_what_is_wrong_with_a_producer_is_known_elsewhere_when_its_renewal_says_so(
    site: Sites,
) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.there.get("job")
    job.clock.settle_sync()
    stored = job.store.there("job")
    lease = Lease("job", stored.epoch, stored.fence, 30, "event_loop_blocked")
    assert job.store.renew([lease]) == [True]
    job.clock.settle_sync()
    assert replica_of(job.there).producer_state == ("stalled", "event_loop_blocked")


@pytest.mark.parametrize("way", ["block", "job"])
def test_a_blocked_event_loop_keeps_its_lease_and_says_what_is_wrong(site: Sites, way: str) -> None:
    job = site(lease_ttl=30)
    blocking = Blocking(job, way)
    with blocking.running():
        job.there.get("job")
        job.clock.advance_sync(29)
        assert producer_of(job.there) == ("alive", None)
        job.clock.advance_sync(400)
        assert producer_of(job.there) == ("stalled", "event_loop_blocked")
        assert job.store.there("job").status == "running"
        assert (job.store.there("job").lease_left or 0) > 0
        blocking.free()
        job.clock.advance_sync(21)
        assert job.store.there("job").stalled == ""
    assert job.store.there("job").status == "completed"


@async_test
async def test_a_loop_that_runs_is_not_said_to_be_blocked(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    async with job.following(job.here):
        for _ in range(10):
            await job.clock.advance(20)
    assert {lease.stalled for leases in job.store.renewed for lease in leases} == {""}


# The end of a lease


def test_a_session_that_has_ended_is_nobodys(site: Sites) -> None:
    job = site(lease_ttl=30)
    with job.here.open(session_id="job"):
        assert (job.store.there("job").lease_left or 0) > 0
    assert job.store.there("job").lease_left is None


def test_a_lease_that_was_taken_is_not_renewed(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    job.clock.settle_sync()
    job.clock.jump(31)
    taken: list[ProgressSession] = []
    job.store.meanwhile("renew", lambda: taken.append(job.session(job.there, existing="resume")))
    job.clock.advance_sync(100)
    (mine,) = taken
    mine.log("mine")
    mine.flush_sync()
    session.log("from the grave")
    assert session.dropped == 1
    assert job.store.there("job").fence == 2
