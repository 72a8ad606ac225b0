"""How a session's code begins and ends: the ``with`` block, the job, and the verdict on both."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread
from pydantic_core import from_json

from ._ambient import enter_scope, leave_scope
from ._errors_out import log_failure
from ._given import is_async
from ._inputs import SessionSuspended, other_than_suspension
from ._producer import Producer
from ._record import SessionRecord
from ._wakeup import LoopRef
from .errors import EventTooLarge, InvalidEvent, PublicError, SessionCancelled
from .session import ProgressSession

if TYPE_CHECKING:
    from ._describing import SessionOptions
    from ._engine import Engine
    from .step import Scope

__all__ = ["SHUTDOWN", "Job", "SessionBlock"]


_logger = logging.getLogger("agentprogress")


class SessionBlock:
    """``async with registry.open(…)`` or ``with registry.open(…)``; begins when it is entered.

    Left normally the session completes with what `ProgressSession.complete` recorded; an exception
    fails it and propagates; a cancellation cancels it. In an ``async with`` block a cancel request
    cancels the block's task once, and the block raises `SessionCancelled`. A session that is
    suspended in it leaves it without a verdict, and without an exception.
    """

    __slots__ = ("_canceller", "_engine", "_options", "_outer", "_producer")

    def __init__(self, engine: Engine, options: SessionOptions) -> None:
        self._engine = engine
        self._options = options
        self._producer: Producer | None = None
        self._outer: Scope | None = None
        self._canceller: _TaskCanceller | _ScopeCanceller | None = None

    def __enter__(self) -> ProgressSession:
        return self._enter(self._engine.begin(self._options))

    def _enter(self, producer: Producer) -> ProgressSession:
        self._producer = producer
        session = ProgressSession(producer)
        self._outer = enter_scope(session)
        return session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._producer is not None
        swallowed = self._leave(exc)
        self._engine.flushing.settle_sync(self._producer.record)
        return swallowed

    def _leave(self, exc: BaseException | None) -> bool | None:
        """Gives the verdict; True when the exception is no one's business any more."""
        assert self._producer is not None
        leave_scope(self._outer)
        self._outer = None
        if exc is not None and other_than_suspension(exc, self._producer.record.id) is None:
            return True
        finish(self._producer, exc, self._options, self._engine)
        return None

    async def __aenter__(self) -> ProgressSession:
        session = self._enter(await self._engine.begin_here(self._options))
        self._canceller = _canceller()
        session.on_cancel(self._canceller.request)
        return session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._producer is not None
        try:
            return self._leave_task(exc)
        finally:
            # Even a block that is being cancelled waits for its end to be stored.
            with anyio.CancelScope(shield=True):
                await self._engine.flushing.settle(self._producer.record)

    def _leave_task(self, exc: BaseException | None) -> bool | None:
        assert self._canceller is not None
        assert self._producer is not None
        try:
            obeyed = self._canceller.leave(exc)
        except BaseException as left:
            # A scope hands on what it did not ask for: the other errors of a group, say.
            if self._leave(left):
                return True
            raise
        if not obeyed:
            return self._leave(exc)
        record = self._producer.record
        cancelled = SessionCancelled(record.id, record.life.cancel_reason)
        self._leave(cancelled)
        raise cancelled from None


