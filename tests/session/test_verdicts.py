"""How a session ends, when its code ends in unusual ways."""

from __future__ import annotations

import sys

import anyio
import pytest

from agentprogress import ProgressSession, SessionCancelled, SessionRegistry
from agentprogress.events import LogMessage

pytestmark = pytest.mark.anyio


async def outcome(registry: SessionRegistry, session: ProgressSession) -> str:
    """Follows a session to its end and returns its status."""
    async with registry.subscribe(session.id) as subscription:
        async for _ in subscription:
            pass
    return session.status


async def test_a_job_that_exits_fails_and_takes_nobody_with_it() -> None:
    registry = SessionRegistry()

    def leave(session: ProgressSession) -> None:
        sys.exit(3)

    assert await outcome(registry, registry.start(leave)) == "failed"


async def test_a_cancelled_error_of_another_task_is_a_failure_of_the_job() -> None:
    registry = SessionRegistry()

    async def await_cancelled(session: ProgressSession) -> None:
        import asyncio

        raise asyncio.CancelledError

    assert await outcome(registry, registry.start(await_cancelled)) == "failed"


async def test_an_exception_that_would_be_retried_is_not_after_a_cancel_request() -> None:
    registry = SessionRegistry()
    with (
        pytest.raises(ConnectionError),
        registry.open(retry_on=(ConnectionError,)) as session,
    ):
        session.request_cancel("enough")
        raise ConnectionError
    assert session.status == "cancelled"


async def test_the_cancellation_of_another_session_fails_this_one() -> None:
    registry = SessionRegistry()
    with pytest.raises(SessionCancelled), registry.open() as parent, registry.open() as child:
        child.request_cancel()
        child.raise_if_cancelled()
    assert (child.status, parent.status) == ("cancelled", "failed")


async def test_a_group_with_an_error_in_it_is_a_failure() -> None:
    registry = SessionRegistry()
    group = BaseExceptionGroup("both", [ValueError("x"), KeyboardInterrupt()])
    with pytest.raises(BaseExceptionGroup), registry.open() as session:
        raise group
    assert session.status == "failed"


async def test_a_plan_may_name_a_step_twice() -> None:
    registry = SessionRegistry()
    with registry.open(plan=["draft", "review", "draft"]) as session:
        for name in ("draft", "review", "draft"):
            with session.phase(name):
                pass
        snapshot = session.snapshot()
    assert [(step.name, step.status) for step in snapshot.steps] == [
        ("draft", "completed"),
        ("review", "completed"),
        ("draft", "completed"),
    ]
    assert snapshot.progress == 1


async def test_a_cursor_before_the_first_item_skips_nothing() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        session.emit(LogMessage(message="one"))
        async with registry.subscribe(session.id) as fresh:
            assert fresh.cursor.endswith("-0")
            await anext(fresh)
            assert fresh.cursor.endswith("-1")


async def test_flushes_that_are_given_up_are_forgotten() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        async with registry.subscribe(session.id):
            for _ in range(20):
                session.log("x")
                with anyio.move_on_after(0):
                    await session.flush()
            await anyio.wait_all_tasks_blocked()
            audience = session_audience(registry, session)
            assert len(audience) <= 1


def session_audience(registry: SessionRegistry, session: ProgressSession) -> list[object]:
    """Returns the flushes that wait for the session's subscribers."""
    from agentprogress.registry import engine_of

    return list(engine_of(registry).record(session.id).audience._flushes)  # pyright: ignore[reportPrivateUsage]
