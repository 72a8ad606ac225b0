"""Who begins sessions in this process: of one id only one at a time, and the others wait."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ..abc import Clock
from ..errors import StoreUnavailable

__all__ = ["OneByOne"]


class OneByOne:
    """See the module. Safe to use from several threads; it remembers only ids that are in use.

    Args:
        clock: all time comes from it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # What is set when those who have it are done.
        self._taken: dict[str, threading.Event] = {}

    @contextmanager
    def turn(self, session_id: str, until: float) -> Generator[None]:
        """Has the id alone in the block; waits for that, in this thread.

        Raises:
            StoreUnavailable: somebody else still has it at that monotonic time.
        """
        mine = threading.Event()
        # One step, so that it needs no lock that a fork could leave held.
        while (one := self._taken.setdefault(session_id, mine)) is not mine:
            self._clock.wait_in_thread(one, until)
            if not one.is_set():
                raise StoreUnavailable(
                    f"The store does not answer who begins session {session_id!r} here already."
                )
        try:
            yield
        finally:
            self._taken.pop(session_id, None)
            mine.set()

    def forked(self) -> None:
        """In a process that was forked off there is nobody who has an id."""
        self._taken = {}
