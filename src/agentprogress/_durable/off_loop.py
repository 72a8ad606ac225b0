"""What may wait for the store, done in a thread, so that an event loop goes on meanwhile."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import anyio
import anyio.to_thread

from .._wakeup import LoopRef
from ..abc import Clock

__all__ = ["OffLoop"]

T = TypeVar("T")

_logger = logging.getLogger("agentprogress")

# Threads of a process for all who wait: each holds a connection of the store's.
_MOST = 2


class OffLoop:
    """See the module.

    Args:
        clock: is told when a thread is at work.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiter: tuple[LoopRef, anyio.CapacityLimiter] | None = None

    def forked(self) -> None:
        """In a process that was forked off there is none of the threads."""
        self._limiter = None

    async def run(self, function: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Calls a function in a thread.

        Args:
            function: what may wait.
            undo: called in a thread with what came of it when nobody waits for that any more:
                asyncio cancels a task, but not what a thread does for it.
        """
        here = LoopRef()
        if self._limiter is None or not self._limiter[0].same(here):
            self._limiter = here, anyio.CapacityLimiter(_MOST)
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
                return await anyio.to_thread.run_sync(work, limiter=self._limiter[1])
            except BaseException:
                abandoned.set()
                if made:
                    threading.Thread(target=undo_it, name="agentprogress undo", daemon=True).start()
                raise
