"""Virtual time moves threads as it moves tasks, and waits for what they do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.lowlevel import current_token

from agentprogress.testing import ManualClock


@contextmanager
def working(clock: ManualClock, work: Callable[[], object]) -> Generator[threading.Thread]:
    """Runs a thread that is at work from before the block to its end, which the block awaits."""
    begun = threading.Event()

    def run() -> None:
        with clock.at_work():
            begun.set()
            work()

    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    assert begun.wait(10)
    yield thread
    thread.join(10)
    assert not thread.is_alive()


def never() -> threading.Event:
    return threading.Event()


def test_time_wakes_a_thread_at_its_deadline_and_not_before() -> None:
    clock, log = ManualClock(), list[float]()

    def work() -> None:
        clock.wait_in_thread(never(), 10)
        log.append(clock.monotonic())

    with working(clock, work):
        clock.advance_sync(9.9)
        assert log == []
        clock.advance_sync(5)
        assert log == [10]
    assert clock.monotonic() == pytest.approx(14.9)


def test_an_event_wakes_a_thread_without_time() -> None:
    clock, event, log = ManualClock(), threading.Event(), list[float]()

    def work() -> None:
        clock.wait_in_thread(event, 10)
        clock.wait_in_thread(event, None)
        log.append(clock.monotonic())

    with working(clock, work):
        clock.settle_sync()
        event.set()
        clock.settle_sync()
        assert log == [0]


def test_a_deadline_that_has_come_is_not_waited_for() -> None:
    clock = ManualClock()
    clock.jump(5)
    clock.wait_in_thread(never(), 5)
    clock.wait_in_thread(never(), 4)


def test_a_thread_that_goes_on_waiting_is_moved_on_from_deadline_to_deadline() -> None:
    clock, log = ManualClock(), list[float]()

    def work() -> None:
        for _ in range(5):
            clock.wait_in_thread(never(), clock.monotonic() + 10)
            log.append(clock.monotonic())

    with working(clock, work):
        clock.advance_sync(50)
        assert log == [10, 20, 30, 40, 50]


def test_a_jump_lets_nothing_happen_in_between() -> None:
    clock, log = ManualClock(), list[float]()

    def work() -> None:
        for _ in range(2):
            clock.wait_in_thread(never(), clock.monotonic() + 10)
            log.append(clock.monotonic())

    with working(clock, work):
        clock.settle_sync()
        clock.jump(25)
        clock.settle_sync()
        assert log == [25]
        clock.advance_sync(10)
        assert log == [25, 35]


class Noticed(threading.Event):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_for.set()
        return super().wait(timeout)


def test_a_thread_that_is_not_at_work_is_moved_on_too() -> None:
    clock, event = ManualClock(), Noticed()
    thread = threading.Thread(target=clock.wait_in_thread, args=(event, 10), daemon=True)
    thread.start()
    assert event.waited_for.wait(10)
    clock.advance_sync(9)
    assert thread.is_alive()
    clock.advance_sync(1)
    thread.join(10)
    assert not thread.is_alive()


def test_work_in_work_is_work_until_the_outer_one_ends() -> None:
    clock, log, free = ManualClock(patience=0.01), list[str](), threading.Event()

    def work() -> None:
        with clock.at_work():
            log.append("inner")
        assert free.wait(10)

    with working(clock, work):
        with pytest.raises(TimeoutError):
            clock.settle_sync()
        free.set()
    clock.settle_sync()


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_thread_that_is_stuck_is_named(in_loop: bool) -> None:
    clock, free = ManualClock(patience=0.01), threading.Event()
    with working(clock, lambda: free.wait(10)):
        with pytest.raises(TimeoutError, match="worker"):
            if in_loop:
                anyio.run(clock.advance, 1)
            else:
                clock.advance_sync(1)
        free.set()
    assert clock.monotonic() == 0


@pytest.mark.anyio
async def test_tasks_and_threads_share_one_order_of_deadlines() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()

    def work() -> None:
        for deadline in (10, 30):
            clock.wait_in_thread(never(), deadline)
            log.append(("thread", clock.monotonic()))

    async def task() -> None:
        for deadline in (20, 40):
            await clock.wait(anyio.Event(), deadline)
            log.append(("task", clock.monotonic()))

    with working(clock, work):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task)
            await clock.advance(100)
            assert log == [("thread", 10), ("task", 20), ("thread", 30), ("task", 40)]


@pytest.mark.anyio
async def test_a_thread_at_work_may_need_the_loop_while_time_waits_for_it() -> None:
    clock, log, token = ManualClock(), list[float](), current_token()

    async def answer() -> float:
        await anyio.lowlevel.checkpoint()
        return clock.monotonic()

    def work() -> None:
        for deadline in (10, 20):
            clock.wait_in_thread(never(), deadline)
            log.append(anyio.from_thread.run(answer, token=token))

    with working(clock, work):
        await clock.advance(100)
        assert log == [10, 20]


@pytest.mark.anyio
async def test_time_stands_while_a_task_and_a_thread_wake_each_other() -> None:
    clock, token, log = ManualClock(), current_token(), list[float]()
    asked, answered = anyio.Event(), threading.Event()

    async def task() -> None:
        nonlocal asked
        for _ in range(5):
            await asked.wait()
            asked = anyio.Event()
            answered.set()

    def work() -> None:
        clock.wait_in_thread(never(), 10)
        for _ in range(5):
            answered.clear()
            anyio.from_thread.run_sync(asked.set, token=token)
            clock.wait_in_thread(answered, None)
            log.append(clock.monotonic())

    with working(clock, work):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task)
            await clock.advance(100)
            assert log == [10] * 5


@pytest.mark.anyio
async def test_a_task_may_be_at_work_through_a_thread_it_waits_for() -> None:
    clock, log = ManualClock(), list[float]()

    async def task() -> None:
        await clock.wait(anyio.Event(), 10)
        with clock.at_work():
            log.append(await anyio.to_thread.run_sync(clock.monotonic))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task)
        await clock.advance(100)
        assert log == [10]
