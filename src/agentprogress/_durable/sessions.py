"""Sessions that live in a store: which of them this process holds, and how it comes by them.

Who follows or produces has a `Replica` here. A committer and a listener, a thread each, keep the
replicas and the store equal; both begin when something first asks for the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from .._backing import Backing, Waited
from .._block import SHUTDOWN
from .._core.cursor import Cursor, check_session_id
from .._core.states import SessionStatus
from .._life import Life
from .._wakeup import LoopRef, Wakeup
from ..abc import Lease, Log, Store, Stored
from ..errors import InvalidSettings, SessionUnavailable, SessionUnknown, StoreUnavailable
from ..info import SessionInfo
from .callbacks import Callbacks
from .claims import Claims
from .committer import Committer
from .control import Control
from .details import info_of
from .fork_and_exit import concern
from .listening import Listening
from .off_loop import OffLoop
from .reachability import Reachability
from .reading import Reading
from .replica import Replica
from .replicas import Replicas

if TYPE_CHECKING:
    from .._describing import SessionOptions
    from .._engine import Engine
    from .._producer import Producer
    from .._record import SessionRecord

__all__ = ["DurableSessions"]

T = TypeVar("T")

_logger = logging.getLogger("agentprogress")


class DurableSessions(Backing):
    """See the module.

    Args:
        engine: of the registry.
        store: where the sessions live.
    """

    durable = True

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine = engine
        self.settings = engine.settings
        self.clock = engine.clock
        self.store = store
        self.reachability = Reachability(store, engine.settings, engine.clock)
        self.committer = Committer(self, store, self.reachability)
        self.listening = Listening(self, store, self.reachability)
        self._control = Control(self, store)
        self._claims = Claims(self, store)
        self.replicas = Replicas(self.settings, self.clock, self.listening, engine.local)
        self._reading = Reading(self, store)
        self._off_loop = OffLoop(self.clock)
        self._in_vain_at = -inf  # when somebody's time for storing an end was over
        self._ends = Callbacks("agentprogress ends", self.clock)
        self.answers = Callbacks("agentprogress answers", self.clock)
        concern(self)

    # Sessions

    def begin(self, options: SessionOptions, loop: LoopRef | None) -> Producer:
        producer = self._claims.begin(options)
        _replica(producer.record).loop = loop
        return producer

    def reserve(self, options: SessionOptions) -> Producer:
        return self._claims.reserve(options)

    def record(self, session_id: str) -> Replica:
        check_session_id(session_id)
        return self._fetch(session_id)

    async def find(
        self, session_id: str, cursor: str | None = None, *, fresh: bool = False
    ) -> Replica:
        check_session_id(session_id)
        self.reachability.check()
        replica = self.replicas.get(session_id)
        if replica is not None and not fresh and self._is_current(replica, cursor):
            return replica
        ask = partial(self._fetch_if_there, session_id)
        return await self._off_loop.run(ask, patience=self.settings.store_wait)

    def _is_current(self, replica: Replica, cursor: str | None) -> bool:
        """False where the store may know more than the listener has been told of."""
        if replica.claim is not None or replica.owned:
            return True
        if replica.ended or replica.gone is not None or not self.listening.hears(replica):
            return False
        known = Cursor.parse(cursor) if cursor is not None else None
        return known is None or (known.epoch == replica.epoch and known.seq <= replica.history.head)

    def _fetch_if_there(self, session_id: str) -> Replica:
        self.reachability.check()  # others may have found out while this one waited for its turn
        return self._fetch(session_id)

    def _fetch(self, session_id: str) -> Replica:
        """Reads what the store has of a session; on a thread that may wait."""
        replica = self.replicas.get(session_id)
        if replica is not None and (replica.claim is not None or replica.owned):
            return replica
        found = self.ask(lambda: self._reading.read(session_id, replica))
        if found is None:
            self.replicas.drop(session_id)
            raise SessionUnknown(session_id)
        if found.gone is not None:
            raise found.gone.error()
        return found

    def ask(self, question: Callable[[], T]) -> T:
        """Asks the store, and takes note of whether it answers."""
        try:
            self.reachability.connect()
            answer = question()
        except SessionUnavailable:
            self.reachability.worked()
            raise
        except (StoreUnavailable, InvalidSettings) as error:
            self._failed(error)
            raise
        self.reachability.worked()
        return answer

    def write(self, act: Callable[[], T]) -> T:
        """Writes to the store, and takes note of whether that works."""

        def write() -> T:
            with self.reachability.writing():
                return act()

        return self.ask(write)

    def _failed(self, error: StoreUnavailable | InvalidSettings) -> None:
        self.reachability.failed(error)
        self.committer.worker.wake()  # it finds out when the store is back

    def connect(self) -> None:
        until = self.clock.monotonic() + self.settings.store_wait
        while True:
            try:
                self.reachability.connect()
            except StoreUnavailable as error:
                self._failed(error)
                if self.clock.monotonic() >= until:
                    raise
                self.reachability.rest(until)
            else:
                self.reachability.worked()
                return

    async def run(
        self, function: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        return await self._off_loop.run(partial(function, *args), undo)

    def delete(self, record: SessionRecord) -> None:
        if not record.ended:
            self._control.end_cancelled(_replica(record), "deleted")
        ttl = self.settings.tombstone_ttl
        self.write(lambda: self.store.delete(record.id, ttl))
        record.entomb(record.tombstone())
        self.replicas.drop(record.id)

    def listed(
        self, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[SessionInfo]:
        found = self.ask(
            lambda: self.store.list(owner=owner, status=status, limit=limit, after=after)
        )
        return [info_of(stored, self.replicas.get(stored.session_id)) for stored in found]

    def result(self, record: SessionRecord) -> bytes | None:
        if record.status is not SessionStatus.COMPLETED:
            return None
        return self.ask(lambda: self.store.result(record.id))

    # Replicas

    def records(self) -> Sequence[SessionRecord]:
        return self.replicas.all()

    def new(self, stored: Stored, life: Life, *, owned: bool) -> Replica:
        """Makes a replica; it is not held yet."""
        return Replica(stored, self.engine, life, self, owned=owned)

    def own(self, log: Log, life: Life) -> Replica | None:
        """Takes over, as its owner, what was read of a session; None: see `Replica.own`."""
        session_id, epoch = log.session.session_id, log.session.epoch
        replica = self.replicas.get(session_id)
        if replica is None or replica.epoch != epoch or not replica.agrees_with(log):
            replica = self.new(log.session, life, owned=False)
        if not replica.own(log, life):
            return None
        self.hold(replica)
        return replica

    def hold(self, replica: Replica, *, instead_of: Replica | None = None) -> Replica:
        """Holds a replica, unless there is a better one; returns the one that is held."""
        held = self.replicas.hold(replica, instead_of=instead_of)
        self.committer.worker.wake()
        return held

    def refresh(self, replicas: Sequence[Replica]) -> bool:
        """Reads on from the heads of these; false where some could not be reached."""
        return self._reading.refresh(replicas)

    # What replicas ask for (`Outgoing`)

    def used(self, record: SessionRecord) -> None:
        self.replicas.used(_replica(record))

    def tell_end(self, tell: Callable[[], object]) -> None:
        self._ends.call(tell)

    def touch(self, replica: Replica, *, urgent: bool = False) -> None:
        self.committer.touch(replica, urgent=urgent)

    def resolved(self, replica: Replica, request_id: str) -> None:
        if self.engine.on_answer and not self.engine.draining:
            info = SessionInfo.of(replica)
            self.answers.call(lambda: self._control.tell_answered(info, request_id))

    def cancel(self, replica: Replica, reason: str | None, by: str | None) -> bool:
        return self._control.cancel(replica, reason, by)

    def answer(self, replica: Replica, request_id: str, value: Any, by: str | None) -> None:
        self._control.answer(replica, request_id, value, by)

    def end_lost(self, session: Stored, age: float) -> None:
        """Ends a session whose lease ran out so long ago, unless its producer is back."""
        self._control.end_lost(session, age)

    @property
    def dropped(self) -> int:
        return self.replicas.dropped + sum(replica.dropped for replica in self.replicas.all())

    def relieve(self) -> None:
        self.replicas.relieve()
        self.engine.local.relieve()

    @property
    def waiting(self) -> int:
        """How many events the store has still to take, about."""
        return sum(replica.weigh()[0] for replica in self.replicas.all())

    @property
    def available(self) -> bool:
        return self.reachability.down is None

    # Until it is stored

    async def wait_stored(self, record: SessionRecord, timeout: float) -> Waited:  # noqa: ASYNC109 - see `Backing`
        replica = _replica(record)
        before = replica.given_up
        wakeup = Wakeup(LoopRef())
        if not replica.barrier(wakeup.set):
            return _waited(replica, before, done=True)
        replica.hurry()
        try:
            await self.clock.wait(wakeup.event, self.clock.monotonic() + timeout)
        finally:
            replica.forget_barrier(wakeup.set)
        self._note(timeout, done=wakeup.is_set)
        return _waited(replica, before, done=wakeup.is_set)

    def wait_stored_sync(self, record: SessionRecord, timeout: float) -> Waited:
        replica = _replica(record)
        before = replica.given_up
        done = threading.Event()
        if not replica.barrier(done.set):
            return _waited(replica, before, done=True)
        replica.hurry()
        try:
            self.clock.wait_in_thread(done, self.clock.monotonic() + timeout)
        finally:
            replica.forget_barrier(done.set)
        self._note(timeout, done=done.is_set())
        return _waited(replica, before, done=done.is_set())

    def _note(self, timeout: float, *, done: bool) -> None:
        if not done and timeout >= self.settings.close_flush_timeout:
            self._in_vain_at = self.clock.monotonic()

    def _until(self, timeout: float) -> float:
        """Returns until when to wait at an end: no more where a store has had its time already."""
        in_vain = self._in_vain_at > self.reachability.took_at
        return self.clock.monotonic() + (0.0 if in_vain else timeout)

    # Shutting down

    def leave(self, producer: Producer) -> None:
        self._give_up_leases([_replica(producer.record)])

    def part(self, *, detach: bool) -> None:
        owned = [replica for replica in self.replicas.all() if replica.owned]
        if not detach:
            for replica in owned:
                replica.transition(SHUTDOWN, only=SessionStatus.RUNNING)
        until = self._until(self.settings.flush_timeout)
        for replica in owned:
            self.wait_stored_sync(replica, max(0.0, until - self.clock.monotonic()))
        if detach:
            self._give_up_leases(owned)

    def _give_up_leases(self, owned: Sequence[Replica]) -> None:
        leases = [Lease(one.id, one.epoch, one.stored.fence, 0.0) for one in owned]
        try:
            self.write(lambda: self.store.renew(leases))
        except StoreUnavailable:
            _logger.warning("The leases of %d sessions run out by themselves.", len(leases))
        for replica in owned:
            replica.hush()  # its job is stopped, or will be
            replica.lose()

    # The threads

    def forked(self) -> None:
        """Begins anew in a process that was forked off; its parent goes on with what it has."""
        self._claims.forked()
        self.committer.forked()
        self.listening.forked()
        self.replicas.forked()
        self._ends.forked()
        self.answers.forked()
        self._off_loop.forked()

    def exiting(self) -> None:
        """Stores what is left when the interpreter ends."""
        if self.committer.worker.running:
            self.stop(self.settings.close_flush_timeout)

    def stop(self, timeout: float) -> None:
        deadline = self.clock.monotonic() + timeout
        until = self._until(timeout)

        def left() -> float:
            return max(0.0, until - self.clock.monotonic())

        for replica in self.replicas.all():
            self.wait_stored_sync(replica, left())
        # A thread that waits for the store itself is not waited for: it is a daemon.
        self.committer.worker.stop(left())
        self._ends.finish(deadline)
        self.answers.finish(deadline)
        self.committer.worker.stop(left())  # callbacks may have written something
        self.listening.stop(left())
        self.store.close()


def _replica(record: SessionRecord) -> Replica:
    assert isinstance(record, Replica)
    return record


def _waited(replica: Replica, before: int, *, done: bool) -> Waited:
    if replica.fenced:
        return Waited.TAKEN
    if replica.given_up != before:
        return Waited.ENDED
    return Waited.STORED if done else Waited.LATE
