"""Asking a session to stop."""

from __future__ import annotations

import asyncio
import logging
import threading

import anyio
import pytest

from agentprogress import ProgressSession, SessionCancelled, SessionRegistry
from tests.kit import following, on_virtual_time, settle

async_test = pytest.mark.anyio


@async_test
async def test_a_request_cancels_the_block_once_and_it_raises() -> None:
    registry, _ = on_virtual_time()
    cancelled = 0
    session: ProgressSession | None = None
    with pytest.raises(SessionCancelled, match="enough") as raised:
        async with registry.open(session_id="job") as session:
            assert session.request_cancel("enough", by="ann")
            assert not session.request_cancel("again")
            try:
                await anyio.sleep_forever()
            finally:
                cancelled += 1
    assert (raised.value.session_id, raised.value.reason) == ("job", "enough")
    assert cancelled == 1
    assert session is not None
    assert session.cancel_requested
    assert registry.get("job").status == "cancelled"
    # The task it ran in is as alive as before.
    await anyio.lowlevel.checkpoint()
    await settle()


def test_on_asyncio_the_task_is_not_left_cancelling() -> None:
    registry, _ = on_virtual_time()

    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(SessionCancelled):
            async with registry.open() as session:
                session.request_cancel()
                await asyncio.sleep(60)
        return task.cancelling()

    assert asyncio.run(main()) == 0


def test_on_asyncio_a_block_in_a_task_that_is_being_cancelled_is_cancelled_by_itself() -> None:
    registry, _ = on_virtual_time()
    outcome: list[str] = []

    async def job() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            # Cleaning up as a session of its own.
            try:
                async with registry.open() as session:
                    session.request_cancel()
                    await asyncio.sleep(60)
            except SessionCancelled:
                outcome.append("its own")

    async def main() -> None:
        task = asyncio.create_task(job())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert outcome == ["its own"]


def test_on_asyncio_a_foreign_cancellation_at_the_same_time_wins() -> None:
    registry, _ = on_virtual_time()

    async def job(started: asyncio.Event) -> None:
        async with registry.open(session_id="job"):
            started.set()
            await asyncio.sleep(60)

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(job(started))
        await started.wait()
        registry.cancel("job")
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert registry.get("job").status == "cancelled"


@async_test
async def test_a_request_that_comes_too_late_changes_nothing() -> None:
    registry, _ = on_virtual_time()
    async with registry.open() as session:
        pass
    assert not session.request_cancel()
    assert session.status == "completed"
    await settle()


@async_test
async def test_a_block_that_has_nothing_more_to_wait_for_completes() -> None:
    registry, _ = on_virtual_time()
    async with registry.open() as session:
        session.request_cancel()
        session.complete("done already")
    assert session.status == "completed"
    await anyio.lowlevel.checkpoint()
    await settle()


@async_test
async def test_a_job_of_the_registry_is_cancelled() -> None:
    registry, clock = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    session = registry.start(job)
    async with following(registry, session.id) as follower:
        assert registry.cancel(session.id, "stop", by="ann")
        await clock.advance(1)
        assert session.status == "cancelled"
        types = [(item.type, getattr(item, "reason", None)) for item in follower.items]
        assert types[1:] == [("cancel.requested", "stop"), ("session.cancelled", "stop")]


@async_test
async def test_a_thread_may_ask() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    session = registry.start(job)
    await settle()
    await anyio.to_thread.run_sync(session.request_cancel)
    while session.status != "cancelled":
        await anyio.lowlevel.checkpoint()


@async_test
async def test_a_plain_job_asks_whether_it_should_stop() -> None:
    registry = SessionRegistry()
    going = threading.Event()

    def job(session: ProgressSession) -> None:
        while True:
            going.set()
            session.raise_if_cancelled()

    async with registry:
        session = registry.start(job)
        await anyio.to_thread.run_sync(going.wait)
        session.request_cancel("stop")
        async with registry.subscribe(session.id) as subscription:
            types = [item.type async for item in subscription]
    assert types[-2:] == ["cancel.requested", "session.cancelled"]


def test_synchronous_blocks_ask_too() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(SessionCancelled), registry.open() as session:
        session.raise_if_cancelled()
        session.request_cancel()
        session.raise_if_cancelled()
    assert session.status == "cancelled"


def test_callbacks_are_called_once_in_the_thread_of_whoever_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    registry, _ = on_virtual_time()
    called: list[tuple[str, int]] = []
    with registry.open() as session:

        @session.on_cancel
        def fail() -> None:
            raise RuntimeError("boom")

        @session.on_cancel
        def note() -> None:
            called.append(("before", threading.get_ident()))

        asking = threading.Thread(target=session.request_cancel)
        asking.start()
        asking.join()
        session.request_cancel()
        session.on_cancel(lambda: called.append(("after", threading.get_ident())))
    assert called == [("before", asking.ident), ("after", threading.get_ident())]
    assert "boom" in caplog.text


def test_what_is_asked_is_in_the_snapshot() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        session.request_cancel("enough")
        assert session.snapshot().cancel_requested
        assert session.cancel_reason == "enough"
