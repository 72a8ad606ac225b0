"""What one process has still to bring into a store's log: in order, one append at a time.

An append that is under way is repeated as it is until the store has answered it: only so can the
store tell a repetition from something new. Its owner serialises calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .._core.outbox import Encoded
from .._core.states import SessionStatus
from .._core.thinning import Thinning, given_up
from .._ids import short_id

if TYPE_CHECKING:
    from ..abc import Append
    from ..settings import Settings

__all__ = ["EMITTING", "SETTLING", "Flight", "Move", "Once", "Sending", "entry_of"]

# When others than the owner may emit, and when a question may be settled.
EMITTING = (SessionStatus.RUNNING,)
SETTLING = (SessionStatus.RUNNING, SessionStatus.WAITING)


class Move(NamedTuple):
    """A lifecycle event, with what is stored in the same step."""

    entry: bytes
    time: str
    status: SessionStatus
    result: bytes | None = None


class Once(NamedTuple):
    """What others may write as well: the first one wins."""

    entry: bytes
    key: str


class Barrier(NamedTuple):
    """Stands for nothing to be stored: it is called when everything before it is."""

    callback: Callable[[], object]


# An event that stands alone is only its entry.
Item = bytes | Move | Once


def entry_of(event: Encoded) -> bytes:
    """Returns an event as a store keeps it."""
    return b'{"time":"%b",%b' % (event.time.encode(), event.body[1:])


def _body_of(entry: bytes) -> bytes:
    return b"{" + entry.partition(b'",')[2]


@dataclass(slots=True)
class Flight:
    """An append that is under way.

    Attributes:
        number: counts this writer's appends to this epoch.
        barriers: what to call when it is stored.
        append: as it was sent; None while it has to be made anew.
    """

    items: list[Item]
    number: int
    barriers: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    append: Append | None = None

    @property
    def entries(self) -> list[bytes]:
        """What the store gets."""
        return [item if isinstance(item, bytes) else item.entry for item in self.items]

    @property
    def move(self) -> Move | None:
        """The lifecycle event at its end, if there is one."""
        last = self.items[-1]
        return last if isinstance(last, Move) else None

    @property
    def once(self) -> str | None:
        """The key under which it is done only once, if there is one."""
        last = self.items[-1]
        return last.key if isinstance(last, Once) else None


class Sending:
    """See the module.

    Attributes:
        producer_id: tells this writer from others.
        flight: the append that is under way.
        size_bytes: of what waits in the queue.
    """

    __slots__ = ("_number", "_queue", "flight", "producer_id", "size_bytes")

    def __init__(self) -> None:
        self.producer_id = short_id()
        self.flight: Flight | None = None
        self.size_bytes = 0
        self._queue: deque[Item | Barrier] = deque()
        self._number = 0

    def __len__(self) -> int:
        return len(self._queue) + (len(self.flight.items) if self.flight else 0)

    def add(self, *items: Item) -> None:
        """Appends to the queue."""
        self._queue.extend(items)
        self.size_bytes += sum(map(_size, items))

    def add_events(self, events: Iterable[Encoded]) -> None:
        """Appends events that stand alone."""
        self.add(*map(entry_of, events))

    def barrier(self, callback: Callable[[], object]) -> bool:
        """Calls back when everything added so far is stored; False when it is."""
        if self._queue:
            self._queue.append(Barrier(callback))
        elif self.flight is not None:
            self.flight.barriers.append(callback)
        else:
            return False
        return True

    def forget(self, callback: Callable[[], object]) -> None:
        """Calls a barrier back no more."""
        barrier = Barrier(callback)
        if barrier in self._queue:
            self._queue.remove(barrier)
        elif self.flight is not None and callback in self.flight.barriers:
            self.flight.barriers.remove(callback)

    def next(self, settings: Settings) -> Flight | None:
        """Returns what is to be sent now; None when there is nothing."""
        if self.flight is None and self._queue:
            flight = Flight([], self._number + 1)
            self._load(flight, settings)
            if not flight.items:  # only barriers, before which everything has been dropped
                self._queue.extend(Barrier(callback) for callback in flight.barriers)
                return None
            self._number += 1
            self.flight = flight
        return self.flight

    def _load(self, flight: Flight, settings: Settings) -> None:
        """Takes what one append may hold: events, then at most one that has to come last."""
        queue, items = self._queue, flight.items
        most, room = settings.max_append_events, settings.max_append_bytes
        last = False
        while queue:
            item = queue[0]
            if isinstance(item, Barrier):
                flight.barriers.append(item.callback)
                queue.popleft()
                continue
            size = _size(item)
            room -= size
            full = len(items) >= most or room < 0 or isinstance(item, Once)
            if last or (items and full):
                return
            items.append(item)
            queue.popleft()
            self.size_bytes -= size
            last = not isinstance(item, bytes)

    def landed(self, append: Append) -> Flight | None:
        """Takes out what was under way: it is stored. None when that was something else."""
        flight = self.flight
        if flight is None or flight.append is not append:
            return None
        self.flight = None
        return flight

    def idle_barriers(self) -> list[Callable[[], object]]:
        """Takes out the barriers before which there is nothing."""
        reached: list[Callable[[], object]] = []
        while self.flight is None and self._queue and isinstance(self._queue[0], Barrier):
            barrier = self._queue.popleft()
            assert isinstance(barrier, Barrier)
            reached.append(barrier.callback)
        return reached

    def start_over(self) -> None:
        """Another epoch begins: what is under way is made anew, and counted from 1."""
        self._number = 0
        if self.flight is not None:
            self._number, self.flight.number, self.flight.append = 1, 1, None

    def give_up(self) -> tuple[int, list[Callable[[], object]]]:
        """Drops everything; returns how many events that were, and what is to be called."""
        flight, self.flight = self.flight, None
        dropped = len(flight.items) if flight else 0
        barriers = list(flight.barriers) if flight else []
        for item in self._queue:
            if isinstance(item, Barrier):
                barriers.append(item.callback)
            else:
                dropped += 1
        self._queue.clear()
        self.size_bytes = 0
        return dropped, barriers

    def thin(self, level: Thinning) -> dict[str, int]:
        """Drops from the queue what does not survive this level; returns counts by type."""
        dropped: dict[str, int] = {}
        kept: deque[Item | Barrier] = deque()
        for item in self._queue:
            kind = given_up(_body_of(item), level) if isinstance(item, bytes) else None
            if kind is None:
                kept.append(item)
            else:
                dropped[kind] = dropped.get(kind, 0) + 1
        self._queue = kept
        self.size_bytes = sum(0 if isinstance(one, Barrier) else _size(one) for one in kept)
        return dropped


def _size(item: Item) -> int:
    return len(item) if isinstance(item, bytes) else len(item.entry)
