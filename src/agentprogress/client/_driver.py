"""Carries out what a `Follower` decides: dials, reads, rests, and drops what has gone silent."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from math import inf

import anyio
from pydantic_core import from_json

from .._core.jsonable import is_object
from ..errors import FollowError
from ._follower import Follower
from ._held import Held
from ._inbox import Inbox
from ._ladder import Transport
from ._link import Closed, Cut, Link, Refused, Signs, Unreachable
from ._reach import Reach
from ._reader import Found
from ._steps import Dial, Over, Rest
from ._wire import Malformed, read_state

__all__ = ["ClientDriver"]

_logger = logging.getLogger("agentprogress.client")
_FOUND = 200
# A route that does not answer costs some seconds of each connection.
_STATE_TRIES = 3


class ClientDriver:
    """One client's connections, one after the other.

    Args:
        reach: the session, and the way to it.
        follower: decides.

    Attributes:
        follower: decides.
        clock: the time.
        inbox: gets what comes.
        held: what was taken out of it.
        on_change: called when the follower may have another state.
    """

    def __init__(self, reach: Reach, follower: Follower) -> None:
        self.inbox = Inbox(reach.settings)
        self.held = Held(follower.cursor, reach.settings)
        self.on_change: Callable[[], None] = _nothing
        self._reach = reach
        self.clock = reach.clock
        self.follower = follower
        self._link_scope: anyio.CancelScope | None = None
        self._nudge = anyio.Event()  # ends a rest
        self._sooner = anyio.Event()  # moves the deadline nearer
        self._paused = False
        self._token: str | None = None
        self._state_tries = _STATE_TRIES

    async def run(self) -> None:
        """Follows until nothing is left to do; what comes and how it ends is in the inbox."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_time)
            outcome: Exception | None
            try:
                outcome = await self._follow()
            except Exception as error:
                _logger.exception("Following failed.")
                outcome = error
            self.inbox.close(outcome)
            tasks.cancel_scope.cancel()

    def retry_now(self) -> None:
        """Ends a rest."""
        self.follower.retry_now()
        self._nudge.set()

    async def _follow(self) -> FollowError | None:
        while True:
            # Before anybody is told of a rest: who ends it at once is heard.
            self._nudge = anyio.Event()
            step = self.follower.next(self.clock.monotonic())
            self._tell()
            if isinstance(step, Over):
                return step.error
            if isinstance(step, Rest):
                seconds = step.until - self.clock.monotonic()
                _logger.info("%s: %s Coming back in %.1f s.", self._id, self._why, seconds)
                await self.clock.wait(self._nudge, step.until)
            else:
                await self._connect(step)

    async def _connect(self, dial: Dial) -> None:
        """Dials once, and reads until the follower has been told how it ended."""
        follower, now = self.follower, self.clock.monotonic
        self._sooner.set()
        # Cancelled by `_keep_time`, after the follower has been told why.
        with anyio.CancelScope() as self._link_scope:
            try:
                await self._dial(dial)
            except Refused as refused:
                follower.refused(refused.answer, now())
            except Cut as cut:
                follower.cut(cut.error, now())
            except Unreachable as unreachable:
                follower.unreachable(unreachable.error, now())
            except FollowError as error:  # no token
                follower.unreachable(error, now())
        if follower.linked:
            unsaid = FollowError("network", "The connection was cut.", retryable=True)
            follower.cut(unsaid, now())

    async def _dial(self, dial: Dial) -> None:
        async with self._pause():
            refused = self._token if dial.renew_token else None
            self._token = await self._reach.token(refused)
        url = self._address(dial)
        signs = Signs(self._reached, self._heard)
        async with self._reach.web.open(dial.transport, url, self._token, signs) as link:
            self.follower.opened(self.clock.monotonic())
            if self.held.lacks_state and self._state_tries:
                self._state_tries -= 1
                await self._find_state()
            await self._read(link)

    def _address(self, dial: Dial) -> str:
        # Not `ws://…`: proxies of the environment are named for HTTP, and the handshake is that.
        routes = {Transport.WEBSOCKET: "ws", Transport.SSE: "events"}
        if dial.transport in routes:
            return self._reach.url.route(routes[dial.transport], dial.cursor)
        limits = {"limit": str(self._reach.settings.max_batch_events)}
        if dial.waits:
            limits["wait"] = f"{self._reach.settings.max_wait:g}"
        return self._reach.url.route("page", dial.cursor, **limits)

    async def _read(self, link: Link) -> None:
        follower, now = self.follower, self.clock.monotonic
        while follower.linked:
            await self._wait_for_room()
            data = await link.receive()
            if isinstance(data, Closed):
                follower.closed(data.code, now())
                break
            taken = follower.received(data, now())
            if taken.deliveries:
                self.inbox.put(taken.deliveries, taken.size_bytes)
            self._tell()
            if taken.pong and follower.linked:
                await link.pong()

    async def _wait_for_room(self) -> None:
        """A user that is slow is no reason to take the server for dead."""
        if self.inbox.full:
            async with self._pause():
                await self.inbox.room()

    @contextlib.asynccontextmanager
    async def _pause(self) -> AsyncGenerator[None]:
        """Time that is not the server's to be silent in."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            self._sooner.set()
        self.follower.resumed(self.clock.monotonic())

    async def _find_state(self) -> None:
        """Asks for the state that a cursor from elsewhere came without; it is no loss if not."""
        reach = self._reach
        patience = reach.settings.connect_timeout / 2  # the stream is open, and waits meanwhile
        with anyio.move_on_after(patience), contextlib.suppress(Unreachable, ValueError, Malformed):
            reply = await reach.web.ask("GET", reach.url.route(""), self._token, patience=patience)
            state = from_json(reply.body) if reply.answer.status == _FOUND else None
            if is_object(state):
                found = Found(read_state(state, reach.settings)[0])
                self.inbox.put([found], len(reply.body))
                self._state_tries = 0
        self.follower.resumed(self.clock.monotonic())

    @property
    def _id(self) -> str:
        return self.follower.session_id

    @property
    def _why(self) -> str:
        return str(self.follower.error or "The server did not wait.")

    def _reached(self) -> None:
        self.follower.reached(self.clock.monotonic())

    def _heard(self) -> None:
        self.follower.heard(self.clock.monotonic())

    async def _keep_time(self) -> None:
        """Drops what is silent, and notices when the machine has slept."""
        follower, clock = self.follower, self.clock
        drift = clock.wall() - clock.monotonic()
        while True:
            now = clock.monotonic()
            deadline = inf if self._paused else follower.deadline
            if self._sooner.is_set():
                self._sooner = anyio.Event()
            await clock.wait(
                self._sooner, min(deadline, now + self._reach.settings.sleep_check_interval)
            )
            now = clock.monotonic()
            slept = clock.wall() - now - drift > self._reach.settings.silence_timeout
            drift = clock.wall() - now
            if slept:
                # Monotonic time stands still while a machine sleeps, and so would every deadline.
                follower.woke(now)
                self._nudge.set()
            elif self._paused or not follower.due(now):
                continue
            if self._link_scope is not None:
                self._link_scope.cancel()
            self._tell()

    def _tell(self) -> None:
        notice = self.follower.take_notice()
        if notice is not None:
            _logger.warning("%s: %s", self._id, notice)
        self.on_change()


def _nothing() -> None:
    """Nobody wants to know."""
