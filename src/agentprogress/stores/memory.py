"""Keeps sessions in this process: finds them, bounds them, expires them. No thread, no I/O.

What goes when memory is short, in this order: histories of ended sessions, then what running ones
hold beyond a small history, then the oldest results nobody follows; then there is no room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from .._core.wheel import Wheel
from .._record import SessionRecord, Tombstone
from ..abc import Clock
from ..errors import TooManySessions
from ..settings import Settings

__all__ = ["MemoryStore"]

# Records and tombstones expire on the same wheel: a record by itself, a tombstone by its id.
_Expiring = SessionRecord | Tombstone


class MemoryStore:
    """Sessions and tombstones by id.

    Args:
        settings: the bounds.
        clock: its monotonic time decides what has expired.
        on_gone: called with a record that just lost its history and result.
    """

    def __init__(
        self, settings: Settings, clock: Clock, on_gone: Callable[[SessionRecord], object]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_gone = on_gone
        self._lock = threading.RLock()
        self._records: dict[str, SessionRecord] = {}
        self._tombstones: dict[str, Tombstone] = {}
        # In the order of their end: those with a history, and all of them.
        self._with_history: dict[SessionRecord, None] = {}
        self._ended: dict[SessionRecord, None] = {}
        self._wheel: Wheel[_Expiring] = Wheel()
        self._expires: dict[SessionRecord, float] = {}
        self.size_bytes = 0
        self.swept = 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[SessionRecord]:
        with self._lock:
            return iter(list(self._records.values()))

    @property
    def tombstones(self) -> int:
        """How many tombstones there are."""
        return len(self._tombstones)

    @property
    def deadlines(self) -> int:
        """How many expiries are set."""
        return len(self._wheel)

    def find(self, session_id: str) -> SessionRecord | Tombstone | None:
        """Returns what is known of an id."""
        return self._records.get(session_id) or self._tombstones.get(session_id)

    def add(self, record: SessionRecord) -> None:
        """Takes in a new record, in the place of an earlier one of its id.

        Raises:
            TooManySessions: there is no room, after everything that may go has gone.
        """
        with self._lock:
            earlier = self._records.get(record.id)
            if earlier is None:
                self._make_room()
            else:
                self._forget(earlier)
            tombstone = self._tombstones.pop(record.id, None)
            if tombstone is not None:
                self._wheel.discard(tombstone)
            self._records[record.id] = record

    def account(self, size_bytes: int) -> None:
        """Adds to the bytes held."""
        with self._lock:
            self.size_bytes += size_bytes

    @property
    def over(self) -> bool:
        """True when more bytes are held than may be."""
        return self.size_bytes > self._settings.max_store_bytes

    def expire_pending(self, record: SessionRecord) -> None:
        """Sets the time by which a reserved session must have started."""
        with self._lock:
            self._wheel.set(record, self._clock.monotonic() + self._settings.pending_ttl)

    def started(self, record: SessionRecord) -> None:
        """A running session expires never."""
        with self._lock:
            self._wheel.discard(record)

    def ended(self, record: SessionRecord) -> None:
        """Starts the time to live of a session that has just ended."""
        with self._lock:
            if self._records.get(record.id) is not record:
                return
            now = self._clock.monotonic()
            self._with_history[record] = None
            self._ended[record] = None
            self._expires[record] = now + record.life.result_ttl
            self._wheel.set(record, now + min(record.life.history_ttl, record.life.result_ttl))

    def remove(self, record: SessionRecord) -> None:
        """Leaves a tombstone in the record's place."""
        with self._lock:
            if self._records.get(record.id) is not record:
                return
            del self._records[record.id]
            self._forget(record)
            tombstone = record.entomb()
            self._bury(tombstone)
        self._on_gone(record)

    # Sweeping

    def next_deadline(self) -> float | None:
        """Returns when something expires next."""
        with self._lock:
            return self._wheel.next_deadline()

    def sweep(self, lost: Callable[[SessionRecord], object]) -> bool:
        """Removes what has expired, at most ``max_sweep`` things.

        Args:
            lost: called with a pending session that nobody started in time.

        Returns:
            True when more is due.
        """
        now, most = self._clock.monotonic(), self._settings.max_sweep
        with self._lock:
            due = self._wheel.due(now, most)
        for item in due:
            self.swept += 1
            if isinstance(item, Tombstone):
                self._tombstones.pop(item.session_id, None)
            elif not item.ended:
                lost(item)
            elif now >= self._expires.get(item, now):
                self.remove(item)
            else:
                self._drop_history(item)
                self._wheel.set(item, self._expires[item])
        return len(due) == most

    def relieve(self) -> None:
        """Evicts, in the order above, until the bytes held are within the bound."""
        while self.over and (record := next(iter(self._with_history), None)):
            self._drop_history(record)
        if self.over:
            for record in self:
                record.locked(lambda history: history.shrink(self._settings.min_history_bytes))
                record.settle()
                if not self.over:
                    return
        while self.over and self._remove_oldest_unfollowed():
            pass

    def _make_room(self) -> None:
        if len(self._records) >= self._settings.max_sessions:
            # Histories do not help here: what is counted is sessions.
            if not self._remove_oldest_unfollowed():
                raise TooManySessions(f"max_sessions is {self._settings.max_sessions}")
        if self.over:
            self.relieve()
            if self.over:
                raise TooManySessions(f"max_store_bytes is {self._settings.max_store_bytes}")

    def _remove_oldest_unfollowed(self) -> bool:
        record = next((r for r in self._ended if not r.subscribers), None)
        if record is not None:
            self.remove(record)
        return record is not None

    def _drop_history(self, record: SessionRecord) -> None:
        self._with_history.pop(record, None)
        record.locked(lambda history: history.sweep())
        record.settle()

    def _forget(self, record: SessionRecord) -> None:
        self._with_history.pop(record, None)
        self._ended.pop(record, None)
        self._expires.pop(record, None)
        self._wheel.discard(record)
        record.release()

    def _bury(self, tombstone: Tombstone) -> None:
        if len(self._tombstones) >= self._settings.max_tombstones:
            oldest = self._tombstones.pop(next(iter(self._tombstones)))
            self._wheel.discard(oldest)
        self._tombstones[tombstone.session_id] = tombstone
        self._wheel.set(tombstone, self._clock.monotonic() + self._settings.tombstone_ttl)
