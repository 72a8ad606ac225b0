"""Which of the library's threads are busy, and which only wait for virtual time or an event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Threads"]

# Only its owner may set an event, and nothing else ends a wait for it. So who waits for virtual
# time too looks at the clock in between, this often in real seconds; that costs it 1% of a core.
_LOOK_INTERVAL = 0.002


class _Wait(NamedTuple):
    event: threading.Event
    deadline: float | None


class Threads:
    """See the module.

    A thread is at work inside `at_work`, except while it waits in `wait` for what has not come. One
    whose wait is over counts as busy from that moment on, not from when it wakes.

    Args:
        now: returns virtual monotonic time.
        patience: seconds of real time after which a thread still at work counts as stuck.

    Attributes:
        begun: how often a thread has begun or gone on to work. Nobody has worked between two looks
            at which nobody was busy and this was the same.
    """

    def __init__(self, now: Callable[[], float], patience: float) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._depths: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._waits: dict[int, _Wait] = {}
        self._told: list[Callable[[], object]] = []
        self.begun = 0
        self.patience = patience

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Counts the calling thread as busy; nests."""
        me = threading.get_ident()
        with self._changed:
            self.begun += 1
            self._depths[me] = self._depths.get(me, 0) + 1
            self._names[me] = threading.current_thread().name
        try:
            yield
        finally:
            with self._changed:
                self._depths[me] -= 1
                if not self._depths[me]:
                    del self._depths[me], self._names[me]
                self._tell()

    def wait(self, event: threading.Event, deadline: float | None) -> None:
        """Waits in the calling thread until the event is set or virtual time is there."""
        me = threading.get_ident()
        wait = _Wait(event, deadline)
        with self._changed:
            self._waits[me] = wait
            self._tell()
        try:
            while not self._over(wait):
                if event.wait(None if deadline is None else _LOOK_INTERVAL):
                    break
        finally:
            with self._changed:
                self.begun += 1
                del self._waits[me]
                self._tell()

    def next_deadline(self) -> float | None:
        """Returns the next one that a thread waits for and that has not come."""
        with self._changed:
            waits = [each for each in self._waits.values() if not self._over(each)]
        return min((each.deadline for each in waits if each.deadline is not None), default=None)

    def busy(self) -> bool:
        """True while a thread is at work or about to wake."""
        with self._changed:
            return self._busy()

    def rested_since(self, begun: int) -> bool:
        """True when nobody is busy and nobody has been since `begun` was read."""
        with self._changed:
            return self.begun == begun and not self._busy()

    def join(self) -> None:
        """Waits in the calling thread until nobody is busy.

        Raises:
            TimeoutError: somebody is stuck.
        """
        with self._changed:
            rested = self._changed.wait_for(lambda: not self._busy(), self.patience)
        if not rested:
            raise self.stuck()

    @contextmanager
    def telling(self, tell: Callable[[], object]) -> Generator[None]:
        """Calls back, in any thread, whenever one may have come to rest."""
        with self._changed:
            self._told.append(tell)
        try:
            yield
        finally:
            with self._changed:
                self._told.remove(tell)

    def stuck(self) -> TimeoutError:
        """Returns what to raise when patience is over."""
        with self._changed:
            names = [self._names[each] for each in self._depths if not self._waiting(each)]
        who = ", ".join(names) or "no thread; tasks and threads keep waking each other"
        return TimeoutError(f"After {self.patience:g} s of real time this is still at work: {who}.")

    def _busy(self) -> bool:
        return any(self._over(each) for each in self._waits.values()) or any(
            each not in self._waits for each in self._depths
        )

    def _waiting(self, thread: int) -> bool:
        return thread in self._waits and not self._over(self._waits[thread])

    def _over(self, wait: _Wait) -> bool:
        return wait.event.is_set() or (wait.deadline is not None and wait.deadline <= self._now())

    def _tell(self) -> None:
        self._changed.notify_all()
        for tell in self._told:
            tell()
