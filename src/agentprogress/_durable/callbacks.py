"""An application's callbacks, in a thread of their own: they may wait for the other threads."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from ..abc import Clock
from .worker import Worker

__all__ = ["Callbacks"]

_logger = logging.getLogger("agentprogress")


class Callbacks:
    """See the module.

    Args:
        clock: all time comes from it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()
        self._worker = Worker("agentprogress callbacks", clock, self._call_all)

    def call(self, callback: Callable[[], object]) -> None:
        """Calls back soon, after those that wait already; callable from any thread."""
        self._waiting.append(callback)
        self._worker.wake()

    def _call_all(self) -> None:
        while self._waiting:
            self._waiting.popleft()()

    def finish(self, deadline: float) -> None:
        """Waits until all have returned, at most until then; the others are not given up."""
        if not self._worker.running:
            return
        done = threading.Event()
        self.call(done.set)
        self._clock.wait_in_thread(done, deadline)
        if done.is_set():
            self._worker.stop(max(0.0, deadline - self._clock.monotonic()))
        else:
            self._worker.stop(0)
            _logger.warning("A callback of the application does not return; nobody waits for it.")

    def forked(self) -> None:
        """In a process that was forked off: its parent calls what waits."""
        self._waiting.clear()
        self._worker.forked()
