"""Shortcuts for tests in one process: a registry on virtual time, and somebody who follows."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import anyio

from agentprogress import (
    Gap,
    ProgressError,
    ProgressSession,
    SessionRegistry,
    Settings,
    Snapshot,
    Subscription,
)
from agentprogress.events import Event
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock


def on_virtual_time(**settings: Any) -> tuple[SessionRegistry, ManualClock]:
    """Returns a registry whose time moves only by its clock."""
    clock = ManualClock()
    return SessionRegistry(Settings(**settings), clock=clock), clock


def entered(block: AbstractContextManager[ProgressSession]) -> ProgressSession:
    """Enters a session's block in a context of its own: the test does not run inside it."""
    return contextvars.copy_context().run(block.__enter__)


def retained(registry: SessionRegistry, session_id: str) -> list[bytes]:
    """Returns the frames that a session's history holds."""
    record = engine_of(registry).record(session_id)
    return record.locked(lambda history: history.page(history.oldest - 1, len(history)).frames)


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(12):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


class Follower:
    """Somebody who reads a session to its end and remembers what came."""

    def __init__(self, registry: SessionRegistry, session_id: str, after: str | None) -> None:
        self.items: list[Event | Snapshot | Gap] = []
        self.error: ProgressError | None = None
        self.finished = False
        self._registry = registry
        self._session_id = session_id
        self._after = after
        self.subscription: Subscription | None = None
        # While it is unset the follower does not take the next item.
        self.reads = anyio.Event()
        self.reads.set()
        self.joined = anyio.Event()
        self._news = anyio.Event()

    @property
    def types(self) -> list[str]:
        return [item.type for item in self.items]

    @property
    def seqs(self) -> list[int | None]:
        return [item.seq for item in self.items if not isinstance(item, Gap)]

    @property
    def resume(self) -> str:
        assert self.subscription is not None
        return self.subscription.resume

    def stall(self) -> None:
        self.reads = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once what has come makes it so; for those who share no clock with the store."""
        with anyio.fail_after(20):
            while not condition():
                self._news = anyio.Event()
                await self._news.wait()

    async def run(self) -> None:
        try:
            async with self._registry.subscribe(self._session_id, after=self._after) as items:
                self.subscription = items
                self.joined.set()
                async for item in items:
                    self.items.append(item)
                    self._news.set()
                    await self.reads.wait()
        except ProgressError as error:
            self.error = error
        self.finished = True
        self.joined.set()
        self._news.set()


@asynccontextmanager
async def following(
    registry: SessionRegistry, session_id: str, after: str | None = None
) -> AsyncGenerator[Follower]:
    """Follows a session until the block is left; the follower has joined when it begins."""
    follower = Follower(registry, session_id, after)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.run)
        await follower.joined.wait()
        await settle()
        yield follower
        tasks.cancel_scope.cancel()
