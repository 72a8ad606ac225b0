"""What others than its producer write into a store's session: an answer, a stop, its loss.

Each is done once, wherever it is asked for and however often: the store keeps who was first.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from .._asking import resolved
from .._core.outbox import Encoded
from .._core.states import SessionStatus
from .._core.times import rfc3339
from .._inputs import Outcome, digest
from ..abc import Append, Appended, Refusal, Refused, Store, Stored
from ..errors import (
    InputSettled,
    InvalidAnswer,
    ProgressError,
    SessionUnavailable,
    StoreUnavailable,
)
from ..info import SessionInfo
from .json_schema import problems_with
from .replica import Replica
from .sending import EMITTING, SETTLING, entry_of

if TYPE_CHECKING:
    from .sessions import DurableSessions

__all__ = ["MOST_TRIES", "Control"]

_logger = logging.getLogger("agentprogress")

# Others that may come first between a look and what is written then, before something is wrong.
MOST_TRIES = 100
_WHY_LOST = {
    SessionStatus.PENDING: "nobody has begun it in time",
    SessionStatus.RUNNING: "its producer has gone",
}


class Control:
    """See the module. All of it waits for the store.

    Args:
        sessions: what this process holds.
        store: where sessions live.
    """

    def __init__(self, sessions: DurableSessions, store: Store) -> None:
        self._sessions = sessions
        self._store = store
        self._engine = sessions.engine

    # Cancelling

    def cancel(self, replica: Replica, reason: str | None, by: str | None) -> bool:
        """Asks a session to stop; False when that was done before, or it has ended.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for _ in range(MOST_TRIES):
            if replica.ended or replica.cancel_requested:
                return False
            if replica.status is SessionStatus.RUNNING:
                wire = {"type": "cancel.requested", "reason": reason, "by": by}
                body = self._engine.encoder.lenient(wire)
                answer = self._once(replica, "cancel", body, EMITTING)
                self._read_on(replica)
            else:  # nobody is there to obey
                wire = {"type": "session.cancelled", "reason": reason}
                answer = self._end(replica, wire, SessionStatus.CANCELLED)
            if isinstance(answer, Appended):
                return not answer.repeated
            if answer.why in (Refusal.UNKNOWN, Refusal.EPOCH):
                return False
        return False

    def end_cancelled(self, replica: Replica, reason: str) -> None:
        """Ends a session whatever its producer does, which hears of it."""
        for _ in range(MOST_TRIES):
            if replica.ended:
                return
            wire = {"type": "session.cancelled", "reason": reason}
            self._end(replica, wire, SessionStatus.CANCELLED)

    def _once(
        self,
        replica: Replica,
        key: str,
        body: bytes,
        only: tuple[SessionStatus, ...],
        mark: str = "",
    ) -> Appended | Refused:
        """Writes what is written once."""
        entries = [entry_of(Encoded(self._engine.stamp(), body))]
        head = replica.history.head
        return self._append(
            Append(replica.id, replica.epoch, entries, head, once=key, mark=mark, only=only)
        )

    def _end(
        self,
        replica: Replica,
        wire: dict[str, Any],
        status: SessionStatus,
        lapsed: float | None = None,
    ) -> Appended | Refused:
        """Ends a session that has no producer, as it is known here."""
        time = self._engine.stamp()
        entry = entry_of(Encoded(time, self._engine.encoder.lenient(wire)))
        head = replica.history.head
        answer = self._append(
            Append(
                replica.id,
                replica.epoch,
                [entry],
                head,
                only=(replica.status,),
                lapsed=lapsed,
                at_head=head,
                status=status,
                ending=replica.locked(lambda _: replica.ending(time, [entry])),
            )
        )
        self._read_on(replica)
        if isinstance(answer, Appended):
            self._engine.transitioned(replica, status)
        return answer

    def _read_on(self, replica: Replica) -> None:
        self._sessions.ask(lambda: self._sessions.refresh([replica]))

    def _append(self, append: Append) -> Appended | Refused:
        answer = self._sessions.write(lambda: self._store.append([append])[0])
        if isinstance(answer, Refused) and answer.why is Refusal.UNAVAILABLE:
            raise SessionUnavailable([append.session_id])
        return answer

    # Lost sessions

    def end_lost(self, session: Stored, age: float) -> None:
        """Ends a session whose producer is gone, unless it has come back.

        Args:
            session: whose lease has run out.
            age: seconds for which the lease must have been over.
        """
        try:
            replica = self._sessions.record(session.session_id)
        except StoreUnavailable:
            raise
        except ProgressError:
            return
        if replica.owned or replica.ended:
            return
        wire: dict[str, Any] = {"type": "session.lost"}
        if session.status is SessionStatus.PENDING:
            wire["reason"] = "never_started"
        else:
            ago = self._sessions.settings.lease_ttl - (session.lease_left or 0.0)
            wire["last_seen"] = rfc3339(self._sessions.clock.wall() - ago)
        answer = self._end(replica, wire, SessionStatus.LOST, lapsed=age)
        if isinstance(answer, Appended):
            _logger.warning("session %s is lost: %s", replica.id, _WHY_LOST[session.status])

    # Answers

    def answer(self, replica: Replica, request_id: str, value: Any, by: str | None) -> None:
        """Gives a question its answer; an equal one once more changes nothing.

        Raises:
            InputSettled: no such question is open, nor was it answered like this.
            InvalidAnswer: the answer does not fit; the question stays open.
            StoreUnavailable: the store does not answer.
        """
        request = self._open_request(replica, request_id)
        plain, encoded = replica.plain_answer(request_id, value)
        mark = b64encode(digest(plain)).decode()
        if request is None:
            if self._earlier_mark(replica, request_id) == mark:
                return
            raise InputSettled(replica.id, request_id)
        if self._has_expired(request):
            self._expire(replica, request_id)
            raise InputSettled(replica.id, request_id)
        self._check(replica, request, plain, encoded)
        body = replica.told_answer(request_id, plain, by)
        answer = self._once(replica, f"input:{request_id}", body, SETTLING, mark)
        self._read_on(replica)
        if isinstance(answer, Refused) or (answer.repeated and answer.mark != mark):
            raise InputSettled(replica.id, request_id)

    def _open_request(self, replica: Replica, request_id: str) -> dict[str, Any] | None:
        requests = replica.locked(lambda history: list(history.fold().state()["requests"]))
        return next((one for one in requests if one["request_id"] == request_id), None)

    def _earlier_mark(self, replica: Replica, request_id: str) -> str | None:
        """Returns the mark of an answer that is still in the history."""
        for frame in replica.locked(lambda history: history.find(b'"input.resolved"')):
            event = from_json(frame)
            if (event["type"], event.get("request_id"), event.get("outcome")) == (
                "input.resolved",
                request_id,
                Outcome.ANSWERED,
            ):
                return b64encode(digest(event.get("value"))).decode()
        return None

    def _has_expired(self, request: dict[str, Any]) -> bool:
        expires_at = request.get("expires_at")
        if expires_at is None:
            return False
        now = datetime.fromtimestamp(self._sessions.clock.wall(), UTC)
        return datetime.fromisoformat(expires_at) <= now

    def _expire(self, replica: Replica, request_id: str) -> None:
        body = resolved(request_id, Outcome.EXPIRED)
        self._once(replica, f"input:{request_id}", body, SETTLING)
        self._read_on(replica)

    def _check(self, replica: Replica, request: dict[str, Any], plain: Any, encoded: bytes) -> None:
        """Checks an answer by the question's own type where it was asked, else by its schema."""
        request_id = request["request_id"]
        question = replica.open_question(request_id)
        if question is not None:
            replica.read_answer(question, plain, encoded)
            return
        problems = problems_with(plain, request.get("schema"), self._sessions.settings)
        if problems:
            raise InvalidAnswer(replica.id, request_id, problems)

    def tell_answered(self, info: SessionInfo, request_id: str) -> None:
        """Calls the application's `on_answer` back, in one process of all that could.

        Called in the thread for that: what other callbacks keep from being called here may be
        called elsewhere.

        Args:
            info: of the session, as it was when its question was settled.
            request_id: of the question.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        held = self._sessions.replicas.get(info.id)
        if self._engine.draining or (held is not None and not held.waits_for(request_id)):
            return
        only = (SessionStatus.WAITING,)
        once = f"told:{request_id}"
        answer = self._append(Append(info.id, info.epoch, [], info.head, once=once, only=only))
        if not isinstance(answer, Appended) or answer.repeated:
            return

        def call() -> None:
            self._engine.tell(self._engine.on_answer, info, "on_answer")

        async def call_in_task() -> None:
            call()

        # In a task, so that it may start the job that goes on.
        self._engine.run_in_loop(call_in_task, lambda: self._sessions.answers.call_next(call))
