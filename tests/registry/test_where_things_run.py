"""Loops, threads and tasks: where a registry works, and what it survives."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import uvloop
from anyio.from_thread import start_blocking_portal

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.errors import WrongLoop, WrongProcess
from agentprogress.registry import engine_of
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio

LOOPS = pytest.mark.parametrize(
    "run",
    [
        pytest.param(anyio.run, id="asyncio"),
        pytest.param(lambda main: anyio.run(main, backend="trio"), id="trio"),
        pytest.param(
            lambda main: anyio.run(main, backend_options={"use_uvloop": True}), id="uvloop"
        ),
    ],
)
Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


async def types_of(registry: SessionRegistry, session_id: str) -> list[str]:
    async with registry.subscribe(session_id) as subscription:
        return [item.type async for item in subscription]


@async_test
async def test_a_registry_need_not_be_entered() -> None:
    registry, _ = on_virtual_time()

    async def job(session: ProgressSession) -> None:
        session.log("hello")

    session = registry.start(job)
    async with following(registry, session.id) as follower:
        await settle()
        assert follower.types == ["session.started", "log.message", "session.completed"]


@LOOPS
def test_each_loop_in_turn_is_served(run: Run) -> None:
    registry = SessionRegistry()

    async def main() -> list[str]:
        async with registry.open() as session:
            session.log("hello")
        return await types_of(registry, session.id)

    for _ in range(3):
        assert run(main) == ["session.started", "log.message", "session.completed"]
    assert registry.stats().sessions == {"completed": 3}


def test_loops_of_different_kinds_are_served_in_turn() -> None:
    registry = SessionRegistry()
    block = registry.open(session_id="job")
    session = entered(block)

    async def main() -> None:
        session.log("hello")
        async with registry.subscribe("job") as subscription:
            async for item in subscription:
                if item.type == "log.message":
                    return

    for backend in ("asyncio", "trio", "asyncio", "trio"):
        anyio.run(main, backend=backend)
    assert registry.stats().subscribers == 0


@async_test
async def test_a_registry_may_be_entered_and_left_in_different_tasks() -> None:
    registry, _ = on_virtual_time()

    async def enter() -> None:
        await registry.__aenter__()

    async def leave() -> None:
        await registry.__aexit__(None, None, None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
    with registry.open() as session:
        assert session.status == "running"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    assert registry.draining


@async_test
async def test_a_registry_may_be_entered_again() -> None:
    registry, _ = on_virtual_time()
    for _ in range(2):
        async with registry, registry:
            with registry.open() as session:
                session.log("hello")
            assert await types_of(registry, session.id)
        assert registry.draining


@async_test
async def test_leaving_one_of_two_blocks_drains_nothing() -> None:
    registry, _ = on_virtual_time()
    async with registry:
        async with registry:
            pass
        assert not registry.draining


@async_test
async def test_a_second_live_loop_may_not_subscribe_but_emit() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:

            def other() -> None:
                async def main() -> None:
                    session.log("from another loop")
                    with pytest.raises(WrongLoop):
                        async with registry.subscribe("job"):
                            pass
                    with pytest.raises(WrongLoop):
                        registry.start(types_of)
                    async with registry.open():
                        pass

                asyncio.run(main())

            await anyio.to_thread.run_sync(other)
            await clock.advance(1)
            assert "log.message" in follower.types


@async_test
async def test_a_loop_that_nobody_uses_gives_the_registry_up() -> None:
    registry = SessionRegistry()
    with registry.open(session_id="job"):
        pass
    assert await types_of(registry, "job") == ["session.started", "session.completed"]

    def other() -> list[str]:
        return asyncio.run(types_of(registry, "job"))

    assert await anyio.to_thread.run_sync(other) == ["session.started", "session.completed"]
    assert await types_of(registry, "job") == ["session.started", "session.completed"]


@async_test
async def test_threads_emit_and_the_loop_delivers() -> None:
    registry = SessionRegistry()

    def work(session: ProgressSession, number: int) -> None:
        for line in range(100):
            session.log(f"{number}-{line}")

    with registry.open(session_id="job") as session:
        async with registry.subscribe("job") as subscription:
            with ThreadPoolExecutor(4) as threads:
                for number in range(4):
                    threads.submit(work, session, number)
                lines = []
                async for item in subscription:
                    if item.type == "log.message":
                        lines.append(getattr(item, "message", ""))
                    if len(lines) == 400:
                        break
    for number in range(4):
        mine = [line for line in lines if line.startswith(f"{number}-")]
        assert mine == [f"{number}-{line}" for line in range(100)]


def test_without_any_loop_sessions_work_in_full() -> None:
    registry, _ = on_virtual_time()

    def job() -> None:
        with registry.open(title="batch") as session:
            with session.step("rows", total=1000) as step:
                for _ in range(1000):
                    step.advance()
            session.flush_sync()
            session.complete("ok")

    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [registry.result(info.id) for info in registry.list()] == ["ok"] * 4


def test_subscribers_of_a_dead_loop_are_forgotten() -> None:
    registry = SessionRegistry()
    block = registry.open(session_id="job")
    session = entered(block)
    loop = asyncio.new_event_loop()

    async def subscribe() -> None:
        await registry.subscribe("job").__aenter__()

    loop.run_until_complete(subscribe())
    assert registry.stats().subscribers == 1
    cancel_all(loop)
    loop.close()
    session.log("nobody hears it")
    block.__exit__(None, None, None)
    assert asyncio.run(types_of(registry, "job"))[-1] == "session.completed"
    assert registry.stats().subscribers == 0


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_was_closed_without_cancelling_is_survived(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    registry = SessionRegistry()
    loop = new_loop()

    async def job(session: ProgressSession) -> None:
        await asyncio.sleep(3600)

    async def main() -> ProgressSession:
        session = registry.start(job)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return session

    session = loop.run_until_complete(main())
    # What asyncio itself says about tasks that it forgets is not ours to prevent.
    loop.set_exception_handler(lambda *_: None)
    loop.close()
    session.log("while nothing runs")
    assert session.status == "running"
    assert "session.failed" in asyncio.run(types_of(registry, session.id))
    error = registry.snapshot(session.id).error
    assert error is not None
    assert error.code == "server_shutdown"


def test_a_loop_that_pauses_delivers_when_it_goes_on() -> None:
    registry = SessionRegistry()
    loop = asyncio.new_event_loop()
    block = registry.open(session_id="job")
    session = entered(block)
    subscription = registry.subscribe("job")
    seen: list[str] = []

    async def read() -> None:
        async for item in subscription:
            seen.append(item.type)

    async def begin() -> asyncio.Task[None]:
        await subscription.__aenter__()
        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        return reading

    reading = loop.run_until_complete(begin())
    session.log("while the loop stands still")
    block.__exit__(None, None, None)
    loop.run_until_complete(reading)
    assert seen == ["session.started", "log.message", "session.completed"]
    cancel_all(loop)
    loop.close()


def test_a_loop_may_close_under_emitting_threads() -> None:
    registry = SessionRegistry()
    block = registry.open(session_id="job")
    session = entered(block)
    stop = threading.Event()
    failures: list[BaseException] = []
    emitted = [0] * 4

    def emit(number: int) -> None:
        try:
            while not stop.is_set():
                session.log("line")
                emitted[number] += 1
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()

    async def main() -> None:
        async with registry.subscribe("job") as subscription:
            for _ in range(50):
                await anext(subscription)

    for _ in range(5):
        asyncio.run(main())
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert registry.get("job").head == 1 + sum(emitted)
    block.__exit__(None, None, None)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_requests_that_each_bring_a_loop_of_their_own_are_served(backend: str) -> None:
    registry = SessionRegistry()
    with registry.open(session_id="job"):
        pass
    for _ in range(3):
        with start_blocking_portal(backend) as portal:
            types = portal.call(types_of, registry, "job")
            assert types == ["session.started", "session.completed"]


# Python warns of forking where other threads run: what it warns of is what is tested.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_knows_no_session_of_its_parent() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            answer = b"?"
            try:
                registry.get(session.id)
            except WrongProcess:
                answer = b"another's"
            with registry.open() as own:
                os.write(write, answer + b" " + own.id[2:6].encode())
            os._exit(0)
        os.waitpid(child, 0)
        answer, tag = os.read(read, 100).split()
        os.close(read)
        os.close(write)
    assert answer == b"another's"
    assert tag.decode() != session.id[2:6]


@async_test
async def test_the_host_outlives_the_task_and_the_context_that_came_first() -> None:
    registry, clock = on_virtual_time()

    async def request() -> None:
        with anyio.CancelScope() as scope, registry.open(session_id="job"):
            scope.cancel()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request)
    await clock.advance(registry.settings.history_ttl + 2)
    assert len(engine_of(registry).record("job").history) == 0
    gc.collect()
