"""How a session's code begins and ends: the ``with`` block, the job, and the verdict on both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from pydantic_core import from_json

from ._ambient import enter_scope, leave_scope
from ._wakeup import LoopRef
from .errors import EventTooLarge, InvalidEvent, SessionCancelled
from .session import ProgressSession

if TYPE_CHECKING:
    from .registry import SessionOptions, SessionRegistry

__all__ = ["SERVER_SHUTDOWN", "SessionBlock", "calling", "run_job"]


class SessionBlock:
    """``async with registry.open(…)`` or ``with registry.open(…)``; begins when it is entered.

    Left normally the session completes with what `ProgressSession.complete` recorded; an exception
    fails it and propagates; a cancellation cancels it. In an ``async with`` block a cancel request
    cancels the block's task once, and the block raises `SessionCancelled`.
    """

    __slots__ = ("_canceller", "_options", "_outer", "_registry", "_session")

    def __init__(self, registry: SessionRegistry, options: SessionOptions) -> None:
        self._registry = registry
        self._options = options
        self._session: ProgressSession | None = None
        self._outer: Any = None
        self._canceller: _TaskCanceller | _ScopeCanceller | None = None

    def __enter__(self) -> ProgressSession:
        self._session = self._registry.begin(self._options)
        self._outer = enter_scope(self._session)
        return self._session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        leave_scope(self._outer)
        finish(self._session, exc, self._options, draining=self._registry.draining)

    async def __aenter__(self) -> ProgressSession:
        session = self.__enter__()
        self._canceller = _canceller()
        session.on_cancel(self._canceller.request)
        return session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._canceller is not None
        assert self._session is not None
        obeyed = self._canceller.leave(exc)
        if obeyed:
            exc = SessionCancelled(self._session.id, self._session.cancel_reason)
        self.__exit__(None, exc, traceback)
        if obeyed and exc is not None:
            raise exc from None


class _TaskCanceller:
    """Cancels an asyncio task once, as `asyncio.timeout` does."""

    def __init__(self) -> None:
        self._loop = LoopRef()
        self._task = asyncio.current_task()
        self._requested = False
        self._left = False

    def request(self) -> None:
        self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self._left:
            self._requested = True
            self._task.cancel()

    def leave(self, exc: BaseException | None) -> bool:
        """Takes the request back; True when it, and nothing else, is what ends the block."""
        self._left = True
        if not self._requested or self._task is None:
            return False
        return self._task.uncancel() == 0 and isinstance(exc, asyncio.CancelledError)


class _ScopeCanceller:
    """Cancels a block on trio through a scope around it."""

    def __init__(self) -> None:
        self._loop = LoopRef()
        self._scope = anyio.CancelScope()
        self._scope.__enter__()

    def request(self) -> None:
        self._loop.call_soon(self._scope.cancel)

    def leave(self, exc: BaseException | None) -> bool:
        kind = type(exc) if exc is not None else None
        traceback = exc.__traceback__ if exc is not None else None
        return bool(self._scope.__exit__(kind, exc, traceback))


def _canceller() -> _TaskCanceller | _ScopeCanceller:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _ScopeCanceller()
    return _TaskCanceller()


async def run_job(
    registry: SessionRegistry,
    session: ProgressSession,
    options: SessionOptions,
    scope: anyio.CancelScope,
    call: Callable[[], Awaitable[Any]],
) -> None:
    """Runs the function given to `SessionRegistry.start` and ends its session, whatever happens."""
    outer = enter_scope(session)
    loop = LoopRef()
    session.on_cancel(lambda: loop.call_soon(scope.cancel))
    try:
        with scope:
            result = await call()
            if result is not None:
                session.complete(result)
    except Exception as error:
        finish(session, error, options, draining=registry.draining)
    except BaseException as error:  # the loop is going down
        finish(session, error, options, draining=registry.draining)
        raise
    else:
        cancelled = scope.cancelled_caught
        verdict = SessionCancelled(session.id, session.cancel_reason) if cancelled else None
        finish(session, verdict, options, draining=registry.draining)
    finally:
        leave_scope(outer)


def calling(
    function: Callable[..., Any], session: ProgressSession, args: tuple[Any, ...]
) -> Callable[[], Awaitable[Any]]:
    """Returns how to run a job: a coroutine function as it is, a plain one in a worker thread."""

    async def call() -> Any:
        if inspect.iscoroutinefunction(inspect.unwrap(function)):
            return await function(session, *args)
        result = await anyio.to_thread.run_sync(lambda: function(session, *args))
        return await result if inspect.isawaitable(result) else result

    return call


def finish(
    session: ProgressSession, exc: BaseException | None, options: SessionOptions, *, draining: bool
) -> None:
    """Gives a session its end: the verdict on how its code was left."""
    if exc is None:
        session.close(*_completed(session))
    elif isinstance(exc, options.get("retry_on") or ()):
        error = session.describe_error(exc)
        session.close({"type": "session.retrying", "attempt": session.attempt, "error": error})
    elif isinstance(exc, Exception) and not isinstance(exc, SessionCancelled):
        session.close({"type": "session.failed", "error": session.describe_error(exc)})
    elif draining:
        session.close({"type": "session.failed", "error": SERVER_SHUTDOWN})
    else:
        session.close({"type": "session.cancelled", "reason": session.cancel_reason})


def _completed(session: ProgressSession) -> tuple[dict[str, Any], bytes | None]:
    """Returns the terminal event for a recorded result, and the result to be kept beside the log."""
    try:
        encoded = session.encode_result()
    except (EventTooLarge, InvalidEvent) as error:
        message = f"The job completed, but its result cannot be kept: {error}"
        info = {"code": "result_refused", "message": message, "retryable": False}
        return {"type": "session.failed", "error": info}, None
    wire: dict[str, Any] = {"type": "session.completed"}
    if encoded != b"null":
        wire["result_bytes"] = len(encoded)
        if len(encoded) <= session.inline_result_bytes:
            wire["result"] = from_json(encoded)
    return wire, encoded


SERVER_SHUTDOWN = {
    "code": "server_shutdown",
    "message": "The server shut down while the job was running.",
    "retryable": True,
}
