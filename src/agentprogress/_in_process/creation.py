"""How sessions come to be: reserved, begun, taken over, run again. Decides; the engine keeps."""

from __future__ import annotations

from .._core.cursor import check_session_id
from .._core.states import SessionStatus
from .._describing import SessionOptions, describe, ids_by_step, new_life, started
from .._ids import ProcessTag, new_epoch, new_session_id
from .._life import Hub
from .._producer import Producer
from .._record import SessionRecord, Tombstone
from ..errors import SessionConflict
from .held import LocalSessions

__all__ = ["Creation"]


class Creation:
    """Makes the records of one registry. Its caller lets one thread in at a time.

    Args:
        hub: the registry, as its records see it.
        store: where they go.
        tag: names the process in generated ids.
    """

    def __init__(self, hub: Hub, store: LocalSessions, tag: ProcessTag) -> None:
        self._hub = hub
        self._store = store
        self._tag = tag

    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of the session of that id, made now if there is none.

        Raises:
            SessionGone: it has expired, and ``existing`` does not ask for another run.
            InvalidSessionId, TooManySessions: it cannot be made.
        """
        found = self._found(options)
        again = options.get("existing") == "restart"
        if found is None:
            return self._create(options)
        if again and found.status.ended:
            return self._again(found, options)
        if isinstance(found, Tombstone):
            raise found.error()
        return Producer(self._hub, found)

    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe.

        Raises:
            SessionConflict: ``existing`` does not allow it.
            InvalidSessionId, TooManySessions: it cannot be made.
        """
        found = self._found(options)
        if found is None:
            producer = self._create(options)
        elif isinstance(found, SessionRecord) and found.status is SessionStatus.PENDING:
            producer = self._take_over(found, options)
        else:
            producer = self._reopen(found, options)
        record = producer.record
        if record.status is SessionStatus.PENDING:
            self._start(record)
        return producer

    def _found(self, options: SessionOptions) -> SessionRecord | Tombstone | None:
        session_id = options.get("session_id")
        return None if session_id is None else self._store.find(session_id)

    def _take_over(self, record: SessionRecord, options: SessionOptions) -> Producer:
        """Begins a reserved session, or the next attempt of one that is to be retried."""
        record.fence += 1
        if record.life.started_at is not None:
            record.attempt += 1
        describe(self._hub, record.life, options)
        return Producer(self._hub, record)

    def _reopen(self, found: SessionRecord | Tombstone, options: SessionOptions) -> Producer:
        existing, status = options.get("existing"), found.status
        if (
            isinstance(found, SessionRecord)
            and status is SessionStatus.WAITING
            and existing == "resume"
        ):
            if found.resume():
                # Steps that the plan knows keep their places when they run once more.
                found.life.unstarted = ids_by_step(found.life.plan or [])
                return Producer(self._hub, found)
            status = found.status
        session_id = found.id if isinstance(found, SessionRecord) else found.session_id
        if status is SessionStatus.WAITING:
            raise SessionConflict(session_id, status, 'Pass existing="resume" to go on with it.')
        if not status.ended:
            raise SessionConflict(session_id, status, "It already has a producer.")
        if existing != "restart":
            raise SessionConflict(session_id, status, 'Pass existing="restart" to run it again.')
        return self._again(found, options)

    def _again(self, found: SessionRecord | Tombstone, options: SessionOptions) -> Producer:
        producer = self._create(options, attempt=found.attempt + 1, again=True)
        if isinstance(found, SessionRecord):
            found.supersede(producer.record)
        return producer

    def _create(self, options: SessionOptions, attempt: int = 1, again: bool = False) -> Producer:
        session_id = options.get("session_id")
        if session_id is None:
            session_id = new_session_id(self._tag())
        elif not again:
            check_session_id(session_id, chosen=True)
        life, token = new_life(self._hub, options)
        record = SessionRecord(session_id, new_epoch(), attempt, self._hub, life)
        self._store.add(record)
        return Producer(self._hub, record, token)

    def _start(self, record: SessionRecord) -> None:
        event = started(record.life, record.attempt)
        try:
            record.transition(event)
        except BaseException:
            self._store.discard(record)
            raise
