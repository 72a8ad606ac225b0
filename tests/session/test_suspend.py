"""Leaving a session until somebody answers, and going on with it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel

from agentprogress import (
    ProgressSession,
    SessionCancelled,
    SessionInfo,
    SessionRegistry,
    current_session,
)
from agentprogress._inputs import SessionSuspended
from agentprogress.errors import InputSettled, InvalidAnswer, SessionConflict
from agentprogress.session import NO_SESSION
from tests.kit import following, on_virtual_time, settle

async_test = pytest.mark.anyio


class Approval(BaseModel):
    approved: bool


def suspended(registry: SessionRegistry, **options: Any) -> str:
    """Suspends the session `job` and returns the question's id."""
    with registry.open(session_id="job") as session:
        session.suspend("Deploy?", **options)
    (request,) = registry.snapshot("job").requests
    return request.request_id


def test_a_plain_block_is_left_without_an_end_and_goes_on_with_the_answer() -> None:
    registry, _ = on_virtual_time()
    request_id = suspended(registry, schema=Approval)
    before = registry.get("job")
    assert before.status == "waiting"
    assert not current_session()
    with pytest.raises(InvalidAnswer):
        registry.answer("job", request_id, {"approved": "perhaps"})
    registry.answer("job", request_id, {"approved": True})
    registry.answer("job", request_id, {"approved": True})
    with pytest.raises(InputSettled):
        registry.answer("job", request_id, {"approved": False})
    with registry.open(session_id="job", existing="resume") as session:
        assert session.answer == Approval(approved=True)
        assert (session.status, session.attempt) == ("running", 1)
        assert registry.get("job").epoch == before.epoch
        session.complete("deployed")
    assert registry.result("job") == "deployed"
    assert registry.get("job").status == "completed"


@async_test
async def test_viewers_see_the_question_the_wait_and_how_it_went_on() -> None:
    registry, clock = on_virtual_time()

    async def job(session: ProgressSession) -> str:
        if session.answer is None:
            session.suspend("Deploy?", bool)
        return "deployed"

    @registry.on_answer
    def resume(info: SessionInfo) -> None:
        registry.start(job, session_id=info.id, existing="resume")

    registry.start(job, session_id="job")
    async with following(registry, "job") as follower:
        await clock.advance(1)
        assert registry.get("job").status == "waiting"
        (request,) = registry.snapshot("job").requests
        registry.answer("job", request.request_id, True)
        await clock.advance(1)
        assert follower.types == [
            "session.started",
            "input.requested",
            "session.waiting",
            "input.resolved",
            "session.resumed",
            "session.completed",
        ]
    assert registry.result("job") == "deployed"


@async_test
async def test_an_async_block_and_its_task_live_on() -> None:
    registry, _ = on_virtual_time()
    async with registry.open(session_id="job") as session:
        session.suspend("Deploy?")
    await anyio.lowlevel.checkpoint()
    assert registry.get("job").status == "waiting"


@async_test
async def test_a_plain_job_is_left_in_its_thread() -> None:
    registry, _ = on_virtual_time()

    def job(session: ProgressSession) -> None:
        session.suspend("Deploy?")

    session = registry.start(job, session_id="job")
    while session.status == "running":
        await anyio.lowlevel.checkpoint()
    await settle()
    assert session.status == "waiting"
    async with registry.open(session_id="other") as other:
        pass
    assert other.status == "completed"


@async_test
async def test_a_task_group_that_it_leaves_does_not_make_an_error_of_it() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        async with anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
            outer.start_soon(anyio.sleep_forever)

            async def leave() -> None:
                session.suspend("Deploy?")

            tasks.start_soon(leave)

    session = registry.start(job)
    async with registry.open() as block:
        await job(block)
    await settle()
    assert (session.status, block.status) == ("waiting", "waiting")


@async_test
async def test_an_error_beside_it_is_raised_and_the_session_waits() -> None:
    registry, _ = on_virtual_time()

    async def work(session: ProgressSession) -> None:
        failing = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                await failing.wait()
                session.suspend("Deploy?")

            async def fail() -> None:
                try:
                    failing.set()
                    await anyio.sleep_forever()
                finally:
                    raise ValueError("wrong")

            tasks.start_soon(fail)
            tasks.start_soon(leave)

    with pytest.raises(BaseExceptionGroup):
        async with registry.open(session_id="block") as block:
            await work(block)
    job = registry.start(work)
    await settle()
    assert (job.status, registry.get("block").status) == ("waiting", "waiting")
    # The registry's host has survived it.
    other = registry.start(settle_soon)
    await settle()
    assert other.status == "completed"


