"""One process of each server for all cases of a worker, started by the first that needs it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import pytest

from tests.backings import Stores

from .live import TRANSPORTS, Live, Transport
from .servers import ON_STORES, TARGETS, NotServing, Running, StoreKind, Target, start


class Servers:
    """The servers that run. Those with the same kind of store share one."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._urls: dict[StoreKind, str] = {}
        self._running: dict[Target, Running | str] = {}

    def get(self, target: Target) -> Running:
        """Returns a server's process, starting it if need be; one that cannot is tried once."""
        if target not in self._running:
            try:
                self._running[target] = start(target, self._url(target))
            except NotServing as error:
                self._running[target] = str(error)
        running = self._running[target]
        if isinstance(running, str):
            pytest.fail(f"{target} does not serve:\n{running}", pytrace=False)
        return running

    def live(self, target: Target) -> Live:
        """Returns a server as a case sees it, with what produces behind it."""
        producer = self.get(replace(target, gateway=False)) if target.gateway else None
        return Live(target, self.get(target), producer)

    def _url(self, target: Target) -> str:
        if target.store is None:
            return ""
        if target.store not in self._urls:
            self._urls[target.store] = self._stores.url(target.store)
        return self._urls[target.store]

    def stop(self) -> None:
        """Ends them all."""
        for running in self._running.values():
            if isinstance(running, Running):
                running.stop()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with Stores(tmp_path_factory.mktemp("stores")) as stores:
        yield stores


@pytest.fixture(scope="session")
def servers(stores: Stores) -> Iterator[Servers]:
    pool = Servers(stores)
    yield pool
    pool.stop()


# Not a parametrised session fixture: that would start a server anew whenever the order, which is
# random, comes back to it.
@pytest.fixture(params=(*TARGETS, *ON_STORES), ids=str)
def live(request: pytest.FixtureRequest, servers: Servers) -> Live:
    return servers.live(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the server printed when a case fails."""
    report = yield
    live = getattr(item, "funcargs", {}).get("live")
    if report.failed and isinstance(live, Live):
        for running in filter(None, (live.running, live.producer)):
            report.sections.append((f"output of {live.target}", running.text[-5000:]))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts a server."""
    for item in items:
        if "live" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
