"""Instrumenting code that may run inside a session: ambient access, `track`, `traced`, `bind`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, cast, overload

from ._ambient import current_scope, enter_scope, leave_scope
from ._given import is_async
from .events import StepKind
from .session import NO_SESSION, ProgressSession
from .step import Scope, Step

__all__ = ["bind", "current_session", "current_step", "traced", "track"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Capture: TypeAlias = Literal["none", "names", "full"]

_NO_STEP = NO_SESSION.step("")


def current_session() -> ProgressSession:
    """Returns the session of the running code; a falsy one that keeps nothing if there is none."""
    scope = current_scope()
    return scope.session if scope is not None else NO_SESSION


def current_step() -> Step:
    """Returns the innermost open step here; a falsy one that keeps nothing if there is none."""
    scope = current_scope()
    return scope if isinstance(scope, Step) else _NO_STEP


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Returns a function that runs in the session and step that are current now.

    For executors and threads, which do not carry them. A coroutine function stays one.
    """
    scope = current_scope()
    if is_async(function):

        @functools.wraps(function)
        async def bound_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            outer = enter_scope(scope)
            try:
                return await cast("Awaitable[Any]", function(*args, **kwargs))
            finally:
                leave_scope(outer)

        return cast("Callable[P, R]", bound_coroutine)

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        outer = enter_scope(scope)
        try:
            return function(*args, **kwargs)
        finally:
            leave_scope(outer)

    return bound


@overload
def track(
    items: Iterable[T], name: str, *, unit: str | None = None, total: float | None = None
) -> Iterator[T]: ...


@overload
def track(
    items: AsyncIterable[T], name: str, *, unit: str | None = None, total: float | None = None
) -> AsyncIterator[T]: ...


def track(
    items: Iterable[T] | AsyncIterable[T],
    name: str,
    *,
    unit: str | None = None,
    total: float | None = None,
) -> Iterator[T] | AsyncIterator[T]:
    """Iterates over items as one step that advances with each of them.

    Args:
        items: anything for ``for`` or ``async for``.
        name: of the step.
        unit: what is counted.
        total: how many there will be; found out by ``len`` where that works.
    """
    if total is None:
        try:
            total = len(cast("Any", items))
        except Exception:  # noqa: BLE001 - no length, or somebody's __len__ fails: nobody knows
            total = None
    if isinstance(items, AsyncIterable):
        return _track_async(items, name, unit, total)
    return _track(items, name, unit, total)


def _track(items: Iterable[T], name: str, unit: str | None, total: float | None) -> Iterator[T]:
    step = _here().step(name, unit=unit, total=total)
    # The step is not made the current one: a generator's body runs in its caller's context.
    try:
        for item in items:
            yield item
            step.advance()
    except BaseException as error:
        _end(step, error)
        raise
    step.complete()


async def _track_async(
    items: AsyncIterable[T], name: str, unit: str | None, total: float | None
) -> AsyncIterator[T]:
    step = _here().step(name, unit=unit, total=total)
    try:
        async for item in items:
            yield item
            step.advance()
    except BaseException as error:
        _end(step, error)
        raise
    step.complete()


def _end(step: Step, error: BaseException) -> None:
    if isinstance(error, Exception):
        step.fail(error)
    else:
        step.cancel()


def _here() -> Scope:
    return current_scope() or NO_SESSION


def traced(
    *, kind: StepKind = "tool", capture: Capture = "none", name: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes each call of a function a step of the current session.

    Works on functions, coroutine functions, generators, asynchronous generators, methods, and on
    what ``classmethod`` and ``staticmethod`` return.

    Args:
        kind: of the step.
        capture: ``"names"`` tells the arguments' names, ``"full"`` their values and the result.
        name: of the step; the function's own by default.
    """

    def decorate(function: Any) -> Any:
        if isinstance(function, classmethod):
            return classmethod(decorate(cast("Any", function).__func__))
        if isinstance(function, staticmethod):
            return staticmethod(decorate(cast("Any", function).__func__))
        call = _Call(function, kind, capture, name)
        if inspect.isasyncgenfunction(function):
            wrapper = _async_generator(call)
        elif is_async(function):
            wrapper = _coroutine(call)
        elif inspect.isgeneratorfunction(function):
            wrapper = _generator(call)
        else:
            wrapper = _plain(call)
        return functools.wraps(function)(wrapper)

    return decorate


class _Call:
    """One traced function: how each kind of call becomes a step."""

    def __init__(
        self, function: Callable[..., Any], kind: StepKind, capture: Capture, name: str | None
    ) -> None:
        self.function = function
        self._kind: StepKind = kind
        self._capture = capture
        self._name: str = name or str(getattr(function, "__name__", type(function).__name__))

    def step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step:
        return _here().step(self._name, kind=self._kind, input=self._input(args, kwargs))

    def _input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._capture == "none" or current_scope() is None:
            return None
        try:
            arguments = inspect.signature(self.function).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):  # no signature; or the call will say what is wrong with it
            return None
        for name in ("self", "cls"):
            arguments.pop(name, None)
        return list(arguments) if self._capture == "names" else dict(arguments)

    def done(self, step: Step, result: Any) -> Any:
        step.complete(result if self._capture == "full" else None)
        return result


def _plain(call: _Call) -> Callable[..., Any]:
    def plain(*args: Any, **kwargs: Any) -> Any:
        with call.step(args, kwargs) as step:
            return call.done(step, call.function(*args, **kwargs))

    return plain


def _coroutine(call: _Call) -> Callable[..., Any]:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        with call.step(args, kwargs) as step:
            return call.done(step, await call.function(*args, **kwargs))

    return coroutine


def _generator(call: _Call) -> Callable[..., Any]:
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        step = call.step(args, kwargs)
        try:
            result = yield from _inside(step, call.function(*args, **kwargs))
        except BaseException as error:
            _end(step, error)
            raise
        return call.done(step, result)

    return generator


def _inside(step: Step, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """``yield from inner``, with the step current while the inner body runs and only then.

    A generator's body runs in its caller's context: what it sets there must not stay at a yield.
    """
    resume: Callable[[], Any] = functools.partial(next, inner)
    while True:
        outer = enter_scope(step)
        try:
            item = resume()
        except StopIteration as stop:
            return stop.value
        finally:
            leave_scope(outer)
        try:
            sent = yield item
        except GeneratorExit:
            _closing(step, inner.close)
            raise
        except BaseException as error:  # noqa: BLE001 - handed on to the inner generator
            resume = functools.partial(inner.throw, error)
        else:
            resume = functools.partial(inner.send, sent)


def _closing(step: Step, close: Callable[[], T]) -> T:
    outer = enter_scope(step)
    try:
        return close()
    finally:
        leave_scope(outer)


def _async_generator(call: _Call) -> Callable[..., Any]:
    async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        step = call.step(args, kwargs)
        inner = call.function(*args, **kwargs)
        resume: Callable[[], Awaitable[Any]] = inner.__anext__
        try:
            while True:
                outer = enter_scope(step)
                try:
                    item = await resume()
                except StopAsyncIteration:
                    break
                finally:
                    leave_scope(outer)
                try:
                    sent = yield item
                except GeneratorExit:
                    await _closing(step, inner.aclose)
                    raise
                except BaseException as error:  # noqa: BLE001 - handed on to the inner generator
                    resume = functools.partial(inner.athrow, error)
                else:
                    resume = functools.partial(inner.asend, sent)
        except BaseException as error:
            _end(step, error)
            raise
        step.complete()

    return async_generator
