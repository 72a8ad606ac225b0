"""The inside of a registry: what its sessions, its host and the adapters ask of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import anyio

from ._backing import Backing
from ._block import SHUTDOWN, Job
from ._clock import Stamp, SystemClock
from ._core.encode import Encoder, Redact
from ._core.frames import retry_window
from ._core.states import SessionStatus
from ._describing import SessionOptions
from ._durable import DurableSessions
from ._host import Host
from ._in_process import InProcess
from ._inputs import Question
from ._local import LocalSessions
from ._producer import Producer
from ._record import Joined, SessionRecord, SubscriberBase
from ._replica import Replica
from ._wakeup import LoopRef, Wakeup
from .abc import Clock, Store
from .errors import (
    Draining,
    SessionConflict,
    StoreUnavailable,
    TooManySubscribers,
    WrongLoop,
)
from .info import SessionInfo
from .session import ProgressSession
from .settings import Settings

__all__ = ["Engine", "OnShutdown"]

T = TypeVar("T")

OnShutdown = Literal["fail", "detach"]

_logger = logging.getLogger("agentprogress")


class Engine:
    """See the module. It is the `Hub` of its records.

    Attributes:
        settings: every number.
        clock: all time comes from it.
        encoder: for all events.
        stamp: the present time for an event.
        local: what lives in this process alone, and what expires in it.
        backing: where the sessions live.
        durable: the same, where that is a store.
        on_shutdown: what becomes of a store's sessions that run here when the process shuts down.
        draining: whether it is shutting down.
        detached: connections given up because a write was blocked too long.
        unanswered: connections closed because a heartbeat was not answered.
        on_end: callbacks after each session's end.
        on_answer: callbacks when a suspended session has what it waits for, or never will.
    """

    def __init__(
        self,
        settings: Settings,
        redact: Redact | None,
        clock: Clock | None,
        store: Store | None = None,
        on_shutdown: OnShutdown = "fail",
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.encoder = Encoder(settings, redact)
        self.stamp = Stamp(self.clock)
        self.local = LocalSessions(settings, self.clock, self._gone)
        self.draining = False
        self.detached = 0
        self.unanswered = 0
        self.on_end: list[Callable[[SessionInfo], object]] = []
        self.on_answer: list[Callable[[SessionInfo], object]] = []
        # Held while a session is created and while the host may change.
        self._lock = threading.RLock()
        self.durable = None if store is None else DurableSessions(self, store)
        self.backing: Backing = self.durable or InProcess(
            self, self.local, self._lock, self._sweep_without_host
        )
        self.on_shutdown: OnShutdown = on_shutdown
        self._host: Host | None = None
        self._jobs: dict[SessionRecord, Job] = {}
        self._jobless: Wakeup | None = None
        self._dropped = 0

    # Sessions

    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe; `open` and `start` end in it."""
        self.try_host()
        self._refuse_when_draining()
        return self._begun(self.backing.begin(options))

    async def begin_here(self, options: SessionOptions) -> Producer:
        """`begin`, where an event loop has other things to do than to wait for a store."""
        self.try_host()
        self._refuse_when_draining()
        return self._begun(await self._ask(self.backing.begin, options))

    @staticmethod
    def _begun(producer: Producer) -> Producer:
        if isinstance(producer.record, Replica):
            producer.record.loop = LoopRef.current()
        return producer

    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of a session that is there, or pending from now on."""
        self._refuse_when_draining()
        return self.backing.reserve(options)

    async def reserve_here(self, options: SessionOptions) -> Producer:
        """`reserve`, where an event loop has other things to do."""
        self.try_host()
        self._refuse_when_draining()
        return await self._ask(self.backing.reserve, options)

    async def _ask(self, function: Callable[..., T], *args: Any) -> T:
        """Calls what waits for a store where there is one."""
        if self.durable is None:
            return function(*args)
        return await self.durable.run(function, *args)

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise Draining

    def start(
        self, function: Callable[..., Any], args: tuple[Any, ...], options: SessionOptions
    ) -> ProgressSession:
        """Begins a session and runs its job on the host."""
        with self._lock:
            host = self.host()
            producer = self.begin(options)
            job = Job(self, producer, options, function, args)
            self._jobs[producer.record] = job
            host.start_soon(self._run, job, abandon=job.abandon)
        return job.session

    async def _run(self, job: Job) -> None:
        try:
            await job.run()
        finally:
            # It may have been suspended, and the next one may be there before it is gone.
            if self._jobs.get(job.record) is job:
                del self._jobs[job.record]
            if not self._jobs and self._jobless is not None:
                self._jobless.set()

    async def _until_jobless(self, most: float) -> None:
        """Waits for the jobs to end, at most so many seconds; never for anybody's writer."""
        if self._jobs:
            self._jobless = Wakeup(LoopRef())
            await self.clock.wait(self._jobless.event, self.clock.monotonic() + most)

    def record(self, session_id: str) -> SessionRecord:
        """Returns a session's record.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: there is none.
        """
        return self.backing.record(session_id)

    async def find(self, session_id: str, cursor: str | None = None) -> SessionRecord:
        """`record`, where an event loop has other things to do than to wait for a store.

        Args:
            session_id: whose.
            cursor: of somebody who wants to go on after it.
        """
        return await self.backing.find(session_id, cursor)

    async def result(self, record: SessionRecord) -> bytes | None:
        """Returns a session's encoded result, if it has one."""
        return await self._ask(self.backing.result, record)

    async def listed(
        self, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[SessionInfo]:
        """Returns sessions in the order of their creation."""
        return await self._ask(self.backing.listed, owner, status, limit, after)

    async def cancel(self, record: SessionRecord, reason: str | None, by: str | None) -> bool:
        """Asks a session to stop."""
        return await self._ask(record.request_cancel, reason, by)

    async def answer(
        self, record: SessionRecord, request_id: str, value: Any, by: str | None
    ) -> None:
        """Answers a question."""
        await self._ask(record.answer, request_id, value, by)

    def delete(self, session_id: str) -> None:
        """Removes a session now; one that has not ended is cancelled first."""
        self.backing.delete(self.record(session_id))

    @property
    def dropped(self) -> int:
        """Events that came too late or could not be encoded, of all sessions ever."""
        return self._dropped + sum(record.dropped for record in self.backing.records())

    @property
    def waiting(self) -> int:
        """Events that the store has still to take."""
        return 0 if self.durable is None else self.durable.waiting

    @property
    def store_available(self) -> bool:
        """False while the store cannot be reached."""
        return self.durable is None or self.durable.line.down is None

    async def connect(self) -> None:
        """Makes sure that the store is there; see `DurableSessions.connect`."""
        if self.durable is not None:
            await self.durable.run(self.durable.connect)

    def connect_sync(self) -> None:
        """The same for code without an event loop."""
        if self.durable is not None:
            self.durable.connect()

    async def stop(self) -> None:
        """Ends the threads, when what waits for the store is there."""
        if self.durable is not None:
            await self.durable.run(self.durable.stop, self.settings.close_flush_timeout)

    def stop_sync(self) -> None:
        """The same for code without an event loop."""
        if self.durable is not None:
            self.durable.stop(self.settings.close_flush_timeout)

    # Following

    @property
    def subscribers(self) -> int:
        """How many follow, over the network and in process."""
        return len(self._host.members) if self._host else 0

    @property
    def stalled(self) -> float:
        """Seconds for which the event loop was found blocked."""
        return self._host.heartbeats.stalled if self._host else 0.0

    def admit(self, subscriber: SubscriberBase, cursor: str | None) -> Joined:
        """Registers a subscriber at its cursor.

        Raises:
            TooManySubscribers, WrongLoop: it cannot be served.
        """
        with self._lock:
            host = self.host()
            record, principal = subscriber.record, subscriber.principal
            if len(host.members) >= self.settings.max_subscribers:
                raise TooManySubscribers("This process has its full number of subscribers.")
            most = self.settings.max_session_subscribers
            if principal is not None and record.audience.of(principal) >= most:
                raise TooManySubscribers("You follow this session too many times already.")
            host.take_in(subscriber)
            joined = record.join(subscriber, cursor)
        if isinstance(record, Replica) and self.durable is not None:
            self.durable.used(record)
        return joined

    def dismiss(self, subscriber: SubscriberBase) -> None:
        """Forgets a subscriber."""
        record = subscriber.record
        record.leave(subscriber)
        if self._host is not None:
            self._host.forget(subscriber)
        if isinstance(record, Replica) and self.durable is not None:
            self.durable.used(record)

    def retry_window(self) -> float:
        """Returns the seconds over which clients should spread their return."""
        return retry_window(
            self.subscribers,
            self.settings.max_reconnects_per_second,
            self.settings.min_retry_window,
            self.settings.max_retry_window,
        )

    # Where things run

    def host(self) -> Host:
        """Returns the host on the running loop, starting it when there is none.

        Raises:
            RuntimeError: no event loop runs here.
            WrongLoop: another running loop is being served.
        """
        here = LoopRef()
        with self._lock:
            host = self._host
            if host is not None and host.alive:
                if host.loop.same(here):
                    host.leaving = False
                    return host
                if host.in_use:
                    raise WrongLoop
            fresh = Host(self.settings, self.clock, self.local, self._never_started)
            if host is not None:
                if host.loop.is_over():
                    for job in list(self._jobs.values()):
                        job.abandon()
                fresh.adopt(host)
            self._host = fresh
            fresh.launch()
            return fresh

    def live_host(self) -> Host | None:
        """Returns the host, wherever it runs; None where none does."""
        host = self._host
        return host if host is not None and host.alive else None

    def host_here(self) -> Host | None:
        """Returns the host on the running loop; None where another running loop is served."""
        try:
            return self.host()
        except WrongLoop:
            return None

    def try_host(self) -> None:
        """Starts the host if this code runs in a loop and no other one is served."""
        served = self._host is not None and self._host.alive
        if not served and LoopRef.current() is not None:
            self.host()

    def leave_host(self) -> None:
        """Lets the host end as soon as nobody needs it, whatever is still to expire."""
        if self._host is not None:
            self._host.leave()

    def _sweep_without_host(self) -> None:
        # Without a loop there is no task that could: those who come and ask do it.
        if self._host is None or not self._host.alive:
            self.local.sweep(self._never_started)

    def drain_soon(self, then: Callable[[], object]) -> bool:
        """Ends what runs here and tells everybody, then calls back in the loop.

        Callable from any thread and from a signal handler. False when no loop is there to do it.
        """
        host = self._host
        if host is None or not host.alive:
            return False

        def start() -> None:
            if host.alive:
                host.start_soon(self._drain_and, host, then, abandon=then)
            else:
                then()

        return host.loop.call_soon(start)

    async def _drain_and(self, host: Host, then: Callable[[], object]) -> None:
        try:
            await self._part()
        finally:
            # Not from this task: what comes now may raise what ends the process.
            host.loop.call_soon(then)

    async def drain(self) -> None:
        """See `SessionRegistry.drain`."""
        await self._part()
        host = self._host
        if host is not None and host.alive and host.loop.same(LoopRef.current()):
            await self._until_jobless(self.settings.close_flush_timeout)

    async def _part(self) -> None:
        """Ends what runs here, and gives those who follow the time to hear of it."""
        self.draining = True
        records = self.backing.records()
        if self.durable is None:
            for record in records:
                for status in (SessionStatus.RUNNING, SessionStatus.WAITING):
                    record.transition(SHUTDOWN, only=status)
        else:
            await self.durable.part(detach=self.on_shutdown == "detach")
        for job in list(self._jobs.values()):
            job.cancel()
        host = self._host
        if host is None or not host.alive:
            return
        if host.loop.same(LoopRef.current()):
            await self._tell_followers(host, records)
            return
        told = Wakeup(LoopRef())

        async def tell() -> None:
            await self._tell_followers(host, records)
            told.set()

        if host.loop.call_soon(lambda: host.start_soon(tell, abandon=told.set)):
            deadline = self.clock.monotonic() + self.settings.flush_timeout
            await self.clock.wait(told.event, deadline)

    async def _tell_followers(self, host: Host, records: Sequence[SessionRecord]) -> None:
        for record in records:
            if record.subscribers:
                host.publish(record)
        for member in list(host.members):
            member.drain()
        await host.until_parted(self.settings.flush_timeout)

    # What sessions ask of the registry around them (`Hub`)

    def enqueue(self, record: SessionRecord) -> bool:
        host = self._host
        return host is not None and host.enqueue(record)

    def account(self, record: SessionRecord, size_bytes: int) -> None:
        self.local.account(record, size_bytes)

    def relieve(self) -> None:
        if self.local.crowded:
            self.local.relieve()

    def transitioned(self, record: SessionRecord, status: SessionStatus) -> None:
        if status.ended:
            self.local.ended(record)
            self._tell(self.on_end, record, "on_end")
        elif status is SessionStatus.PENDING:
            self.local.expire_pending(record)
        else:
            self.local.started(record)
        if self._host is not None:
            self._host.wake()

    def watch(self, question: Question) -> None:
        self.local.watch(question)
        self.try_host()
        if self._host is not None:
            self._host.wake()

    def unwatch(self, question: Question) -> None:
        self.local.unwatch(question)

    def answered(self, record: SessionRecord) -> None:
        self._tell(self.on_answer, record, "on_answer")

    def _tell(
        self, callbacks: list[Callable[[SessionInfo], object]], record: SessionRecord, name: str
    ) -> None:
        if not callbacks:
            return
        info = SessionInfo.of(record)
        for callback in list(callbacks):
            try:
                callback(info)
            except Exception:
                _logger.exception("session %s: an %s callback failed", record.id, name)

    async def flush(self, record: SessionRecord) -> None:
        await self._store(record)
        # A producer that flushes now and then lets the loop go on, whether or not anybody follows.
        await anyio.lowlevel.checkpoint()
        host = self._host
        if host is None or not host.alive or not record.subscribers:
            return
        wakeup = Wakeup(LoopRef())
        here = host.loop.same(LoopRef.current())
        if here:
            host.publish(record)
            if not record.audience.await_handed(wakeup.set):
                return
        elif not host.loop.call_soon(lambda: _publish_for(host, record, wakeup.set)):
            return
        deadline = self.clock.monotonic() + self.settings.flush_timeout
        try:
            await self.clock.wait(wakeup.event, deadline)
        except BaseException:
            # A flush that is given up must not be remembered until the slow have caught up.
            host.loop.call_soon(lambda: record.audience.forget_flush(wakeup.set))
            raise
        if not wakeup.is_set:
            if here:
                record.audience.give_up_on_slow()
            else:
                host.loop.call_soon(record.audience.give_up_on_slow)

    async def _store(self, record: SessionRecord) -> None:
        """Returns when everything emitted so far is stored.

        Raises:
            SessionConflict: another owner has taken the session.
            StoreUnavailable: the store did not take it in time; it goes on to be tried.
        """
        if not isinstance(record, Replica) or self.durable is None:
            record.commit()
            return
        done = await self.durable.stored(record, self.settings.store_wait)
        _refuse_unstored(record, done=done, seconds=self.settings.store_wait)

    async def settle(self, record: SessionRecord) -> None:
        """Waits for a session's end to be stored; one that is not in time is told in the log."""
        if isinstance(record, Replica) and self.durable is not None:
            timeout = self.settings.close_flush_timeout
            _log_unstored(record, done=await self.durable.stored(record, timeout), seconds=timeout)

    def settle_sync(self, record: SessionRecord) -> None:
        """The same for code without an event loop."""
        if isinstance(record, Replica) and self.durable is not None:
            timeout = self.settings.close_flush_timeout
            _log_unstored(record, done=self.durable.stored_sync(record, timeout), seconds=timeout)

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        if isinstance(record, Replica) and self.durable is not None:
            done = self.durable.stored_sync(record, timeout)
            _refuse_unstored(record, done=done, seconds=timeout)
        else:
            record.commit()
        host = self._host
        if host is None or not host.alive or not record.subscribers:
            return
        if host.loop.on_its_thread():
            host.publish(record)
            return
        handed = threading.Event()
        if not host.loop.call_soon(lambda: _publish_for(host, record, handed.set)):
            return
        if not handed.wait(timeout):
            host.loop.call_soon(record.audience.give_up_on_slow)

    def _never_started(self, record: SessionRecord) -> None:
        lost = {"type": "session.lost", "reason": "never_started"}
        record.transition(lost, only=SessionStatus.PENDING)

    def _gone(self, record: SessionRecord) -> None:
        self._dropped += record.dropped
        job = self._jobs.get(record)
        if job is not None:
            job.cancel()


def _refuse_unstored(record: Replica, *, done: bool, seconds: float) -> None:
    if record.fenced:
        raise SessionConflict(record.id, record.status, "Another owner has taken it.")
    if not done:
        raise StoreUnavailable(f"The store did not take all events within {seconds:g} s.")


def _log_unstored(record: Replica, *, done: bool, seconds: float) -> None:
    if not done:
        _logger.error(
            "session %s: the store did not take its last events within %g s", record.id, seconds
        )


def _publish_for(host: Host, record: SessionRecord, done: Callable[[], object]) -> None:
    """Publishes on the host's thread for a flush that waits elsewhere."""
    host.publish(record)
    if not record.audience.await_handed(done):
        done()
