"""Following from async code: what `follow` returns."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from random import random
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

import anyio
from anyio.abc import TaskGroup
from pydantic import TypeAdapter

from .._clock import SystemClock
from ..abc import Clock
from ..errors import NoResult
from ..events import Event
from ..settings import Settings
from ..snapshot import Gap, Snapshot
from ._driver import ClientDriver
from ._follower import Follower
from ._known import Known
from ._reach import Reach
from ._requests import Requests
from ._states import FollowState
from ._steps import FollowerOptions
from ._tokens import Token, TokenSource
from ._urls import SessionUrl
from ._web import Web

__all__ = ["Feed", "FollowOptions", "follow", "new_feed"]

T = TypeVar("T")

# RFC 9110, 5.1 and 5.5; beyond ASCII nobody agrees what is meant.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t -~]*", re.ASCII)

_OUTSIDE = "A feed is used within its block: `async with follow(…) as feed`."
_logger = logging.getLogger("agentprogress.client")


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowOptions:
    """What is seldom needed.

    Attributes:
        headers: sent with every request.
        ssl_context: whom to trust; None for the system's choice and ``SSL_CERT_FILE``.
        settings: the bounds and times of a client; its "Clients" section.
        clock: the time.
        random: returns a number from [0, 1), for the delays.

    Raises:
        ValueError: a header that cannot be sent.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    ssl_context: ssl.SSLContext | None = None
    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"{name[:40]!r} is no header, or has a value that none can have.")


def follow(
    url: str,
    after: str | None = None,
    *,
    transport: str = "auto",
    token: Token = None,
    max_attempts: int | None = None,
    on_state: Callable[[FollowState], object] | None = None,
    options: FollowOptions | None = None,
) -> Feed:
    """Follows a session from another program, on asyncio or trio.

    ``async with follow(url) as feed: async for item in feed: …`` yields every event exactly once
    and in order, through every cut, to the session's end.

    Args:
        url: of the session, ``https://host/…/sessions/{id}``; ``ws`` and ``wss`` will do.
        after: a `Feed.cursor` of before, to go on from there; None for the beginning.
        transport: ``auto`` (WebSocket, then server-sent events, then long polls, as the way to the
            server allows), or one of ``websocket``, ``sse``, ``long-poll``.
        token: the bearer: a text, or a function, plain or async, that makes one. The function is
            asked when a token is needed, and again when the server says that it has expired. For
            `Feed.request_cancel` and `Feed.answer` by the default rule, the control token.
        max_attempts: attempts in a row that bring nothing, after which it gives up; None for no
            bound.
        on_state: called with each new state of the connection.
        options: TLS, headers, bounds, clock.

    Raises:
        InvalidUrl: it is no URL of a session.
        ValueError: there is no such transport, or `max_attempts` is less than 1.
        TypeError: a token that is neither, or an `on_state` that is async.
    """
    asked = FollowerOptions(after, transport, max_attempts)
    return new_feed(url, asked, token, on_state, options)[0]


def new_feed(
    url: str,
    asked: FollowerOptions,
    token: Token,
    on_state: Callable[[FollowState], object] | None,
    options: FollowOptions | None,
) -> tuple[Feed, ClientDriver]:
    """Makes a feed, and gives its driver to who hands out its items in another way."""
    most = asked.max_attempts
    if most is not None and (type(most) is not int or most < 1):
        raise ValueError(f"max_attempts must be a whole number of at least 1, not {most!r}.")
    if iscoroutinefunction(on_state):
        raise TypeError("on_state is called and not awaited: it cannot be async.")
    options = options or FollowOptions()
    settings, clock = options.settings, options.clock
    session_url, tokens = SessionUrl.parse(url), TokenSource(token)
    follower = Follower(
        session_url.session_id,
        asked._replace(can_renew=tokens.can_renew),
        settings,
        options.random,
    )
    web = Web(url, settings, options.headers, options.ssl_context)
    reach = Reach(session_url, web, tokens, clock, settings)
    driver = ClientDriver(reach, follower)
    return Feed(driver, follower, reach, options, on_state), driver


