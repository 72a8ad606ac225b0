"""The registry: creates sessions, finds them, ends them, expires them, and tells what it holds."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

import anyio
from pydantic_core import from_json

from ._block import SERVER_SHUTDOWN, SessionBlock, calling, run_job
from ._clock import Stamp, SystemClock
from ._core.cursor import check_session_id, process_tag
from ._core.encode import Encoder, Redact
from ._core.frames import retry_window
from ._core.jsonable import clean_text, plain_value
from ._core.states import SessionStatus
from ._host import Host
from ._ids import ProcessTag, hash_token, new_epoch, new_session_id, new_token, short_id
from ._record import Joined, Life, SessionRecord, SubscriberBase, Tombstone
from ._wakeup import LoopRef, Wakeup
from .abc import Clock
from .errors import (
    Draining,
    InvalidSessionId,
    SessionConflict,
    SessionUnknown,
    TooManySubscribers,
    WrongLoop,
    WrongProcess,
)
from .events import PlannedStep
from .info import RegistryStats, SessionInfo
from .session import ProgressSession, SessionHandle
from .settings import Settings
from .snapshot import SessionSnapshot
from .stores.memory import MemoryStore
from .subscription import Subscription

__all__ = ["SessionOptions", "SessionRegistry"]

_logger = logging.getLogger("agentprogress")


class SessionOptions(TypedDict, total=False):
    """What can be said of a session when it is created.

    Keys:
        session_id: chosen by the application; generated and unguessable when absent.
        title: what people read.
        metadata: any JSON object, shown to viewers.
        owner: whose it is; for `authorize` and `SessionRegistry.list`, never sent.
        private: whatever the application wants back in `SessionInfo`, never sent.
        plan: steps known ahead, as names, `PlannedStep` or mappings of its fields.
        existing: what to do with an id that was used: ``"restart"`` an ended or expired session (new
            epoch, next attempt, old log and result gone), ``"resume"`` a waiting one.
        retry_on: exceptions that put the session back to ``pending``, to be opened again, instead of
            failing it.
        history_ttl: seconds the history is kept after the end, in place of the setting.
        result_ttl: seconds snapshot and result are kept after the end, in place of the setting.
    """

    session_id: str | None
    title: str | None
    metadata: Mapping[str, Any] | None
    owner: str | None
    private: Any
    plan: Iterable[str | PlannedStep | Mapping[str, Any]] | None
    existing: Literal["resume", "restart"] | None
    retry_on: tuple[type[Exception], ...]
    history_ttl: float
    result_ttl: float


class SessionRegistry:
    """All sessions of one process.

    It needs no event loop to emit into, none to be made, and starts what it needs on the first loop
    that follows a session. ``async with registry`` drains it at the end; entering is optional.

    Args:
        settings: every number; defaults when absent.
        redact: rewrites each event's wire object before it is encoded. The default masks values
            whose key looks like a password, secret, token, API key, authorization or cookie.
        clock: for tests.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        redact: Redact | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self.encoder = Encoder(self.settings, redact)
        self.stamp = Stamp(self.clock)
        self.draining = False
        self.detached = 0
        self.unanswered = 0
        self._store = MemoryStore(self.settings, self.clock, self._gone)
        self._tag = ProcessTag()
        self._creating = threading.RLock()
        self._host: Host | None = None
        self._entered = 0
        self._on_end: list[Callable[[SessionInfo], object]] = []
        self._jobs: dict[SessionRecord, anyio.CancelScope] = {}
        self._listeners: dict[Callable[[], object], None] = {}
        self._dropped = 0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Makes a registry whose settings come from ``AGENTPROGRESS_…`` variables.

        Raises:
            InvalidSettings: as `Settings.from_env`.
        """
        return cls(Settings.from_env(environ))

    # Ways in

    def start(
        self, function: Callable[..., Any], *args: Any, **options: Unpack[SessionOptions]
    ) -> ProgressSession:
        """Runs ``function(session, *args)`` as a task of the registry's and returns at once.

        What the function returns is the session's result; what it raises fails the session and is
        logged with its id. A plain function runs in a worker thread.

        Args:
            function: the job; its first argument is the session.
            args: the job's other arguments.
            options: see `SessionOptions`.

        Raises:
            RuntimeError: no event loop runs here.
            WrongLoop: the registry serves another running loop.
            SessionConflict, InvalidSessionId, TooManySessions, Draining: as `open`.
        """
        host = self.host()
        session = self.begin(options)
        scope = anyio.CancelScope()
        self._jobs[session.record] = scope
        host.start_soon(self._job, session, options, scope, calling(function, session, args))
        return session

    async def _job(
        self,
        session: ProgressSession,
        options: SessionOptions,
        scope: anyio.CancelScope,
        call: Callable[[], Awaitable[Any]],
    ) -> None:
        try:
            await run_job(self, session, options, scope, call)
        finally:
            self._jobs.pop(session.record, None)

    def open(self, **options: Unpack[SessionOptions]) -> SessionBlock:
        """Returns a block, for ``with`` and ``async with``, that is one session.

        An id that is reserved begins its session. One that was used before raises, unless
        ``existing`` allows it.

        Raises (when the block is entered):
            SessionConflict: the id is running, or has ended and ``existing`` does not allow it.
            InvalidSessionId: the id is outside the alphabet.
            TooManySessions: no room.
            Draining: the registry is shutting down.
        """
        return SessionBlock(self, options)

    async def reserve(self, **options: Unpack[SessionOptions]) -> SessionHandle:
        """Reserves an id for a job that will begin later, e.g. out of a queue.

        Subscribers may wait on it. Reserving an id again changes nothing; the control token is told
        only the first time. After ``pending_ttl`` without a beginning the session is lost.

        Raises:
            InvalidSessionId, TooManySessions, Draining: as `open`.
        """
        self._try_host()
        return self.reserve_sync(**options)

    def reserve_sync(self, **options: Unpack[SessionOptions]) -> SessionHandle:
        """`reserve` for code without an event loop."""
        with self._creating:
            session_id = options.get("session_id")
            if session_id is not None:
                self._refuse_foreign(session_id)
                found = self._store.find(session_id)
                if isinstance(found, SessionRecord):
                    return ProgressSession(self, found).handle()
            return self._create(options, attempt=1).handle()

    def attach(self, session_id: str) -> ProgressSession:
        """Returns another producer of a running session: it emits, but does not end it.

        Raises:
            SessionUnknown, SessionGone, WrongProcess: there is no such session any more.
            SessionConflict: it is not running.
        """
        record = self.record(session_id)
        if record.status is not SessionStatus.RUNNING:
            raise SessionConflict(session_id, record.status, "Only a running session can be joined.")
        return ProgressSession(self, record)

    def begin(self, options: SessionOptions) -> ProgressSession:
        """Begins the session that the options describe; `open` and `start` end in it."""
        self._try_host()
        with self._creating:
            session_id = options.get("session_id")
            found = None
            if session_id is not None:
                self._refuse_foreign(session_id)
                found = self._store.find(session_id)
            if found is None:
                session = self._create(options, attempt=1)
            elif isinstance(found, SessionRecord) and found.status is SessionStatus.PENDING:
                session = self._take_over(found, options)
            else:
                session = self._reopen(found, options)
        if session.record.status is SessionStatus.PENDING:
            session.record.transition(self._started(session.record, options))
        return session

    def _take_over(self, record: SessionRecord, options: SessionOptions) -> ProgressSession:
        record.fence += 1
        record.life.title = options.get("title") or record.life.title
        record.life.plan = None
        return ProgressSession(self, record)

    def _reopen(
        self, found: SessionRecord | Tombstone, options: SessionOptions
    ) -> ProgressSession:
        existing, status = options.get("existing"), found.status
        if isinstance(found, SessionRecord) and status is SessionStatus.WAITING and existing == "resume":
            found.fence += 1
            found.transition({"type": "session.resumed"})
            return ProgressSession(self, found)
        if not status.ended:
            raise SessionConflict(self._id_of(found), status, "It already has a producer.")
        if existing != "restart":
            raise SessionConflict(
                self._id_of(found), status, 'Pass existing="restart" to run it again.'
            )
        session = self._create(options, attempt=found.attempt + 1, of=found)
        if isinstance(found, SessionRecord):
            found.supersede(session.record)
        return session

    @staticmethod
    def _id_of(found: SessionRecord | Tombstone) -> str:
        return found.id if isinstance(found, SessionRecord) else found.session_id

    def _create(
        self, options: SessionOptions, attempt: int, of: SessionRecord | Tombstone | None = None
    ) -> ProgressSession:
        if self.draining:
            raise Draining
        session_id = options.get("session_id")
        if session_id is None:
            session_id = new_session_id(self._tag())
        elif of is None:
            check_session_id(session_id, chosen=True)
        token = new_token()
        life = Life(
            title=options.get("title"),
            owner=options.get("owner"),
            private=options.get("private"),
            created_at=self.stamp(),
            control_hash=hash_token(token),
            history_ttl=_ttl(options, "history_ttl", self.settings.history_ttl),
            result_ttl=_ttl(options, "result_ttl", self.settings.result_ttl),
        )
        record = SessionRecord(session_id, new_epoch(), attempt, self, life)
        self._store.add(record)
        self._store.expire_pending(record)
        return ProgressSession(self, record, token)

    def _started(self, record: SessionRecord, options: SessionOptions) -> dict[str, Any]:
        plan = [_planned(step, self.encoder.describe) for step in options.get("plan") or ()]
        if plan:
            record.life.plan = {(step["kind"], step["name"]): step["step_id"] for step in plan}
        metadata = options.get("metadata")
        return {
            "type": "session.started",
            "attempt": record.attempt,
            "title": record.life.title,
            "metadata": None if metadata is None else dict(metadata),
            "plan": plan or None,
        }

    # Finding

    def record(self, session_id: str) -> SessionRecord:
        """Returns a session's record; for this package.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: there is none.
        """
        check_session_id(session_id)
        found = self._store.find(session_id)
        if isinstance(found, SessionRecord):
            return found
        if found is not None:
            raise found.error()
        self._refuse_foreign(session_id)
        raise SessionUnknown(session_id)

    def _refuse_foreign(self, session_id: str) -> None:
        tag = process_tag(session_id)
        if tag is not None and tag != self._tag():
            raise WrongProcess(session_id)

    def get(self, session_id: str) -> SessionInfo:
        """Returns what is known of a session.

        Raises:
            SessionUnknown: there never was one, or it is long forgotten.
            SessionGone: it ended, and its record has expired.
            WrongProcess: the id was made by another process.
            InvalidSessionId: it is no id.
        """
        return SessionInfo.of(self.record(session_id))

    def list(
        self,
        *,
        owner: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[SessionInfo]:
        """Returns sessions in the order of their creation.

        Args:
            owner: only this owner's.
            status: only those in this state.
            limit: at most so many.
            after: an id: only what was created after it; an unknown one gives nothing.
        """
        records = iter(self._store)
        if after is not None:
            for record in records:
                if record.id == after:
                    break
        found = (
            SessionInfo.of(record)
            for record in records
            if (owner is None or record.life.owner == owner)
            and (status is None or record.status == status)
        )
        return [info for info, _ in zip(found, range(limit), strict=False)]

    def snapshot(self, session_id: str) -> SessionSnapshot:
        """Returns a session's state, now.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: as `get`.
        """
        return ProgressSession(self, self.record(session_id)).snapshot()

    def result(self, session_id: str) -> Any:
        """Returns the decoded result of a completed session.

        Raises:
            SessionConflict: it has not completed.
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: as `get`.
        """
        record = self.record(session_id)
        if record.life.result is None:
            raise SessionConflict(session_id, record.status, "It has no result.")
        return from_json(record.life.result)

    def cancel(self, session_id: str, reason: str | None = None, by: str | None = None) -> bool:
        """Asks a session to stop; see `ProgressSession.request_cancel`.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: as `get`.
        """
        return self.record(session_id).request_cancel(reason, by)

    def delete(self, session_id: str) -> None:
        """Removes a session now; subscribers are told that it is gone, a tombstone stays.

        A session that has not ended is cancelled first.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: as `get`.
        """
        record = self.record(session_id)
        if not record.ended:
            record.request_cancel("deleted", None)
            record.transition({"type": "session.cancelled", "reason": "deleted"})
        self._store.remove(record)

    def on_end(self, callback: Callable[[SessionInfo], object]) -> Callable[[SessionInfo], object]:
        """Calls back after each session's end, in the thread that ended it; usable as a decorator."""
        self._on_end.append(callback)
        return callback

    def stats(self) -> RegistryStats:
        """Returns counts, taken now."""
        host = self._host
        records = list(self._store)
        return RegistryStats(
            sessions=dict(Counter(record.status.value for record in records)),
            tombstones=self._store.tombstones,
            subscribers=len(host.members) if host else 0,
            deadlines=self._store.deadlines,
            held_bytes=self._store.size_bytes,
            swept=self._store.swept,
            dropped=self._dropped + sum(record.dropped for record in records),
            detached=self.detached,
            unanswered=self.unanswered,
            stalled=host.heartbeats.stalled if host else 0.0,
            draining=self.draining,
        )

    # Following

    def subscribe(self, session_id: str, *, after: str | None = None) -> Subscription:
        """Follows a session in this process: ``async with … as subscription: async for item in …``.

        Args:
            session_id: whose events.
            after: a cursor; everything after it comes. None: from the beginning.

        Raises (when entered):
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId: as `get`.
            TooManySubscribers: the process has its full number.
            WrongLoop: others follow from another running loop.
        """
        return Subscription(self, session_id, after)

    def admit(self, subscriber: SubscriberBase, cursor: str | None) -> Joined:
        """Registers a subscriber at its cursor; for this package.

        Raises:
            TooManySubscribers, WrongLoop: it cannot be served.
        """
        host = self.host()
        record = subscriber.record
        if len(host.members) >= self.settings.max_subscribers:
            raise TooManySubscribers("This process has its full number of subscribers.")
        if subscriber.principal is not None:
            same = sum(s.principal == subscriber.principal for s in record.subscribers)
            if same >= self.settings.max_session_subscribers:
                raise TooManySubscribers("You follow this session too many times already.")
        host.members[subscriber] = None
        return record.join(subscriber, cursor)

    def dismiss(self, subscriber: SubscriberBase) -> None:
        """Forgets a subscriber; for this package."""
        subscriber.record.leave(subscriber)
        if self._host is not None:
            self._host.members.pop(subscriber, None)

    def retry_window(self) -> float:
        """Returns the seconds over which clients should spread their return."""
        return retry_window(
            len(self._host.members) if self._host else 0,
            self.settings.max_reconnects_per_second,
            self.settings.min_retry_window,
            self.settings.max_retry_window,
        )

    # Where things run

    def host(self) -> Host:
        """Returns the host on the running loop, starting it when there is none; for this package.

        Raises:
            RuntimeError: no event loop runs here.
            WrongLoop: another running loop is being served.
        """
        here = LoopRef()
        host = self._host
        if host is not None and host.alive:
            if host.loop.same(here):
                return host
            if host.in_use:
                raise WrongLoop
            host.stop()
        fresh = Host(self.settings, self.clock, self._store, self._never_started)
        if host is not None:
            fresh.adopt(host)
        self._host = fresh
        fresh.launch()
        return fresh

    def _try_host(self) -> None:
        """Starts the host if this code runs in a loop and no other one is served."""
        if LoopRef.current() is not None and (self._host is None or not self._host.alive):
            self.host()

    async def __aenter__(self) -> Self:
        self.draining = False
        self._entered += 1
        self.host()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._entered == 0:
            with anyio.CancelScope(shield=True):
                await self.drain()
            if self._host is not None:
                self._host.stop()

    async def drain(self) -> None:
        """Ends what runs here and tells everybody: nothing new is taken from now on.

        Live sessions end as failed with ``server_shutdown``, retryable. Those who follow a session
        that lives on are told to come back. Never waits for a stalled subscriber: after
        ``flush_timeout`` at the latest it returns.
        """
        self.draining = True
        records = list(self._store)
        for record in records:
            if record.status in (SessionStatus.RUNNING, SessionStatus.WAITING):
                record.transition({"type": "session.failed", "error": SERVER_SHUTDOWN})
        for scope in list(self._jobs.values()):
            scope.cancel()
        for tell in list(self._listeners):
            tell()
        if self._host is not None and self._host.alive and self._host.loop.same(LoopRef.current()):
            for record in records:
                if record.subscribers:
                    self._host.publish(record)
            with anyio.move_on_after(self.settings.flush_timeout):
                for record in records:
                    await self.flush(record)

    def on_drain(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Calls back when draining begins; for adapters.

        Returns:
            What takes the callback off.
        """
        self._listeners[callback] = None
        return lambda: self._listeners.pop(callback, None) and None

    # What sessions ask of the registry around them (`Hub`)

    def enqueue(self, record: SessionRecord) -> bool:
        host = self._host
        if host is None or not host.alive:
            return False
        host.enqueue(record)
        return True

    def account(self, size_bytes: int) -> None:
        self._store.account(size_bytes)

    def transitioned(self, record: SessionRecord) -> None:
        if record.ended:
            self._store.ended(record)
            info = SessionInfo.of(record)
            for callback in list(self._on_end):
                try:
                    callback(info)
                except Exception:
                    _logger.exception("session %s: an on_end callback failed", record.id)
        elif record.status is SessionStatus.PENDING:
            self._store.expire_pending(record)
        else:
            self._store.started(record)
        if self._host is not None:
            self._host.wake()

    async def flush(self, record: SessionRecord) -> None:
        record.commit()
        host = self._host
        if host is None or not host.alive or not record.subscribers:
            return
        here = host.loop.same(LoopRef.current())
        wakeup = Wakeup(LoopRef())
        if here:
            host.publish(record)
            if not record.await_handed(wakeup.set):
                return
        else:
            host.loop.call_soon(lambda: self._publish_for(host, record, wakeup.set))
        deadline = self.clock.monotonic() + self.settings.flush_timeout
        await self.clock.wait(wakeup.event, deadline)
        if not wakeup.event.is_set():
            if here:
                record.give_up_on_slow()
            else:
                host.loop.call_soon(record.give_up_on_slow)

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        record.commit()
        host = self._host
        if host is None or not host.alive or not record.subscribers:
            return
        if host.loop.on_its_thread():
            host.publish(record)
            return
        handed = threading.Event()
        host.loop.call_soon(lambda: self._publish_for(host, record, handed.set))
        if not handed.wait(timeout):
            host.loop.call_soon(record.give_up_on_slow)

    @staticmethod
    def _publish_for(host: Host, record: SessionRecord, done: Callable[[], object]) -> None:
        """Publishes on the host's thread for a flush that waits elsewhere."""
        host.publish(record)
        if not record.await_handed(done):
            done()

    def _never_started(self, record: SessionRecord) -> None:
        record.transition({"type": "session.lost", "reason": "never_started"})

    def _gone(self, record: SessionRecord) -> None:
        self._dropped += record.dropped
        scope = self._jobs.get(record)
        if scope is not None and self._host is not None:
            self._host.loop.call_soon(scope.cancel)


def _ttl(options: SessionOptions, name: Literal["history_ttl", "result_ttl"], default: float) -> float:
    value = options.get(name, default)
    if value <= 0:
        raise InvalidSessionId(f"{name} must be greater than 0, not {value!r}.")
    return value


def _planned(
    step: str | PlannedStep | Mapping[str, Any], describe: Callable[[Any], str]
) -> dict[str, Any]:
    """Returns a planned step's wire object, with an id by which its start will be known."""
    if isinstance(step, str):
        step = {"name": step}
    given = dict(step) if isinstance(step, PlannedStep | Mapping) else {"name": describe(step)}
    planned = {"kind": "phase", "step_id": short_id(), **{k: v for k, v in given.items() if v is not None}}
    return {key: plain_value(clean_text(value) if isinstance(value, str) else value, 64, describe) for key, value in planned.items()}
