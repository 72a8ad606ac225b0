"""What may wait for the store, done for a task that is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from agentprogress._clock import SystemClock
from agentprogress._durable.off_loop import OffLoop

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Telling(SystemClock):
    """Tells when a thread has done its work."""

    def __init__(self) -> None:
        super().__init__()
        self.done = threading.Event()

    @contextmanager
    def at_work(self) -> Generator[None]:
        thread = threading.current_thread()
        yield
        if thread is not threading.main_thread():
            self.done.set()


async def test_what_was_made_just_before_the_cancellation_is_undone_in_a_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, clock = asyncio.get_running_loop(), Telling()
    undone, over = list[tuple[str, threading.Thread]](), threading.Event()

    def cancel() -> None:
        assert clock.done.wait(10)  # the loop has still to hear of it
        task.cancel()

    def make() -> str:
        loop.call_soon_threadsafe(cancel)
        return "made"

    def undo(made: str) -> None:
        undone.append((made, threading.current_thread()))
        over.set()

    task = loop.create_task(OffLoop(clock).run(make, undo))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.wait(10)
    ((made, thread),) = undone
    assert made == "made"
    assert thread is not threading.current_thread()
    assert caplog.records == []


async def test_what_cannot_be_undone_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    loop, left = asyncio.get_running_loop(), threading.Event()

    def make() -> None:
        loop.call_soon_threadsafe(task.cancel)
        assert left.wait(10)

    def undo(made: None) -> None:
        raise LookupError

    clock = Telling()
    task = loop.create_task(OffLoop(clock).run(make, undo))
    with pytest.raises(asyncio.CancelledError):
        await task
    left.set()
    assert clock.done.wait(10)
    assert [record.exc_info is not None for record in caplog.records] == [True]
