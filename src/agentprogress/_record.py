"""One session as the registry keeps it: its life on top of its log, and those who follow it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from ._asking import SessionInputs
from ._core.batch import Batch
from ._core.frames import ALIVE, WAITING, ProducerState
from ._core.history import Joined, Missed, Resume
from ._core.jsonable import encode_json
from ._core.outbox import Encoded
from ._core.states import TERMINAL, TERMINAL_EVENTS, SessionStatus, next_status
from ._following import Audience, Ended, Moved, Resync, SubscriberBase, Tombstone
from ._inputs import Question
from ._life import Hub, Life
from .codes import CODES
from .errors import InvalidEvent

__all__ = [
    "Ended",
    "Hub",
    "Joined",
    "Life",
    "Moved",
    "Resync",
    "SessionRecord",
    "SubscriberBase",
    "Tombstone",
]

_logger = logging.getLogger("agentprogress")


class SessionRecord(SessionInputs):
    """See the module. Attributes are read freely and written under the lock."""

    __slots__ = (
        "__weakref__",
        "_audience",
        "_published",
        "attempt",
        "cancel_requested",
        "fence",
        "gone",
        "life",
        "status",
        "successor",
        "waits_for_tick",
    )

    def __init__(self, session_id: str, epoch: str, attempt: int, hub: Hub, life: Life) -> None:
        super().__init__(session_id, epoch, hub)
        self._published: tuple[object, ...] = ()
        self._audience: Audience | None = None
        self.status = SessionStatus.PENDING
        self.attempt = attempt
        self.fence = 0
        self.life = life
        self.cancel_requested = False
        self.gone: Tombstone | None = None
        self.successor: SessionRecord | None = None
        self.waits_for_tick = False

    @property
    def _record(self) -> SessionRecord:
        return self

    @property
    def epoch(self) -> str:
        """Of the log."""
        return self.history.epoch

    @property
    def subscribers(self) -> Collection[SubscriberBase]:
        """Who follows it."""
        return () if self._audience is None else self._audience.members

    @property
    def audience(self) -> Audience:
        """Who follows it and what they still lack; on the loop's thread only."""
        if self._audience is None:
            self._audience = Audience()
        return self._audience

    # Its life

    def transition(
        self,
        wire: dict[str, Any],
        result: bytes | None = None,
        *,
        only: SessionStatus | None = None,
    ) -> bool:
        """Appends a lifecycle event after everything pending, and moves to the state it leads to.

        Args:
            wire: the event, without what is None.
            result: the encoded result that belongs to a completion.
            only: do it only in this state.

        Returns:
            False when the session had already ended: the first end wins; or was not in that state.

        Raises:
            IllegalTransition: the table has no such step; nothing was changed.
        """
        body = self._encode(wire)
        status = self._turn(
            lambda: self._move(wire, body, result, only),
            lambda: self._postpone(wire, result, only),
        )
        if status is not None:
            self._moved(status)
        self._settled()
        self._let_go()
        return status is not None

    def _moved(self, status: SessionStatus) -> None:
        """Tells the registry of a move; without the lock."""
        self._hub.transitioned(self, status)
        self.queue()

    def _encode(self, wire: dict[str, Any]) -> bytes:
        try:
            return self._hub.encoder.lenient(wire)
        except InvalidEvent:  # in strict settings only
            if wire["type"] not in TERMINAL_EVENTS:
                raise
            # Even then a session must end.
            _logger.exception("session %s: %s cannot be encoded", self.id, wire["type"])
            error = {"code": "internal", "message": CODES["internal"].sentence, "retryable": False}
            told = {"error": error} if "error" in wire else {}
            return encode_json({"type": wire["type"], **told})

    def _move(
        self,
        wire: dict[str, Any],
        body: bytes,
        result: bytes | None,
        only: SessionStatus | None,
    ) -> SessionStatus | None:
        if self.ended or (only is not None and self.status is not only):
            return None
        status = next_status(self.status, wire["type"])
        self._commit()
        time = self._hub.stamp()
        self._append([Encoded(time, body)])
        self.status = status
        if status is SessionStatus.RUNNING:
            self.life.started_at = self.life.started_at or time
        elif status is SessionStatus.PENDING:
            self.life.on_cancel = None
            self._forget_inputs()
        elif status is SessionStatus.WAITING:
            self.life.on_cancel = None
        elif status in TERMINAL:
            self._end(time, result, wire.get("error"))
        return status

    def _end(self, time: str, result: bytes | None, error: dict[str, Any] | None) -> None:
        self.ended = self.closed = True
        life = self.life
        life.ended_at = time
        life.result = result
        life.error = error
        life.on_cancel = life.plan = life.unstarted = life.metadata = None
        self._end_inputs()
        self.beside_bytes = len(result or b"")
        self._account()

    def _postpone(
        self, wire: dict[str, Any], result: bytes | None, only: SessionStatus | None
    ) -> None:
        if self._later is None:
            self._later = deque()
        self._later.append(lambda: self.transition(wire, result, only=only))

    def suspend(self, question: Question, body: bytes, fence: int) -> None:
        """Asks, and waits for the answer without a producer: the one that asks is heard no more.

        Raises:
            SessionEnded, SessionConflict, SessionCancelled, ValueError: as `ask`.
            RuntimeError: called by something that interrupted a write.
        """
        wire = {"type": "session.waiting", "request_id": question.request_id}
        waiting = self._encode(wire)

        def act() -> None:
            inputs = self._admit(fence)
            # Those who wait for another answer are being left too.
            self._withdraw()
            inputs.add(question)
            inputs.answer, self.beside_bytes = None, 0
            self._inbox.append(Encoded(self._hub.stamp(), body))
            self._move(wire, waiting, None, None)
            self.fence += 1

        self._turn(act, _refuse_nested)
        self._moved(SessionStatus.WAITING)
        self._let_go()
        self._asked(question)

    def resume(self) -> bool:
        """Goes on after a wait, with or without the answer; False when it does not wait.

        Raises:
            RuntimeError: called by something that interrupted a write.
        """
        wire = {"type": "session.resumed"}
        resumed = self._encode(wire)

        def act() -> bool:
            if self.status is not SessionStatus.WAITING:
                return False
            self._withdraw()
            self._move(wire, resumed, None, None)
            self.fence += 1
            return True

        moved = self._turn(act, _refuse_nested)
        if moved:
            self._moved(SessionStatus.RUNNING)
        self._settled()
        self._let_go()
        return moved

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Calls back when the session is asked to stop, at once if it was."""
        with self._lock:
            if not self.cancel_requested:
                if self.life.on_cancel is None:
                    self.life.on_cancel = []
                self.life.on_cancel.append(callback)
                return
        self._call_back(callback)

    def request_cancel(self, reason: str | None, by: str | None) -> bool:
        """Asks the session to stop; False when that was done before, or it has ended."""
        with self._lock:
            if self.cancel_requested or self.ended:
                return False
            self.cancel_requested = True
            self.life.cancel_reason = reason
            callbacks, self.life.on_cancel = self.life.on_cancel or (), None
        cancelled = {"type": "session.cancelled", "reason": reason}
        # Without a producer nobody is there to obey.
        for status in (SessionStatus.PENDING, SessionStatus.WAITING):
            if self.transition(cancelled, only=status):
                return True
        body = self._encode({"type": "cancel.requested", "reason": reason, "by": by})
        self.put(Encoded(self._hub.stamp(), body))
        self._cancel_questions()
        for callback in callbacks:
            self._call_back(callback)
        return True

    def _call_back(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except (Exception, SystemExit):  # the thread is the library's, or somebody else's request
            _logger.exception("session %s: an on_cancel callback failed", self.id)

    def supersede(self, successor: SessionRecord) -> None:
        """Another epoch takes this one's place; subscribers are told when published."""
        with self._lock:
            self.successor = successor
            self.fence += 1
        self.queue()

    def tombstone(self) -> Tombstone:
        """Returns what is to be kept of an ended session."""
        ended_at = self.life.ended_at or self._hub.stamp()
        head = self.history.head
        return Tombstone(self.id, self.epoch, self.status, ended_at, head, self.attempt)

    def entomb(self, tombstone: Tombstone) -> None:
        """Lets everything else go; subscribers are told when published."""
        with self._lock:
            self.gone = tombstone
            self.life.result = None
        if self.subscribers:
            self.queue()

    # Reading

    def join(self, subscriber: SubscriberBase, cursor: str | None) -> Joined:
        """Finds a subscriber's position and registers it there, in one step."""

        def join() -> Joined:
            joined = self._answer(cursor)
            subscriber.position = joined.answer.position
            self.audience.add(subscriber)
            return joined

        self.commit()
        return self._reading(join)

    def read(self, cursor: str | None, limit: int) -> tuple[Joined, Batch]:
        """Answers a cursor with up to `limit` events, in one step, without registering anybody."""

        def read() -> tuple[Joined, Batch]:
            joined = self._answer(cursor)
            return joined, self.history.page(joined.answer.position, limit)

        self.commit()
        return self._reading(read)

    def _answer(self, cursor: str | None) -> Joined:
        history = self.history
        answer = history.join(cursor)
        state = history.base_json() if answer.snapshot or answer.resume is Resume.RESET else None
        return Joined(answer, history.epoch, history.head, self.status, state)

    def leave(self, subscriber: SubscriberBase) -> None:
        """Forgets a subscriber; nothing of the session refers to it afterwards."""
        if self._audience is not None:
            self._audience.remove(subscriber)

    def take(self, subscriber: SubscriberBase) -> Batch | Resync | Ended | Moved | Tombstone | None:
        """Returns what a subscriber lacks next and moves it there; None when it has all."""
        taken = self._reading(lambda: self._next(subscriber))
        if taken is None:
            self.audience.caught_up(subscriber)
        return taken

    def _next(
        self, subscriber: SubscriberBase
    ) -> Batch | Resync | Ended | Moved | Tombstone | None:
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
        return Ended(self.status, history.head) if self.ended else None

    def publish(self) -> bool:
        """Commits and wakes who lacks something; False when nothing came since the last time.

        On the loop's thread only.
        """
        self._queued = False
        self.commit()
        over = self._over
        news = (self.history.head, *over)
        if news == self._published:
            return False
        self._published = news
        if self._audience is not None:
            self._audience.tell(self.history.head, everybody=any(over))
        return True

    @property
    def _over(self) -> tuple[bool, ...]:
        """Whether there is something that everybody has to hear, wherever they are."""
        return self.ended, self.gone is not None, self.successor is not None

    @property
    def delivery_interval(self) -> float:
        """Seconds between two publications of a busy session."""
        return self._hub.settings.delivery_interval

    @property
    def producer_state(self) -> ProducerState:
        """What heartbeats say of the producer."""
        return ALIVE if self.status is SessionStatus.RUNNING else WAITING


def _refuse_nested() -> NoReturn:
    raise RuntimeError("A session can neither be suspended nor resumed in the middle of a write.")
