"""Callbacks of an application that runs in several processes: each is called in one of them."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio
import pytest

from agentprogress import ProgressSession, SessionInfo, SessionRegistry
from agentprogress._durable.callbacks import Callbacks
from agentprogress.abc import Refusal
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock

from .kit import Site, Waiting, held, kill, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def ends(job: Site, *others: SessionRegistry) -> list[tuple[str, str]]:
    """Returns a list of the ends that processes are told of, as they are told."""
    told: list[tuple[str, str]] = []
    for name, process in zip(
        ("here", "there", "third"), (job.here, job.there, *others), strict=False
    ):
        process.on_end(lambda info, name=name: told.append((name, info.status)))
    return told


@async_test
async def test_an_end_is_told_where_it_was_given(site: Sites) -> None:
    job = site()
    told = ends(job)
    await job.here.reserve(session_id="job")
    async with job.following(job.there) as follower:
        with job.here.open(session_id="job"):
            pass
        await job.clock.advance(1)
        assert follower.finished
    assert told == [("here", "completed")]


def test_a_failure_and_a_cancellation_are_told_where_they_happened(site: Sites) -> None:
    job = site()
    told = ends(job)
    with pytest.raises(LookupError), job.there.open(session_id="a"):
        raise LookupError
    job.here.reserve_sync(session_id="b")
    job.there.cancel("b")
    with job.here.open(session_id="c") as session:
        session.suspend("Deploy?")
    job.there.cancel("c")
    job.clock.advance_sync(20)
    assert told == [("there", "failed"), ("there", "cancelled"), ("there", "cancelled")]


def test_a_loss_is_told_once_by_who_found_it(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=90)
    third = job.process()
    told = ends(job, third)
    job.session()
    for process in (job.there, third):
        process.get("job")
    job.clock.settle_sync()
    kill(job.here)
    job.clock.advance_sync(300)
    assert [status for _, status in told] == ["lost"]


def test_what_is_told_of_an_end_is_what_everybody_reads(site: Sites) -> None:
    job = site()
    told: list[SessionInfo] = []
    job.here.on_end(told.append)
    with job.here.open(session_id="job", owner="ann", private=[1]) as session:
        session.complete("done")
    job.clock.settle_sync()
    assert told == [job.there.get("job")]


def test_a_callback_that_fails_harms_nobody(site: Sites, caplog: pytest.LogCaptureFixture) -> None:
    job = site()
    told: list[str] = []

    @job.here.on_end
    def fail(info: SessionInfo) -> None:
        raise RuntimeError(info.id)

    job.here.on_end(lambda info: told.append(info.id))
    for session_id in ("a", "b"):
        with job.here.open(session_id=session_id):
            pass
    job.clock.settle_sync()
    assert told == ["a", "b"]
    assert sum("on_end" in each.getMessage() for each in caplog.records) == 2


# An answer to a suspended session


def answered(*processes: SessionRegistry) -> list[str]:
    told: list[str] = []
    for process in processes:
        process.on_answer(lambda info: told.append(info.id))
    return told


def suspended(job: Site, session_id: str = "job", **options: float) -> str:
    with job.here.open(session_id=session_id) as session:
        session.suspend("Deploy?", **options)
    (request,) = job.there.snapshot(session_id).requests
    return request.request_id


def test_an_answer_is_told_in_one_process_of_all_that_could_go_on(site: Sites) -> None:
    job = site()
    third = job.process()
    told = answered(job.here, job.there, third)
    request_id = suspended(job)
    third.get("job")
    job.there.answer("job", request_id, True)
    job.clock.advance_sync(20)
    assert told == ["job"]


def test_an_answer_is_told_where_somebody_listens_for_it(site: Sites) -> None:
    job = site()
    told = answered(job.here)
    request_id = suspended(job)
    job.clock.advance_sync(100)
    job.there.answer("job", request_id, True)
    job.clock.advance_sync(20)
    assert told == ["job"]


def test_after_the_process_that_asked_has_died_the_one_that_answers_is_told(site: Sites) -> None:
    job = site()
    told = answered(job.here, job.there)
    request_id = suspended(job)
    job.clock.settle_sync()
    kill(job.here)
    job.there.answer("job", request_id, True)
    job.clock.advance_sync(20)
    assert told == ["job"]


def test_who_reads_what_was_answered_before_the_wait_is_told_of_nothing(site: Sites) -> None:
    job = site()
    first = suspended(job)
    job.there.answer("job", first, True)
    with job.there.open(session_id="job", existing="resume") as session:
        session.suspend("Delete it as well?")
    third = job.process()
    told = answered(third)
    assert third.get("job").status == "waiting"
    job.clock.advance_sync(20)
    assert told == []


@async_test
async def test_a_question_that_expires_is_told_once(site: Sites) -> None:
    job = site()
    told = answered(job.here, job.there)
    async with job.following(job.here, session_id="other"):
        suspended(job, timeout=10)
        job.there.get("job")
        await job.clock.advance(30)
    assert told == ["job"]


@async_test
async def test_a_session_is_resumed_by_the_callback_in_exactly_one_process(site: Sites) -> None:
    job = site()
    runs: list[tuple[str, object]] = []

    def going_on(name: str, process: SessionRegistry) -> None:
        async def work(session: ProgressSession) -> str:
            runs.append((name, session.answer))
            return "deployed"

        @process.on_answer
        def resume(info: SessionInfo) -> None:
            process.start(work, session_id=info.id, existing="resume")

    for name, process in (("here", job.here), ("there", job.there)):
        going_on(name, process)
    request_id = suspended(job)
    async with job.following(job.here) as near, job.following(job.there) as far:
        job.process().answer("job", request_id, "yes")
        await job.clock.advance(5)
        assert near.finished
        assert far.finished
    assert len(runs) == 1
    assert runs[0][1] == "yes"
    assert job.process().result("job") == "deployed"


@async_test
async def test_a_job_is_started_by_the_callback_though_its_loop_had_nothing_to_do(
    site: Sites,
) -> None:
    job = site()

    async def work(session: ProgressSession) -> object:
        if session.answer is None:
            session.suspend("Deploy?")
        return session.answer

    @job.here.on_answer
    def go_on(info: SessionInfo) -> None:
        job.here.start(work, session_id=info.id, existing="resume")

    job.here.start(work, session_id="job")
    await job.clock.advance(1)
    assert engine_of(job.here).live_host() is None
    (request,) = job.there.snapshot("job").requests
    job.there.answer("job", request.request_id, "yes")
    await job.clock.advance(1)
    assert job.process().result("job") == "yes"


def test_an_answer_is_told_though_the_loop_that_asked_is_over(site: Sites) -> None:
    job = site()
    told = answered(job.here)

    async def work(session: ProgressSession) -> None:
        session.suspend("Deploy?")

    async def ask() -> None:
        job.here.start(work, session_id="job")
        await job.clock.advance(1)

    anyio.run(ask)
    (request,) = job.there.snapshot("job").requests
    job.there.answer("job", request.request_id, "yes")
    job.clock.advance_sync(1)
    assert told == ["job"]


# What a callback may do


@contextmanager
def hanging(
    job: Site, register: Callable[[Callable[[SessionInfo], object]], object]
) -> Generator[list[str]]:
    """Registers a callback that does not return before the block is left; tells its calls."""
    go_on, called = threading.Event(), list[str]()

    def hang(info: SessionInfo) -> None:
        called.append(info.id)
        job.clock.wait_in_thread(go_on, None)

    register(hang)
    try:
        yield called
    finally:
        go_on.set()
        job.clock.settle_sync()


def test_a_callback_that_exits_ends_no_thread_of_the_library(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    sessions = [job.session(session_id=session_id) for session_id in ("a", "b")]
    sessions[0].on_cancel(lambda: sys.exit(3))
    job.here.on_end(lambda info: sys.exit(4))
    for session_id in ("a", "b"):
        job.there.cancel(session_id)
        job.clock.settle_sync()
    assert sessions[1].cancel_requested
    for session_id in ("c", "d"):
        with job.here.open(session_id=session_id):
            pass
        job.clock.settle_sync()
    told = [each.getMessage() for each in caplog.records]
    assert ["on_cancel" in each for each in told] == [True, False, False]
    assert ["on_end" in each for each in told] == [False, True, True]


def test_a_registry_is_left_though_a_callback_does_not_return(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site(close_flush_timeout=5)
    go_on = threading.Event()
    callers: list[str] = []

    @job.here.on_end
    def hang(info: SessionInfo) -> None:
        callers.append(threading.current_thread().name)
        job.clock.wait_in_thread(go_on, None)

    def leave() -> None:
        with job.here:
            for _ in range(2):
                with job.here.open():
                    pass

    with Waiting(job.clock, leave) as leaving:
        job.clock.advance_sync(4)
        assert leaving.ended is None
        job.clock.advance_sync(2)
        assert leaving.ended == 5
    assert "does not return" in caplog.records[-1].getMessage()
    go_on.set()
    job.clock.settle_sync()
    assert callers == ["agentprogress ends"] * 2


def test_an_end_whose_callback_takes_long_keeps_no_answer_from_being_told(site: Sites) -> None:
    job = site()
    told = answered(job.here)
    request_id = suspended(job)
    with hanging(job, job.here.on_end):
        with job.here.open():
            pass
        job.clock.settle_sync()
        job.there.answer("job", request_id, True)
        job.clock.settle_sync()
        assert told == ["job"]


def test_an_answer_that_has_to_wait_for_another_callback_is_told_elsewhere(site: Sites) -> None:
    job = site()
    request_ids = [suspended(job, session_id) for session_id in ("a", "b")]
    with hanging(job, job.here.on_answer) as hung:
        for session_id, request_id in zip(("a", "b"), request_ids, strict=True):
            job.there.answer(session_id, request_id, True)
            job.clock.settle_sync()
        third = job.process()
        told = answered(third)
        for session_id in ("a", "b"):
            third.get(session_id)
        job.clock.settle_sync()
        assert (hung, told) == (["a"], ["b"])
    assert hung == ["a"]


def test_what_waits_for_a_callback_holds_no_session(site: Sites) -> None:
    job = site(replica_ttl=10)
    with hanging(job, job.here.on_end):
        for session_id in ("a", "b"):
            with job.here.open(session_id=session_id):
                pass
        job.clock.settle_sync()
        replica = weakref.ref(replica_of(job.here, "b"))
        job.clock.advance_sync(60)
        assert held(job.here) == []
        gc.collect()
        assert replica() is None


def test_what_waits_for_a_callback_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    callbacks = Callbacks("callbacks", clock)
    go_on, calls = threading.Event(), list[None]()
    callbacks.call(lambda: clock.wait_in_thread(go_on, None))
    clock.settle_sync()
    for _ in range(10_003):
        callbacks.call(lambda: calls.append(None))
    (record,) = caplog.records
    assert "does not return" in record.getMessage()
    go_on.set()
    callbacks.finish(10)
    assert len(calls) == 10_000


def test_a_session_that_cannot_be_reached_is_told_later_and_holds_nobody_up(site: Sites) -> None:
    job = site()
    request_id = suspended(job)
    job.there.answer("job", request_id, True)
    job.clock.settle_sync()
    third = job.process()
    told = answered(third)
    job.store.refuses["job"] = Refusal.UNAVAILABLE
    third.get("job")
    job.clock.settle_sync()
    with third.open(session_id="other"):
        pass
    assert third.get("other").status == "completed"
    assert third.stats().store_available
    assert told == []
    job.store.refuses.clear()
    job.clock.advance_sync(2)
    assert told == ["job"]


def test_a_registry_is_left_when_its_callbacks_have_returned(site: Sites) -> None:
    job = site()
    told = ends(job)
    with job.here:
        for _ in range(3):
            with job.here.open():
                pass
    assert told == [("here", "completed")] * 3


def test_the_end_of_one_session_may_begin_the_next(site: Sites) -> None:
    job = site()
    begun: list[str] = []

    @job.here.on_end
    def go_on(info: SessionInfo) -> None:
        if info.id == "first":
            with job.here.open(session_id="second") as session:
                session.complete("done")
            begun.append(session.id)

    with Waiting(job.clock, lambda: completing(job.here, "first")) as first:
        job.clock.advance_sync(1)
        assert first.ended is not None
        assert begun == ["second"]
    assert job.there.result("second") == "done"


def completing(registry: SessionRegistry, session_id: str) -> None:
    with registry.open(session_id=session_id) as session:
        session.complete("done")


def test_an_answer_may_resume_the_session_in_a_program_without_a_loop(site: Sites) -> None:
    job = site()

    @job.here.on_answer
    def resume(info: SessionInfo) -> None:
        with job.here.open(session_id=info.id, existing="resume") as session:
            session.complete(session.answer)

    request_id = suspended(job)
    job.there.answer("job", request_id, "yes")
    job.clock.advance_sync(1)
    assert job.process().result("job") == "yes"
