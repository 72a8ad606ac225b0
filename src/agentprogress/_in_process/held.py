"""The sessions that live in this process alone: found, bounded, expired. No thread, no I/O.

What goes when memory is short, in this order: histories of ended sessions, then what running ones
hold beyond a small history, then the oldest results nobody follows; then there is no room. The
store's lock is never held together with a record's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from .._core.wheel import Wheel
from .._inputs import Question
from .._record import SessionRecord, Tombstone
from ..abc import Clock
from ..errors import TooManySessions
from ..settings import Settings

__all__ = ["LocalSessions"]

# They expire on the same wheel: a record by itself, a tombstone by its id, a question by being
# settled.
_Expiring = SessionRecord | Tombstone | Question

# What letting go of a record, or of a history with none of its events, costs in tombstones (about
# 3 µs each, measured; folding an event costs as much). A turn of the loop is held for 3 ms so.
_RECORD_COST = 10
_HISTORY_COST = 30


class LocalSessions:
    """Sessions and tombstones by id.

    Args:
        settings: the bounds.
        clock: its monotonic time decides what has expired.
        on_gone: called with a record that just lost its history and result.

    Attributes:
        size_bytes: what is held.
        swept: how much has expired.
        dropped: events that those which are gone have dropped.
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
        # What may be evicted, oldest first: histories of ended sessions, large ones, results.
        self._histories: dict[SessionRecord, None] = {}
        self._large: dict[SessionRecord, None] = {}
        self._results: dict[SessionRecord, None] = {}
        self._wheel: Wheel[_Expiring] = Wheel()
        self._expires: dict[SessionRecord, float] = {}
        # Reentrant: a signal handler may open a session in the middle of an eviction.
        self._relieving = threading.RLock()
        self._counting = threading.Lock()
        # Where eviction is tried: the bound, or above it while nothing may go.
        self._crowded_at = settings.max_store_bytes
        self.size_bytes = 0
        self.swept = 0
        self.dropped = 0

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
        with self._lock:
            return self._records.get(session_id) or self._tombstones.get(session_id)

    def add(self, record: SessionRecord) -> None:
        """Takes in a new record, in the place of an earlier one of its id.

        Raises:
            TooManySessions: there is no room, after everything that may go has gone.
        """
        if not self._make_room():
            raise TooManySessions(f"max_store_bytes is {self._settings.max_store_bytes}")
        with self._lock:
            earlier = self._records.get(record.id)
            full = earlier is None and len(self._records) >= self._settings.max_sessions
        # Histories do not help here: what is counted is sessions.
        if full and not self._remove_oldest_unfollowed():
            raise TooManySessions(f"max_sessions is {self._settings.max_sessions}")
        with self._lock:
            if earlier is not None:
                self._forget(earlier)
            tombstone = self._tombstones.pop(record.id, None)
            if tombstone is not None:
                self._wheel.discard(tombstone)
            self._records[record.id] = record
            self._wheel.set(record, self._clock.monotonic() + self._settings.pending_ttl)
        if earlier is not None:
            self.dropped += earlier.dropped
            earlier.release()

    def account(self, record: SessionRecord, size_bytes: int) -> None:
        """Adds to the bytes held; its caller has the record's lock, so this takes no other's."""
        grows = size_bytes > 0  # one that leaves gives back what it held
        is_large = grows and record.history.size_bytes > self._settings.min_history_bytes
        # Nothing in here is called, so no signal handler that emits can meet itself.
        with self._counting:
            self.size_bytes += size_bytes
            if is_large:
                self._large[record] = None

    @property
    def _over(self) -> bool:
        return self.size_bytes > self._settings.max_store_bytes

    @property
    def crowded(self) -> bool:
        """True when eviction is worth a try: too much is held, and none was just in vain."""
        return self.size_bytes > self._crowded_at

    # A session's life

    def expire_pending(self, record: SessionRecord) -> None:
        """Sets the time by which a session that is to be retried must have started."""
        with self._lock:
            if not record.ended and self._records.get(record.id) is record:
                self._wheel.set(record, self._clock.monotonic() + self._settings.pending_ttl)

    def started(self, record: SessionRecord) -> None:
        """A running session expires never."""
        with self._lock:
            if not record.ended:
                self._wheel.discard(record)

    def ended(self, record: SessionRecord) -> None:
        """Starts the time to live of a session that has just ended."""
        with self._lock:
            if self._records.get(record.id) is not record:
                return
            now = self._clock.monotonic()
            self._histories[record] = None
            self._results[record] = None
            self._expires[record] = now + record.life.result_ttl
            self._wheel.set(record, now + min(record.life.history_ttl, record.life.result_ttl))
            self._crowded_at = self._settings.max_store_bytes

    def watch(self, question: Question) -> None:
        """Sets a question's deadline, unless it is settled by now."""
        with self._lock:
            # Who settles it comes to `unwatch` after that: one of the two sees the other.
            if question.outcome is None and question.deadline is not None:
                self._wheel.set(question, question.deadline)

    def unwatch(self, question: Question) -> None:
        """Takes a question's deadline away."""
        with self._lock:
            self._wheel.discard(question)

    def remove(self, record: SessionRecord) -> None:
        """Leaves a tombstone in the place of an ended record."""
        tombstone = record.tombstone()
        with self._lock:
            if self._records.get(record.id) is not record:
                return
            del self._records[record.id]
            self._forget(record)
            self._bury(tombstone)
        self.dropped += record.dropped
        record.release()
        record.entomb(tombstone)
        self._on_gone(record)

    def discard(self, record: SessionRecord) -> None:
        """Undoes `add`: nothing stays of a record that could not begin."""
        with self._lock:
            if self._records.get(record.id) is record:
                del self._records[record.id]
                self._forget(record)
        record.release()

    def _forget(self, record: SessionRecord) -> None:
        self._histories.pop(record, None)
        self._forget_large(record)
        self._results.pop(record, None)
        self._expires.pop(record, None)
        self._wheel.discard(record)

    def _bury(self, tombstone: Tombstone) -> None:
        if len(self._tombstones) >= self._settings.max_tombstones:
            oldest = self._tombstones.pop(next(iter(self._tombstones)))
            self._wheel.discard(oldest)
        self._tombstones[tombstone.session_id] = tombstone
        self._wheel.set(tombstone, self._clock.monotonic() + self._settings.tombstone_ttl)

    # Sweeping

    def next_deadline(self) -> float | None:
        """Returns when something expires next."""
        with self._lock:
            return self._wheel.next_deadline()

    def sweep(self, lost: Callable[[SessionRecord], object]) -> bool:
        """Removes what has expired: at most ``max_sweep`` things, and fewer of the costly ones.

        Args:
            lost: called with a pending session that nobody started in time.

        Returns:
            True when more is due.
        """
        now = self._clock.monotonic()
        work = self._settings.max_sweep
        while work > 0:
            with self._lock:
                due = self._wheel.due(now, 1)
            if not due:
                return False
            self.swept += 1
            work -= self._expire(due[0], now, lost)
        return True

    def _expire(self, item: _Expiring, now: float, lost: Callable[[SessionRecord], object]) -> int:
        """Removes one thing and returns what it cost, in tombstones."""
        if isinstance(item, Tombstone):
            with self._lock:
                if self._tombstones.get(item.session_id) is item:
                    del self._tombstones[item.session_id]
            return 1
        if isinstance(item, Question):
            item.expire()
            return 1
        if not item.ended:
            lost(item)
            return _RECORD_COST
        if now >= self._expires.get(item, now):
            self.remove(item)
            return _RECORD_COST
        events = len(item.history)
        self._drop_history(item)
        with self._lock:
            if item in self._expires:
                self._wheel.set(item, self._expires[item])
        return _HISTORY_COST + events

    # Eviction

    def relieve(self) -> None:
        """Evicts until the bytes held are within the bound, unless another thread is at it.

        After a try in vain there is none before much more is held, or a session has ended.
        """
        # Again when it is done: who found it at work has left what was over to it.
        while self.crowded and self._relieving.acquire(blocking=False):
            try:
                self._evict()
            finally:
                self._relieving.release()

    def _make_room(self) -> bool:
        """Evicts until the bytes held are within the bound; False when nothing more may go.

        Waits for another thread that is at it: what that one has in hand may be all there is to
        go. The lock is held with no other that an eviction takes.
        """
        if not self._over:
            return True
        with self._relieving:
            enough = self._evict()
        self.relieve()
        return enough

    def _evict(self) -> bool:
        """Lets go in the order above, until it is enough; False when that cannot be reached.

        Each record is looked at once for each kind: what has gone is not looked at again.
        """
        # The order is kept at each step: other threads go on to end sessions and to fill them.
        while self._over:
            # Before the look: a session that ends after it makes another try worth while.
            self._crowded_at = self.size_bytes + self._settings.max_history_bytes
            if not self._evict_one():
                return False
        self._crowded_at = self._settings.max_store_bytes
        return True

    def _evict_one(self) -> bool:
        with self._lock:
            record = next(iter(self._histories), None)
        if record is not None:
            self._drop_history(record)
            return True
        record = self._take_large()
        if record is not None:
            record.shrink(self._settings.min_history_bytes)
            return True
        return self._remove_oldest_unfollowed()

    def let_go(self, record: SessionRecord) -> None:
        """Forgets a record that was only counted here: its session lives in a store."""
        self._forget_large(record)

    def _forget_large(self, record: SessionRecord) -> None:
        with self._counting:
            if record in self._large:
                del self._large[record]

    def _take_large(self) -> SessionRecord | None:
        with self._counting:
            for record in self._large:
                del self._large[record]
                return record
        return None

    def _remove_oldest_unfollowed(self) -> bool:
        with self._lock:
            record = next((r for r in self._results if not r.subscribers), None)
        if record is not None:
            self.remove(record)
        return record is not None

    def _drop_history(self, record: SessionRecord) -> None:
        with self._lock:
            self._histories.pop(record, None)
        self._forget_large(record)
        record.drop_history()
