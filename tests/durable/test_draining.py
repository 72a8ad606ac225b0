"""Shutting a process down: what ends with it, and what is left to another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress._engine import OnShutdown
from agentprogress._wakeup import LoopRef
from agentprogress.errors import Draining

from .kit import Site, Waiting, replica_of

pytestmark = pytest.mark.anyio

Sites = Callable[..., Site]


async def test_what_runs_here_ends_and_is_stored_before_the_process_goes(site: Sites) -> None:
    job = site()
    job.session()
    async with job.following(job.there) as follower:
        async with job.here:
            pass
        await job.clock.advance(1)
        assert follower.types == ["session.started", "session.failed"]
        assert follower.finished
    error = job.there.snapshot("job").error
    assert error is not None
    assert (error.code, error.retryable) == ("server_shutdown", True)


async def test_what_runs_elsewhere_pends_or_waits_lives_on(site: Sites) -> None:
    job = site()
    await job.here.reserve(session_id="pending")
    with job.here.open(session_id="waiting") as session:
        session.suspend("Deploy?")
    job.session(job.there)
    async with job.following(job.here) as follower:
        async with job.here:
            pass
        assert not follower.finished
    for session_id, status in (("pending", "pending"), ("waiting", "waiting"), ("job", "running")):
        assert job.there.get(session_id).status == status


async def test_nothing_new_is_taken_while_it_drains(site: Sites) -> None:
    job = site()
    await job.here.drain()
    with pytest.raises(Draining):
        job.session()
    with pytest.raises(Draining):
        await job.here.reserve(session_id="job")


@pytest.mark.parametrize(("on_shutdown", "status"), [("fail", "failed"), ("detach", "running")])
async def test_what_was_about_to_begin_is_left_with_the_rest(
    site: Sites, on_shutdown: OnShutdown, status: str
) -> None:
    job = site(lease_ttl=30)
    leaving = job.process(on_shutdown=on_shutdown)
    loop, claiming, drained = LoopRef(), anyio.Event(), threading.Event()

    async def begin() -> None:
        with pytest.raises(Draining):
            async with leaving.open(session_id="job"):
                raise AssertionError

    def claim() -> None:
        loop.call_soon(claiming.set)
        assert drained.wait(10)

    job.store.meanwhile("claim", claim)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        await claiming.wait()
        await leaving.drain()
        drained.set()
    await job.clock.advance(31)
    stored = job.store.there("job")
    assert stored.status == status
    assert (stored.lease_left or 0) <= 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("session_id", "on_shutdown", "status"),
    [
        ("job", "fail", "failed"),
        ("job", "detach", "running"),
        (None, "fail", "failed"),
        (None, "detach", "failed"),  # its id is known to nobody who could take it over
    ],
)
async def test_what_is_cancelled_as_it_begins_while_the_process_drains_is_left_with_the_rest(
    site: Sites, session_id: str | None, on_shutdown: OnShutdown, status: str
) -> None:
    job = site(lease_ttl=30)
    leaving = job.process(on_shutdown=on_shutdown)
    loop, claiming, left = asyncio.get_running_loop(), anyio.Event(), threading.Event()

    async def begin() -> None:
        async with leaving.open(session_id=session_id):
            raise AssertionError

    def claim() -> None:
        loop.call_soon_threadsafe(claiming.set)
        assert left.wait(10)

    job.store.meanwhile("claim", claim)
    task = loop.create_task(begin())
    await claiming.wait()
    await leaving.drain()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left.set()
    await job.clock.advance(1)
    (info,) = job.there.list()
    stored = job.store.there(info.id)
    assert stored.status == status
    assert (stored.lease_left or 0) <= 0


async def test_jobs_are_cancelled_and_their_end_is_stored(site: Sites) -> None:
    job = site()

    async def work(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    async with job.here:
        job.here.start(work, session_id="job")
        await job.clock.settle()
    assert job.there.get("job").status == "failed"


async def test_a_detached_session_is_taken_over_at_once(site: Sites) -> None:
    job = site(lease_ttl=30)
    leaving = job.process(on_shutdown="detach")
    session = job.session(leaving)
    session.phase("half done")
    async with job.following(job.there) as follower:
        async with leaving:
            pass
        assert job.there.get("job").status == "running"
        taken = job.session(job.there, existing="resume")
        assert [step.status for step in taken.snapshot().steps] == ["interrupted"]
        await job.clock.advance(1)
        assert follower.types == ["session.started", "step.started", "session.resumed"]
        assert not follower.finished


async def test_a_detached_job_is_stopped_without_an_end(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    leaving = job.process(on_shutdown="detach")
    stopped: list[str] = []

    async def work(session: ProgressSession) -> None:
        session.log("before")
        try:
            await anyio.sleep_forever()
        finally:
            session.log("in vain")
            stopped.append(session.id)

    async with leaving:
        leaving.start(work, session_id="job")
        await job.clock.settle()
    assert stopped == ["job"]
    assert caplog.records == []
    stored = job.store.there("job")
    assert (stored.status, stored.head) == ("running", 2)
    assert (stored.lease_left or 0) <= 0


async def test_a_block_that_is_left_after_a_detach_ends_nothing(site: Sites) -> None:
    job = site()
    leaving = job.process(on_shutdown="detach")
    with leaving.open(session_id="job") as session:
        await leaving.drain()
        session.complete("in vain")
    assert job.there.get("job").status == "running"
    with job.there.open(session_id="job", existing="resume") as taken:
        taken.complete("done")
    assert job.there.result("job") == "done"


async def test_a_detached_session_that_nobody_takes_is_lost(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    leaving = job.process(on_shutdown="detach")
    job.session(leaving)
    async with job.following(job.there) as follower:
        async with leaving:
            pass
        await job.clock.advance(200)
        assert follower.types[-1] == "session.lost"


async def test_draining_without_the_store_takes_no_longer_than_leaving_a_block(
    site: Sites,
) -> None:
    job = site(close_flush_timeout=5)
    for number in range(5):
        job.session(session_id=f"n{number}")
    job.store.available = False
    begun = job.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.here.drain)
        await job.clock.advance(6)
    assert job.clock.monotonic() - begun <= 6


# Without an event loop


def test_leaving_a_registry_gives_a_store_that_hangs_no_more_time_than_leaving_a_block(
    site: Sites,
) -> None:
    job = site(close_flush_timeout=5, flush_timeout=1)
    begun: list[float] = []

    def program() -> None:
        with job.process() as registry, registry.open(session_id="job") as session:
            session.flush_sync(1)
            job.store.hangs = 6
            begun.append(job.clock.monotonic())

    with Waiting(job.clock, program) as leaving:
        job.clock.advance_sync(20)
    assert leaving.error is None
    assert leaving.ended == begun[0] + 5
    job.store.hangs = 0
    job.clock.advance_sync(10)


@pytest.mark.parametrize(("on_shutdown", "status"), [("fail", "failed"), ("detach", "running")])
def test_a_program_that_leaves_its_registry_leaves_nothing_running(
    site: Sites, on_shutdown: OnShutdown, status: str
) -> None:
    job = site(lease_ttl=30)
    leaving = job.process(on_shutdown=on_shutdown)
    with leaving:
        session = job.session(leaving)
        session.log("stored")
    stored = job.store.there("job")
    assert stored.status == status
    assert (stored.lease_left or 0) <= 0
    assert b"stored" in job.store.entries("job")[1]
    with pytest.raises(Draining):
        job.session(leaving, session_id="late")


def test_the_last_thread_that_leaves_the_registry_ends_what_runs(site: Sites) -> None:
    job = site()
    with job.here:
        with job.here, job.here.open(session_id="done"):
            pass
        job.session()
        assert job.there.get("job").status == "running"
    assert job.there.get("job").status == "failed"
    with job.here:
        assert job.session(session_id="again").status == "running"


async def test_it_may_be_entered_again(site: Sites) -> None:
    job = site()
    async with job.here:
        job.session(session_id="first")
    async with job.here:
        async with job.here.open(session_id="second") as session:
            session.complete("done")
        assert job.there.result("second") == "done"
    assert job.there.get("first").status == "failed"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_cancelled_before_its_lease_is_given_up_is_left_with_the_rest(
    site: Sites,
) -> None:
    job = site(lease_ttl=30)
    leaving = job.process(on_shutdown="detach")
    loop, left = asyncio.get_running_loop(), threading.Event()

    async def work() -> None:
        async with leaving.open(session_id="job"):
            await anyio.sleep_forever()

    async def cancel() -> None:
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        left.set()

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(cancel(), loop)
        assert left.wait(10)
        stored = threading.Event()
        if replica_of(leaving).barrier(stored.set):
            assert stored.wait(10)

    task = loop.create_task(work())
    await job.clock.settle()
    job.store.meanwhile("renew", meanwhile)
    await leaving.drain()
    with pytest.raises(asyncio.CancelledError):
        await task
    await job.clock.advance(1)
    stored = job.store.there("job")
    assert stored.status == "running"
    assert (stored.lease_left or 0) <= 0
