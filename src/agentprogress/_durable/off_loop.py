"""What may wait for the store, done in a thread, so that an event loop goes on meanwhile."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TypeVar

import anyio
import anyio.to_thread

from .._wakeup import LoopRef
from ..abc import Clock
from ..errors import StoreUnavailable

__all__ = ["OffLoop", "within"]

T = TypeVar("T")

_logger = logging.getLogger("agentprogress")

# Threads of a process for all who wait: each holds a connection of the store's.
_MOST = 2


def within(clock: Clock, until: float, ask: Callable[[], T]) -> T:
    """Asks in a thread, and waits in this one, where an event loop waits as well, only so long.

    Args:
        clock: all time comes from it.
        until: monotonic time.
        ask: may wait for longer; the thread goes on with it then.

    Raises:
        StoreUnavailable: there is no answer in time, or that is the answer.
    """
    asked: Future[T] = Future()
    done = threading.Event()

    def work() -> None:
        with clock.at_work():
            begun.set()
            try:
                asked.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                asked.set_exception(error)
            finally:
                done.set()

    begun = threading.Event()
    threading.Thread(target=work, name="agentprogress asking", daemon=True).start()
    begun.wait()
    clock.wait_in_thread(done, until)
    if not done.is_set():
        raise StoreUnavailable("The store does not answer in the time that an event loop has.")
    return asked.result()


class _Line:
    """Lets so many in at a time, and the others in their order; of one event loop."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._free = most
        self._waiting: deque[anyio.Event] = deque()

    async def enter(self, deadline: float | None) -> bool:
        """Waits for a place; false when there is none in time."""
        if self._free:
            self._free -= 1
            return True
        place = anyio.Event()
        self._waiting.append(place)
        try:
            await self._clock.wait(place, deadline)
        except BaseException:
            if place.is_set():
                self.leave()
            else:
                self._waiting.remove(place)
            raise
        if not place.is_set():
            self._waiting.remove(place)
        return place.is_set()

    def leave(self) -> None:
        """Gives the place to the next one."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1


class OffLoop:
    """See the module.

    Args:
        clock: is told when a thread is at work.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line: tuple[LoopRef, _Line] | None = None

    def forked(self) -> None:
        """In a process that was forked off there is none of the threads."""
        self._line = None

    async def run(
        self,
        function: Callable[[], T],
        undo: Callable[[T], object] | None = None,
        patience: float | None = None,
    ) -> T:
        """Calls a function in a thread, when one is free.

        Args:
            function: what may wait.
            undo: called in a thread with what came of it when nobody waits for that any more:
                asyncio cancels a task, but not what a thread does for it.
            patience: seconds to wait for a thread at most; None: as long as it takes.

        Raises:
            StoreUnavailable: none was free in time: others wait for the store.
        """
        here = LoopRef()
        if self._line is None or not self._line[0].same(here):
            self._line = here, _Line(self._clock, _MOST)
        line = self._line[1]
        deadline = None if patience is None else self._clock.monotonic() + patience
        if not await line.enter(deadline):
            raise StoreUnavailable("The store is too slow for all who ask it something.")
        try:
            return await self._run(function, undo)
        finally:
            line.leave()

    async def _run(self, function: Callable[[], T], undo: Callable[[T], object] | None) -> T:
        made: deque[T] = deque()
        abandoned = threading.Event()

        def undo_it() -> None:
            # Both sides come here once nobody waits; whoever takes it out undoes it.
            if undo is None or not abandoned.is_set():
                return
            try:
                result = made.pop()
            except IndexError:
                return
            try:
                undo(result)
            except Exception:
                _logger.exception("What was begun for a task that is cancelled could not be undone")

        with ExitStack() as until_begun:
            until_begun.enter_context(self._clock.at_work())

            def work() -> T:
                with self._clock.at_work():
                    until_begun.close()
                    result = function()
                    made.append(result)
                    undo_it()
                    return result

            try:
                return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
            except BaseException:
                abandoned.set()
                if made:
                    threading.Thread(target=undo_it, name="agentprogress undo", daemon=True).start()
                raise
