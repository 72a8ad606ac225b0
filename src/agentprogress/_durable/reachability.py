"""Whether a store can be reached, as all who use it have found, and when to try again."""

from __future__ import annotations

import logging
import random
import threading

from ..abc import Clock, Store
from ..errors import InvalidSettings, StoreUnavailable
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
        down: why it cannot be reached; None while it can.
        since: monotonic time since when it has been reached without a break.
        retry_at: monotonic time before which it is not to be tried again.
    """

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._connected = False
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._down_at = 0.0
        self.down: StoreUnavailable | InvalidSettings | None = None
        self.since = clock.monotonic()
        self.retry_at = 0.0

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
        """
        if self.down is not None:
            raise StoreUnavailable(str(self.down))

    def rest(self, until: float) -> None:
        """Waits in this thread for the next try."""
        pause = threading.Event()
        self._clock.wait_in_thread(pause, min(until, self.retry_at))

    def failed(self, error: StoreUnavailable | InvalidSettings) -> None:
        """Somebody could not reach it."""
        now = self._clock.monotonic()
        self._connected = False
        if self.down is None:
            self._down_at = now
            _logger.warning("%s Events wait in this process until it is back.", error)
        self.down = error
        settings = self._settings
        longest = min(settings.max_store_delay, settings.min_store_delay * 2**self._failures)
        self.retry_at = now + random.uniform(settings.min_store_delay, longest)
        self._failures = min(self._failures + 1, 30)

    def worked(self) -> None:
        """Somebody has reached it."""
        if self.down is not None:
            now = self._clock.monotonic()
            _logger.warning("The store is back after %.1f s.", now - self._down_at)
            self.since = now
            self.down = None
            self._failures = 0
            self.retry_at = 0.0
