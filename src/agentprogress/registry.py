"""The registry: creates sessions, finds them, ends them, expires them, and tells what it holds."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from pydantic_core import from_json

from ._block import SessionBlock
from ._core.encode import Redact
from ._core.states import SessionStatus
from ._describing import SessionOptions, check_options
from ._engine import Engine, OnShutdown
from ._given import refuse_async, text_or_none
from ._producer import Producer
from .abc import Clock, Store
from .errors import SessionConflict
from .info import RegistryStats, SessionInfo
from .session import ProgressSession, SessionHandle
from .settings import Settings
from .snapshot import SessionSnapshot
from .stores import open_store
from .subscription import Subscription

__all__ = ["SessionOptions", "SessionRegistry"]

C = TypeVar("C", bound=Callable[[SessionInfo], object])


class SessionRegistry:
    """All sessions of one process, or those of a store that processes share.

    It needs no event loop to emit into, none to be made, and starts what it needs on the first loop
    that follows a session. ``async with registry`` drains it at the end, ``with registry`` does the
    same in code without a loop; entering is optional. It may be entered several times, from several
    threads: the last one who leaves drains it, and nothing new begins until it is entered again.

    With a store, every method that looks up or changes a session may ask the store in the calling
    thread, and raise `StoreUnavailable`, or `InvalidSettings` where the store must not be used as
    it is: call them in a thread from async code. ``async with registry.open()``, ``async with
    registry``, `reserve`, `subscribe` and `drain` let the event loop go on by themselves.

    Args:
        settings: every number; defaults when absent.
        store: where sessions live: ``"sqlite:///progress.db"`` (a file), ``"redis://…"`` (Redis 7
            or Valkey, also ``rediss`` and ``unix``) or a `Store`; None: in this process alone.
        on_shutdown: what becomes of a store's sessions that run here when the registry is
            drained: ``"fail"`` ends them with ``server_shutdown``, ``"detach"`` leaves them to a
            process that opens them with ``existing="resume"``.
        redact: rewrites each event's wire object before it is encoded. The default masks values
            whose key looks like a password, secret, token, API key, authorization or cookie.
        clock: for tests.

    Raises:
        InvalidSettings: ``store`` is no URL of a store.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: str | Store | None = None,
        redact: Redact | None = None,
        on_shutdown: OnShutdown = "fail",
        clock: Clock | None = None,
    ) -> None:
        settings = settings or Settings()
        opened = open_store(store) if isinstance(store, str) else store
        self._engine = Engine(settings, redact, clock, opened, on_shutdown)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Makes a registry whose settings come from ``AGENTPROGRESS_…`` variables.

        ``AGENTPROGRESS_STORE`` is the URL of its store.

        Raises:
            InvalidSettings: as `Settings.from_env`, or the URL names no store.
        """
        environ = os.environ if environ is None else environ
        return cls(Settings.from_env(environ), store=environ.get("AGENTPROGRESS_STORE") or None)

    @property
    def settings(self) -> Settings:
        """What it was made with."""
        return self._engine.settings

    @property
    def draining(self) -> bool:
        """True once it is shutting down."""
        return self._engine.draining

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
            StoreUnavailable, InvalidSettings: as `open`; the event loop waits for the store, up to
                ``flush_timeout``, and with an id of your own for the store's call under way.
        """
        check_options(options)
        return self._engine.start(function, args, options)

    def open(self, **options: Unpack[SessionOptions]) -> SessionBlock:
        """Returns a block, for ``with`` and ``async with``, that is one session.

        An id that is reserved begins its session. One that was used before raises, unless
        ``existing`` allows it.

        Raises (when the block is entered):
            SessionConflict: the id is running, or has ended and ``existing`` does not allow it.
            InvalidSessionId: the id is outside the alphabet.
            TooManySessions: no room.
            Draining: the registry is shutting down.
            StoreUnavailable: the store did not take the beginning within ``store_wait``; never for
                a generated id, whose events wait in this process. A plain ``with`` in an event loop
                waits up to ``flush_timeout``, and for the store's call under way.
            InvalidSettings: the store must not be used as it is.
        """
        check_options(options)
        return SessionBlock(self._engine, options)

    async def reserve(self, **options: Unpack[SessionOptions]) -> SessionHandle:
        """Reserves an id for a job that will begin later, e.g. out of a queue.

        Subscribers may wait on it. Reserving an id again changes nothing; the control token is told
        only the first time. After ``pending_ttl`` without a beginning the session is lost.

        Raises:
            SessionGone: the id was used before, and its record has expired.
            StoreUnavailable: the store did not answer within ``store_wait``.
            InvalidSessionId, TooManySessions, Draining, InvalidSettings: as `open`.
        """
        check_options(options)
        return ProgressSession(await self._engine.reserve_here(options)).handle()

    def reserve_sync(self, **options: Unpack[SessionOptions]) -> SessionHandle:
        """`reserve` for code without an event loop.

        Raises:
            SessionGone, StoreUnavailable, InvalidSessionId, TooManySessions, Draining,
            InvalidSettings: as `reserve`.
        """
        check_options(options)
        return ProgressSession(self._engine.reserve(options)).handle()

    def attach(self, session_id: str) -> ProgressSession:
        """Returns another producer of a running session: it emits, but does not end it.

        Raises:
            SessionUnknown, SessionGone, WrongProcess: there is no such session any more.
            SessionConflict: it is not running.
            InvalidSessionId, StoreUnavailable: as `get`.
        """
        record = self._engine.record(session_id)
        if record.status is not SessionStatus.RUNNING:
            raise SessionConflict(
                session_id, record.status, "Only a running session can be joined."
            )
        return ProgressSession(Producer(self._engine, record, owns=False))

    # Finding

    def get(self, session_id: str) -> SessionInfo:
        """Returns what is known of a session.

        Raises:
            SessionUnknown: there never was one, or it is long forgotten.
            SessionGone: it ended, and its record has expired.
            WrongProcess: the id was made by another process.
            InvalidSessionId: it is no id.
            StoreUnavailable: the store cannot be reached.
        """
        record = self._engine.record(session_id)
        record.commit()
        return SessionInfo.of(record)

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
            limit: at most so many; none where it is below 1.
            after: an id: only what was created after it; an unknown one gives nothing.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        if limit < 1:
            return []
        owner, after = text_or_none(owner), text_or_none(after)
        return self._engine.backing.listed(owner, status, min(limit, sys.maxsize), after)

    def snapshot(self, session_id: str) -> SessionSnapshot:
        """Returns a session's state, now.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
        """
        return ProgressSession(Producer(self._engine, self._engine.record(session_id))).snapshot()

    def result(self, session_id: str) -> Any:
        """Returns the decoded result of a completed session.

        Raises:
            SessionConflict: it has not completed.
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
        """
        record = self._engine.record(session_id)
        result = self._engine.backing.result(record)
        if result is None:
            raise SessionConflict(session_id, record.status, "It has no result.")
        return from_json(result)

    def cancel(self, session_id: str, reason: str | None = None, by: str | None = None) -> bool:
        """Asks a session to stop; see `ProgressSession.request_cancel`.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
        """
        return self._engine.record(session_id).request_cancel(reason, by)

    def answer(self, session_id: str, request_id: str, value: Any, by: str | None = None) -> None:
        """Answers an open question, from any thread. The first answer that fits wins.

        The same answer once more is accepted silently, so that a request may be repeated.

        Args:
            session_id: whose question.
            request_id: which question.
            value: JSON, or what has a JSON form.
            by: who answers, for viewers.

        Raises:
            InputSettled: it has another answer, has expired, or was never asked.
            InvalidAnswer: the value does not fit; the question stays open.
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
        """
        self._engine.record(session_id).answer(request_id, value, text_or_none(by))

    def on_answer(self, callback: C) -> C:
        """Calls back when a suspended session was answered or its question has expired.

        For resuming it, e.g. ``registry.start(job, session_id=info.id, existing="resume")``. The
        callback runs in whatever thread settles the question; it may be used as a decorator. A
        question that a running job waits for calls nobody. Where sessions live in a store, one
        process of all that have a callback calls it: in a task of its loop, or, where none runs, in
        a thread of its own.

        Raises:
            TypeError: the callback is a coroutine function.
        """
        refuse_async(callback, "on_answer")
        self._engine.on_answer.append(callback)
        return callback

    def delete(self, session_id: str) -> None:
        """Removes a session now; subscribers are told that it is gone, a tombstone stays.

        A session that has not ended is cancelled first.

        Raises:
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
        """
        self._engine.delete(session_id)

    def on_end(self, callback: C) -> C:
        """Calls back after each session's end, in the thread that ended it; usable as a decorator.

        Where sessions live in a store: in the process that ended it, soon after its end is stored,
        in a thread of its own. There 10,000 ends wait for a callback that takes long; what comes
        on top of them is not told, which is logged.

        Raises:
            TypeError: the callback is a coroutine function.
        """
        refuse_async(callback, "on_end")
        self._engine.on_end.append(callback)
        return callback

    def stats(self) -> RegistryStats:
        """Returns counts, taken now."""
        engine, local = self._engine, self._engine.local
        return RegistryStats(
            sessions=dict(Counter(record.status.value for record in engine.backing.records())),
            tombstones=local.tombstones,
            subscribers=engine.subscribers,
            deadlines=local.deadlines,
            held_bytes=local.size_bytes,
            swept=local.swept,
            waiting=engine.backing.waiting,
            store_available=engine.backing.available,
            dropped=engine.backing.dropped,
            detached=engine.detached,
            unanswered=engine.unanswered,
            stalled=engine.stalled,
            draining=engine.draining,
        )

    # Following

    def subscribe(self, session_id: str, *, after: str | None = None) -> Subscription:
        """Follows a session in this process: ``async with … as subscription: async for item in …``.

        Args:
            session_id: whose events.
            after: a cursor; everything after it comes. None: from the beginning.

        Raises (when entered):
            SessionUnknown, SessionGone, WrongProcess, InvalidSessionId, StoreUnavailable: as `get`.
            TooManySubscribers: the process has its full number.
            WrongLoop: others follow from another running loop.
        """
        return Subscription(self._engine, session_id, after)

    # Shutting down

    async def __aenter__(self) -> Self:
        """Waits for the store, if there is one, up to ``store_wait``.

        Raises:
            StoreUnavailable: it did not answer in time.
            InvalidSettings: it must not be used as it is.
            WrongLoop: others follow from another running loop.
        """
        await self._engine.backing.run(self._engine.backing.connect)
        self._engine.host()
        self._engine.shutdown.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drains the registry and ends its threads, when the last one leaves who has entered."""
        await self._engine.shutdown.leave()

    def __enter__(self) -> Self:
        """`__aenter__` for code without an event loop.

        Raises:
            StoreUnavailable, InvalidSettings: as there.
        """
        self._engine.backing.connect()
        self._engine.shutdown.enter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends what runs here as `drain` does, and the threads, when the last one leaves."""
        self._engine.shutdown.leave_sync()

    async def drain(self) -> None:
        """Ends what runs here and tells everybody: nothing new is taken from now on.

        Live sessions end as failed with ``server_shutdown``, retryable; with
        ``on_shutdown="detach"`` those of a store lose their producer instead, and whoever opens
        them with ``existing="resume"`` goes on at once. Those who follow a session that lives on
        are told to come back. Never waits for a stalled subscriber longer than
        ``flush_timeout``, nor for a job that does not end longer than ``close_flush_timeout``.
        """
        await self._engine.shutdown.drain()


def engine_of(registry: SessionRegistry) -> Engine:
    """Returns the inside of a registry, for this package's adapters; no application needs it."""
    return registry._engine  # pyright: ignore[reportPrivateUsage]
