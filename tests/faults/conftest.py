"""A store of each kind, real and of the test's own; processes are gone after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.stores.engines import Engine, Kind, Options

from .kit import QUICK
from .processes import Gateway, Peer

StartPeer = Callable[..., Peer]
StartGateway = Callable[..., Gateway]


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Stores and loops go in pairs: a fault takes seconds, and all pairs are tried elsewhere."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    on_trio = not {"sqlite", Kind.REDIS}.isdisjoint(given.values())
    return ("trio", {}) if on_trio else ("asyncio", {"use_uvloop": False})


@pytest.fixture(params=list(Kind), ids=str)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that keeps its data across restarts."""
    with Engine(request.param, Options(append_only=True)) as engine:
        yield engine


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a SQLite store may be made."""
    return tmp_path / "progress.db"


@pytest.fixture
def humble_folder() -> Iterator[Path]:
    """A folder that anybody may write to, and come to."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, database: Path) -> Iterator[str]:
    """The URL of a store of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{database}"
        return
    with Engine(Kind.VALKEY) as engine:
        yield engine.url


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """Starts producers in processes of their own."""
    with ExitStack() as stack:

        def start(store: str, *, humble: bool = False, **settings: Any) -> Peer:
            return stack.enter_context(Peer(store, {**QUICK, **settings}, humble=humble))

        yield start


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    """Starts servers in processes of their own."""
    with ExitStack() as stack:

        def start(store: str, **settings: Any) -> Gateway:
            return stack.enter_context(Gateway(store, {**QUICK, **settings}))

        yield start
