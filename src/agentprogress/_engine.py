"""The inside of a registry: what its sessions, its host and the adapters ask of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar

from . import errors
from ._backing import Backing
from ._block import Job
from ._clock import Stamp, SystemClock
from ._core.encode import Encoder, Redact
from ._core.frames import retry_window
from ._core.states import SessionStatus
from ._describing import SessionOptions
from ._durable.sessions import DurableSessions
from ._flushing import Flushing
from ._host import Host
from ._in_process.held import LocalSessions
from ._in_process.sessions import InProcess
from ._inputs import Question
from ._producer import Producer
from ._record import Joined, SessionRecord, SubscriberBase
from ._shutdown import Shutdown
from ._wakeup import LoopRef, Wakeup
from .abc import Clock, Store
from .errors import TooManySubscribers, WrongLoop
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
        flushing: waiting until something is stored.
        shutdown: the end of all.
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
        self.backing: Backing = (
            InProcess(self, self.local, self._lock, self._sweep_without_host)
            if store is None
            else DurableSessions(self, store)
        )
        self.on_shutdown: OnShutdown = on_shutdown
        self.flushing = Flushing(self)
        self.shutdown = Shutdown(self)
        self._host: Host | None = None
        self._jobs: dict[SessionRecord, Job] = {}
        self._jobless: Wakeup | None = None

    # Sessions

    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe; `open` and `start` end in it."""
        self.try_host()
        self._refuse_when_draining()
        return self._begin(options, LoopRef.current())

    async def begin_here(self, options: SessionOptions) -> Producer:
        """`begin`, where an event loop has other things to do than to wait for a store."""
        self.try_host()
        self._refuse_when_draining()
        undo = partial(self.shutdown.turn_away, options)
        return await self.backing.run(self._begin, options, LoopRef(), undo=undo)

    def _begin(self, options: SessionOptions, loop: LoopRef | None) -> Producer:
        producer = self.backing.begin(options, loop)
        if self.draining:  # since it was asked for
            self.shutdown.turn_away(options, producer)
            raise errors.Draining
        return producer

    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of a session that is there, or pending from now on."""
        self._refuse_when_draining()
        return self.backing.reserve(options)

    async def reserve_here(self, options: SessionOptions) -> Producer:
        """`reserve`, where an event loop has other things to do."""
        self.try_host()
        self._refuse_when_draining()
        undo = None if options.get("session_id") is not None else _forget
        return await self.backing.run(self.backing.reserve, options, undo=undo)

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise errors.Draining

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

    async def until_jobless(self, most: float) -> None:
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

    async def find(
        self, session_id: str, cursor: str | None = None, *, fresh: bool = False
    ) -> SessionRecord:
        """`record`, where an event loop has other things to do; see `Backing.find`."""
        return await self.backing.find(session_id, cursor, fresh=fresh)

    async def result(self, record: SessionRecord) -> bytes | None:
        """Returns a session's encoded result, if it has one."""
        return await self.backing.run(self.backing.result, record)

    async def listed(
        self, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[SessionInfo]:
        """Returns sessions in the order of their creation."""
        return await self.backing.run(self.backing.listed, owner, status, limit, after)

    async def cancel(self, record: SessionRecord, reason: str | None, by: str | None) -> bool:
        """Asks a session to stop."""
        return await self.backing.run(record.request_cancel, reason, by)

    async def answer(
        self, record: SessionRecord, request_id: str, value: Any, by: str | None
    ) -> None:
        """Answers a question."""
        await self.backing.run(record.answer, request_id, value, by)

    def delete(self, session_id: str) -> None:
        """Removes a session now; one that has not ended is cancelled first."""
        self.backing.delete(self.record(session_id))

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
        self.backing.used(record)
        return joined

    def dismiss(self, subscriber: SubscriberBase) -> None:
        """Forgets a subscriber."""
        record = subscriber.record
        record.leave(subscriber)
        if self._host is not None:
            self._host.forget(subscriber)
        self.backing.used(record)

    def retry_window(self) -> float:
        """Returns the seconds over which clients should spread their return."""
        return retry_window(
            self.subscribers,
            self.settings.max_reconnects_per_second,
            self.settings.min_retry_window,
            self.settings.max_retry_window,
        )

    # Where things run

    def host(self, here: LoopRef | None = None) -> Host:
        """Returns the host on the running loop, starting it when there is none.

        Args:
            here: the running loop, where no task runs that could be asked for it.

        Raises:
            RuntimeError: no event loop runs here.
            WrongLoop: another running loop is being served.
        """
        here = here or LoopRef()
        with self._lock:
            host = self._host
            if host is not None and host.alive:
                if host.loop.same(here):
                    host.leaving = False
                    return host
                if host.in_use:
                    raise WrongLoop
            fresh = Host(self.settings, self.clock, self.local, self._never_started, here)
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

    def run_in_loop(
        self, function: Callable[[], Awaitable[object]], elsewhere: Callable[[], object]
    ) -> None:
        """Runs a coroutine function as a task of the host; callable from any thread.

        The loop that had a host last gets another one.

        Args:
            function: what to run.
            elsewhere: called instead where there is no such loop, or none any more.
        """
        last = self._host
        loop = None if last is None else last.loop

        def start() -> None:
            if self._host is last:
                self.host(loop).start_soon(function, abandon=elsewhere)
            else:  # another loop has one by now
                self.run_in_loop(function, elsewhere)

        if loop is None or not loop.call_soon(start):
            elsewhere()

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

    def cancel_jobs(self) -> None:
        """Cancels what runs here, soon."""
        for job in list(self._jobs.values()):
            job.cancel()

    # What sessions ask of the registry around them (`Hub`)

    def enqueue(self, record: SessionRecord) -> bool:
        host = self._host
        return host is not None and host.enqueue(record)

    def account(self, record: SessionRecord, size_bytes: int) -> None:
        self.local.account(record, size_bytes)

    def relieve(self) -> None:
        if self.local.crowded:
            self.backing.relieve()

    def transitioned(self, record: SessionRecord, status: SessionStatus) -> None:
        if status.ended:
            self.local.ended(record)
            if self.on_end:
                info = SessionInfo.of(record)
                self.backing.tell_end(lambda: self.tell(self.on_end, info, "on_end"))
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
        self.tell(self.on_answer, SessionInfo.of(record), "on_answer")

    def tell(
        self, callbacks: list[Callable[[SessionInfo], object]], info: SessionInfo, name: str
    ) -> None:
        for callback in list(callbacks):
            try:
                callback(info)
            except (Exception, SystemExit):
                _logger.exception("session %s: an %s callback failed", info.id, name)

    async def flush(self, record: SessionRecord) -> None:
        await self.flushing.flush(record)

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        self.flushing.flush_sync(record, timeout)

    def _never_started(self, record: SessionRecord) -> None:
        lost = {"type": "session.lost", "reason": "never_started"}
        record.transition(lost, only=SessionStatus.PENDING)

    def _gone(self, record: SessionRecord) -> None:
        job = self._jobs.get(record)
        if job is not None:
            job.cancel()


def _forget(producer: Producer) -> None:
    """Ends a session whose id nobody was told: who reserved it was cancelled meanwhile."""
    producer.record.request_cancel(None, None)
