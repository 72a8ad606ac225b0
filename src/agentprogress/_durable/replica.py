"""A store's session with what this process has still to bring into its log.

What a producer here emits waits, coalescing, until the committer takes it to the store, one append
at a time. It is in the log, and followed, when the store has it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from pydantic_core import from_json

from .._asking import resolved
from .._core.history import History
from .._core.jsonable import encode_json
from .._core.outbox import Encoded, Outbox
from .._core.states import SessionStatus, next_status
from .._core.thinning import Thinning, dropped_event
from .._inputs import Outcome, Question
from .._life import Hub, Life
from .._record import SessionRecord
from .._wakeup import LoopRef
from ..abc import Append, Appended, Claim, Expected, Refusal, Refused, Stored, Trim
from .outgoing import Ask, Later, Outgoing
from .record import CommittedRecord
from .sending import EMITTING, SETTLING, Flight, Move, Once, Sending, entry_of
from .stored_log import StoredLog, most_stored

__all__ = ["Replica"]

_logger = logging.getLogger("agentprogress")


class Replica(CommittedRecord):
    """See the module.

    Attributes:
        sending: what a producer here has still to bring into the log.
        fenced: whether another process took the session from this one.
        given_up: how many events were to be stored when that, or the session's end, came first.
        pinned: it is held although nobody follows it: it was suspended here.
        claim: by which the session is made; None once it is there.
        loop: the event loop that its producer was begun in; None where none was running.
    """

    __slots__ = (
        "_lost_types",
        "_not_before",
        "_outgoing",
        "_sent_at",
        "_stored_log",
        "_touched",
        "_urgent",
        "claim",
        "fenced",
        "given_up",
        "loop",
        "pinned",
        "sending",
    )

    def __init__(
        self, stored: Stored, hub: Hub, life: Life, outgoing: Outgoing, *, owned: bool
    ) -> None:
        super().__init__(stored, hub, life, owned=owned)
        self.sending = Sending()
        self.fenced = False
        self.given_up = 0
        self.pinned = False
        self.claim: Claim | None = None
        self.loop: LoopRef | None = None
        self._outgoing = outgoing
        self._sent_at = self._not_before = -inf
        self._lost_types: dict[str, int] = {}
        self._stored_log = StoredLog(stored.oldest)
        self._touched = False
        self._urgent = False

    # What its producer does

    def queue(self) -> None:
        if not self._touched:
            self._touched = True
            self._outgoing.touch(self)

    def hurry(self) -> None:
        """Lets what is to be sent not wait for a tick."""
        self._urgent = True
        self._outgoing.touch(self, urgent=True)

    def _commit(self) -> None:
        """Nothing: what is pending is in no log before the store has it."""

    def _commit_outbox(self, outbox: Outbox) -> None:
        """Nothing: what is pending goes on coalescing until it is sent."""

    def _stage(self, most: int) -> None:
        super()._stage(most)
        outbox = self._outbox
        if outbox is not None and len(outbox) >= self._hub.settings.max_outbox_events:
            self._outgoing.touch(self)  # the store is away, and this is too much to wait with

    def _collect(self) -> None:
        """Moves everything pending into the queue; with the lock."""
        if self._inbox:
            self._stage(len(self._inbox))
        if self._lost_types:
            # The library's own words and counts: there is nothing in it to hide.
            told = encode_json(dropped_event(self._lost_types))
            self._lost_types = {}
            self.sending.add_events([Encoded(self._hub.stamp(), told)])
        if self._outbox is not None:
            self.sending.add_events(self._outbox.take())
            self.dropped += self._outbox.refused
            self._outbox = None

    def _move(
        self,
        wire: dict[str, Any],
        body: bytes,
        result: bytes | None,
        only: SessionStatus | None,
    ) -> SessionStatus | None:
        if self.closed or not self.owned or (only is not None and self.intended is not only):
            return None
        status = next_status(self.intended, wire["type"])
        self._collect()
        time = self._hub.stamp()
        self.sending.add(Move(entry_of(Encoded(time, body)), time, status, result))
        self._intended = status
        self.closed = status.ended
        if status is SessionStatus.RUNNING:
            self.life.started_at = self.life.started_at or time
        else:
            self.life.on_cancel = None
        if status is SessionStatus.WAITING:
            self.life.answer = None
        elif status is SessionStatus.PENDING:
            self.fence += 1  # the next attempt is another's
            self._forget_inputs()
        return status

    def _moved(self, status: SessionStatus) -> None:
        # The registry is told when the store has it.
        self.pinned = status is SessionStatus.WAITING
        self.hurry()

    def _resolve_as(self, request_id: str, body: bytes) -> None:
        self._collect()
        entry = entry_of(Encoded(self._hub.stamp(), body))
        self.sending.add(Once(entry, f"input:{request_id}"))

    def settle(self, question: Question, outcome: Outcome, answer: Any = None) -> bool:
        if outcome is not Outcome.EXPIRED:
            return super().settle(question, outcome, answer)
        # Somebody may just have answered it elsewhere: the store decides who was first.
        with self._lock:
            if question.outcome is not None or question.deadline is None:
                return False
            self._resolve_as(question.request_id, resolved(question.request_id, outcome))
            question.deadline = None
        self._hub.unwatch(question)
        self.hurry()
        return True

    def take_over(self) -> None:
        """Goes on with what another owner has left, or with what waited; it was claimed before."""
        wire = {"type": "session.resumed"}
        body = self._encode(wire)

        def act() -> None:
            self._withdraw()
            self.fence += 1
            for request in self.history.fold().state()["requests"]:
                request_id = request["request_id"]
                self._resolve_as(request_id, resolved(request_id, Outcome.CANCELLED))
            self._move(wire, body, None, None)

        self._turn(act, _nothing)
        self._let_go()
        self._moved(SessionStatus.RUNNING)

    # Control: by whoever may, wherever the producer is

    def request_cancel(self, reason: str | None, by: str | None) -> bool:
        if self.owned:
            return super().request_cancel(reason, by)
        return self._outgoing.cancel(self, reason, by)

    def answer(self, request_id: str, value: Any, by: str | None) -> None:
        self._outgoing.answer(self, request_id, value, by)

    def _answer_came(self, request_id: str) -> None:
        self._outgoing.resolved(self, request_id)

    # What goes to the store

    def barrier(self, callback: Callable[[], object]) -> bool:
        """Calls back when everything emitted so far is stored; False when it is."""

        def act() -> bool:
            self._collect()
            return self.sending.barrier(callback)

        return self._turn(act, lambda: False)

    def forget_barrier(self, callback: Callable[[], object]) -> None:
        """Calls back no more."""
        self._turn(lambda: self.sending.forget(callback), _nothing)

    def next_append(self, now: float) -> Append | Later | None:
        """Returns what is to be sent now, the same until it is answered; None: nothing is."""

        def act() -> Append | Later | None:
            self._touched = False
            if now < self._not_before:
                self._touched = True
                return Later(self._not_before)
            if self.sending.flight is None and not self._is_due(now):
                self._touched = True
                return Later(self._sent_at + self._hub.settings.delivery_interval)
            self._urgent = False
            if self.sending.flight is None:
                self._collect()
            flight = self.sending.next(self._hub.settings)
            if flight is None:
                return None
            self._sent_at = now
            if flight.append is None:
                flight.append = self._append_of(flight)
            return flight.append

        made = self._turn(act, _nothing)
        reached = self._turn(self.sending.idle_barriers, _none)
        self._call_all(reached)
        if reached and not self.owned:
            self._outgoing.used(self)
        return made

    def _is_due(self, now: float) -> bool:
        if self._urgent or now >= self._sent_at + self._hub.settings.delivery_interval:
            return True
        if self._inbox:
            self._stage(len(self._inbox))
        # What stands alone gains nothing by waiting.
        return self._outbox is None or not self._outbox.coalesces

    def _append_of(self, flight: Flight) -> Append:
        entries = flight.entries
        move, settings = flight.move, self._hub.settings
        status = None if move is None else move.status
        lease = details = ending = None
        if status is SessionStatus.RUNNING:
            lease, details = settings.lease_ttl, self.details()
        elif status is SessionStatus.PENDING:
            lease = settings.pending_ttl
        elif status is SessionStatus.WAITING:
            lease, details = 0.0, self.details()
        elif move is not None:
            ending = self.ending(move.time, entries, move.result)
        # What is written once, and an end, must not depend on an owner who may be gone.
        bounded = flight.once is None and ending is None
        max_events, max_bytes = most_stored(settings) if bounded else (None, None)
        return Append(
            self.id,
            self.epoch,
            entries,
            known_head=self.history.head,
            max_events=max_events,
            max_bytes=max_bytes,
            fence=self.stored.fence if self.owned else None,
            producer_id=self.sending.producer_id,
            producer_seq=flight.number,
            once=flight.once,
            only=() if self.owned else EMITTING if flight.once is None else SETTLING,
            at_head=None if ending is None else self.history.head,
            status=status,
            lease=lease,
            details=details,
            ending=ending,
        )

    def answered(self, append: Append, answer: Appended | Refused) -> Ask:
        """Takes the store's answer to what `next_append` gave."""
        if isinstance(answer, Appended):
            return self._stored_it(append, answer)
        why, settings = answer.why, self._hub.settings
        if why is Refusal.UNAVAILABLE:
            self._rest(settings.min_store_delay)
            return Ask.NOTHING
        if why in (Refusal.UNKNOWN, Refusal.BEHIND) and self.owned:
            return Ask.RECOVER
        if why is Refusal.FULL:
            # Somebody else has to cut the log, unless it is cut here now.
            self._rest(settings.delivery_interval)
            return Ask.TRIM
        if why is Refusal.MOVED:
            self._turn(self._make_anew, _nothing)
        elif why is not Refusal.ENDED or not self.owned or self.closed:
            if why is Refusal.STATUS and self.owned:
                _logger.error("session %s: the store refuses what it should take", self.id)
            self.lose(fenced=why in (Refusal.FENCED, Refusal.EPOCH))
        # else the end that is read now stops the job, and tells it why
        return Ask.READ

    def _rest(self, pause: float) -> None:
        """Sends nothing for so many seconds."""
        self._not_before = self._hub.clock.monotonic() + pause

    def _make_anew(self) -> None:
        if self.sending.flight is not None:
            self.sending.flight.append = None

    def _stored_it(self, append: Append, answer: Appended) -> Ask:
        def act() -> tuple[Flight | None, bool, Sequence[Callable[[], object]]]:
            flight = self.sending.flight
            if flight is None or flight.append is not append:
                return None, False, ()
            ours = flight.once is None or not answer.repeated
            whole = ours and self._absorb(answer.first, append.entries)
            if append.status is not None and append.status is not SessionStatus.RUNNING:
                self.owned = False
            return flight, whole, self.sending.landed()

        flight, whole, barriers = self._turn(act, _lost)
        if flight is None:  # it was given up meanwhile, or answered to another thread
            return Ask.READ
        self._call_all(barriers)
        if flight.move is not None:
            self._hub.transitioned(self, flight.move.status)
        self.announce()
        if not self.owned:
            self._outgoing.used(self)
        return Ask.NOTHING if whole and answer.head == self.history.head else Ask.READ

    def lose(self, *, fenced: bool = False) -> None:
        """Lets go of everything that a producer here has still to store: it is none any more."""
        lost = self.owned and fenced

        def act() -> Sequence[Callable[[], object]]:
            self._collect()
            dropped, barriers = self.sending.give_up()
            self.dropped += dropped
            self.given_up += dropped
            self.fence += self.owned
            self.fenced = self.fenced or lost
            self.owned = False
            self._intended = None
            return barriers

        self._call_all(self._turn(act, _none))
        self._outgoing.used(self)
        if lost:
            _logger.warning("session %s: another process has taken it over", self.id)

    def supersede(self, successor: SessionRecord) -> None:
        self.lose(fenced=True)
        super().supersede(successor)

    def _know(self, stored: Stored) -> None:
        if self.owned and stored.fence > self.stored.fence:
            # No append was refused yet, but the next one would be.
            self._later_do(lambda: self.lose(fenced=True))
        super()._know(stored)
        if not self.owned:
            self._stored_log.oldest = stored.oldest

    def _absorb(self, first: int, entries: Sequence[bytes]) -> bool:
        before = self.history.head
        whole = super()._absorb(first, entries)
        self._stored_log.grow(entries[max(0, before + 1 - first) :])
        if self.owned and self._stored_log.is_long(self.history, self._hub.settings):
            self._later_do(self.queue)  # others have written: nothing of ours would bring a cut
        return whole

    def _arrive(self, status: SessionStatus, event: dict[str, Any]) -> None:
        super()._arrive(status, event)
        if self.pinned and status is not SessionStatus.WAITING:  # it goes on elsewhere, or is over
            self.pinned = False
            self._later_do(lambda: self._outgoing.used(self))

    def _be_ended(self, callbacks: Iterable[Callable[[], object]]) -> None:
        self.lose()
        super()._be_ended(callbacks)

    # The stored log

    def trim(self, *, full: bool = False) -> Trim | None:
        """Returns a cut of the stored log, if it is time for one, or it is full."""

        def act() -> Trim | None:
            history, log = self.history, self._stored_log
            due = full or log.is_long(history, self._hub.settings)
            if not (self.owned and due and history.oldest > log.oldest):
                return None
            seq = history.oldest - 1
            return Trim(self.id, self.epoch, self.stored.fence, seq, history.base_json())

        return self._turn(act, _nothing)

    def trimmed(self, trim: Trim) -> None:
        """Takes note that the stored log is cut."""
        self._stored_log.cut(trim.seq, self.history.size_bytes)
        self._not_before = -inf

    def start_over(self, epoch: str, expected: Expected | None) -> None:
        """Goes on in another epoch from the state at its head; the store lost this one's log.

        Args:
            epoch: the new one.
            expected: what is left in the store.
        """

        def act() -> None:
            old, settings = self.history, self._hub.settings
            seq = old.head
            state = {**from_json(old.head_json()), "epoch": epoch}
            self.history = History(self.id, epoch, settings)
            self.history.go_on_from(seq, encode_json(state) if seq else None)
            self._send_away()
            self._stored_log.cut(seq, 0)
            self.sending.start_over()
            running = self.status is SessionStatus.RUNNING
            self.claim = Claim(
                session_id=self.id,
                expected=expected,
                epoch=epoch,
                status=self.status,
                attempt=self.attempt,
                fence=self.stored.fence,
                owner=self.life.owner,
                created=self.stored.created,
                details=self.details(),
                ttl=settings.live_ttl,
                lease=settings.lease_ttl if running else None,
                base_seq=seq,
                base=self.history.base_json() if seq else b"",
            )

        self._turn(act, _nothing)
        self.announce()

    # Another process

    def forked(self) -> None:
        """In a process that was forked off: its parent goes on with the session, and owns it.

        What is emitted here goes into the log beside what the parent emits.
        """
        self._lock = threading.RLock()
        self._busy = self._touched = self._announced = False
        self._inbox, self._outbox, self._later = [], None, None
        self._audience = None
        self._leaving = {}
        self.sending = Sending()
        self.owned = self.pinned = False
        self.claim = None

    # An outage

    def weigh(self) -> tuple[int, int]:
        """Returns the events and bytes that wait for the store, after coalescing them."""

        def act() -> tuple[int, int]:
            if self._inbox:
                self._stage(len(self._inbox))
            events, size = len(self.sending), self.sending.size_bytes
            if self._outbox is None:
                return events, size
            return events + len(self._outbox), size + self._outbox.size_bytes

        return self._turn(act, lambda: (0, 0))

    def thin(self, level: Thinning) -> None:
        """Gives up what does not survive at this level, and remembers to say so."""

        def act() -> None:
            lost = [self.sending.thin(level)]
            if self._outbox is not None:
                lost.append(self._outbox.thin(level))
            for counts in lost:
                for kind, count in counts.items():
                    self._lost_types[kind] = self._lost_types.get(kind, 0) + count
                    self.dropped += count

        self._turn(act, _nothing)

    def _call_all(self, callbacks: Sequence[Callable[[], object]]) -> None:
        for callback in callbacks:
            callback()
        self._settled()
        self._let_go()


def _nothing() -> None: ...


def _none() -> Sequence[Callable[[], object]]:
    return ()


def _lost() -> tuple[Flight | None, bool, Sequence[Callable[[], object]]]:
    return None, False, ()
