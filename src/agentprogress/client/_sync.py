"""Following from plain code: the same feed, on an event loop in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..events import Event
from ..snapshot import Gap, Snapshot
from ._driver import ClientDriver
from ._feed import Feed, FollowOptions, new_feed
from ._known import Known
from ._reader import Delivery
from ._states import FollowState
from ._steps import FollowerOptions
from ._tokens import Token

__all__ = ["SyncFeed", "follow_sync"]

T = TypeVar("T")

# Seconds between two looks at whether the caller was interrupted.
_LOOK_EVERY = 1.0


def follow_sync(
    url: str,
    after: str | None = None,
    *,
    transport: str = "auto",
    token: Token = None,
    max_attempts: int | None = None,
    on_state: Callable[[FollowState], object] | None = None,
    options: FollowOptions | None = None,
) -> SyncFeed:
    """Follows a session from code without an event loop: `with` and `for` instead of `async`.

    The arguments are those of `follow`. `on_state`, and a `token` that is a function, are called in
    the feed's own thread.

    Raises:
        InvalidUrl: it is no URL of a session.
        ValueError: there is no such transport, or `max_attempts` is less than 1.
    """
    asked = FollowerOptions(after, transport, max_attempts)
    return SyncFeed(*new_feed(url, asked, token, on_state, options))


class SyncFeed(Known):
    """A `Feed` for plain code; made by `follow_sync`. Everything means what it means there."""

    def __init__(self, feed: Feed, driver: ClientDriver) -> None:
        super().__init__(driver.follower, driver.held, driver.clock)
        self._feed = feed
        self._driver = driver
        self._entered = ExitStack()
        self._portal: BlockingPortal | None = None
        # Taken over from the other thread, not handed out yet.
        self._taken: deque[Delivery] = deque()

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            portal = entering.enter_context(start_blocking_portal())
            # Whoever was interrupted while he asked for something does not wait for it any more.
            entering.callback(portal.call, portal.stop, True)
            entering.enter_context(portal.wrap_async_context_manager(self._feed))
            self._portal = portal
            self._entered = entering.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The feed's own task is ended by leaving; what the caller raised is the caller's.
        self._entered.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event | Snapshot | Gap:
        while True:
            if not self._taken:
                self._call(self._take_over)
            if not self._taken:
                raise StopIteration
            item = self._driver.held.take(self._taken.popleft())
            if item is not None:
                return item

    def events(self) -> Iterator[Event]:
        """Iterates over the events only."""
        return (item for item in self if not isinstance(item, Snapshot | Gap))

    def retry_now(self) -> None:
        """Makes the next attempt at once, where one is waited for."""
        self._running.call(self._feed.retry_now)

    @overload
    def result(self) -> Any: ...
    @overload
    def result(self, model: type[T]) -> T: ...
    def result(self, model: Any = Any) -> Any:
        """Waits for the session's end and returns its result, as `Feed.result`."""
        return self._call(self._feed.result, model)

    def request_cancel(self, reason: str | None = None) -> str:
        """Asks the session to stop and returns its status, as `Feed.request_cancel`."""
        return self._call(self._feed.request_cancel, reason)

    def answer(self, request_id: str, value: object) -> None:
        """Answers a question of the session's, as `Feed.answer`."""
        self._call(self._feed.answer, request_id, value)

    async def _take_over(self) -> None:
        # Here, not in the caller's thread: who is interrupted there would lose what was taken.
        self._taken.extend(await self._driver.inbox.take_all())

    @property
    def _running(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("A feed is used within its block: `with follow_sync(…) as feed`.")
        return self._portal

    def _call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        waiting: Future[T] = self._running.start_task_soon(function, *args)
        try:
            # A lock that is waited for without end does not hear of Ctrl-C on every system.
            while not wait((waiting,), timeout=_LOOK_EVERY).done:
                pass
            return waiting.result()
        except BaseException:
            # Ctrl-C ends only the wait: what is waited for would go on, and hold up the leaving.
            waiting.cancel()
            raise