async def settle_soon(session: ProgressSession) -> None:
    await anyio.lowlevel.checkpoint()


@async_test
async def test_to_suspend_another_session_ends_only_the_job_that_did_it() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as outer:

        async def job(session: ProgressSession) -> None:
            outer.suspend("Deploy?")

        session = registry.start(job)
        await settle()
        assert session.status == "failed"
    assert outer.status == "waiting"


def test_a_jobs_own_except_exception_does_not_keep_it() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        try:
            session.suspend("Deploy?")
        except Exception:  # noqa: BLE001 - as many jobs have it
            pytest.fail("it was kept")
    assert session.status == "waiting"


@pytest.mark.parametrize("strict", [False, True])
def test_what_the_old_producer_still_emits_is_dropped(strict: bool) -> None:
    registry, _ = on_virtual_time(strict=strict)
    with registry.open(session_id="job", plan=["a", "b"]) as session, session.phase("a"):
        session.suspend("Deploy?")
    head = registry.get("job").head
    session.log("late")
    assert registry.get("job").head == head
    assert session.dropped == 2
    with pytest.raises(SessionConflict):
        session.flush_sync()
    with pytest.raises(SessionConflict):
        session.request_input_sync("Go on?")
    with registry.open(session_id="job", existing="resume") as resumed:
        statuses = [step.status for step in resumed.snapshot().steps]
        assert statuses == ["interrupted", "planned"]
        with resumed.phase("a"), resumed.phase("b"):
            pass
        statuses = [step.status for step in resumed.snapshot().steps]
        assert statuses[0] == "completed"


def test_a_waiting_session_is_taken_up_only_on_purpose_and_once() -> None:
    registry, _ = on_virtual_time()
    suspended(registry)
    with pytest.raises(SessionConflict, match='existing="resume"'):
        registry.open(session_id="job").__enter__()
    with pytest.raises(SessionConflict, match='existing="resume"'):
        registry.open(session_id="job", existing="restart").__enter__()
    with (
        registry.open(session_id="job", existing="resume"),
        pytest.raises(SessionConflict, match="already has a producer"),
    ):
        registry.open(session_id="job", existing="resume").__enter__()


def test_going_on_without_an_answer_withdraws_the_question() -> None:
    registry, _ = on_virtual_time()
    request_id = suspended(registry, timeout=60)
    with registry.open(session_id="job", existing="resume") as session:
        assert session.answer is None
        assert session.snapshot().requests == []
        assert registry.stats().deadlines == 0
        with pytest.raises(InputSettled):
            registry.answer("job", request_id, True)


def test_each_suspension_has_its_own_answer() -> None:
    registry, _ = on_virtual_time()
    registry.answer("job", suspended(registry), "first")
    with registry.open(session_id="job", existing="resume") as session:
        session.suspend("And?")
    with registry.open(session_id="job", existing="resume") as session:
        assert session.answer is None


def test_suspending_withdraws_what_others_wait_for() -> None:
    registry, _ = on_virtual_time()
    errors: list[BaseException] = []

    def ask(session: ProgressSession) -> None:
        try:
            session.request_input_sync("Go on?", timeout=1_000)
        except SessionConflict as error:
            errors.append(error)

    with registry.open(session_id="job") as session:
        thread = threading.Thread(target=ask, args=(session,))
        thread.start()
        while not session.snapshot().requests:
            pass
        session.suspend("Deploy?")
    thread.join()
    assert len(errors) == 1
    assert [request.prompt for request in registry.snapshot("job").requests] == ["Deploy?"]
    assert registry.stats().deadlines == 0


# Expiry, cancelling, callbacks


@async_test
async def test_a_question_that_expires_leaves_the_session_waiting_and_tells() -> None:
    registry, clock = on_virtual_time()
    told: list[tuple[str, str]] = []
    registry.on_answer(lambda info: told.append((info.id, info.status)))
    async with registry:
        request_id = suspended(registry, timeout=60)
        await clock.advance(59)
        assert told == []
        await clock.advance(2)
        assert told == [("job", "waiting")]
        assert registry.snapshot("job").requests == []
        with pytest.raises(InputSettled):
            registry.answer("job", request_id, True)
        await clock.advance(1_000_000)
        assert registry.get("job").status == "waiting"
        assert registry.stats().deadlines == 0


