"""A store's session with what this process has still to bring into its log.

What a producer here emits waits, coalescing, until the committer takes it to the store, one append
at a time. It is in the log, and followed, when the store has it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from .._asking import resolved
from .._core.outbox import Encoded, Outbox
from .._core.states import SessionStatus, next_status
from .._core.thinning import Thinning
from .._inputs import Outcome, Question
from .._life import Hub, Life
from .._record import SessionRecord
from .._wakeup import LoopRef
from ..abc import Append, Appended, Claim, Expected, Log, Refusal, Refused, Stored, Trim
from .outgoing import Outgoing
from .record import CommittedRecord
from .sending import Flight, Move, Once, entry_of
from .upload import Ask, Later, Upload

__all__ = ["Replica"]

_logger = logging.getLogger("agentprogress")


class Replica(CommittedRecord):
    """See the module.

    Attributes:
        upload: what a producer here has still to bring into the log.
        fenced: whether another process took the session from this one.
        given_up: events that were never stored: the session was taken over, or ended, before that.
        pinned: it is held although nobody follows it: it was suspended here.
        claim: by which the session is made; None once it is there.
        loop: the event loop that its producer was begun in; None where none was running.
    """

    __slots__ = ("_outgoing", "claim", "fenced", "given_up", "loop", "pinned", "upload")

    def __init__(
        self, stored: Stored, hub: Hub, life: Life, outgoing: Outgoing, *, owned: bool
    ) -> None:
        super().__init__(stored, hub, life, owned=owned)
        self.upload = Upload(hub, stored.oldest)
        self.fenced = False
        self.given_up = 0
        self.pinned = False
        self.claim: Claim | None = None
        self.loop: LoopRef | None = None
        self._outgoing = outgoing

    # What its producer does

    def queue(self) -> None:
        if not self.upload.touched:
            self.upload.touched = True
            self._outgoing.touch(self)

    def hurry(self) -> None:
        """Lets what is to be sent not wait for a tick."""
        self.upload.hurry()
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

    def collect(self) -> None:
        """Takes everything pending into the queue; in a turn."""
        refused = self.upload.collect(self.staged())  # staging may count drops as well
        self.dropped += refused
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
        self.collect()
        time = self._hub.stamp()
        self.upload.sending.add(Move(entry_of(Encoded(time, body)), time, status, result))
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
        self.collect()
        entry = entry_of(Encoded(self._hub.stamp(), body))
        self.upload.sending.add(Once(entry, f"input:{request_id}"))

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

    def own(self, log: Log, life: Life) -> bool:
        """Becomes the owner by whose claim this log was read; False: that is over by now.

        Others may have claimed the session since, or ended it, and news of them come to any thread.
        """

        def act() -> bool:
            self._load(log)
            session = log.session
            if self.stored.fence > session.fence or self.status is not session.status:
                return False
            life.answer = self.life.answer
            self.life = life
            self.attempt = session.attempt
            self.owned = True
            self.fenced = False
            return True

        owned = self._turn(act)
        self._loaded()
        return owned is True

    def take_over(self) -> None:
        """Goes on with what another owner has left, or with what waited; it was claimed before."""
        wire = {"type": "session.resumed"}
        body = self._encode(wire)

        def act() -> None:
            if self.closed or not self.owned:
                return
            self._withdraw()
            self.fence += 1
            for request in self.history.fold().state()["requests"]:
                request_id = request["request_id"]
                self._resolve_as(request_id, resolved(request_id, Outcome.CANCELLED))
            self._move(wire, body, None, None)

        self._turn(act)
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
        """Calls back when everything emitted so far is stored; False when it is.

        Not called back who asks in the middle of a write: it cannot be stored before that is over.
        """

        def act() -> bool:
            self.collect()
            return self.upload.sending.barrier(callback)

        return self._turn(act) is not False

    def forget_barrier(self, callback: Callable[[], object]) -> None:
        """Calls back no more."""
        self._turn(lambda: self.upload.sending.forget(callback))

    def next_append(self, now: float) -> Append | Later | None:
        """Returns what is to be sent now, the same until it is answered; None: nothing is."""
        made = self._turn(lambda: self.upload.next_append(self, now))
        reached = self._turn(self.upload.sending.idle_barriers) or ()
        self._call_all(reached)
        if reached and not self.owned:
            self._outgoing.used(self)
        return made

    def answered(self, append: Append, answer: Appended | Refused) -> Ask:
        """Takes the store's answer to what `next_append` gave."""
        if isinstance(answer, Appended):
            return self._stored_it(append, answer)
        why, settings = answer.why, self._hub.settings
        if why is Refusal.UNAVAILABLE:
            self.upload.rest(settings.min_store_delay)
            return Ask.NOTHING
        if why in (Refusal.UNKNOWN, Refusal.EPOCH, Refusal.BEHIND) and self.owned:
            return Ask.RECOVER
        if why is Refusal.FULL:
            # Somebody else has to cut the log, unless it is cut here now.
            self.upload.rest(settings.delivery_interval)
            return Ask.TRIM
        if why is Refusal.MOVED:
            self._turn(self.upload.make_anew)
        elif why is not Refusal.ENDED or not self.owned or self.closed:
            if why is Refusal.STATUS and self.owned:
                _logger.error("session %s: the store refuses what it should take", self.id)
            self.lose(fenced=why in (Refusal.FENCED, Refusal.EPOCH))
        # else the end that is read now stops the job, and tells it why
        return Ask.READ

    def _stored_it(self, append: Append, answer: Appended) -> Ask:
        def act() -> tuple[Flight, bool] | None:
            flight = self.upload.sending.landed(append)
            if flight is None:  # it was given up meanwhile, or answered to another thread
                return None
            ours = flight.once is None or not answer.repeated
            whole = ours and self._absorb(answer.first, append.entries)
            if append.status is not None and append.status is not SessionStatus.RUNNING:
                self.owned = False
            return flight, whole

        landed = self._turn(act)
        if landed is None:
            return Ask.READ
        flight, whole = landed
        self._call_all(flight.barriers)
        if flight.move is not None:
            self._hub.transitioned(self, flight.move.status)
        self.announce()
        if not self.owned:
            self._outgoing.used(self)
        return Ask.NOTHING if whole and answer.head == self.history.head else Ask.READ

    def lose(self, *, fenced: bool = False) -> None:
        """Lets go of everything that a producer here has still to store: it is none any more."""
        lost = self._turn(lambda: self._lose(fenced=fenced))
        if lost is not None:
            lost()

    def _lose(self, *, fenced: bool) -> Callable[[], None]:
        """Does so in a turn, and returns what is to be done after it."""
        lost = self.owned and fenced
        self.collect()
        dropped, barriers = self.upload.sending.give_up()
        self.dropped += dropped
        self.given_up += dropped
        self.fence += self.owned
        self.fenced = self.fenced or fenced
        self.owned = False
        self._intended = None
        self.closed = self.ended  # an end that was only intended is none

        def tell() -> None:
            self._call_all(barriers)
            self._outgoing.used(self)
            if lost:
                _logger.warning("session %s: another process has taken it over", self.id)

        return tell

    def supersede(self, successor: SessionRecord) -> None:
        self.lose(fenced=True)
        super().supersede(successor)

    def _know(self, stored: Stored) -> None:
        if self.owned and stored.fence > self.stored.fence:
            # At once: what was sent from now on would bear the fence of the new owner.
            self._later_do(self._lose(fenced=not self.ended))
        super()._know(stored)
        if not self.owned:
            self.upload.stored_log.oldest = stored.oldest

    def _absorb(self, first: int, entries: Sequence[bytes]) -> bool:
        before, log = self.history.head, self.upload.stored_log
        whole = super()._absorb(first, entries)
        log.grow(entries[max(0, before + 1 - first) :])
        if self.owned and log.is_long(self.history, self._hub.settings):
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
        return self._turn(lambda: self.upload.trim(self, full=full))

    def trimmed(self, trim: Trim) -> None:
        """Takes note that the stored log is cut."""
        self._turn(lambda: self.upload.trimmed(trim, self.history.size_bytes))

    def start_over(self, epoch: str, expected: Expected | None) -> None:
        """Goes on in another epoch from the state at its head; the store lost this one's log.

        Args:
            epoch: the new one.
            expected: what is left in the store.
        """

        def act() -> None:
            self._start_over(epoch)
            claim = self.upload.start_over(self, expected)
            self.stored = replace(self.stored, epoch=epoch, fence=claim.fence)
            self.claim = claim

        self._turn(act)
        self.announce()

    # Another process

    def forked(self) -> None:
        """In a process that was forked off: its parent goes on with the session, and owns it.

        What is emitted here goes into the log beside what the parent emits.
        """
        self._lock = threading.RLock()
        self._busy = self._announced = False
        self._inbox, self._outbox, self._later = [], None, None
        self._audience = None
        self._leaving = {}
        self.upload = Upload(self._hub, self.stored.oldest)
        self.owned = self.pinned = False
        self.claim = None

    # An outage

    def weigh(self) -> tuple[int, int]:
        """Returns the events and bytes that wait for the store, after coalescing them."""
        return self._turn(lambda: self.upload.weigh(self.staged())) or (0, 0)

    def thin(self, level: Thinning) -> None:
        """Gives up what does not survive at this level, and remembers to say so."""

        def act() -> None:
            self.dropped += self.upload.thin(self._outbox, level)

        self._turn(act)

    def _call_all(self, callbacks: Sequence[Callable[[], object]]) -> None:
        for callback in callbacks:
            callback()
        self._settled()
        self._let_go()
