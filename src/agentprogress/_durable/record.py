"""A record of a store's session: its log holds what is committed, whoever wrote it.

There is one way in, `absorb`, in the order of seqs. Events that mean something to those who keep
the session, and not only to viewers, are heard on the way.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from pydantic_core import from_json

from .._core.batch import Batch
from .._core.cursor import Cursor
from .._core.frames import ProducerState
from .._core.history import History, Joined, framed
from .._core.jsonable import encode_json
from .._core.states import TERMINAL_EVENTS, SessionStatus
from .._following import Ended, Moved, Resync, SubscriberBase, Tombstone
from .._inputs import Outcome
from .._life import Hub, Life
from .._record import SessionRecord
from ..abc import Ending, Log, Stored
from .details import decode_details, encode_details

__all__ = ["CommittedRecord"]

_TELLING = re.compile(
    rb'\{"time":"[^"]*","type":"(session\.\w+|cancel\.requested|input\.resolved)"'
)
_STATUS = {
    "session.started": SessionStatus.RUNNING,
    "session.resumed": SessionStatus.RUNNING,
    "session.waiting": SessionStatus.WAITING,
    "session.retrying": SessionStatus.PENDING,
    **TERMINAL_EVENTS,
}


class CommittedRecord(SessionRecord):
    """See the module. What a producer here has still to send is its subclass's.

    Attributes:
        stored: what the store knew of it when it was last asked.
        owned: whether the session's producer is in this process.
    """

    __slots__ = (
        "_announced",
        "_doubted",
        "_heard_at",
        "_intended",
        "_leaving",
        "_suspended_with",
        "owned",
        "stored",
    )

    def __init__(self, stored: Stored, hub: Hub, life: Life, *, owned: bool) -> None:
        super().__init__(stored.session_id, stored.epoch, stored.attempt, hub, life)
        self.status = stored.status
        self.stored = stored
        self.owned = owned
        self._intended: SessionStatus | None = None
        # The question that it was last suspended with, once that was heard in the log.
        self._suspended_with: str | None = None
        self._heard_at = hub.clock.monotonic()
        self._leaving: dict[SubscriberBase, None] = {}
        self._announced = False
        # Cursors of another log of this epoch, which was lost.
        self._doubted: list[str] = []

    @property
    def intended(self) -> SessionStatus:
        return self._intended or self.status

    @property
    def last_answer(self) -> Any:
        typed = super().last_answer
        return self.life.answer if typed is None else typed

    def waits_for(self, request_id: str) -> bool:
        """True while it is suspended until this question is settled, or was until just now."""
        return self.status is SessionStatus.WAITING and self._suspended_with == request_id

    def _suspend(self, request_id: str | None) -> None:
        """From now on only the answer to this question is what it waits for; with the lock."""
        self._suspended_with = request_id
        self.life.answer = None
        if self._inputs is not None:
            self._inputs.answer = None

    @property
    def delivery_interval(self) -> float:
        # What comes from a store was gathered there: for few followers it is not gathered again.
        settings = self._hub.settings
        gathered = len(self.subscribers) / settings.unbatched_deliveries_per_second
        return min(settings.delivery_interval, gathered)

    @property
    def producer_state(self) -> ProducerState:
        if self.status is not SessionStatus.RUNNING or self.owned:
            return super().producer_state
        left = self.stored.lease_left
        if self.stored.stalled:
            return ProducerState("stalled", self.stored.stalled)
        if left is not None and left <= 0:
            return ProducerState("stalled", "silent")
        return super().producer_state

    @property
    def lease_ends(self) -> float:
        """Monotonic time at which another's lease runs out, as far as is known; never: inf."""
        left = self.stored.lease_left
        return inf if left is None or left <= 0 or self.owned else self._heard_at + left

    @property
    def may_return(self) -> bool:
        """True while a producer elsewhere may live, and bring back what the store has lost."""
        left = self.stored.lease_left
        running = self.status is SessionStatus.RUNNING
        now = self._hub.clock.monotonic()
        return running and left is not None and now < self._heard_at + left

    def details(self) -> bytes:
        """Returns what is kept with the session besides its log."""
        return encode_details(self.life, self._hub.encoder.describe)

    def ending(self, time: str, entries: Sequence[bytes], result: bytes | None = None) -> Ending:
        """Returns what is stored with a terminal event, the last of these entries."""
        return Ending(
            ended_at=time,
            state=self.history.state_after(entries),
            result=result,
            history_ttl=self.life.history_ttl,
            result_ttl=self.life.result_ttl,
            tombstone_ttl=self._hub.settings.tombstone_ttl,
        )

    # What comes from the store

    def load(self, log: Log) -> None:
        """Takes over a log that was read as a whole, or on from this one's head."""
        self._turn(lambda: self._load(log))
        self._loaded()

    def _load(self, log: Log) -> None:
        if log.first > self.history.head + 1:
            self.history.go_on_from(log.first - 1, log.base)
            if log.base is not None:
                self._recall(from_json(log.base))
        self._absorb(log.first, log.entries)
        self._know(log.session)

    def _loaded(self) -> None:
        """Does what comes after a log was taken over; without the lock."""
        self._settled()
        self._let_go()
        self.announce()

    def agrees_with(self, log: Log) -> bool:
        """False where the last event that both have is not the same."""

        def compare(history: History) -> bool:
            seq = min(history.head, log.session.head)
            if seq < max(history.oldest, log.first):
                return True
            return history.page(seq - 1, 1).frames[0] == framed(log.entries[seq - log.first], seq)

        return self.locked(compare)

    def _recall(self, state: dict[str, Any]) -> None:
        """Takes over what a state tells; what comes after it is heard event by event."""
        self.status = SessionStatus(state["status"])
        self.cancel_requested = state["cancel_requested"]
        self.life.started_at = state["started_at"]
        self._suspend(None)  # what was answered meanwhile is kept with the session
        if self.status.ended:
            self._over_at(state["ended_at"], state["error"])

    def know(self, stored: Stored) -> None:
        """Takes note of what the store knows besides the log."""
        self._turn(lambda: self._know(stored))
        self._settled()

    def _know(self, stored: Stored) -> None:
        if stored.fence < self.stored.fence:
            return  # it was read before the present owner came
        self.stored = stored
        self._heard_at = self._hub.clock.monotonic()
        if not self.owned:
            heard = self.life.answer
            decode_details(stored.details, self.life)
            if self._suspended_with is not None:
                self.life.answer = heard
        if stored.gone:
            if not self.ended:
                self.status = stored.status
                self._over_at(stored.ended_at, None, "deleted")
            self._later_do(lambda: self.entomb(self.tombstone()))
        elif self.ended and stored.oldest > stored.head and len(self.history):
            self.history.sweep()
            self._account()

    def _absorb(self, first: int, entries: Sequence[bytes]) -> bool:
        """Puts committed events into the log; False where some before them are missing."""
        skip = self.history.head + 1 - first
        if skip < 0:
            return False
        fresh = entries[skip:]
        for entry in fresh:
            if _TELLING.match(entry):
                self._hear(from_json(entry))
        self.history.extend(fresh)
        self._account()
        return True

    def _hear(self, event: dict[str, Any]) -> None:
        status = _STATUS.get(event["type"])
        if status is not None:
            self._arrive(status, event)
        elif event["type"] == "input.resolved":
            if event["request_id"] == self._suspended_with:
                self.life.answer = event.get("value")
            self._later_do(lambda: self._hear_answer(event))
        elif not self.cancel_requested:
            self._later_do(lambda: self._obey(event.get("reason")))

    def _arrive(self, status: SessionStatus, event: dict[str, Any]) -> None:
        self.status = status
        if status is self._intended or status.ended:
            self._intended = None
        if status is SessionStatus.RUNNING:
            self.life.started_at = self.life.started_at or event["time"]
            self.attempt = event.get("attempt", self.attempt)
        elif status is SessionStatus.WAITING:
            self._suspend(event["request_id"])
        elif status.ended:
            self._over_at(event["time"], event.get("error"), event.get("reason"))
            self._end_inputs()

    def _over_at(
        self, time: str | None, error: dict[str, Any] | None, reason: str | None = None
    ) -> None:
        life = self.life
        life.ended_at, life.error = time, error
        callbacks, life.on_cancel = life.on_cancel or (), None
        life.plan = life.unstarted = None
        if self.owned and not self.closed:  # ended by somebody else than its producer
            self.cancel_requested, life.cancel_reason = True, reason
            self._later_do(lambda: self._be_ended(callbacks))
        self.ended = self.closed = True

    def _be_ended(self, callbacks: Iterable[Callable[[], object]]) -> None:
        """Somebody else has ended the session while its job runs here: it has to stop."""
        for callback in callbacks:
            self._call_back(callback)

    def _obey(self, reason: str | None) -> None:
        """Somebody asks the session to stop: tells those of its job that are here."""
        with self._lock:
            if self.cancel_requested:
                return
            self.cancel_requested = True
            self.life.cancel_reason = reason
            callbacks, self.life.on_cancel = self.life.on_cancel or (), None
        if self.owned:
            self._cancel_questions()
        for callback in callbacks:
            self._call_back(callback)

    def _hear_answer(self, event: dict[str, Any]) -> None:
        """A question is settled, here or elsewhere: those who wait for it go on."""
        request_id, outcome = event["request_id"], Outcome(event["outcome"])
        question = self.open_question(request_id)
        if question is not None:
            if outcome is Outcome.ANSWERED:
                question.take(event.get("value"))
            with self._lock:
                inputs = self._inputs
                if inputs is not None and question.outcome is None:
                    inputs.settle(question, outcome)
                    if request_id == self._suspended_with:
                        inputs.answer = question.value
                    self._closed = [*self._closed, question]
            self._let_go()
        if self.waits_for(request_id) and outcome is not Outcome.CANCELLED:
            self._answer_came(request_id)

    def _answer_came(self, request_id: str) -> None:
        """A suspended session has what it waits for, or never will."""

    # Those who follow

    def announce(self) -> None:
        """Asks for a publication, once until it happens."""
        if not self._announced:
            self._announced = True
            if not self._hub.enqueue(self):
                self._announced = False

    def publish(self) -> bool:
        self._announced = False
        return super().publish()

    def disappear(self) -> None:
        """The store does not know it any more: those who follow have to look for it again."""
        if self.ended:
            self.entomb(self.tombstone())
            return
        self._turn(self._send_away)
        self.announce()

    def _start_over(self, epoch: str) -> None:
        """Goes on in another epoch from the state at the head; with the lock."""
        seq = self.history.head
        state = {**from_json(self.history.head_json()), "epoch": epoch}
        self.history = History(self.id, epoch, self._hub.settings)
        self.history.go_on_from(seq, encode_json(state) if seq else None)
        self._send_away()

    def _send_away(self) -> None:
        """Has everybody join anew; with the lock."""
        self._leaving = dict.fromkeys(self.subscribers)

    def entomb(self, tombstone: Tombstone) -> None:
        super().entomb(tombstone)
        self.announce()

    def supersede(self, successor: SessionRecord) -> None:
        super().supersede(successor)
        self.announce()

    def _next(
        self, subscriber: SubscriberBase
    ) -> Batch | Resync | Ended | Moved | Tombstone | None:
        if subscriber in self._leaving:
            del self._leaving[subscriber]
            return Moved(self)
        taken = super()._next(subscriber)
        if isinstance(taken, Moved) and taken.record.epoch == self.epoch and subscriber.remote:
            # Its client comes back with a cursor that might fit, by its number alone.
            assert isinstance(taken.record, CommittedRecord)
            taken.record._doubted.append(str(Cursor(self.epoch, subscriber.position)))
        return taken

    def _answer(self, cursor: str | None) -> Joined:
        if cursor in self._doubted:
            self._doubted.remove(cursor)
            cursor = ""  # of no log
        return super()._answer(cursor)

    @property
    def _over(self) -> tuple[bool, ...]:
        return *super()._over, bool(self._leaving)

    def leave(self, subscriber: SubscriberBase) -> None:
        self._leaving.pop(subscriber, None)
        super().leave(subscriber)

    def _later_do(self, act: Callable[[], object]) -> None:
        """Has something done at the end of the turn, without the lock."""
        if self._later is None:
            self._later = deque()
        self._later.append(act)
