"""Calls of an application's callbacks, in a thread of their own: they may wait for anything."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from ..abc import Clock
from ..errors import StoreUnavailable
from .worker import Worker

__all__ = ["Callbacks"]

_logger = logging.getLogger("agentprogress")

# Calls that may wait for one that takes long.
_MOST = 10_000
# Seconds after which is tried again what the store did not answer.
_PAUSE = 1.0


class Callbacks:
    """See the module.

    Args:
        name: of the thread, for debuggers.
        clock: all time comes from it.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()
        self._full = False
        self._worker = Worker(name, clock, self._call_all)

    def call(self, call: Callable[[], object]) -> None:
        """Calls soon, after those that wait already, or not at all when they are too many.

        Callable from any thread. A call that raises `StoreUnavailable` is made again.
        """
        if len(self._waiting) < _MOST:
            self._put(call)
        elif not self._full:
            self._full = True
            _logger.warning(
                "A callback of the application does not return; %d calls wait for it, "
                "and the next ones are not made.",
                _MOST,
            )

    def call_next(self, call: Callable[[], object]) -> None:
        """The same before all that wait."""
        self._waiting.appendleft(call)
        self._worker.wake()

    def _put(self, call: Callable[[], object]) -> None:
        self._waiting.append(call)
        self._worker.wake()

    def _call_all(self) -> float | None:
        again: list[Callable[[], object]] = []
        try:
            while self._waiting:
                call = self._waiting.popleft()
                try:
                    call()
                except StoreUnavailable:
                    again.append(call)
        finally:
            self._waiting.extend(again)
        self._full = False
        return self._clock.monotonic() + _PAUSE if again else None

    def finish(self, deadline: float) -> None:
        """Waits until all have returned, at most until then; the others are not given up."""
        if not self._worker.running:
            return
        done = threading.Event()
        self._put(done.set)
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
