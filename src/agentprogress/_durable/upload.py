"""How the events of one session get from here into the store: one append at a time.

It decides when something is sent, what is sent, and when the stored log is cut. The log itself is
the replica's, and so is the lock: all of it is called in a turn of the replica's.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .._core.jsonable import encode_json
from .._core.outbox import Encoded, Outbox
from .._core.states import SessionStatus
from .._core.thinning import Thinning, dropped_event
from .._life import Hub
from ..abc import Append, Claim, Expected, Trim
from .sending import EMITTING, SETTLING, Flight, Sending
from .stored_log import StoredLog, most_stored

if TYPE_CHECKING:
    from .replica import Replica

__all__ = ["Ask", "Later", "Upload"]


class Ask(Enum):
    """What a replica needs of the committer after an answer of the store's."""

    NOTHING = "nothing"
    READ = "read"
    """Others have appended: it has to read on from its head."""
    TRIM = "trim"
    """The stored log is full."""
    RECOVER = "recover"
    """The store has lost the log, or its end, unless the session is another's."""


class Later(NamedTuple):
    """Nothing is to be sent before this monotonic time."""

    at: float


class Upload:
    """See the module.

    Args:
        hub: the registry around it.
        oldest: the first seq that the store retains.

    Attributes:
        sending: what is to be stored, in its order.
        stored_log: how long the log is in the store.
        touched: whether the committer will look at it in any case.
    """

    __slots__ = (
        "_hub",
        "_lost_types",
        "_not_before",
        "_sent_at",
        "_urgent",
        "sending",
        "stored_log",
        "touched",
    )

    def __init__(self, hub: Hub, oldest: int) -> None:
        self._hub = hub
        self._sent_at = self._not_before = -inf
        self._urgent = False
        self._lost_types: dict[str, int] = {}
        self.sending = Sending()
        self.stored_log = StoredLog(oldest)
        self.touched = False

    def collect(self, outbox: Outbox | None) -> int:
        """Takes everything pending into the queue; returns how many could not be encoded."""
        if self._lost_types:
            # The library's own words and counts: there is nothing in it to hide.
            told = encode_json(dropped_event(self._lost_types))
            self._lost_types = {}
            self.sending.add_events([Encoded(self._hub.stamp(), told)])
        if outbox is None:
            return 0
        self.sending.add_events(outbox.take())
        return outbox.refused

    # When

    def hurry(self) -> None:
        """Lets what is to be sent not wait for a tick."""
        self._urgent = True

    def rest(self, pause: float) -> None:
        """Sends nothing for so many seconds."""
        self._not_before = self._hub.clock.monotonic() + pause

    @property
    def rests_until(self) -> float:
        """Monotonic time before which nothing is sent."""
        return self._not_before

    def next_append(self, replica: Replica, now: float) -> Append | Later | None:
        """Returns what is to be sent now, the same until it is answered; None: nothing is."""
        at = self._next_time(replica, now)
        self.touched = now < at
        if now < at:
            return Later(at)
        self._urgent = False
        if self.sending.flight is None:
            replica.collect()
        flight = self.sending.next(self._hub.settings)
        if flight is None:
            return None
        self._sent_at = now
        if flight.append is None:
            flight.append = _append_of(flight, replica, self.sending.producer_id)
        return flight.append

    def _next_time(self, replica: Replica, now: float) -> float:
        tick = self._sent_at + self._hub.settings.delivery_interval
        if now < self._not_before:
            return self._not_before
        if self._urgent or self.sending.flight is not None or now >= tick:
            return now
        outbox = replica.staged()
        # What stands alone gains nothing by waiting.
        return now if outbox is None or not outbox.coalesces else tick

    def make_anew(self) -> None:
        """What is under way was refused as it was made."""
        if self.sending.flight is not None:
            self.sending.flight.append = None

    # The stored log

    def trim(self, replica: Replica, *, full: bool) -> Trim | None:
        """Returns a cut of the stored log, if it is time for one, or it is full."""
        history, log = replica.history, self.stored_log
        due = full or log.is_long(history, self._hub.settings)
        if not (replica.owned and due and history.oldest > log.oldest):
            return None
        fence, seq = replica.stored.fence, history.oldest - 1
        return Trim(replica.id, replica.epoch, fence, seq, history.base_json())

    def trimmed(self, trim: Trim, size_bytes: int) -> None:
        """Takes note that the stored log is cut, and how much is left of it."""
        self.stored_log.cut(trim.seq, size_bytes)
        self._not_before = -inf

    def start_over(self, replica: Replica, expected: Expected | None) -> Claim:
        """Begins with another epoch of the log; returns the claim by which it is made.

        Args:
            replica: in its new epoch already.
            expected: what is left in the store.
        """
        seq, settings = replica.history.head, self._hub.settings
        self.stored_log.cut(seq, 0)
        self.sending.start_over()
        running = replica.status is SessionStatus.RUNNING
        return Claim(
            session_id=replica.id,
            expected=expected,
            epoch=replica.epoch,
            status=replica.status,
            attempt=replica.attempt,
            # One more: what the store had before may come back.
            fence=replica.stored.fence + 1,
            owner=replica.life.owner,
            created=replica.stored.created,
            details=replica.details(),
            ttl=settings.live_ttl,
            lease=settings.lease_ttl if running else None,
            base_seq=seq,
            base=replica.history.base_json() if seq else b"",
        )

    # An outage

    def weigh(self, outbox: Outbox | None) -> tuple[int, int]:
        """Returns the events and bytes that wait for the store."""
        events, size = len(self.sending), self.sending.size_bytes
        if outbox is None:
            return events, size
        return events + len(outbox), size + outbox.size_bytes

    def thin(self, outbox: Outbox | None, level: Thinning) -> int:
        """Gives up what does not survive at this level, and remembers to say so; returns a count.

        Args:
            outbox: what is pending.
            level: how much goes.
        """
        dropped = 0
        lost = [self.sending.thin(level), {} if outbox is None else outbox.thin(level)]
        for counts in lost:
            for kind, count in counts.items():
                self._lost_types[kind] = self._lost_types.get(kind, 0) + count
                dropped += count
        return dropped


def _append_of(flight: Flight, replica: Replica, producer_id: str) -> Append:
    entries = flight.entries
    move, settings = flight.move, replica.hub.settings
    status = None if move is None else move.status
    lease = details = ending = None
    if status is SessionStatus.RUNNING:
        lease, details = settings.lease_ttl, replica.details()
    elif status is SessionStatus.PENDING:
        lease = settings.pending_ttl
    elif status is SessionStatus.WAITING:
        lease, details = 0.0, replica.details()
    elif move is not None:
        ending = replica.ending(move.time, entries, move.result)
    # What is written once, and an end, must not depend on an owner who may be gone.
    bounded = flight.once is None and ending is None
    max_events, max_bytes = most_stored(settings) if bounded else (None, None)
    head = replica.history.head
    return Append(
        replica.id,
        replica.epoch,
        entries,
        known_head=head,
        max_events=max_events,
        max_bytes=max_bytes,
        fence=replica.stored.fence if replica.owned else None,
        producer_id=producer_id,
        producer_seq=flight.number,
        once=flight.once,
        only=() if replica.owned else EMITTING if flight.once is None else SETTLING,
        at_head=None if ending is None else head,
        status=status,
        lease=lease,
        details=details,
        ending=ending,
    )
