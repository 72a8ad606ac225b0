"""A clock that moves only when it is told to."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import anyio

from .._wakeup import LoopRef, Wakeup
from ..abc import Clock
from ._threads import Threads

__all__ = ["ManualClock"]

# Turns of the loop in which what is nearly done gets done.
_TURNS = 12


class ManualClock(Clock):
    """Virtual time for deterministic tests.

    Tasks wait for it, and so do the threads of a registry with a durable store. Threads of a test's
    own may: one that waits in `wait_in_thread` is moved on by time, and while one is in a
    ``with clock.at_work():`` block and does not wait there, `advance` waits for it.

    Args:
        wall: seconds since 1970-01-01 UTC at the beginning; monotonic time begins at 0.
        patience: seconds of real time for which a thread may be at work while time is to move.
    """

    def __init__(self, wall: float = 1_750_000_000.0, *, patience: float = 20.0) -> None:
        self._started = wall
        self._now = 0.0
        self._waiting: dict[anyio.CancelScope, float | None] = {}
        self._threads = Threads(self.monotonic, patience)

    def wall(self) -> float:
        return self._started + self._now

    def monotonic(self) -> float:
        return self._now

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        if deadline is not None and deadline <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        scope = anyio.CancelScope()
        self._waiting[scope] = deadline
        try:
            with scope:
                await event.wait()
        finally:
            del self._waiting[scope]

    def wait_in_thread(self, event: threading.Event, deadline: float | None) -> None:
        self._threads.wait(event, deadline)

    def at_work(self) -> AbstractContextManager[None]:
        return self._threads.at_work()

    def jump(self, seconds: float) -> None:
        """Moves time without letting anything happen in between, as a stalled loop sees it."""
        self._now += seconds
        for scope, deadline in list(self._waiting.items()):
            if deadline is not None and deadline <= self._now:
                scope.cancel()

    async def advance(self, seconds: float) -> None:
        """Moves time from deadline to deadline; everything runs at each one and at the end.

        Raises:
            TimeoutError: a thread is stuck at its work.
        """
        target = self._now + seconds
        await self.settle()
        while (step := self._next_deadline()) is not None and step <= target:
            self.jump(max(0.0, step - self._now))
            await self.settle()
        self._now = max(self._now, target)
        await self.settle()

    def advance_sync(self, seconds: float) -> None:
        """Does the same in code without an event loop, for threads alone.

        Raises:
            TimeoutError: a thread is stuck at its work.
        """
        target = self._now + seconds
        self.settle_sync()
        while (step := self._threads.next_deadline()) is not None and step <= target:
            self.jump(max(0.0, step - self._now))
            self.settle_sync()
        self._now = max(self._now, target)
        self.settle_sync()

    async def settle(self) -> None:
        """Waits until no task and no thread can go on without time.

        Raises:
            TimeoutError: a thread is stuck at its work.
        """
        with anyio.move_on_after(self._threads.patience) as patience:
            rested = False
            while not rested:
                await self._threads_rest()
                begun = self._threads.begun
                # What a thread asked of the loop before it came to rest happens in here.
                await _tasks_block()
                rested = self._threads.rested_since(begun)
        if patience.cancelled_caught:
            raise self._threads.stuck()

    def settle_sync(self) -> None:
        """Waits until no thread can go on without time.

        Raises:
            TimeoutError: a thread is stuck at its work.
        """
        self._threads.join()

    async def _threads_rest(self) -> None:
        """Waits until no thread is at work, and leaves the loop to what they ask of it."""
        if not self._threads.busy():
            return
        wakeup = Wakeup(LoopRef())
        with self._threads.telling(wakeup.set):
            while self._threads.busy():
                await wakeup.event.wait()
                wakeup.clear()

    def _next_deadline(self) -> float | None:
        waiting = self._waiting.items()
        deadlines = [d for scope, d in waiting if d is not None and not scope.cancel_called]
        threads = self._threads.next_deadline()
        return min(deadlines if threads is None else [*deadlines, threads], default=None)


async def _tasks_block() -> None:
    # anyio looks again only after a tenth of a real second when it finds something running, so
    # what is nearly done is given some turns of the loop first.
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
