"""One session as the registry keeps it: its log, its life, its subscribers. Everything thread-safe is here.

Emitting only appends to `_inbox`, which is atomic; whoever holds the lock moves the inbox on into
the outbox and the log. So emit never waits, and a signal handler or ``__del__`` that emits while its
own thread holds the lock queues instead of deadlocking.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ._clock import Stamp
from ._core.batch import Batch
from ._core.encode import Encoder
from ._core.history import History, Join, Missed, Resume
from ._core.outbox import Encoded, Entry, Outbox
from ._core.states import TERMINAL, SessionStatus, next_status
from .errors import SessionGone
from .settings import Settings

__all__ = ["Ended", "Hub", "Joined", "Life", "Moved", "Resync", "SessionRecord", "SubscriberBase", "Tombstone"]

_logger = logging.getLogger("agentprogress")

# Entries an emitting thread lets gather before it coalesces them itself.
_INBOX_ENTRIES = 64


class Hub(Protocol):
    """What a session needs of the registry around it."""

    settings: Settings
    encoder: Encoder
    stamp: Stamp

    async def flush(self, record: SessionRecord) -> None:
        """Stores what is pending and hands it to subscribers that read."""
        ...

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        """The same for code without a loop; `timeout` in seconds."""
        ...

    def enqueue(self, record: SessionRecord) -> bool:
        """Asks for a publication; False when no loop is there to do it."""
        ...

    def account(self, size_bytes: int) -> None:
        """Adds to the bytes held by all sessions."""
        ...

    def transitioned(self, record: SessionRecord) -> None:
        """A session has moved to another state; called without its lock."""
        ...


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is kept of a session after its result."""

    session_id: str
    epoch: str
    status: SessionStatus
    ended_at: str
    head: int
    attempt: int

    def error(self) -> SessionGone:
        """Returns what a late subscriber is told."""
        return SessionGone(self.session_id, self.status, self.ended_at)


@dataclass(frozen=True, slots=True)
class Joined:
    """A join's answer and what was true at that moment; `state` is that at the answer's position."""

    answer: Join
    epoch: str
    head: int
    status: SessionStatus
    state: bytes | None


@dataclass(frozen=True, slots=True)
class Resync:
    """A subscriber fell off the history: announce what it missed, then the state at `seq`."""

    missed: Missed
    seq: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A subscriber has everything there will ever be."""

    status: SessionStatus
    head: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The session's log started over in another epoch."""

    record: SessionRecord


class SubscriberBase:
    """A position on a record's log. Drivers add what happens when it is woken."""

    __slots__ = ("blocked", "position", "principal", "record")

    def __init__(self, record: SessionRecord, principal: str | None) -> None:
        self.record = record
        self.position = 0
        self.principal = principal
        self.blocked = False

    def wake(self) -> None:
        """Called on the loop's thread when there may be something to take."""
        raise NotImplementedError


@dataclass(slots=True)
class Life:
    """What is known of a session besides its log."""

    title: str | None = None
    owner: str | None = None
    private: Any = None
    created_at: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    control_hash: bytes = b""
    history_ttl: float = 0.0
    result_ttl: float = 0.0
    error: dict[str, Any] | None = None
    result: bytes | None = None
    cancel_reason: str | None = None
    on_cancel: list[Callable[[], object]] = field(default_factory=list)
    plan: dict[tuple[str, str], str] | None = None


