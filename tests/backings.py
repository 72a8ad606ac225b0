"""Where a test's sessions live: in its process alone, or in a store, with one process on it or two.

A test that is about none of them runs on `EVERYWHERE`. One that moves time runs `ON_VIRTUAL_TIME`:
a `MemoryStore` counts on the clock that it is given and wakes who follows by itself, but who
listens to a file waits real milliseconds, and a server has a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from agentprogress import SessionRegistry, Settings
from agentprogress.abc import Store
from agentprogress.stores.memory import MemoryStore
from agentprogress.testing import ManualClock

from .conformance.servers import StoreKind
from .kit import Follower, settle
from .stores.engines import Engine, Kind

__all__ = ["EVERYWHERE", "ON_VIRTUAL_TIME", "STORE_KINDS", "Backing", "StoreKind", "Stores", "Way"]

# Those that have a URL. Which server it is, Redis or Valkey, matters to tests/stores only.
STORE_KINDS: tuple[StoreKind, ...] = get_args(StoreKind)


class Stores:
    """Hands out empty stores. Runs in a `with` block; the server starts when it is asked for.

    Args:
        folder: for files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._engine: Engine | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def url(self, kind: StoreKind) -> str:
        """Returns the URL of a store in which nothing is yet."""
        self._count += 1
        if kind == "sqlite":
            return f"sqlite:///{self._folder / f'{self._count}.db'}"
        if self._engine is None:
            self._engine = self._stack.enter_context(Engine(Kind.VALKEY))
        return f"{self._engine.url}?prefix=test{self._count}"


@dataclass(frozen=True)
class Way:
    """One way for sessions to be kept.

    Attributes:
        store: ``"memory"`` is a `MemoryStore`; None: in the process alone.
        apart: who follows is another process than the producer.
    """

    store: Literal["memory"] | StoreKind | None
    apart: bool = False

    def __str__(self) -> str:
        return (self.store or "in-process") + "-apart" * self.apart


ON_VIRTUAL_TIME = (Way(None), Way("memory"), Way("memory", apart=True))
EVERYWHERE = (
    *ON_VIRTUAL_TIME,
    *(Way(kind, apart) for kind in STORE_KINDS for apart in (False, True)),
)


class Backing:
    """Makes the registries of one test. Runs in a `with` block, after which no thread is left.

    Args:
        way: where sessions live.
        stores: where those with a URL come from.
        virtual: time stands still where it can be made to.

    Attributes:
        clock: of all of them; None where time is real.
    """

    def __init__(self, way: Way, stores: Stores, *, virtual: bool = True) -> None:
        self.way = way
        self.clock = ManualClock() if virtual and way in ON_VIRTUAL_TIME else None
        self._stores = stores
        self._registries = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._registries.close()

    def registries(self, **settings: Any) -> tuple[SessionRegistry, SessionRegistry]:
        """Returns the producer's and the followers', which may be the same one."""
        options = Settings(**settings)
        store = self._store()
        producer = self._registry(options, store)
        return producer, self._registry(options, store) if self.way.apart else producer

    def _store(self) -> str | Store | None:
        if self.way.store == "memory":
            return MemoryStore(clock=self.clock)
        return None if self.way.store is None else self._stores.url(self.way.store)

    def _registry(self, settings: Settings, store: str | Store | None) -> SessionRegistry:
        registry = SessionRegistry(settings, store=store, clock=self.clock)
        return self._registries.enter_context(registry)

    async def advance(self, seconds: float) -> None:
        """Moves time; 0 lets everything happen that can without."""
        assert self.clock is not None, "Here time moves by itself."
        await self.clock.advance(seconds)

    async def until(
        self, follower: Follower, condition: Callable[[], bool], *, within: float = 1
    ) -> None:
        """Returns when it is so by what has come: within virtual seconds, or when it has."""
        if self.clock is None:
            await follower.until(condition)
            await settle()
        else:
            await self.clock.advance(within)
        assert condition()
