"""What the tests of faults share: settings that are over soon, who follows, and what is stored."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import anyio
from pydantic_core import from_json

from agentprogress import Gap, SessionRegistry, Settings, Snapshot
from agentprogress.abc import Position, Stored
from agentprogress.events import Event, LogMessage
from agentprogress.stores import open_store

__all__ = [
    "BRIEF",
    "KEPT",
    "QUICK",
    "Reader",
    "entries_in",
    "found_in",
    "lapsed_in",
    "numbers",
    "numbers_in",
    "quick",
    "until",
]

Item = Event | Snapshot | Gap

# A store is tried again at once, and nothing is ever evicted.
QUICK: Mapping[str, Any] = {
    "min_store_delay": 0.01,
    "max_store_delay": 0.1,
    "max_history_events": 50_000,
    "max_history_bytes": 64 * 2**20,
    "heartbeat_interval": 1.0,
    "delivery_interval": 0.002,
    "min_retry_window": 0.001,
}
# A lease that a test can wait for.
BRIEF: Mapping[str, Any] = {"lease_ttl": 1.0, "lost_after": 2.0}
KEPT: Mapping[str, Any] = {"lease_ttl": 1.0, "lost_after": None}

_WITHIN = 30.0
_ASK_EVERY = 0.01


def quick(store: str, **settings: Any) -> SessionRegistry:
    """Returns a registry on a store, with times that a test can wait for."""
    return SessionRegistry(Settings(**{**QUICK, **settings}), store=store)


def until(condition: Callable[[], object]) -> None:
    """Returns once it is so: a thing of another process's, which tells nobody."""
    deadline = time.monotonic() + _WITHIN
    while not condition():
        assert time.monotonic() < deadline, "It has not come to that."
        time.sleep(_ASK_EVERY)


class Reader:
    """Somebody who follows, and keeps what came.

    Attributes:
        items: all of it, in order.
        ended: whether the session has.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.ended = False
        self._moved = anyio.Event()

    async def read(self, source: AsyncIterator[Item]) -> None:
        """Reads to the end."""
        async for item in source:
            self.items.append(item)
            self._tell()
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once what came makes it so."""
        with anyio.fail_after(_WITHIN):
            while not condition():
                await self._moved.wait()

    async def until_number(self, number: int) -> None:
        """Returns once this one has come."""
        await self.until(lambda: number in self.numbers)

    async def until_ended(self) -> None:
        """Returns once the session's last event has come."""
        await self.until(lambda: self.ended)

    @property
    def numbers(self) -> list[int]:
        """The numbered logs that came."""
        return numbers(self.items)

    @property
    def resets(self) -> list[Snapshot]:
        """The snapshots that told that the log has started over."""
        return [item for item in self.items if isinstance(item, Snapshot) and item.reset]


def numbers(items: Sequence[Item]) -> list[int]:
    """Returns the numbers among what came."""
    return [int(item.message) for item in items if isinstance(item, LogMessage)]


# What is stored, asked of the store itself ------------------------------------------------------


def entries_in(url: str, session_id: str) -> list[dict[str, Any]]:
    """Returns the events that a store has of a session."""
    with closing(open_store(url)) as store:
        log = store.read([Position(session_id)])[0]
    assert log is not None
    return [from_json(entry) for entry in log.entries]


def numbers_in(url: str, session_id: str) -> list[int]:
    """Returns the numbered logs that a store has of a session."""
    found = (entry for entry in entries_in(url, session_id) if entry["type"] == "log.message")
    return [int(entry["message"]) for entry in found]


def found_in(url: str, session_id: str) -> Stored | None:
    """Returns what a store knows of a session."""
    with closing(open_store(url)) as store:
        return store.find(session_id)


def lapsed_in(url: str, session_id: str) -> bool:
    """Returns whether the lease of a session has run out."""
    found = found_in(url, session_id)
    return found is not None and found.lease_left is not None and found.lease_left <= 0
