"""Whether a store answers and takes what is written, as all have found, and when to try again.

One that is full or read-only answers whoever reads. That it does is no sign that it can be written
to: only a write that works is.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from math import inf

from ..abc import Clock, Store
from ..errors import InvalidSettings, SessionUnavailable, StoreUnavailable
from ..settings import Settings

__all__ = ["Reachability"]

_logger = logging.getLogger("agentprogress")


class Reachability:
    """See the module. Safe to use from several threads: what is lost in a race is a log line.

    Args:
        store: the one in question.
        settings: how long to rest between two tries.
        clock: all time comes from it.

    Attributes:
        down: why it cannot be reached or takes nothing; None while all is well.
        away: whether it does not even answer who reads.
        since: monotonic time since when all has been well without a break.
        retry_at: monotonic time before which it is not to be asked again.
        write_at: monotonic time before which nothing is to be written again.
        took_at: monotonic time at which something was written last.
    """

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._connected = False
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._down_at = 0.0
        self._refuses = False
        self.down: StoreUnavailable | InvalidSettings | None = None
        self.away = False
        self.since = clock.monotonic()
        self.retry_at = self.write_at = 0.0
        self.took_at = -inf

    def connect(self) -> None:
        """Makes sure that the store is fit for use, the first time and after each outage.

        Raises:
            StoreUnavailable, InvalidSettings: as `Store.connect`.
        """
        if not self._connected:
            self._store.connect()
            self._connected = True

    def check(self) -> None:
        """Raises what is the matter, so that nobody waits for what is known to fail.

        Raises:
            StoreUnavailable: it was found to be out of reach, and nobody has reached it since.
            InvalidSettings: it must not be used as it is.
        """
        if self.down is not None and self.away:
            raise type(self.down)(str(self.down))

    def rest(self, until: float) -> None:
        """Waits in this thread for the next try."""
        pause = threading.Event()
        soonest = self._clock.monotonic() + self._settings.min_store_delay
        due = soonest if self.down is None else max(self.retry_at, self.write_at)
        self._clock.wait_in_thread(pause, min(until, due))

    @contextmanager
    def writing(self, *, proof: bool = True) -> Generator[None]:
        """Takes note of whether what is written in the block is taken.

        Args:
            proof: whether a store that takes it takes everything.
        """
        try:
            yield
        except SessionUnavailable:
            raise  # others are served
        except StoreUnavailable as error:
            self.failed(error, writing=True)
            raise
        self.worked(writing=proof)

    def failed(self, error: StoreUnavailable | InvalidSettings, *, writing: bool = False) -> None:
        """Somebody could not reach it, or not write to it; telling it twice changes nothing."""
        if error is self.down:
            return
        now, settings = self._clock.monotonic(), self._settings
        self._connected = False
        if self.down is None:
            self._down_at = now
            until = "that is changed" if isinstance(error, InvalidSettings) else "it is back"
            _logger.warning("%s Nothing is stored until %s; events wait here.", error, until)
        self.down = error
        longest = min(settings.max_store_delay, settings.min_store_delay * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self.write_at = now + random.uniform(settings.min_store_delay, longest)
        if writing:
            self._refuses = True
        else:
            self.away = True
            self.retry_at = self.write_at

    def worked(self, *, writing: bool = False) -> None:
        """Somebody has reached it, or written to it."""
        if writing:
            self.took_at = self._clock.monotonic()
        if self.down is None:
            return
        self.away = False
        self.retry_at = 0.0
        if self._refuses and not writing:
            return
        now = self._clock.monotonic()
        _logger.warning("The store is back after %.1f s.", now - self._down_at)
        self.since = now
        self.down = None
        self._refuses = False
        self._failures = 0
        self.write_at = 0.0