class _TaskCanceller:
    """Cancels an asyncio task once, as `asyncio.timeout` does."""

    __slots__ = ("_before", "_left", "_loop", "_requested", "_task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._loop = LoopRef()
        self._task = task
        self._before = task.cancelling()
        self._requested = False
        self._left = False

    def request(self) -> None:
        self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        if not self._left:
            self._requested = True
            self._task.cancel()

    def leave(self, exc: BaseException | None) -> bool:
        """Takes the request back; True when it, and nothing else, is what ends the block."""
        self._left = True
        if not self._requested:
            return False
        only_ours = self._task.uncancel() <= self._before
        return only_ours and isinstance(exc, asyncio.CancelledError)


class _ScopeCanceller:
    """Cancels a block on trio through a scope around it."""

    __slots__ = ("_loop", "_scope")

    def __init__(self) -> None:
        self._loop = LoopRef()
        self._scope = anyio.CancelScope()
        self._scope.__enter__()

    def request(self) -> None:
        self._loop.call_soon(self._scope.cancel)

    def leave(self, exc: BaseException | None) -> bool:
        kind = type(exc) if exc is not None else None
        traceback = exc.__traceback__ if exc is not None else None
        self._scope.__exit__(kind, exc, traceback)
        return self._scope.cancelled_caught


def _canceller() -> _TaskCanceller | _ScopeCanceller:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return _ScopeCanceller() if task is None else _TaskCanceller(task)


class Job:
    """A function that a registry runs as a task of its own, with the session it makes.

    Attributes:
        session: what the function gets as its first argument.
        record: the session's.
    """

    __slots__ = (
        "_args",
        "_engine",
        "_function",
        "_loop",
        "_options",
        "_producer",
        "_scope",
        "record",
        "session",
    )

    def __init__(
        self,
        engine: Engine,
        producer: Producer,
        options: SessionOptions,
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self.session = ProgressSession(producer)
        self.record: SessionRecord = producer.record
        self._engine = engine
        self._producer = producer
        self._options = options
        self._function = function
        self._args = args
        self._loop = LoopRef()
        self._scope = anyio.CancelScope()

    def cancel(self) -> None:
        """Cancels the function, soon; callable from any thread."""
        self._loop.call_soon(self._scope.cancel)

    def abandon(self) -> None:
        """Ends the session of a function that will not run, or not run on: its loop is gone."""
        self._producer.close(SHUTDOWN)

    async def run(self) -> None:
        """Runs the function and ends its session, whatever happens; the end is stored by then."""
        try:
            await self._run()
        finally:
            with anyio.CancelScope(shield=True):
                await self._engine.flushing.settle(self.record)

    async def _run(self) -> None:
        outer = enter_scope(self.session)
        self.session.on_cancel(self.cancel)
        try:
            with self._scope:
                # Asked to stop before it began: then it does not begin.
                self.session.raise_if_cancelled()
                result = await self._call()
                if result is not None:
                    self.session.complete(result)
        except Exception as error:  # noqa: BLE001 - the verdict logs it and tells viewers
            if isinstance(error, PublicError):  # nobody else will hear of it
                _logger.warning("session %s: failed: %s", self.record.id, error)
            self._finish(error)
        except BaseException as error:
            other = other_than_suspension(error, self.record.id)
            if other is None:  # the session waits for its answer
                return
            if isinstance(other, SystemExit) or _is_stray(other):
                # The function's own doing: it fails, and takes nobody with it.
                self._producer.fail(other)
                return
            if self.session.cancel_requested:
                self._finish(error)
            else:  # nobody asked for it: the loop is going down
                self.abandon()
            raise
        else:
            cancelled = self._scope.cancelled_caught
            reason = self.session.cancel_reason
            self._finish(SessionCancelled(self.session.id, reason) if cancelled else None)
        finally:
            leave_scope(outer)

    def _finish(self, exc: BaseException | None) -> None:
        finish(self._producer, exc, self._options, self._engine)

    async def _call(self) -> Any:
        """Calls a coroutine function as it is, a plain one in a worker thread."""
        function, args = self._function, self._args
        if is_async(inspect.unwrap(function)):
            result = function(self.session, *args)
        else:
            # A thread for each: jobs run for hours, and must not use up those of the application.
            result = await anyio.to_thread.run_sync(
                lambda: function(self.session, *args), limiter=anyio.CapacityLimiter(1)
            )
        return await result if inspect.isawaitable(result) else result


def finish(
    producer: Producer, exc: BaseException | None, options: SessionOptions, engine: Engine
) -> None:
    """Gives a session its end, even when the application's own values make telling it fail."""
    try:
        _judge(producer, exc, options, engine)
    except Exception as failure:  # noqa: BLE001 - a session must end, whatever its values do
        log_failure(failure, "session %s: its end cannot be told", producer.record.id)
        producer.close({"type": "session.failed", "error": UNTELLABLE})


def _judge(
    producer: Producer, exc: BaseException | None, options: SessionOptions, engine: Engine
) -> None:
    """Gives a session the verdict on how its code was left."""
    record = producer.record
    retries = isinstance(exc, tuple(options.get("retry_on") or ()))
    if exc is None:
        producer.close(*_completed(producer))
    elif _is_cancellation(exc, record.id) or (retries and record.cancel_requested):
        if not engine.draining:
            reason = record.life.cancel_reason
            producer.close({"type": "session.cancelled", "reason": reason})
        elif not engine.shutdown.detaches:  # else its lease is about to be given up
            producer.close(SHUTDOWN)
    elif retries:
        error = producer.describe_error(exc)
        attempt = record.attempt
        producer.close({"type": "session.retrying", "attempt": attempt, "error": error})
    else:
        producer.fail(exc)


def _is_cancellation(exc: BaseException, session_id: str) -> bool:
    """True when the code was stopped, and not by an error that came with it."""
    if isinstance(exc, SessionCancelled):
        return exc.session_id == session_id
    if isinstance(exc, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", exc).subgroup(Exception) is None
    return not isinstance(exc, Exception)


def _is_stray(error: BaseException) -> bool:
    """True for what nobody sent to this task.

    That is a `CancelledError` of another one that it awaited, the suspension of a session that is
    not the job's, and what is left of a group once the job's own has been taken out.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(
            isinstance(each, Exception) or _is_stray(each)
            for each in cast("BaseExceptionGroup[BaseException]", error).exceptions
        )
    if isinstance(error, SessionSuspended):
        return True
    if not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on trio it cancels nobody
        return True
    return task is not None and not task.cancelling()


def _completed(producer: Producer) -> tuple[dict[str, Any], bytes | None]:
    """Returns the terminal event for a recorded result, and the result to be kept with the log."""
    try:
        encoded = producer.encode_result()
    except (EventTooLarge, InvalidEvent) as error:
        _logger.error("session %s: its result cannot be kept: %s", producer.record.id, error)
        message = f"The job completed, but its result cannot be kept: {error}"
        info = {"code": "result_refused", "message": message, "retryable": False}
        return {"type": "session.failed", "error": info}, None
    wire: dict[str, Any] = {"type": "session.completed"}
    if encoded != b"null":
        wire["result_bytes"] = len(encoded)
        if len(encoded) <= producer.hub.settings.max_inline_result_bytes:
            wire["result"] = from_json(encoded)
    return wire, encoded


UNTELLABLE = {
    "code": "exception",
    "message": "The job ended, but how it ended cannot be told.",
    "retryable": False,
}

_SERVER_SHUTDOWN = {
    "code": "server_shutdown",
    "message": "The server shut down while the job was running.",
    "retryable": True,
}
SHUTDOWN: dict[str, Any] = {"type": "session.failed", "error": _SERVER_SHUTDOWN}
