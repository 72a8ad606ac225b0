"""Sessions that live in a store: which of them this process holds, and how it comes by them.

Who follows or produces has a `Replica` here. A committer and a listener, a thread each, keep the
replicas and the store equal; both begin when something first asks for the store.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from .._backing import Backing
from .._block import SHUTDOWN
from .._core.cursor import Cursor, check_session_id
from .._core.states import SessionStatus
from .._life import Life
from .._wakeup import LoopRef, Wakeup
from ..abc import Lease, Log, Position, Store, Stored
from ..errors import InvalidSettings, SessionUnknown, StoreUnavailable
from ..info import SessionInfo
from .claims import Claims
from .committer import Committer
from .control import Control
from .details import decode_details
from .faults import Faults
from .fork_and_exit import concern
from .listening import Listening
from .reachability import Reachability
from .replica import Replica
from .replicas import Replicas
from .worker import Worker

if TYPE_CHECKING:
    from .._describing import SessionOptions
    from .._engine import Engine
    from .._producer import Producer
    from .._record import SessionRecord

__all__ = ["DurableSessions"]

T = TypeVar("T")

_logger = logging.getLogger("agentprogress")

# Threads of a process that read for those who join: each holds a connection of the store's.
_READERS = 2


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
        self._faults = Faults()
        self._limiter: tuple[LoopRef, anyio.CapacityLimiter] | None = None
        self._callbacks: deque[Callable[[], object]] = deque()
        self._caller = Worker("agentprogress callbacks", self.clock, self._call_all_back)
        concern(self)

    # Sessions

    def begin(self, options: SessionOptions) -> Producer:
        return self._claims.begin(options)

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
        return await self.run(self._fetch, session_id)

    def _is_current(self, replica: Replica, cursor: str | None) -> bool:
        """False where the store may know more than the listener has been told of."""
        if replica.claim is not None or replica.owned:
            return True
        if replica.ended or replica.gone is not None or not self.listening.hears(replica):
            return False
        known = Cursor.parse(cursor) if cursor is not None else None
        return known is None or (known.epoch == replica.epoch and known.seq <= replica.history.head)

    def _fetch(self, session_id: str) -> Replica:
        """Reads what the store has of a session; on a thread that may wait."""
        replica = self.replicas.get(session_id)
        if replica is not None and (replica.claim is not None or replica.owned):
            return replica
        log = self.ask(lambda: self.store.read([_position(session_id, replica)])[0])
        if log is None:
            self.replicas.drop(session_id)
            raise SessionUnknown(session_id)
        replica = self.keep(log, replica)
        if replica.gone is not None:
            raise replica.gone.error()
        return replica

    def ask(self, question: Callable[[], T]) -> T:
        """Asks the store, and takes note of whether it answers."""
        try:
            self.reachability.connect()
            answer = question()
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
        """Makes sure that the store is there and fit for use; waits for it.

        Raises:
            StoreUnavailable: it did not answer for `store_wait`.
            InvalidSettings: it must not be used as it is.
        """
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
        """Has something done that may wait for the store, while the event loop goes on.

        Args:
            function: what may wait.
            args: its arguments.
            undo: called with what came of it when nobody waits for that any more: asyncio cancels
                a task, but not what a thread does for it.
        """
        made: deque[T] = deque()
        abandoned = threading.Event()

        def undo_it() -> None:
            # Whoever takes it out does it, be it the thread or the task.
            while undo is not None and abandoned.is_set() and made:
                try:
                    undo(made.pop())
                except IndexError:
                    return

        here = LoopRef()
        if self._limiter is None or not self._limiter[0].same(here):
            self._limiter = here, anyio.CapacityLimiter(_READERS)
        with ExitStack() as until_begun:
            until_begun.enter_context(self.clock.at_work())

            def work() -> T:
                with self.clock.at_work():
                    until_begun.close()
                    result = function(*args)
                    made.append(result)
                    undo_it()
                    return result

            try:
                return await anyio.to_thread.run_sync(work, limiter=self._limiter[1])
            except BaseException:
                abandoned.set()
                undo_it()
                raise

    def delete(self, record: SessionRecord) -> None:
        assert isinstance(record, Replica)
        if not record.ended:
            self._control.end_cancelled(record, "deleted")
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
        return [self._info_of(stored) for stored in found]

    def _info_of(self, stored: Stored) -> SessionInfo:
        life = Life(created_at="")
        decode_details(stored.details, life)
        here = self.replicas.get(stored.session_id)
        return SessionInfo(
            id=stored.session_id,
            epoch=stored.epoch,
            status=stored.status.value,
            attempt=stored.attempt,
            head=stored.head,
            title=life.title,
            owner=stored.owner,
            private=life.private,
            created_at=life.created_at,
            started_at=life.started_at,
            ended_at=stored.ended_at,
            subscribers=0 if here is None else len(here.subscribers),
        )

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

    def own(self, log: Log, life: Life) -> Replica:
        """Takes over, as the owner by now, what was read of a session."""
        session_id, epoch = log.session.session_id, log.session.epoch
        replica = self.replicas.get(session_id)
        if replica is None or replica.epoch != epoch:
            replica = self.new(log.session, life, owned=False)
        replica.load(log)
        life.answer = replica.life.answer
        replica.life = life
        replica.attempt = log.session.attempt
        replica.owned = True
        replica.fenced = False
        self.hold(replica)
        return replica

    def hold(self, replica: Replica) -> Replica:
        """Holds a replica, unless there is a better one; returns the one that is held."""
        held = self.replicas.hold(replica)
        self.committer.worker.wake()
        return held

    def keep(self, log: Log, known: Replica | None) -> Replica:
        """Takes over what was read of a session, on from the head of what was known of it."""
        session_id, epoch = log.session.session_id, log.session.epoch
        if known is not None and known.epoch == epoch:
            # Whatever is held by now: what another one has need not reach up to there.
            known.load(log)
            return known
        replica = self.replicas.get(session_id)
        if replica is None or replica.epoch != epoch:
            fresh = self.new(log.session, Life(created_at=""), owned=False)
            fresh.load(log)
            if fresh.gone is not None and replica is None:
                return fresh
            replica = self.hold(fresh)
            if replica is fresh or replica.epoch != epoch:
                return replica
        replica.load(log)
        return replica

    def refresh(self, replicas: Sequence[Replica]) -> None:
        """Reads on from the heads of these."""
        if not replicas:
            return
        logs = self.store.read([_position(replica.id, replica) for replica in replicas])
        for replica, log in zip(replicas, logs, strict=True):
            if log is not None:
                with self._faults.of(replica.id):
                    self.keep(log, replica)
            elif not replica.owned and replica.claim is None:
                self.replicas.drop(replica.id)

    # What replicas ask for (`Outgoing`)

    def used(self, replica: Replica) -> None:
        self.replicas.used(replica)

    def touch(self, replica: Replica, *, urgent: bool = False) -> None:
        self.committer.touch(replica, urgent=urgent)

    def resolved(self, replica: Replica, request_id: str) -> None:
        if self.engine.on_answer and not self.engine.draining:
            self.committer.run_soon(lambda: self._control.tell_answered(replica, request_id))

    def cancel(self, replica: Replica, reason: str | None, by: str | None) -> bool:
        return self._control.cancel(replica, reason, by)

    def answer(self, replica: Replica, request_id: str, value: Any, by: str | None) -> None:
        self._control.answer(replica, request_id, value, by)

    def end_lost(self, session: Stored, age: float) -> None:
        """Ends a session whose lease ran out so long ago, unless its producer is back."""
        self._control.end_lost(session, age)

    @property
    def waiting(self) -> int:
        """How many events the store has still to take, about."""
        return sum(replica.weigh()[0] for replica in self.replicas.all())

    def call_back(self, callback: Callable[[], object]) -> None:
        """Calls an application back in a thread of its own: it may wait for the others."""
        self._callbacks.append(callback)
        self._caller.wake()

    def _call_all_back(self) -> None:
        while self._callbacks:
            self._callbacks.popleft()()

    def _finish_callbacks(self, deadline: float) -> None:
        """Waits for callbacks to return; what is not called by then is called when it can be."""
        if not self._caller.running:
            return
        done = threading.Event()
        self.call_back(done.set)
        self.clock.wait_in_thread(done, deadline)
        self._caller.stop(0 if not done.is_set() else max(0.0, deadline - self.clock.monotonic()))
        if not done.is_set():
            _logger.warning("A callback of the application does not return; nobody waits for it.")

    # Until it is stored

    async def stored(self, replica: Replica, timeout: float) -> bool:  # noqa: ASYNC109 - a store's
        """Waits until everything emitted so far is stored; False when the time is over."""
        wakeup = Wakeup(LoopRef())
        if not replica.barrier(wakeup.set):
            return True
        replica.hurry()
        try:
            await self.clock.wait(wakeup.event, self.clock.monotonic() + timeout)
        finally:
            replica.forget_barrier(wakeup.set)
        return wakeup.is_set

    def stored_sync(self, replica: Replica, timeout: float) -> bool:
        """The same for a thread without a loop."""
        done = threading.Event()
        if not replica.barrier(done.set):
            return True
        replica.hurry()
        try:
            self.clock.wait_in_thread(done, self.clock.monotonic() + timeout)
        finally:
            replica.forget_barrier(done.set)
        return done.is_set()

    async def part(self, *, detach: bool) -> None:
        """Ends what runs here, or leaves it to whoever takes it over; and waits for the store."""
        owned = [replica for replica in self.replicas.all() if replica.owned]
        if not detach:
            for replica in owned:
                replica.transition(SHUTDOWN, only=SessionStatus.RUNNING)
        until = self.clock.monotonic() + self.settings.flush_timeout
        for replica in owned:
            await self.stored(replica, max(0.0, until - self.clock.monotonic()))
        if detach:
            await self.run(self._give_up_leases, owned)

    def _give_up_leases(self, owned: Sequence[Replica]) -> None:
        leases = [Lease(one.id, one.epoch, one.stored.fence, 0.0) for one in owned]
        try:
            self.write(lambda: self.store.renew(leases))
        except StoreUnavailable:
            _logger.warning("The leases of %d sessions run out by themselves.", len(leases))
        for replica in owned:
            replica.lose()

    # The threads

    def forked(self) -> None:
        """Begins anew in a process that was forked off; its parent goes on with what it has."""
        self.committer.forked()
        self.listening.forked()
        self.replicas.forked()
        self._callbacks.clear()
        self._caller.forked()
        self._limiter = None

    def exiting(self) -> None:
        """Stores what is left when the interpreter ends."""
        if self.committer.worker.running:
            self.stop(self.settings.close_flush_timeout)

    def stop(self, timeout: float) -> None:
        """Stores what there is to store, at most so many seconds, and ends the threads."""
        deadline = self.clock.monotonic() + timeout

        def left() -> float:
            return max(0.0, deadline - self.clock.monotonic())

        for replica in self.replicas.all():
            self.stored_sync(replica, left())
        # A thread that waits for the store itself is not waited for: it is a daemon.
        self.committer.worker.stop(left())
        self._finish_callbacks(deadline)
        self.committer.worker.stop(left())  # callbacks may have written something
        self.listening.stop(left())
        self.store.close()


def _position(session_id: str, replica: Replica | None) -> Position:
    """Returns from where to read: from the head of what is held, or everything."""
    if replica is None:
        return Position(session_id)
    return Position(session_id, replica.epoch, replica.history.head)
