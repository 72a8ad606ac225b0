"""The log of a session between threads: from emit to history. Everything thread-safe starts here.

Emitting only appends to `_inbox`, which is atomic; whoever has the turn moves the inbox on into
the outbox and the history. So emit never waits, and a signal handler or ``__del__`` that emits
while its own thread has the turn queues instead of deadlocking. The lock is never held together
with the store's.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, overload

from ._core.history import History
from ._core.outbox import Encoded, Entry, Outbox
from ._life import Hub

if TYPE_CHECKING:
    from ._record import SessionRecord

__all__ = ["AFTER_THE_END", "SessionLog"]

T = TypeVar("T")

_logger = logging.getLogger("agentprogress")

# Entries an emitting thread lets gather before it coalesces them itself, if nobody else is at it,
# and before it waits its turn to do so.
_HELP_ENTRIES = 64
_WAIT_ENTRIES = 1024

AFTER_THE_END = "emitted after the end"


class SessionLog(ABC):
    """See the module. Attributes are read freely and written under the lock.

    Attributes:
        id: the session's.
        history: the log of this epoch.
        ended: true once the terminal event is in the log.
        closed: true once nothing more is taken: the terminal event is there, or on its way.
        dropped: events that came too late or could not be encoded.
        beside_bytes: what the session holds besides its history.
    """

    __slots__ = (
        "_accounted",
        "_busy",
        "_drop_logged",
        "_hub",
        "_inbox",
        "_later",
        "_lock",
        "_outbox",
        "_queued",
        "_released",
        "_wanted",
        "beside_bytes",
        "closed",
        "dropped",
        "ended",
        "history",
        "id",
    )

    def __init__(self, session_id: str, epoch: str, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.RLock()
        self._busy = False
        self._inbox: list[Entry] = []
        self._outbox: Outbox | None = None
        self._later: deque[Callable[[], object]] | None = None
        self._queued = False
        self._accounted = 0
        self._released = False
        self._wanted = False
        self._drop_logged = False
        self.id = session_id
        self.history = History(session_id, epoch, hub.settings)
        self.ended = False
        self.closed = False
        self.dropped: int = 0
        self.beside_bytes = 0

    def put(self, entry: Entry) -> None:
        """Takes an event from any thread; never waits."""
        if self.closed:
            self.drop(AFTER_THE_END)
            return
        inbox = self._inbox
        inbox.append(entry)
        if len(inbox) >= _HELP_ENTRIES:
            self._help(len(inbox))
        if not self._queued:
            self.queue()

    def _help(self, entries: int) -> None:
        """Coalesces a part of the inbox in the emitting thread.

        Threads that emit faster than anybody commits are thereby slowed down to what can be kept.
        """
        must = entries >= _WAIT_ENTRIES
        # One that emits all the time would win every race for the lock against one that waits.
        if not must and self._wanted:
            return
        if not self._lock.acquire(blocking=must):
            return
        try:
            self._turn(lambda: self._stage(self._hub.settings.max_batch_events))
        finally:
            self._lock.release()
        self._settled()

    def queue(self) -> None:
        """Asks for a publication, once until it happens."""
        if not self._queued:
            self._queued = True
            if not self._hub.enqueue(self._record):
                self._queued = False

    def drop(self, why: str) -> None:
        """Counts an event that came too late; says so once."""
        self.dropped += 1
        if not self._drop_logged:
            self._drop_logged = True
            _logger.warning("session %s: an event was %s and dropped", self.id, why)

    def hush(self) -> None:
        """What comes too late from now on is nobody's fault: it is counted, and not logged."""
        self._drop_logged = True

    def commit(self) -> None:
        """Moves everything pending into the log."""
        self._turn(self._commit)
        self._settled()

    @overload
    def _turn(self, act: Callable[[], T]) -> T | None: ...

    @overload
    def _turn(self, act: Callable[[], T], nested: Callable[[], T]) -> T: ...

    def _turn(self, act: Callable[[], T], nested: Callable[[], T] | None = None) -> T | None:
        """Calls `act` while nobody else writes.

        Where this thread is writing already it calls `nested`, or does nothing and returns None.
        """
        self._wanted = True
        with self._lock:
            self._wanted = False
            if self._busy:
                return None if nested is None else nested()
            # Signals are handled at calls and jumps: none comes between this line and `try`.
            self._busy = True
            try:
                return act()
            finally:
                self._busy = False

    def _settled(self) -> None:
        """Does what had to wait for the end of a turn; to be called without the lock."""
        if self._busy:
            return  # whoever has the turn will do it
        while self._later:
            self._later.popleft()()
        self._hub.relieve()

    def _stage(self, most: int) -> None:
        """Coalesces the inbox; what is a write's worth goes into the log at once."""
        count = min(most, len(self._inbox))
        entries = self._inbox[:count]
        del self._inbox[:count]
        if self.closed:
            self.dropped += count
            return
        if self._outbox is None:
            self._outbox = Outbox(self._hub.encoder, self._hub.settings.max_delta_chars)
        size = 0
        for entry in entries:
            self._outbox.add(entry)
            size += len(entry.body) if isinstance(entry, Encoded) else 0
        settings = self._hub.settings
        if len(self._outbox) >= settings.max_batch_events or size >= settings.max_batch_bytes:
            self._commit_outbox(self._outbox)

    def staged(self) -> Outbox | None:
        """Coalesces what is pending and returns it; in a turn."""
        if self._inbox:
            self._stage(len(self._inbox))
        return self._outbox

    def _commit(self) -> None:
        outbox = self.staged()
        if outbox is not None:
            self._commit_outbox(outbox)
            self._outbox = None

    def _commit_outbox(self, outbox: Outbox) -> None:
        if outbox:
            self._append(outbox.take())
        if outbox.refused:
            self.dropped += outbox.refused
            outbox.refused = 0

    def _append(self, entries: list[Encoded]) -> None:
        self.history.append(entries)
        self._account()

    def _account(self) -> None:
        """Tells the registry how many bytes this session holds by now."""
        history = self.history
        if self.ended and not len(history):
            history.sweep()  # nothing is left but the state; encoded, it can be counted
        events = len(history) * self._hub.settings.event_overhead_bytes
        held = history.size_bytes + history.swept_bytes + events + self.beside_bytes
        if held != self._accounted and not self._released:
            difference, self._accounted = held - self._accounted, held
            self._hub.account(self._record, difference)

    def shrink(self, max_bytes: int) -> None:
        """Lowers the size bound of the history for good."""

        def act() -> None:
            self.history.shrink(max_bytes)
            self._account()

        self._turn(act)

    def drop_history(self) -> None:
        """Lets all events go; the state stays."""

        def act() -> None:
            self.history.sweep()
            self._account()

        self._turn(act)

    def locked(self, read: Callable[[History], T]) -> T:
        """Commits, then reads the history while nobody changes it."""
        self.commit()
        return self._reading(lambda: read(self.history))

    def _reading(self, read: Callable[[], T]) -> T:
        """Reads in a turn, so that not even this thread's signal handler writes in between."""
        return self._turn(read, read)

    def rest(self) -> None:
        """Lets shared encodings go: the session is quiet."""
        self._reading(self.history.forget_batches)

    def release(self) -> None:
        """Gives the held bytes back, when the record leaves the registry."""
        with self._lock:
            self._released = True
            self._hub.account(self._record, -self._accounted)
            self._accounted = 0

    def retain(self) -> None:
        """Counts the held bytes again, when the record comes back to the registry."""
        with self._lock:
            self._released = False
            self._account()

    @property
    @abstractmethod
    def _record(self) -> SessionRecord:
        """Itself, as the registry knows it."""