class Feed(Known):
    """A session's events, snapshots and gaps as they come; made by `follow`.

    Iterating yields `Event`, `Snapshot` and `Gap`, each with a ``type``: strictly increasing seqs,
    every hole announced by a `Gap` or a `Snapshot`. ``Snapshot(reset=True)`` says that the log has
    started over: what came before is void. It ends after the session's last event. One task may
    iterate at a time.

    Raises (from iteration):
        FollowError: it gave up; `FollowError.kind` says why.
    """

    def __init__(
        self,
        driver: ClientDriver,
        follower: Follower,
        reach: Reach,
        options: FollowOptions,
        on_state: Callable[[FollowState], object] | None,
    ) -> None:
        super().__init__(follower, driver.held, reach.clock)
        self._driver = driver
        self._web = reach.web
        self._requests = Requests(reach, options.random, follower)
        self._on_state = on_state
        self._tasks: TaskGroup | None = None
        self._failure: BaseException | None = None
        self._left = False
        driver.on_change = self._on_change

    # Following

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("A feed is entered once; follow again with its cursor.")
        await self._web.__aenter__()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def _run(self) -> None:
        try:
            await self._driver.run()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as failure:  # what no code should catch, out of on_state or a token
            self._failure = _alone(failure)
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None, "it was entered"
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(exc_type, exc, traceback)
        except BaseExceptionGroup:
            # What was raised comes out as it was: no group around the user's own exception.
            if self._failure is not None:
                raise self._failure from None
            return None
        finally:
            self._left = True
            self._driver.inbox.close(None)
            await self._web.__aexit__(exc_type, exc, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Snapshot | Gap:
        if self._tasks is None:
            raise RuntimeError(_OUTSIDE)
        driver = self._driver
        while (item := driver.held.take(await driver.inbox.take())) is None:
            pass
        return item

    def events(self) -> AsyncIterator[Event]:
        """Iterates over the events only."""
        return _Events(self)

    def retry_now(self) -> None:
        """Makes the next attempt at once, where one is waited for."""
        self._driver.retry_now()

    # Asking

    @overload
    async def result(self) -> Any: ...
    @overload
    async def result(self, model: type[T]) -> T: ...
    async def result(self, model: Any = Any) -> Any:
        """Waits for the session's end, whether or not somebody iterates, and returns its result.

        Args:
            model: what to validate it as: a pydantic model, a dataclass, or any type hint.

        Raises:
            NoResult: the session failed, was cancelled or lost.
            FollowError: it cannot be known.
            pydantic.ValidationError: it does not fit the model.
        """
        snapshot = self.snapshot
        if snapshot is not None and snapshot.status in ("failed", "cancelled", "lost"):
            raise NoResult(snapshot.session_id, snapshot.status, snapshot.error)
        if snapshot is not None and snapshot.status == "completed" and not snapshot.result_bytes:
            found = snapshot.result
        else:
            self._check_entered()
            found = await self._requests.result()
        return TypeAdapter(model).validate_python(found)

    async def request_cancel(self, reason: str | None = None) -> str:
        """Asks the session to stop, again after what passes, and returns its status.

        Raises:
            FollowError: it could not be asked, or this client may not.
        """
        self._check_entered()
        return await self._requests.cancel(reason)

    async def answer(self, request_id: str, value: object) -> None:
        """Answers a question of the session's; the first answer wins.

        Args:
            request_id: as in ``input.requested`` and ``snapshot.requests``.
            value: JSON-ready, as the question's schema asks for.

        Raises:
            InputSettled: it has its answer, or was never asked.
            InvalidAnswer: the value does not fit; the question stays open.
            FollowError: it could not be asked, or this client may not.
        """
        self._check_entered()
        await self._requests.answer(request_id, value)

    def _check_entered(self) -> None:
        if self._tasks is None or self._left:
            raise RuntimeError(_OUTSIDE)

    def _on_change(self) -> None:
        for state in self._follower.take_states():
            if self._on_state is not None:
                try:
                    self._on_state(state)
                except Exception:
                    _logger.exception("on_state raised; following goes on.")


def _alone(failure: BaseException) -> BaseException:
    """Returns what was raised, out of the groups that the driver's and httpx2's tasks make."""
    alone: BaseException = failure
    while isinstance(alone, BaseExceptionGroup):
        alone, *more = cast("BaseExceptionGroup[BaseException]", alone).exceptions
        if more:
            return failure
    return alone


class _Events(AsyncIterator[Event]):
    """No generator: one that is left early would have to be closed by its user."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __anext__(self) -> Event:
        while True:
            item = await self._feed.__anext__()
            if not isinstance(item, Snapshot | Gap):
                return item
