"""Following a session in the same process: a position on its log, read as typed items."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from pydantic_core import from_json

from ._core.batch import Batch
from ._core.cursor import Cursor
from ._core.history import Join, Resume
from ._record import Ended, Moved, Resync, SessionRecord, SubscriberBase, Tombstone
from .errors import SessionUnknown, StoreUnavailable
from .events import Event
from .snapshot import Gap, SessionSnapshot, Snapshot

if TYPE_CHECKING:
    from ._engine import Engine

__all__ = ["Subscription"]


# A cursor that no epoch has, for a session that started over: it is answered with a reset.
_OTHER_EPOCH = ""


class _Reader(SubscriberBase):
    """The subscriber behind a subscription; replaced when the session starts over."""

    __slots__ = ("event",)

    def __init__(self, record: SessionRecord) -> None:
        super().__init__(record, None)
        self.event = anyio.Event()

    def wake(self) -> None:
        self.event.set()

    def drain(self) -> None:
        """Those who follow in the process itself are left as they are."""


class Subscription:
    """Iterates over a session's `Event`, `Snapshot` and `Gap` items, to the terminal event.

    Strictly increasing seqs; every hole is announced by a `Gap` or a `Snapshot`. A reader that
    falls off the history gets ``Gap(reason="slow")`` and a `Snapshot`, and goes on. When the
    session is restarted under it, ``Snapshot(reset=True)`` comes first.

    Raises (from iteration):
        SessionGone: the session was deleted, or expired, before everything had been read.
    """

    def __init__(self, engine: Engine, session_id: str, after: str | None) -> None:
        self._engine = engine
        self._session_id = session_id
        self._after = after
        self._reader: _Reader | None = None
        self._items: deque[Event | Snapshot | Gap] = deque()
        self._position = 0
        self._resume = Resume.FRESH

    @property
    def resume(self) -> str:
        """How the cursor was answered: ``fresh``, ``exact``, ``gap``, ``snapshot`` or ``reset``."""
        return self._resume.value

    @property
    def cursor(self) -> str:
        """The position after the last item that was handed out; pass it as ``after`` to go on."""
        return str(Cursor(self._open_reader.record.epoch, self._position))

    @property
    def _open_reader(self) -> _Reader:
        if self._reader is None:
            raise RuntimeError("A subscription is used as `async with registry.subscribe(…) as …`.")
        return self._reader

    async def __aenter__(self) -> Self:
        record = await self._engine.find(self._session_id, self._after)
        self._resume = self._join(record, self._after).resume
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.dismiss(self._open_reader)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Snapshot | Gap:
        reader = self._open_reader
        while not self._items:
            # Nobody else would run while there is always more to take.
            await anyio.lowlevel.checkpoint()
            # A new event before looking: a wake-up after the look is then never lost.
            if reader.event.is_set():
                reader.event = anyio.Event()
            taken = reader.record.take(reader)
            if taken is None:
                await reader.event.wait()
            elif isinstance(taken, Moved):
                await self._move(reader, taken.record)
            else:
                self._take(taken)
            reader = self._open_reader
        item = self._items.popleft()
        if not isinstance(item, Gap):
            self._position = item.seq or self._position
        return item

    def events(self) -> AsyncIterator[Event]:
        """Iterates over the events only."""
        return _Events(self)

    async def _move(self, reader: _Reader, record: SessionRecord) -> None:
        """Joins the log that has begun in the place of the one that was followed."""
        self._engine.dismiss(reader)
        if self._engine.backing.durable:
            record = await self._find_again()
        self._join(record, _OTHER_EPOCH)

    async def _find_again(self) -> SessionRecord:
        """Looks for a session that the store has lost, until its producer has brought it back."""
        clock, settings = self._engine.clock, self._engine.settings
        until = clock.monotonic() + settings.unknown_timeout
        while True:
            try:
                return await self._engine.find(self._session_id)
            except (SessionUnknown, StoreUnavailable):
                if clock.monotonic() >= until:
                    raise
            await clock.wait(anyio.Event(), clock.monotonic() + settings.max_store_delay)

    def _take(self, taken: Batch | Resync | Ended | Tombstone) -> None:
        if isinstance(taken, Batch):
            self._items.extend(taken.events)
        elif isinstance(taken, Resync):
            self._items.append(Gap(taken.missed.first, taken.missed.last, taken.missed.reason))
            self._add_snapshot(taken.state)
        elif isinstance(taken, Ended):
            raise StopAsyncIteration
        else:
            raise taken.error()

    def _join(self, record: SessionRecord, cursor: str | None) -> Join:
        reader = _Reader(record)
        joined = self._engine.admit(reader, cursor)
        answer = joined.answer
        self._reader = reader
        self._position = _held(answer)
        if answer.missed is not None:
            self._items.append(Gap(answer.missed.first, answer.missed.last, answer.missed.reason))
        if joined.state is not None:
            self._add_snapshot(joined.state, reset=answer.resume is Resume.RESET)
        return answer

    def _add_snapshot(self, state: bytes, *, reset: bool = False) -> None:
        self._items.append(Snapshot(SessionSnapshot.model_validate(from_json(state)), reset))


class _Events(AsyncIterator[Event]):
    """No generator: one that is left early would have to be closed by its user."""

    __slots__ = ("_subscription",)

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def __anext__(self) -> Event:
        while True:
            item = await self._subscription.__anext__()
            if not isinstance(item, Snapshot | Gap):
                return item


def _held(answer: Join) -> int:
    """Returns the seq up to which a reader has everything before its first item."""
    if answer.missed is not None:
        return answer.missed.first - 1
    return answer.position if answer.resume is Resume.EXACT else 0
