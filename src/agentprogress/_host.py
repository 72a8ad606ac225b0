"""The one task a registry runs on an event loop: it publishes, and keeps deadlines and other tasks.

It is the only task without an owner: it starts when something first needs a loop and ends when
nothing does. No other file may spawn one.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ._in_process.held import LocalSessions
from ._record import SessionRecord, SubscriberBase
from ._wakeup import LoopRef, Wakeup
from .abc import Clock
from .heartbeat import HeartbeatScheduler
from .settings import Settings

__all__ = ["Host"]

_logger = logging.getLogger("agentprogress")

# How debuggers and tests know its task.
_NAME = "agentprogress host"
# Publications between two looks at the rest of the loop.
_PUBLICATIONS = 100


class _Task:
    """Something to be run by a host, in the context of whoever asked."""

    __slots__ = ("abandon", "args", "context", "function")

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        abandon: Callable[[], object] | None,
    ) -> None:
        self.function = function
        self.args = args
        self.abandon = abandon
        self.context = contextvars.copy_context()


class Host:
    """Serves one registry on one loop.

    Args:
        settings: the delivery interval.
        clock: all waiting goes through it.
        store: swept here.
        lost: called with a pending session whose time is over.
        loop: the one that runs where it is made.

    Attributes:
        loop: where it runs.
        heartbeats: deadlines of connections.
        members: all subscribers of all sessions; `take_in` and `forget` change them.
        leaving: it ends when nobody needs it, whatever is still to expire.
        at_end: called when it has ended.
        chained: it has to hear of signals, and so lives as long as its loop.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        store: LocalSessions,
        lost: Callable[[SessionRecord], object],
        loop: LoopRef,
    ) -> None:
        self.loop = loop
        self.heartbeats = HeartbeatScheduler(settings, clock)
        self.members: dict[SubscriberBase, None] = {}
        self.leaving = False
        self.at_end: list[Callable[[], object]] = []
        self.chained = False
        self._settings = settings
        self._clock = clock
        self._store = store
        self._lost = lost
        self._wakeup = Wakeup(self.loop)
        self._remote = 0
        self._parted: Wakeup | None = None
        self._touched: deque[SessionRecord] = deque()
        # A heap; the number keeps records from being compared.
        self._ticks: list[tuple[float, int, SessionRecord]] = []
        self._order = itertools.count()
        self._group: TaskGroup | None = None
        self._tasks: dict[_Task, None] = {}
        self._unbegun: dict[_Task, None] = {}
        self._waiting: deque[_Task] = deque()
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
        return bool(self.members or self._tasks)

    def launch(self) -> None:
        """Starts the task."""
        # An empty context: it outlives the request that happened to come first.
        context = contextvars.Context()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            self._handle = trio.lowlevel.spawn_system_task(self._run, name=_NAME, context=context)
        else:
            # The loop holds tasks weakly; this reference keeps the task.
            task = loop.create_task(self._run(), name=_NAME, context=context)
            # A task that is cancelled before its first step runs none of its code.
            task.add_done_callback(lambda _: self._over())
            self._handle = task

    def stop(self) -> None:
        """Ends the task and all it owns, soon; callable from any thread."""
        self._stopping = True
        self._wakeup.set()

    def leave(self) -> None:
        """Ends the task as soon as nobody needs it, whatever is still to expire."""
        self.leaving = True
        self._wakeup.set()

    def adopt(self, other: Host) -> None:
        """Takes over what another host had to publish, and forgets who followed on its loop."""
        other.stop()
        for member in list(other.members):
            member.record.leave(member)
            other.forget(member)
        records = [*other._touched, *(record for _, _, record in other._ticks)]
        other._touched.clear()
        other._ticks.clear()
        for record in records:
            record.waits_for_tick = False
            self._touched.append(record)
        if other.loop.is_over():
            other._over()

    def take_in(self, subscriber: SubscriberBase) -> None:
        """Counts a subscriber in."""
        self.members[subscriber] = None
        self._remote += subscriber.remote

    def forget(self, subscriber: SubscriberBase) -> None:
        """Lets a subscriber go; a second time is ignored."""
        if self.members.pop(subscriber, subscriber) is subscriber:
            return
        self._remote -= subscriber.remote
        if self._parted is not None and not self._remote:
            self._parted.set()
        if not self.members:
            self._wakeup.set()

    async def until_parted(self, seconds: float) -> None:
        """Waits for the subscribers over the network to be gone, at most so long."""
        if self._remote:
            # Several may drain at once.
            if self._parted is None or self._parted.is_set:
                self._parted = Wakeup(self.loop)
            await self._clock.wait(self._parted.event, self._clock.monotonic() + seconds)

    def enqueue(self, record: SessionRecord) -> bool:
        """Asks for a publication, from any thread; False when this host will do none."""
        if self._ended or self._stopping or self.loop.is_over():
            return False
        self._touched.append(record)
        self._wakeup.set()
        return True

    def wake(self) -> None:
        """Makes the host look at its deadlines again; callable from any thread."""
        self._wakeup.set()

    # Its tasks

    def start_soon(
        self,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
        abandon: Callable[[], object] | None = None,
    ) -> None:
        """Runs a coroutine function as a task of this host, in a copy of the caller's context.

        On the loop's thread only.

        Args:
            function: what to run.
            args: its arguments.
            abandon: called in its place when the loop goes down before it could begin.
        """
        task = _Task(function, args, abandon)
        self._tasks[task] = None
        self._unbegun[task] = None
        # Tasks can be started by tasks only: a callback of the loop leaves that to the host.
        if self._group is not None and self.loop.in_its_task():
            task.context.run(self._group.start_soon, self._run_task, task)
        else:
            self._waiting.append(task)
            self._wakeup.set()

    def _start_waiting(self, group: TaskGroup) -> None:
        while self._waiting:
            task = self._waiting.popleft()
            task.context.run(group.start_soon, self._run_task, task)

    async def _run_task(self, task: _Task) -> None:
        del self._unbegun[task]
        try:
            await task.function(*task.args)
        except Exception:
            # A task of the registry's must not take the others with it.
            _logger.exception("a task of the registry failed")
        finally:
            self._tasks.pop(task, None)
            if not self._tasks:
                self._wakeup.set()

    def _over(self) -> None:
        """Takes note that nothing here will run any more."""
        self._ended = True
        unbegun, self._unbegun = list(self._unbegun), {}
        for task in unbegun:
            self._tasks.pop(task, None)
            if task.abandon is not None:
                task.abandon()
        at_end, self.at_end = self.at_end, []
        for callback in at_end:
            callback()

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                await self._serve(group)
                group.cancel_scope.cancel()
        except Exception:
            _logger.exception("the registry's host failed; another one will take its place")
        finally:
            self._over()

    async def _serve(self, group: TaskGroup) -> None:
        while not self._stopping:
            self._wakeup.clear()
            self._start_waiting(group)
            more = self.heartbeats.fire() | self._store.sweep(self._lost) | self._publish_touched()
            tick = self._publish_due()
            if more:
                await anyio.lowlevel.checkpoint()
                continue
            deadlines = (tick, self.heartbeats.next_deadline(), self._store.next_deadline())
            planned = min((d for d in deadlines if d is not None), default=None)
            if self._unneeded(planned):
                # At once: what comes after this line is for another host.
                self._stopping = True
                return
            await self._clock.wait(self._wakeup.event, planned)
            self.heartbeats.woke(planned)

    def _unneeded(self, planned: float | None) -> bool:
        if self.in_use or self._touched:
            return False
        return self.leaving or (planned is None and not self.chained and not len(self._store))

    def _publish_touched(self) -> bool:
        """Publishes quiet sessions at once; True when there are more than one turn may take."""
        for _ in range(min(len(self._touched), _PUBLICATIONS)):
            record = self._touched.popleft()
            if not record.waits_for_tick:
                self.publish(record)
        return bool(self._touched)

    def _publish_due(self) -> float | None:
        """Publishes busy sessions at their tick; returns the next tick."""
        now = self._clock.monotonic()
        for _ in range(_PUBLICATIONS):
            if not self._ticks or self._ticks[0][0] > now:
                break
            record = heapq.heappop(self._ticks)[2]
            record.waits_for_tick = False
            if not self.publish(record):
                record.rest()
        return self._ticks[0][0] if self._ticks else None

    def publish(self, record: SessionRecord) -> bool:
        """Publishes a record now, on the loop's thread; False when there was nothing to publish.

        Its next publication is due one delivery interval later, unless a flush asks before.
        """
        published = record.publish()
        if published and not record.waits_for_tick:
            record.waits_for_tick = True
            due = self._clock.monotonic() + record.delivery_interval
            heapq.heappush(self._ticks, (due, next(self._order), record))
            self._wakeup.set()
        return published
