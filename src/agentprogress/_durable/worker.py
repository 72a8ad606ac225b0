"""A thread of the library's own: it takes turns, and rests until it is woken or time has come.

No other file starts a thread. A process that was forked off gets threads of its own.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from ..abc import Clock

__all__ = ["Worker"]

_logger = logging.getLogger("agentprogress")

# What failed in a way that nobody thought of is tried again after so many seconds.
_PAUSE = 1.0


class Worker:
    """Calls `turn` again and again in a daemon thread, from the first `wake` on.

    Args:
        name: of the thread, for debuggers.
        clock: how it rests.
        turn: returns the monotonic time of the next turn; None: when it is woken.
    """

    def __init__(self, name: str, clock: Clock, turn: Callable[[], float | None]) -> None:
        self._name = name
        self._clock = clock
        self._turn = turn
        self._event = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """True while this process has the thread."""
        return self._pid == os.getpid()

    def wake(self) -> None:
        """Has it take a turn soon; callable from any thread."""
        self._event.set()
        if self._pid != os.getpid():
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            # Of this thread alone: neither one that a fork has left behind nor one that outlives
            # its `stop` shares them.
            self._event, self._stop = threading.Event(), threading.Event()
            self._event.set()
            begun = threading.Event()
            arguments = begun, self._event, self._stop
            self._thread = threading.Thread(
                target=self._run, args=arguments, name=self._name, daemon=True
            )
            self._thread.start()
            begun.wait()

    def stop(self, timeout: float, interrupt: Callable[[], object] | None = None) -> None:
        """Ends it after the turn that it is at.

        Args:
            timeout: seconds to wait for that, at most.
            interrupt: makes the turn end soon.
        """
        thread = self._thread
        if thread is None or self._pid != os.getpid():
            return
        self._stop.set()
        self._event.set()
        if interrupt is not None:
            interrupt()
        if thread is not threading.current_thread():
            thread.join(timeout)
        self._thread = None
        self._pid = 0

    def _run(self, begun: threading.Event, event: threading.Event, stop: threading.Event) -> None:
        with self._clock.at_work():
            begun.set()
            while not stop.is_set():
                event.clear()
                try:
                    deadline = self._turn()
                except Exception:
                    _logger.exception("%s failed; it goes on", self._name)
                    deadline = self._clock.monotonic() + _PAUSE
                if not stop.is_set():
                    self._clock.wait_in_thread(event, deadline)
