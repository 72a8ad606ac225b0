"""Wake-ups between the registries of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from ...abc import Clock, Listener
from ...errors import StoreUnavailable

__all__ = ["MemoryListener"]


class MemoryListener(Listener):
    """See the module.

    Args:
        clock: what `wait` waits by.
        reach: raises `StoreUnavailable` while the store is away.
        leave: called with itself when it is closed.
    """

    def __init__(
        self,
        clock: Clock,
        reach: Callable[[], None],
        leave: Callable[[MemoryListener], object],
    ) -> None:
        self._clock = clock
        self._reach = reach
        self._leave = leave
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._followed: set[str] = set()
        self._woken: dict[str, str] = {}
        self._cut = False

    def follow(self, session_ids: Collection[str]) -> None:
        self._check()
        with self._lock:
            self._followed.update(session_ids)

    def unfollow(self, session_ids: Collection[str]) -> None:
        self._check()
        with self._lock:
            self._followed.difference_update(session_ids)
            for each in session_ids:
                self._woken.pop(each, None)

    def wait(self, timeout: float) -> Mapping[str, str] | None:
        self._check()
        self._clock.wait_in_thread(self._event, self._clock.monotonic() + timeout)
        self._check()
        with self._lock:
            self._event.clear()
            woken, self._woken = self._woken, {}
        return woken

    def interrupt(self) -> None:
        self._event.set()

    def close(self) -> None:
        self._leave(self)

    def wake(self, session_id: str, head: str) -> None:
        """Tells of new events, or with no head of anything else; called by the store."""
        with self._lock:
            if session_id in self._followed:
                # Events must not hide what came before them.
                hidden = self._woken.get(session_id) == ""
                self._woken[session_id] = "" if hidden else head
                self._event.set()

    def cut(self) -> None:
        """Makes the next call fail, as that on a broken connection does; called by the store."""
        with self._lock:
            self._cut = True
            self._event.set()

    def _check(self) -> None:
        try:
            self._reach()
        finally:
            with self._lock:
                cut, self._cut = self._cut, False
                if cut:
                    self._followed.clear()
                    self._woken.clear()
                    self._event.clear()
        if cut:
            raise StoreUnavailable("The store was away; what was followed is to be followed anew.")
