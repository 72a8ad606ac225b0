"""Flow control: a producer that flushes now and then loses no healthy subscriber."""

from __future__ import annotations

import threading

import anyio
import pytest

from agentprogress import SessionRegistry
from agentprogress.errors import SessionConflict
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio


@async_test
async def test_a_producer_that_flushes_never_makes_a_reader_fall_off() -> None:
    registry, _ = on_virtual_time(max_history_events=50)
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            for number in range(1000):
                session.log(str(number))
                if number % 40 == 39:
                    await session.flush()
            await session.flush()
            assert follower.seqs == list(range(1, 1002))


@async_test
async def test_after_a_flush_everything_is_with_those_who_read() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as one, following(registry, "job") as two:
            for number in range(10):
                session.log(str(number))
                await session.flush()
                assert one.seqs[-1] == two.seqs[-1] == number + 2


@async_test
async def test_a_stalled_subscriber_costs_one_flush_timeout_and_no_more() -> None:
    registry, clock = on_virtual_time(flush_timeout=1)
    finished = 0

    async def produce() -> None:
        nonlocal finished
        for number in range(100):
            session.log(str(number))
            await session.flush()
        finished += 1

    with registry.open(session_id="job") as session:
        async with following(registry, "job") as slow, following(registry, "job") as quick:
            slow.stall()
            session.log("one to stall on")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                await clock.advance(1.5)
            assert finished == 1
            assert clock.monotonic() <= 2
            assert quick.seqs[-1] == 102
            # Once it reads again it is waited for again, and has lost nothing.
            slow.reads.set()
            await clock.advance(1)
            assert slow.seqs == quick.seqs
            session.log("again")
            await session.flush()
            assert slow.seqs[-1] == 103


@async_test
async def test_a_subscriber_that_leaves_holds_no_flush_up() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        done = anyio.Event()

        async def produce() -> None:
            session.log("x")
            await session.flush()
            done.set()

        async with anyio.create_task_group() as tasks:
            async with following(registry, "job") as follower:
                follower.stall()
                session.log("one to stall on")
                tasks.start_soon(produce)
                await settle()
                assert not done.is_set()
            await settle()
            assert done.is_set()


@async_test
async def test_a_flush_from_another_loop_and_from_a_thread_waits_for_the_readers_too() -> None:
    registry = SessionRegistry()
    with registry.open(session_id="job") as session:
        received: list[int | None] = []
        done = anyio.Event()

        async def read() -> None:
            async with registry.subscribe("job") as subscription:
                async for event in subscription.events():
                    received.append(event.seq)
            done.set()

        def in_a_thread() -> int | None:
            session.log("from a thread")
            session.flush_sync()
            return received[-1]

        def in_another_loop() -> int | None:
            async def main() -> int | None:
                session.log("from another loop")
                await session.flush()
                return received[-1]

            return anyio.run(main)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await settle()
            assert await anyio.to_thread.run_sync(in_a_thread) == 2
            assert await anyio.to_thread.run_sync(in_another_loop) == 3
            tasks.cancel_scope.cancel()


def test_without_a_loop_a_flush_stores_and_returns() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        session.log("x")
        session.flush_sync(timeout=0)
        assert registry.get(session.id).head == 2


@async_test
async def test_on_the_loops_own_thread_a_synchronous_flush_does_not_wait() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            session.log("x")
            session.flush_sync(timeout=60)
            assert "log.message" not in follower.types
            await settle()
            assert "log.message" in follower.types


@async_test
async def test_a_producer_that_lost_the_session_learns_it_from_its_flush() -> None:
    registry, _ = on_virtual_time()
    with (
        pytest.raises(OSError, match="x"),
        registry.open(session_id="job", retry_on=(OSError,)) as first,
    ):
        raise OSError("x")
    with registry.open(session_id="job"):
        with pytest.raises(SessionConflict):
            await first.flush()
        with pytest.raises(SessionConflict):
            first.flush_sync()


def test_a_flush_does_not_hang_on_a_loop_that_has_ended() -> None:
    registry = SessionRegistry()
    block = registry.open(session_id="job")
    session = entered(block)

    async def main() -> None:
        await registry.subscribe("job").__aenter__()

    anyio.run(main)
    session.log("x")
    thread = threading.Thread(target=session.flush_sync, args=(60,))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
