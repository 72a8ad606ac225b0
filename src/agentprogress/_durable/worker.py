"""A thread of the library's own: it takes turns, and rests until it is woken or time has come.

All threads of a store are started here. A process that was forked off gets threads of its own.
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
        self._stop = False

    @property
    def running(self) -> bool:
        """True while this process has the thread."""
        return self._pid == os.getpid()

    def wake(self) -> None:
        """Has it take a turn soon; callable from any thread."""
        self._event.set()
        if self._pid != os.getpid():
            self._start()

    def forked(self) -> None:
        """In a process that was forked off: whoever held a lock is not here."""
        self._starting = threading.Lock()
        self._event = threading.Event()

    def _start(self) -> None:
        with self._starting:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            if self._thread is not None and self._thread.is_alive():
                # It has outlived its `stop`. A second one beside it would do the same once more.
                self._stop = False
                return
            self._event, self._stop = threading.Event(), False
            self._event.set()
            begun = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(begun, self._event), name=self._name, daemon=True
            )
            self._thread.start()
            begun.wait()

    def stop(self, timeout: float, interrupt: Callable[[], object] | None = None) -> None:
        """Ends it after the turn that it is at.

        One that is at it for longer goes on when it is woken after this.

        Args:
            timeout: seconds to wait for that, at most.
            interrupt: makes the turn end soon.
        """
        thread = self._thread
        if thread is None or self._pid != os.getpid():
            return
        self._stop = True
        self._event.set()
        if interrupt is not None:
            interrupt()
        if thread is not threading.current_thread():
            thread.join(timeout)
        self._pid = 0

    def _run(self, begun: threading.Event, event: threading.Event) -> None:
        with self._clock.at_work():
            begun.set()
            while not self._is_over():
                event.clear()
                try:
                    deadline = self._turn()
                except BaseException:  # `sys.exit` in an application's callback is none of ours
                    _logger.exception("%s failed; it goes on", self._name)
                    deadline = self._clock.monotonic() + _PAUSE
                if not self._stop:
                    self._clock.wait_in_thread(event, deadline)

    def _is_over(self) -> bool:
        """Decides that it ends, in one step: who wakes it later has to start another one."""
        with self._starting:
            if self._stop:
                self._thread = None
            return self._stop
