"""The one task a registry runs on an event loop: it publishes, keeps deadlines and owns all other tasks.

It is the only task without an owner: it starts when something first needs a loop and ends when
nothing does. No other file may spawn one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ._record import SessionRecord, SubscriberBase
from ._wakeup import LoopRef, Wakeup
from .abc import Clock
from .heartbeat import HeartbeatScheduler
from .settings import Settings
from .stores.memory import MemoryStore

__all__ = ["Host"]

_logger = logging.getLogger("agentprogress")


class Host:
    """Serves one registry on the loop it was made in.

    Args:
        settings: the delivery interval.
        clock: all waiting goes through it.
        store: swept here.
        lost: called with a pending session whose time is over.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        store: MemoryStore,
        lost: Callable[[SessionRecord], object],
    ) -> None:
        self.loop = LoopRef()
        self.heartbeats = HeartbeatScheduler(settings, clock)
        self.members: dict[SubscriberBase, None] = {}
        self._settings = settings
        self._clock = clock
        self._store = store
        self._lost = lost
        self._wakeup = Wakeup(self.loop)
        self._touched: deque[SessionRecord] = deque()
        # All intervals are the same, so the tick that is due next is always first.
        self._ticks: deque[tuple[float, SessionRecord]] = deque()
        self._tasks: TaskGroup | None = None
        self._backlog: list[tuple[contextvars.Context, Callable[..., Awaitable[Any]], tuple[Any, ...]]] = []
        self._running_tasks = 0
        self._stopping = False
        self._ended = False
        self._handle: object = None

    @property
    def alive(self) -> bool:
        """False once it has ended, or its loop has."""
        return not self._ended and not self._stopping and self.loop.is_running()

    @property
    def in_use(self) -> bool:
        """True while something here could not move to another loop."""
        return bool(self.members) or self._running_tasks > 0

    def launch(self) -> None:
        """Starts the task."""
        # An empty context: it outlives the request that happened to come first.
        context = contextvars.Context()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            self._handle = trio.lowlevel.spawn_system_task(self._run, context=context)
        else:
            # The loop holds tasks weakly; this reference keeps the task.
            self._handle = loop.create_task(self._run(), context=context)

    def stop(self) -> None:
        """Ends the task and all it owns, soon; callable from any thread."""
        self._stopping = True
        self._wakeup.set()

    def adopt(self, other: Host) -> None:
        """Takes over what another host had still to publish, and forgets who followed on its dead loop."""
        for member in other.members:
            member.record.leave(member)
        other.members.clear()
        records = [*other._touched, *(record for _, record in other._ticks)]
        other._touched.clear()
        other._ticks.clear()
        for record in records:
            record.waits_for_tick = False
            self.enqueue(record)

    def enqueue(self, record: SessionRecord) -> None:
        """Asks for a publication of a record; callable from any thread."""
        self._touched.append(record)
        self._wakeup.set()

    def wake(self) -> None:
        """Makes the host look at its deadlines again; callable from any thread."""
        self._wakeup.set()

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Runs a coroutine function as a task of this host, in a copy of the caller's context."""
        self._running_tasks += 1
        if self._tasks is None:
            self._backlog.append((contextvars.copy_context(), function, args))
        else:
            self._tasks.start_soon(self._task, function, args)

    async def _task(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except Exception:
            # A task of the registry's must not take the others with it.
            _logger.exception("a task of the registry failed")
        finally:
            self._running_tasks -= 1
            if not self._running_tasks:
                self._wakeup.set()

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for context, function, args in self._backlog:
                    context.run(tasks.start_soon, self._task, function, args)
                self._backlog.clear()
                await self._serve()
                tasks.cancel_scope.cancel()
        except Exception:
            _logger.exception("the registry's host failed; another one will take its place")
        finally:
            self._ended = True

    async def _serve(self) -> None:
        while not self._stopping:
            self._wakeup.clear()
            more = self.heartbeats.fire() | self._store.sweep(self._lost)
            tick = self._publish_due()
            if more:
                await anyio.lowlevel.checkpoint()
                continue
            deadlines = (tick, self.heartbeats.next_deadline(), self._store.next_deadline())
            planned = min((d for d in deadlines if d is not None), default=None)
            if planned is None and not self.in_use and not self._touched:
                return
            await self._clock.wait(self._wakeup.event, planned)
            self.heartbeats.woke(planned)

    def _publish_due(self) -> float | None:
        """Publishes quiet sessions at once and busy ones at their tick; returns the next tick."""
        for _ in range(len(self._touched)):
            record = self._touched.popleft()
            if not record.waits_for_tick:
                self.publish(record)
        now = self._clock.monotonic()
        while self._ticks and self._ticks[0][0] <= now:
            _, record = self._ticks.popleft()
            record.waits_for_tick = False
            if not self.publish(record):
                record.history.forget_batches()
        return self._ticks[0][0] if self._ticks else None

    def publish(self, record: SessionRecord) -> bool:
        """Publishes a record now, on the loop's thread; False when there was nothing to publish.

        Its next publication is due one delivery interval later, unless a flush asks before.
        """
        published = record.publish()
        if published and not record.waits_for_tick:
            record.waits_for_tick = True
            self._ticks.append((self._clock.monotonic() + self._settings.delivery_interval, record))
            self._wakeup.set()
        return published
