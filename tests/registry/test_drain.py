"""Shutting down: what ends, who is told, and what it never waits for."""

from __future__ import annotations

import anyio
import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress._following import SubscriberBase
from agentprogress.registry import engine_of
from tests.kit import entered, following, on_virtual_time, settle

pytestmark = pytest.mark.anyio


async def test_live_sessions_end_as_failed_and_may_be_retried() -> None:
    registry, _ = on_virtual_time()
    session = entered(registry.open(session_id="job"))
    async with following(registry, "job") as follower:
        await registry.drain()
        await settle()
        assert follower.finished
        assert follower.types == ["session.started", "session.failed"]
    error = registry.snapshot("job").error
    assert error is not None
    assert (error.code, error.retryable) == ("server_shutdown", True)
    assert session.status == "failed"


async def test_jobs_are_cancelled_and_waited_for() -> None:
    registry, _ = on_virtual_time()
    cleaned = False

    async def job(session: ProgressSession) -> None:
        nonlocal cleaned
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            cleaned = True

    async with registry:
        session = registry.start(job)
        await settle()
    assert cleaned
    assert session.status == "failed"


async def test_a_block_that_is_cancelled_while_draining_has_not_been_cancelled() -> None:
    registry, _ = on_virtual_time()

    async def block() -> None:
        async with registry.open(session_id="late"):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(block)
        await settle()
        engine_of(registry).draining = True
        tasks.cancel_scope.cancel()
    assert registry.get("late").status == "failed"


async def test_pending_sessions_live_on_and_their_subscribers_are_left_alone() -> None:
    registry, clock = on_virtual_time()
    registry.reserve_sync(session_id="later")
    async with following(registry, "later") as follower:
        async with registry:
            pass
        assert not follower.finished
        assert registry.get("later").status == "pending"
        async with registry:
            with registry.open(session_id="later"):
                pass
            # The drain has just published it, so it is told at the next delivery.
            await clock.advance(registry.settings.delivery_interval)
        assert follower.finished


class Connection(SubscriberBase):
    """What an adapter puts at the end of a connection."""

    def __init__(self, registry: SessionRegistry, session_id: str) -> None:
        super().__init__(engine_of(registry).record(session_id), None)
        self.told: list[str] = []
        engine_of(registry).admit(self, None)

    def wake(self) -> None:
        self.told.append("wake")

    def drain(self) -> None:
        self.told.append("drain")


async def test_connections_are_told_after_the_sessions_have_ended() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="later")
    entered(registry.open(session_id="job"))
    waiting, running = Connection(registry, "later"), Connection(registry, "job")
    await settle()
    waiting.told.clear()
    running.told.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.drain)
        await settle()
        assert (waiting.told, running.told) == (["drain"], ["wake", "drain"])
        engine_of(registry).dismiss(waiting)
        engine_of(registry).dismiss(running)


async def test_a_stalled_subscriber_holds_a_drain_up_no_longer_than_a_flush() -> None:
    registry, clock = on_virtual_time(flush_timeout=2)
    entered(registry.open(session_id="job"))
    async with following(registry, "job") as follower:
        follower.stall()
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.drain)
            await settle()
            await clock.advance(2)
        assert clock.monotonic() <= 3
        follower.reads.set()
        await settle()
        assert follower.types[-1] == "session.failed"


async def test_a_job_that_does_not_end_is_given_up() -> None:
    registry, clock = on_virtual_time(close_flush_timeout=5)
    release = anyio.Event()

    async def job(session: ProgressSession) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    registry.start(job)
    await settle()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.drain)
        await clock.advance(6)
    release.set()
    await settle()


async def test_draining_twice_is_draining_once() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        await registry.drain()
        await registry.drain()
        assert registry.get(session.id).head == 2
