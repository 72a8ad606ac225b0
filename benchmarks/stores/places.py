"""Where a measurement keeps its sessions: an engine or a folder of its own, empty each time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from agentprogress.stores import open_store
from tests.stores.engines import Engine, Kind

from ..errors import MeasurementFailed

REDIS = "Redis"
SQLITE = "SQLite"


class Place(Protocol):
    """Where sessions may be kept."""

    @property
    def name(self) -> str:
        """What its figures are called by."""
        ...

    def fresh(self) -> str:
        """Returns the URL of a store in which there is nothing."""
        ...


@dataclass(frozen=True)
class Server:
    """A running valkey-server."""

    engine: Engine
    name: str = REDIS

    def fresh(self) -> str:
        self.engine.refresh()
        return self.engine.url

    def usage(self) -> Usage:
        """Reads how much was asked of it so far."""
        with self.engine.client() as client:
            info: dict[str, Any] = client.info("all")
        commands: dict[str, Any] = {
            name.removeprefix("cmdstat_"): each["calls"]
            for name, each in info.items()
            if name.startswith("cmdstat_")
        }
        return Usage(
            calls=float(commands.get("evalsha", 0) + commands.get("eval", 0)),
            commands=float(sum(commands.values()) - commands.get("info", 0)),
            received_bytes=float(info["total_net_input_bytes"]),
            sent_bytes=float(info["total_net_output_bytes"]),
            cpu_seconds=info["used_cpu_user"] + info["used_cpu_sys"],
        )

    def memory_bytes(self) -> int:
        """Reads how much memory its data takes."""
        with self.engine.client() as client:
            used: int = client.info("memory")["used_memory"]
        return used

    def connections(self) -> int:
        """Counts those who are connected, but for the one who asks."""
        with self.engine.client() as client:
            return len(client.client_list()) - 1


@dataclass(frozen=True)
class Usage:
    """What a server has done.

    Attributes:
        calls: of scripts; nearly all that our processes ask for.
        commands: what the scripts did in turn as well.
    """

    calls: float
    commands: float
    received_bytes: float
    sent_bytes: float
    cpu_seconds: float

    def since(self, before: Usage, count: float) -> Usage:
        """Returns what was done after another reading, for each of so many."""
        return Usage(
            calls=(self.calls - before.calls) / count,
            commands=(self.commands - before.commands) / count,
            received_bytes=(self.received_bytes - before.received_bytes) / count,
            sent_bytes=(self.sent_bytes - before.sent_bytes) / count,
            cpu_seconds=(self.cpu_seconds - before.cpu_seconds) / count,
        )


@dataclass(frozen=True)
class Folder:
    """A folder of database files."""

    path: Path
    name: str = SQLITE
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self) -> str:
        for file in self.path.iterdir():
            file.unlink()
        return f"sqlite:///{self.path}/{next(self.numbers)}.db"


@contextmanager
def server() -> Iterator[Server]:
    """Runs an engine while the block runs."""
    with Engine(Kind.VALKEY) as engine:
        yield Server(engine)


@contextmanager
def folder() -> Iterator[Folder]:
    """Keeps a folder on disk while the block runs."""
    with TemporaryDirectory(prefix="benchmark-") as path:
        yield Folder(Path(path))


def require_stored(url: str, events: int) -> None:
    """Raises unless a store has this many events at least: nothing counts that was not stored."""
    store = open_store(url)
    try:
        store.connect()
        found = store.list(owner=None, status=None, limit=1_000, after=None)
    finally:
        store.close()
    stored = sum(session.head for session in found)
    if stored < events:
        raise MeasurementFailed(f"{events} events were emitted, {url} has {stored}")