class SessionRecord:
    """See the module. Attributes are read freely and written under the lock."""

    __slots__ = (
        "__weakref__",
        "_accounted",
        "_behind",
        "_busy",
        "_drop_logged",
        "_flushes",
        "_hub",
        "_inbox",
        "_later",
        "_lock",
        "_outbox",
        "_published",
        "_queued",
        "attempt",
        "cancel_requested",
        "dropped",
        "fence",
        "gone",
        "history",
        "id",
        "life",
        "status",
        "subscribers",
        "successor",
        "waits_for_tick",
    )

    def __init__(self, session_id: str, epoch: str, attempt: int, hub: Hub, life: Life) -> None:
        self._hub = hub
        self._lock = threading.RLock()
        self._busy = False
        self._inbox: list[Entry] = []
        self._outbox: Outbox | None = None
        self._later: list[Callable[[], object]] = []
        self._queued = False
        self._published = (0, False)
        self._accounted = 0
        self._behind: dict[SubscriberBase, None] = {}
        self._flushes: list[Callable[[], object]] = []
        self._drop_logged = False
        self.id = session_id
        self.history = History(session_id, epoch, hub.settings)
        self.status = SessionStatus.PENDING
        self.attempt = attempt
        self.fence = 0
        self.life = life
        self.cancel_requested = False
        self.dropped = 0
        self.gone: Tombstone | None = None
        self.successor: SessionRecord | None = None
        self.subscribers: dict[SubscriberBase, None] = {}
        self.waits_for_tick = False

    @property
    def ended(self) -> bool:
        """True once the terminal event is in the log."""
        return self.status in TERMINAL

    @property
    def epoch(self) -> str:
        """Of the log."""
        return self.history.epoch

    # Writing

    def put(self, entry: Entry) -> None:
        """Takes an event from any thread; never waits."""
        if self.status in TERMINAL:
            self.drop("emitted after the end")
            return
        self._inbox.append(entry)
        if len(self._inbox) >= _INBOX_ENTRIES and self._lock.acquire(blocking=False):
            try:
                if not self._busy:
                    self._busy = True
                    try:
                        self._stage()
                    finally:
                        self._busy = False
            finally:
                self._lock.release()
        self.queue()

    def queue(self) -> None:
        """Asks for a publication, once until it happens."""
        if not self._queued:
            self._queued = True
            if not self._hub.enqueue(self):
                self._queued = False

    def drop(self, why: str) -> None:
        """Counts an event that came too late; says so once."""
        self.dropped += 1
        if not self._drop_logged:
            self._drop_logged = True
            _logger.warning("session %s: an event was %s and dropped", self.id, why)

    def commit(self) -> None:
        """Moves everything pending into the log."""
        with _Turn(self) as mine:
            if mine:
                self._commit()

    def _stage(self) -> None:
        """Coalesces the inbox; what is a write's worth goes into the log at once."""
        count = len(self._inbox)
        entries = self._inbox[:count]
        del self._inbox[:count]
        if self.status in TERMINAL:
            self.dropped += count
            return
        if self._outbox is None:
            self._outbox = Outbox(self._hub.encoder, self._hub.settings.max_delta_chars)
        for entry in entries:
            self._outbox.add(entry)
        if len(self._outbox) >= self._hub.settings.max_batch_events:
            self._commit_outbox(self._outbox)

    def _commit(self) -> None:
        if self._inbox:
            self._stage()
        if self._outbox is not None:
            self._commit_outbox(self._outbox)
            self._outbox = None

    def _commit_outbox(self, outbox: Outbox) -> None:
        if outbox:
            self._append(outbox.take())
        if outbox.refused:
            self.dropped += outbox.refused
            outbox.refused = 0

    def _append(self, entries: list[Encoded]) -> None:
        self.history.append(entries)
        self.settle()

    def settle(self) -> None:
        """Tells the registry how many bytes this session holds by now."""
        events = len(self.history) * self._hub.settings.event_overhead_bytes
        held = self.history.size_bytes + events + len(self.life.result or b"")
        if held != self._accounted:
            difference, self._accounted = held - self._accounted, held
            self._hub.account(difference)

    def release(self) -> None:
        """Gives the held bytes back, when the record leaves the registry."""
        self._hub.account(-self._accounted)
        self._accounted = 0

    def transition(self, wire: dict[str, Any], result: bytes | None = None) -> bool:
        """Appends a lifecycle event after everything pending, and moves to the state it leads to.

        Args:
            wire: the event, without what is None.
            result: the encoded result that belongs to a completion.

        Returns:
            False when the session had already ended: the first end wins.

        Raises:
            IllegalTransition: the table has no such step; nothing was changed.
        """
        with _Turn(self) as mine:
            if not mine:
                self._later.append(lambda: self.transition(wire, result))
                return True
            if self.ended:
                return False
            status = next_status(self.status, wire["type"])
            body = self._hub.encoder.lenient(wire)
            self._commit()
            time = self._hub.stamp()
            self._append([Encoded(time, body)])
            self._remember(status, time, result, wire.get("error"))
        self._hub.transitioned(self)
        self.queue()
        return True

    def _remember(
        self, status: SessionStatus, time: str, result: bytes | None, error: dict[str, Any] | None
    ) -> None:
        self.status = status
        if status is SessionStatus.RUNNING:
            self.life.started_at = self.life.started_at or time
        elif status in TERMINAL:
            self.life.ended_at = time
            self.life.result = result
            self.life.error = error
            self.life.on_cancel = []
            self.life.plan = None
            self.settle()

    def request_cancel(self, reason: str | None, by: str | None) -> bool:
        """Asks the session to stop; False when that was done before, or it has ended."""
        with _Turn(self):
            if self.cancel_requested or self.ended:
                return False
            self.cancel_requested = True
            self.life.cancel_reason = reason
            callbacks = list(self.life.on_cancel)
        if self.status is SessionStatus.PENDING:
            self.transition({"type": "session.cancelled", "reason": reason})
            return True
        body = self._hub.encoder.lenient({"type": "cancel.requested", "reason": reason, "by": by})
        self.put(Encoded(self._hub.stamp(), body))
        for callback in callbacks:
            self.call_back(callback)
        return True

    def call_back(self, callback: Callable[[], object]) -> None:
        """Calls the application; what it raises is logged and stops nothing."""
        try:
            callback()
        except Exception:
            _logger.exception("session %s: an on_cancel callback failed", self.id)

    def supersede(self, successor: SessionRecord) -> None:
        """Another epoch takes this one's place; subscribers are told when published."""
        with _Turn(self):
            self.successor = successor
            self.fence += 1
        self.queue()

    def entomb(self) -> Tombstone:
        """Lets everything go but what a tombstone says; subscribers are told when published."""
        with _Turn(self):
            self.gone = Tombstone(
                self.id,
                self.epoch,
                self.status,
                self.life.ended_at or self._hub.stamp(),
                self.history.head,
                self.attempt,
            )
            self.life.result = None
        self.queue()
        return self.gone

    # Reading

    def join(self, subscriber: SubscriberBase, cursor: str | None) -> Joined:
        """Finds a subscriber's position and registers it there, in one step."""
        with _Turn(self):
            self._commit()
            joined = self.look(cursor)
            subscriber.position = joined.answer.position
            self.subscribers[subscriber] = None
        return joined

    def look(self, cursor: str | None) -> Joined:
        """Answers a cursor without registering anybody."""
        with _Turn(self) as mine:
            if mine:
                self._commit()
            history = self.history
            answer = history.join(cursor)
            state = history.base_json() if answer.snapshot or answer.resume is Resume.RESET else None
            return Joined(answer, history.epoch, history.head, self.status, state)

    def leave(self, subscriber: SubscriberBase) -> None:
        """Forgets a subscriber; nothing of the session refers to it afterwards."""
        self.subscribers.pop(subscriber, None)
        self._caught_up(subscriber)

    def take(self, subscriber: SubscriberBase) -> Batch | Resync | Ended | Moved | Tombstone | None:
        """Returns what a subscriber lacks next and moves it there; None when it has all there is."""
        with _Turn(self):
            if self.gone is not None:
                return self.gone
            history = self.history
            if not history.retains(subscriber.position):
                head = history.head
                missed = Missed(subscriber.position + 1, head, "slow")
                subscriber.position = head
                return Resync(missed, head, history.head_json())
            batch = history.batch(subscriber.position)
            if batch is not None:
                subscriber.position = batch.last
                return batch
            if self.successor is not None:
                return Moved(self.successor)
            if self.ended:
                return Ended(self.status, history.head)
        self._caught_up(subscriber)
        return None

    def locked(self, read: Callable[[History], Any]) -> Any:
        """Commits, then reads the history while nobody changes it."""
        with _Turn(self):
            self._commit()
            return read(self.history)

    # Publishing, on the loop's thread

    def publish(self) -> bool:
        """Commits and wakes who lacks something; False when nothing came since the last time."""
        self._queued = False
        self.commit()
        over = self.ended or self.gone is not None or self.successor is not None
        news = (self.history.head, over)
        if news == self._published:
            return False
        self._published = news
        for subscriber in [s for s in self.subscribers if over or s.position < news[0]]:
            if not subscriber.blocked:
                self._behind[subscriber] = None
            subscriber.wake()
        return True

    def _caught_up(self, subscriber: SubscriberBase) -> None:
        subscriber.blocked = False
        if self._behind:
            self._behind.pop(subscriber, None)
            if not self._behind:
                self._release_flushes()

    def await_handed(self, callback: Callable[[], object]) -> bool:
        """Calls back when no subscriber that reads is behind; False when that is so already."""
        if not self._behind:
            return False
        self._flushes.append(callback)
        return True

    def give_up_on_slow(self) -> None:
        """Holds no further flush up for the subscribers that are behind now."""
        for subscriber in self._behind:
            subscriber.blocked = True
        self._behind.clear()
        self._release_flushes()

    def _release_flushes(self) -> None:
        flushes, self._flushes = self._flushes, []
        for callback in flushes:
            callback()


class _Turn:
    """Holds a record's lock; false when this very thread is inside a turn already."""

    __slots__ = ("_mine", "_record")

    def __init__(self, record: SessionRecord) -> None:
        self._record = record
        self._mine = False

    def __enter__(self) -> bool:
        self._record._lock.acquire()
        if not self._record._busy:
            self._record._busy = self._mine = True
        return self._mine

    def __exit__(self, *exc_info: object) -> None:
        record = self._record
        if self._mine:
            record._busy = False
        record._lock.release()
        if self._mine and record._later:
            later, record._later = record._later, []
            for action in later:
                action()
