"""Shortcuts of the tests in this folder: an app with one session, and a peer that follows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.asgi import ProgressApp
from agentprogress.testing import ManualClock

from .peers import AsgiPeer


class Site:
    """A registry on virtual time, the app that serves it, and one running session."""

    def __init__(self, **settings: float) -> None:
        self.clock = ManualClock()
        self.registry = SessionRegistry(Settings(**settings), clock=self.clock)  # type: ignore[arg-type]
        self.app = ProgressApp(self.registry)
        self.block = self.registry.open(title="job")
        self.session: ProgressSession = self.block.__enter__()

    def end(self) -> None:
        """Ends the session well."""
        self.block.__exit__(None, None, None)

    @asynccontextmanager
    async def peer(
        self,
        route: str = "ws",
        *,
        kind: str = "websocket",
        session_id: str | None = None,
        subprotocols: tuple[str, ...] = (),
        reads: int | None = None,
        closes: bool = True,
    ) -> AsyncIterator[AsgiPeer]:
        """Follows the session until the block is left."""
        path = f"/sessions/{session_id or self.session.id}/{route}"
        peer = AsgiPeer(path, kind=kind, subprotocols=subprotocols, reads=reads, closes=closes)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.run, self.app)
            await settle()
            yield peer
            tasks.cancel_scope.cancel()


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(12):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
