"""`SessionRegistry.start`: the registry owns the task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from functools import partial
from typing import Any

import anyio
import pytest

from agentprogress import ProgressSession, PublicError, SessionRegistry, Settings
from agentprogress.errors import Draining
from tests.kit import on_virtual_time, settle

async_test = pytest.mark.anyio

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@async_test
async def test_start_answers_before_the_job_has_run() -> None:
    registry, _ = on_virtual_time()
    ran = anyio.Event()

    async def job(session: ProgressSession) -> None:
        ran.set()

    session = registry.start(job, title="report")
    handle = session.handle()
    assert not ran.is_set()
    assert handle["url"] == f"/progress/sessions/{session.id}"
    assert handle["control_token"]
    assert registry.get(session.id).status == "running"
    await settle()
    assert ran.is_set()
    assert registry.get(session.id).status == "completed"


@async_test
async def test_what_the_job_returns_is_the_result() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession, topic: str, depth: int) -> dict[str, Any]:
        return {"topic": topic, "depth": depth}

    session = registry.start(job, "tides", 3)
    await settle()
    assert registry.result(session.id) == {"topic": "tides", "depth": 3}


@async_test
async def test_a_result_recorded_by_the_job_stays_when_it_returns_nothing() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        session.complete([1, 2])

    session = registry.start(job)
    await settle()
    assert registry.result(session.id) == [1, 2]


@async_test
async def test_what_the_job_raises_fails_the_session_and_is_logged_with_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        raise LookupError("the vault's code is 1234")

    session = registry.start(job)
    await settle()
    snapshot = registry.snapshot(session.id)
    assert snapshot.status == "failed"
    assert snapshot.error is not None
    assert "1234" not in snapshot.error.message
    assert session.id in caplog.text
    assert "the vault's code is 1234" in caplog.text


@async_test
async def test_a_public_error_is_shown_as_written() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        raise PublicError("No such company.", "unknown_company", retryable=True)

    session = registry.start(job)
    await settle()
    error = registry.snapshot(session.id).error
    assert error is not None
    assert (error.code, error.message, error.retryable) == (
        "unknown_company",
        "No such company.",
        True,
    )


@async_test
async def test_one_job_that_fails_leaves_the_others_alone() -> None:
    registry, _ = on_virtual_time()
    go_on = anyio.Event()

    async def failing(session: ProgressSession) -> None:
        raise ValueError

    async def waiting(session: ProgressSession) -> str:
        await go_on.wait()
        return "well"

    bad, good = registry.start(failing), registry.start(waiting)
    await settle()
    assert (bad.status, good.status) == ("failed", "running")
    go_on.set()
    await settle()
    assert registry.result(good.id) == "well"


@async_test
async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    registry = SessionRegistry()
    done = anyio.Event()
    loop_thread = threading.get_ident()

    def job(session: ProgressSession) -> bool:
        session.log("from a thread")
        return threading.get_ident() != loop_thread

    async with registry:
        session = registry.start(job)
        async with registry.subscribe(session.id) as subscription:
            async for event in subscription:
                if event.type == "session.completed":
                    done.set()
        assert done.is_set()
        assert registry.result(session.id) is True


@async_test
async def test_plain_jobs_do_not_use_up_the_applications_threads() -> None:
    registry = SessionRegistry()
    limiter = anyio.to_thread.current_default_thread_limiter()
    together = threading.Barrier(int(limiter.total_tokens) + 2)

    def job(session: ProgressSession) -> None:
        together.wait()

    jobs = [registry.start(job) for _ in range(int(limiter.total_tokens) + 1)]
    # All of them stand at the barrier; the application still has a thread to bring the last.
    await anyio.to_thread.run_sync(together.wait)
    for job_session in jobs:
        async with registry.subscribe(job_session.id) as subscription:
            assert [event.type async for event in subscription][-1] == "session.completed"


@async_test
async def test_a_wrapped_coroutine_function_is_awaited() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession, *, depth: int) -> int:
        return depth

    class Agent:
        async def __call__(self, session: ProgressSession) -> str:
            return "called"

    functions = registry.start(partial(job, depth=4)), registry.start(Agent())
    await settle()
    assert [registry.result(session.id) for session in functions] == [4, "called"]


@async_test
async def test_the_job_sees_the_context_of_its_caller_and_changes_none() -> None:
    registry, _ = on_virtual_time()
    seen: list[str] = []

    async def job(session: ProgressSession) -> None:
        seen.append(colour.get())
        colour.set("of the job")

    colour.set("red")
    registry.start(job)
    colour.set("blue")
    registry.start(job)
    await settle()
    registry.start(job)
    await settle()
    assert sorted(seen) == ["blue", "blue", "red"]
    assert colour.get() == "blue"


@async_test
async def test_a_job_that_is_cancelled_before_its_first_step_never_runs() -> None:
    registry, _ = on_virtual_time()
    ran: list[str] = []

    async def job(session: ProgressSession) -> None:
        ran.append(session.id)

    session = registry.start(job)
    assert session.request_cancel("changed my mind")
    await settle()
    assert ran == []
    assert session.status == "cancelled"
    assert registry.snapshot(session.id).status == "cancelled"


@async_test
async def test_nothing_is_started_while_draining() -> None:
    registry, _ = on_virtual_time()
    await registry.drain()

    async def job(session: ProgressSession) -> None: ...

    with pytest.raises(Draining):
        registry.start(job)
    with pytest.raises(Draining):
        registry.reserve_sync(session_id="later")


@async_test
async def test_the_jobs_own_keyword_arguments_are_refused_with_advice() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession, depth: int) -> None: ...

    with pytest.raises(TypeError, match=r"'depth' is no option.*functools\.partial"):
        registry.start(job, depth=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert registry.list() == []


def test_start_needs_a_loop() -> None:
    registry = SessionRegistry()

    async def job(session: ProgressSession) -> None: ...

    with pytest.raises(RuntimeError):
        registry.start(job)
    assert registry.list() == []


# anyio makes a task's coroutine before the task: a loop that ends at once never awaits it.
@pytest.mark.filterwarnings("ignore:coroutine 'Host._run_task' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_job_whose_loop_goes_down_has_failed_and_may_be_retried(steps: int) -> None:
    registry = SessionRegistry()

    async def job(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    async def main() -> ProgressSession:
        session = registry.start(job)
        for _ in range(steps):
            await asyncio.sleep(0)
        return session

    session = asyncio.run(main())
    gc.collect()
    error = registry.snapshot(session.id).error
    assert session.status == "failed"
    assert error is not None
    assert (error.code, error.retryable) == ("server_shutdown", True)


@async_test
async def test_a_result_over_the_limit_fails_the_session_in_words() -> None:
    registry, _ = on_virtual_time(max_result_bytes=32 * 1024)

    async def job(session: ProgressSession) -> str:
        return "x" * 40_000

    session = registry.start(job)
    await settle()
    error = registry.snapshot(session.id).error
    assert error is not None
    assert error.code == "result_refused"
    assert "32768" in error.message


@async_test
async def test_jobs_of_a_strict_registry_fail_on_what_sugar_would_repair(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    registry = SessionRegistry(Settings(strict=True))

    async def job(session: ProgressSession) -> None:
        session.log("x" * 100_000)

    session = registry.start(job)
    await settle()
    assert session.status == "failed"
