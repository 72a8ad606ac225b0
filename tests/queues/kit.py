"""The web process's part: it reserves ids, and follows what workers do with them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from agentprogress import SessionRegistry
from agentprogress.events import Event, LogMessage
from tests.cli.programs import Program, started

from .job import tell_to_end

__all__ = ["LEASE_TTL", "Web", "kill"]

LEASE_TTL = 1.0

PYTHON = (sys.executable, "-W", "default")


class Web:
    """A web process that runs no job itself."""

    def __init__(self, registry: SessionRegistry, url: str) -> None:
        self.registry = registry
        self.url = url

    @asynccontextmanager
    async def worker(self, *words: str) -> AsyncIterator[Program]:
        """Starts a worker that has the same store and the same idea of time.

        It is ended by the signal that lets it end its children too.
        """
        env = {
            "AGENTPROGRESS_STORE": self.url,
            "AGENTPROGRESS_LEASE_TTL": str(LEASE_TTL),
            "PYTHONUNBUFFERED": "1",
        }
        async with started([*PYTHON, *words], env=env) as program:
            yield program
            if program.process.returncode is None:
                program.interrupt(signal.SIGTERM)
                await program.exit_status()

    async def reserve(self) -> str:
        """Returns the id of a session that begins when a worker comes to it."""
        handle = await self.registry.reserve(title="A job of a queue")
        session_id: str = handle["session_id"]
        return session_id

    async def follow(self, session_id: str, on_work: Callable[[int, int], Any]) -> list[Event]:
        """Follows to the end.

        Args:
            session_id: whose events.
            on_work: called in a thread with how often the job has begun, and in which process.
        """
        events: list[Event] = []
        async with self.registry.subscribe(session_id) as subscription:
            async for event in subscription.events():
                events.append(event)
                if isinstance(event, LogMessage):
                    assert event.fields is not None
                    begun = sum(isinstance(each, LogMessage) for each in events)
                    await anyio.to_thread.run_sync(on_work, begun, event.fields["pid"])
        return events

    async def result(self, session_id: str) -> Any:
        """Returns its result."""
        return await anyio.to_thread.run_sync(self.registry.result, session_id)

    def end(self, session_id: str) -> None:
        """Lets the job end."""
        tell_to_end(self.url, session_id)


def kill(pid: int) -> None:
    """Ends a process at once."""
    os.kill(pid, signal.SIGKILL)
