"""One engine of each kind for all tests of a worker, emptied for each; and engines of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from .cluster import Cluster
from .engines import Engine, Kind, Options

StartEngine = Callable[..., Engine]


class Engines:
    """Those that run, each started by the first test that needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._engines: dict[Kind, Engine] = {}
        self._clusters: dict[Kind, Cluster] = {}

    def engine(self, kind: Kind) -> Engine:
        if kind not in self._engines:
            self._engines[kind] = self._stack.enter_context(Engine(kind))
        return self._engines[kind]

    def cluster(self, kind: Kind) -> Cluster:
        if kind not in self._clusters:
            self._clusters[kind] = self._stack.enter_context(Cluster(kind))
        return self._clusters[kind]


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    with ExitStack() as stack:
        yield Engines(stack)


# Not a parametrised session fixture: that would start an engine anew whenever the order, which is
# random, comes back to it.
@pytest.fixture(params=list(Kind), ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def engine(kind: Kind, engines: Engines) -> Engine:
    """The shared engine of each kind, empty. A test may stop it, but not reconfigure it."""
    engine = engines.engine(kind)
    engine.refresh()
    return engine


@pytest.fixture
def cluster(kind: Kind, engines: Engines) -> Cluster:
    """The shared cluster of each kind, empty."""
    cluster = engines.cluster(kind)
    cluster.refresh()
    return cluster


@pytest.fixture
def start_engine(kind: Kind) -> Iterator[StartEngine]:
    """Starts an engine of each kind with options of its own; it is gone after the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Engine(kind, Options(**options)))