def test_without_a_loop_it_expires_when_somebody_asks() -> None:
    registry, clock = on_virtual_time()
    told: list[str] = []

    @registry.on_answer
    def resume(info: SessionInfo) -> None:
        told.append(info.status)
        with registry.open(session_id=info.id, existing="resume") as session:
            session.complete("nobody answered")

    suspended(registry, timeout=60)
    clock.jump(61)
    with registry.open():
        pass
    assert told == ["waiting"]
    assert registry.result("job") == "nobody answered"


def test_a_question_that_a_running_job_waits_for_calls_nobody() -> None:
    registry, _ = on_virtual_time()
    told: list[SessionInfo] = []
    registry.on_answer(told.append)
    with registry.open(session_id="job") as session:
        thread = threading.Thread(
            target=session.request_input_sync, args=("?",), kwargs={"request_id": "q"}
        )
        thread.start()
        while not session.snapshot().requests:
            pass
        registry.answer("job", "q", 1)
        thread.join()
    assert told == []


def test_callbacks_are_plain_functions_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    registry, _ = on_virtual_time()
    told: list[str] = []

    async def never(info: SessionInfo) -> None: ...

    with pytest.raises(TypeError, match="on_answer"):
        registry.on_answer(never)

    @registry.on_answer
    def fail(info: SessionInfo) -> None:
        raise RuntimeError("boom")

    registry.on_answer(lambda info: told.append(info.id))
    registry.answer("job", suspended(registry), True)
    assert told == ["job"]
    assert "boom" in caplog.text


def test_a_waiting_session_that_is_asked_to_stop_ends_at_once() -> None:
    registry, _ = on_virtual_time()
    stale: list[str] = []
    with registry.open(session_id="job") as session:
        session.on_cancel(lambda: stale.append("called"))
        session.suspend("Deploy?", timeout=60)
    assert registry.cancel("job", "enough")
    assert registry.get("job").status == "cancelled"
    assert registry.snapshot("job").requests == []
    assert stale == []
    # Its own expiry.
    assert registry.stats().deadlines == 1


def test_a_session_that_was_asked_to_stop_is_not_suspended() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(SessionCancelled), registry.open() as session:
        session.request_cancel()
        session.suspend("Deploy?")
    assert session.status == "cancelled"


@async_test
async def test_a_drain_ends_what_waits() -> None:
    registry, _ = on_virtual_time()
    async with registry:
        suspended(registry, timeout=60)
    assert registry.get("job").status == "failed"
    assert registry.stats().deadlines == 1


# Who may


def test_where_there_is_no_session_or_not_its_block_nothing_is_suspended() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(RuntimeError, match="no session here"):
        NO_SESSION.suspend("Deploy?")
    with registry.open(session_id="job") as session:
        with pytest.raises(RuntimeError, match="Only the block"):
            registry.attach("job").suspend("Deploy?")
        assert session.status == "running"


def test_the_exception_says_what_is_waited_for() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        with pytest.raises(SessionSuspended, match="'job' waits") as raised:
            session.suspend("Deploy?")
        assert raised.value.session_id == "job"
    assert registry.get("job").status == "waiting"


def test_on_asyncio_its_own_task_groups_are_left_like_anyios() -> None:
    registry, _ = on_virtual_time()

    async def main() -> None:
        async with registry.open(session_id="job") as session, asyncio.TaskGroup() as tasks:

            async def leave() -> None:
                session.suspend("Deploy?")

            tasks.create_task(leave())
        await asyncio.sleep(0)

    asyncio.run(main())
    assert registry.get("job").status == "waiting"


@async_test
async def test_the_next_run_may_begin_while_the_old_one_is_still_leaving() -> None:
    registry, _ = on_virtual_time()
    leave = anyio.Event()

    async def job(session: ProgressSession) -> str:
        if session.answer is not None:
            await leave.wait()
            return "done"
        try:
            session.suspend("Deploy?")
        finally:
            with anyio.CancelScope(shield=True):
                await leave.wait()

    registry.start(job, session_id="job")
    await settle()
    (request,) = registry.snapshot("job").requests
    registry.answer("job", request.request_id, True)
    registry.start(job, session_id="job", existing="resume")
    await settle()
    leave.set()
    await settle()
    assert registry.result("job") == "done"
