"""How a session begins when several processes could begin it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.errors import (
    InvalidSessionId,
    SessionConflict,
    SessionGone,
    SessionUnknown,
    TooManySessions,
)

from .kit import Site, Waiting, kill, messages, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def test_what_is_reserved_here_begins_there(site: Sites) -> None:
    job = site()
    handle = job.here.reserve_sync(session_id="job", title="Report", owner="ann", plan=["a"])
    assert job.there.get("job").status == "pending"
    with job.there.open(session_id="job") as session:
        assert (session.attempt, session.status) == (1, "running")
        with session.phase("a"):
            pass
        session.complete("done")
    assert job.here.result(handle["session_id"]) == "done"
    snapshot = job.here.snapshot("job")
    assert (snapshot.title, len(snapshot.steps)) == ("Report", 1)


@async_test
async def test_a_job_of_another_process_takes_a_reserved_id(site: Sites) -> None:
    job = site()
    handle = await job.here.reserve()

    async def work(session: ProgressSession) -> str:
        return session.id

    job.there.start(work, session_id=handle["session_id"])
    await job.clock.settle()
    assert job.here.result(handle["session_id"]) == handle["session_id"]


def test_reserving_twice_is_reserving_once_and_the_token_is_told_once(site: Sites) -> None:
    job = site()
    first = job.here.reserve_sync(session_id="job")
    epoch = job.store.there("job").epoch
    second = job.there.reserve_sync(session_id="job")
    assert first["control_token"] is not None
    assert second["control_token"] is None
    assert job.store.there("job").epoch == epoch


def test_of_two_that_reserve_in_the_same_moment_one_makes_it(site: Sites) -> None:
    job = site()
    tokens: list[str | None] = []
    job.store.meanwhile(
        "claim",
        lambda: tokens.append(job.there.reserve_sync(session_id="job")["control_token"]),
    )
    tokens.append(job.here.reserve_sync(session_id="job")["control_token"])
    assert tokens[0] is not None
    assert tokens[1] is None


def test_of_two_that_open_a_new_id_in_the_same_moment_one_has_it(site: Sites) -> None:
    job = site()
    job.store.meanwhile("claim", lambda: job.session(job.there))
    with pytest.raises(SessionConflict, match="already has a producer"):
        job.session(job.here)
    assert job.store.there("job").fence == 1
    assert job.here.get("job").status == "running"


def test_of_two_that_open_a_reserved_id_in_the_same_moment_one_has_it(site: Sites) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")
    taken: list[ProgressSession] = []
    job.store.meanwhile("claim", lambda: taken.append(job.session(job.there)))
    with pytest.raises(SessionConflict):
        job.session(job.here)
    job.clock.settle_sync()
    (session,) = taken
    session.log("it is mine")
    session.flush_sync()
    assert job.store.there("job").head == 2


def test_of_two_that_claimed_a_reserved_id_one_after_the_other_the_last_has_it(
    site: Sites,
) -> None:
    # Until its first event is stored a session is pending, and so anybody's.
    job = site()
    job.here.reserve_sync(session_id="job")
    begun: list[ProgressSession] = []
    job.store.meanwhile("append", lambda: begun.append(job.session(job.there)))
    with pytest.raises(SessionConflict, match="Another process"):
        job.session(job.here)
    job.clock.settle_sync()
    (session,) = begun
    assert session.status == "running"
    assert job.store.there("job").head == 1


def test_of_two_that_restart_in_the_same_moment_one_does(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        pass
    job.store.meanwhile("claim", lambda: job.session(job.there, existing="restart"))
    with pytest.raises(SessionConflict):
        job.session(job.here, existing="restart")
    assert job.store.there("job").attempt == 2


def test_an_id_that_runs_elsewhere_is_not_opened(site: Sites) -> None:
    job = site()
    job.session()
    for existing in (None, "resume", "restart"):
        with pytest.raises(SessionConflict, match="already has a producer"):
            job.session(job.there, existing=existing)


def test_an_id_that_has_ended_elsewhere_is_opened_only_on_purpose(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        pass
    with pytest.raises(SessionConflict, match="restart"):
        job.session(job.there)
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="resume")


def test_an_id_that_has_expired_is_opened_only_on_purpose(site: Sites) -> None:
    job = site(history_ttl=1, result_ttl=2, tombstone_ttl=100)
    with job.here.open(session_id="job"):
        pass
    job.clock.advance_sync(3)
    with pytest.raises(SessionGone):
        job.there.reserve_sync(session_id="job")
    with pytest.raises(SessionConflict):
        job.session(job.there)
    assert job.session(job.there, existing="restart").attempt == 2


def test_a_generated_id_is_claimed_behind_the_back_of_its_producer(site: Sites) -> None:
    job = site()
    with job.here.open() as session:
        session.log("hello")
        session.flush_sync()
        assert job.there.get(session.id).head == 2
    assert session.id.startswith("s_")


def test_an_application_may_not_choose_what_the_library_generates(site: Sites) -> None:
    job = site()
    with pytest.raises(InvalidSessionId):
        job.session(session_id="s_mine")
    with pytest.raises(InvalidSessionId):
        job.here.reserve_sync(session_id="s_mine")


def test_a_process_runs_no_more_sessions_than_it_may(site: Sites) -> None:
    job = site(max_sessions=2)
    job.session(session_id="a")
    with job.here.open(session_id="b"), pytest.raises(TooManySessions):
        job.session(session_id="c")
    job.session(session_id="c")
    # Another process has room of its own.
    job.session(job.there, session_id="d")


# Cancelled as it begins


async def cancelled_in_its_claim(job: Site, act: Callable[[], Awaitable[object]]) -> None:
    """Does something in a task that is cancelled, as asyncio does it, while the store claims."""
    loop, left = asyncio.get_running_loop(), threading.Event()

    async def handle() -> None:
        try:
            await act()
        finally:
            left.set()

    task = loop.create_task(handle())

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)
        assert left.wait(10)

    job.store.meanwhile("claim", cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    await job.clock.advance(1)


async def opened(registry: SessionRegistry, **options: Any) -> None:
    async with registry.open(**options):
        raise AssertionError


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("session_id", ["job", None])
@async_test
async def test_a_session_whose_task_is_cancelled_as_it_begins_does_not_run(
    site: Sites, session_id: str | None
) -> None:
    job = site()
    await cancelled_in_its_claim(job, lambda: opened(job.here, session_id=session_id))
    (info,) = job.there.list()
    assert info.status == "cancelled"
    assert not replica_of(job.here, info.id).owned


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("then", ["here", "there"])
@async_test
async def test_a_resumption_whose_task_is_cancelled_is_left_to_the_next_one(
    site: Sites, then: str
) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?", bool)
    (request,) = job.there.snapshot("job").requests
    job.there.answer("job", request.request_id, True)
    await cancelled_in_its_claim(job, lambda: opened(job.here, session_id="job", existing="resume"))
    with getattr(job, then).open(session_id="job", existing="resume") as session:
        assert session.answer is True
        session.complete("deployed")
    assert job.process().result("job") == "deployed"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("session_id", "left"), [("job", ["pending"]), (None, ["cancelled"])])
@async_test
async def test_a_reservation_whose_task_is_cancelled_is_left_to_who_knows_its_id(
    site: Sites, session_id: str | None, left: list[str]
) -> None:
    job = site()
    await cancelled_in_its_claim(job, lambda: job.here.reserve(session_id=session_id))
    assert [info.status for info in job.there.list()] == left


# Reserved, and never begun


def pending_lost(site: Site) -> list[bytes]:
    return [entry for entry in site.store.entries("job") if b"session.lost" in entry]


@async_test
async def test_a_reserved_id_that_nobody_begins_is_lost_once(site: Sites) -> None:
    job = site(pending_ttl=60)
    await job.here.reserve(session_id="job")
    ended: list[str] = []
    for process in (job.here, job.there):
        process.on_end(lambda info: ended.append(info.status))
    async with job.following(job.here) as near, job.following(job.there) as far:
        await job.clock.advance(59)
        assert near.items == far.items == []
        await job.clock.advance(12)
        assert near.types == far.types == ["session.lost"]
        assert near.finished
        assert far.finished
    assert len(pending_lost(job)) == 1
    assert b"never_started" in pending_lost(job)[0]
    assert ended == ["lost"]


def test_a_reserved_id_is_lost_even_when_nobody_follows(site: Sites) -> None:
    job = site(pending_ttl=60)
    job.here.reserve_sync(session_id="job")
    job.clock.advance_sync(80)
    assert job.there.get("job").status == "lost"
    assert len(pending_lost(job)) == 1


def test_one_that_begins_in_the_last_moment_is_not_lost(site: Sites) -> None:
    job = site(pending_ttl=60)
    job.here.reserve_sync(session_id="job")
    job.clock.advance_sync(59)
    job.session(job.there)
    job.clock.advance_sync(60)
    assert job.here.get("job").status == "running"


# Retrying


def failing(registry: SessionRegistry, **options: object) -> ProgressSession:
    with (
        pytest.raises(ConnectionError),
        registry.open(session_id="job", retry_on=(OSError,), **options) as session,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ):
        session.phase("half done")
        raise ConnectionError
    return session


@async_test
async def test_an_attempt_that_is_to_be_retried_goes_on_in_another_process(site: Sites) -> None:
    job = site()
    old = failing(job.here, plan=["half done"])
    assert job.there.get("job").status == "pending"
    async with job.following(job.there) as follower:
        with job.there.open(session_id="job") as session:
            assert session.attempt == 2
            with session.phase("half done"):
                pass
            old.log("from the grave")
        await job.clock.advance(1)
        assert follower.types == [
            "session.started",
            "step.started",
            "session.retrying",
            "session.started",
            "step.started",
            "step.completed",
            "session.completed",
        ]
    (step,) = job.here.snapshot("job").steps
    assert step.status == "completed"
    assert messages(follower.items) == []


def test_a_retry_that_nobody_begins_is_lost(site: Sites) -> None:
    job = site(pending_ttl=60)
    failing(job.here)
    job.clock.advance_sync(80)
    assert job.there.get("job").status == "lost"


def test_a_retry_counts_every_attempt(site: Sites) -> None:
    job = site()
    for process in (job.here, job.there, job.here):
        failing(process)
    assert job.there.get("job").attempt == 3


# Another producer


def test_another_producer_joins_from_another_process(site: Sites) -> None:
    job = site()
    session = job.session()
    helper = job.there.attach("job")
    helper.log("from there")
    helper.flush_sync()
    session.log("from here")
    session.flush_sync()
    logs = [log.message for log in job.here.snapshot("job").logs]
    assert logs == ["from there", "from here"]


def test_what_runs_not_is_not_joined(site: Sites) -> None:
    job = site()
    with pytest.raises(SessionUnknown):
        job.there.attach("job")
    job.here.reserve_sync(session_id="job")
    with pytest.raises(SessionConflict):
        job.there.attach("job")
    with job.there.open(session_id="job"):
        pass
    with pytest.raises(SessionConflict):
        job.here.attach("job")


def test_what_another_producer_emits_after_the_end_is_dropped(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job"):
        helper = job.there.attach("job")
    helper.log("late")
    helper.log("later")
    job.clock.settle_sync()
    assert job.store.there("job").head == 2
    assert helper.dropped == 2
    assert job.there.stats().waiting == 0


@async_test
async def test_two_producers_of_one_session_keep_their_own_order(site: Sites) -> None:
    job = site()
    session = job.session()
    helper = job.there.attach("job")
    async with job.following(job.process()) as follower:
        for number in range(20):
            session.log(f"here {number}")
            helper.log(f"there {number}")
        await job.clock.advance(1)
        told = messages(follower.items)
        assert [each for each in told if each.startswith("here")] == [
            f"here {n}" for n in range(20)
        ]
        assert len(told) == 40
        assert follower.seqs == list(range(1, 42))


# An answer that is lost on its way


def waited_for(job: Site, act: Callable[[], Any]) -> Any:
    """Returns what comes of something that meets a cut and tries again."""
    with Waiting(job.clock, act) as waiting:
        job.clock.advance_sync(20)
    if waiting.error is not None:
        raise waiting.error
    return waiting.answer


def run(registry: SessionRegistry, **options: Any) -> tuple[int, str | None]:
    """Runs a session; returns its attempt and its control token."""
    with registry.open(session_id="job", **options) as session:
        return session.attempt, session.handle()["control_token"]


def test_a_reservation_that_got_no_answer_has_its_token(site: Sites) -> None:
    job = site()
    job.store.cut_claims = 1
    handle = waited_for(job, lambda: job.here.reserve_sync(session_id="job"))
    assert handle["control_token"]


def test_a_run_whose_claim_got_no_answer_has_its_token(site: Sites) -> None:
    job = site()
    for attempt in (1, 2):
        job.store.cut_claims = 1
        told = waited_for(job, lambda: run(job.here, existing="restart"))
        assert told[0] == attempt
        assert told[1]
    assert job.there.get("job").status == "completed"


def test_who_resumes_and_gets_no_answer_has_resumed(site: Sites) -> None:
    job = site()
    job.session()
    kill(job.here)
    job.clock.advance_sync(40)
    job.store.cut_claims = 1
    assert waited_for(job, lambda: run(job.there, existing="resume")) == (1, None)
    assert job.there.get("job").status == "completed"


def test_a_claim_that_got_no_answer_is_not_taken_for_that_of_somebody_else(site: Sites) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")

    def come_first() -> None:
        job.session(job.there)
        job.store.cut_claims = 1

    job.store.meanwhile("claim", come_first)
    with pytest.raises(SessionConflict, match="already has a producer"):
        waited_for(job, job.session)
    assert replica_of(job.there).owned
