"""One process of each server for all cases of a worker, started by the first that needs it."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from .live import TRANSPORTS, Live, Transport
from .servers import TARGETS, NotServing, Running, Target, start


class Servers:
    """The servers that run."""

    def __init__(self) -> None:
        self._running: dict[Target, Running | str] = {}

    def get(self, target: Target) -> Running:
        """Returns a server's process, starting it if need be; one that cannot is tried once."""
        if target not in self._running:
            try:
                self._running[target] = start(target)
            except NotServing as error:
                self._running[target] = str(error)
        running = self._running[target]
        if isinstance(running, str):
            pytest.fail(f"{target} does not serve:\n{running}", pytrace=False)
        return running

    def stop(self) -> None:
        """Ends them all."""
        for running in self._running.values():
            if isinstance(running, Running):
                running.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    pool = Servers()
    yield pool
    pool.stop()


# Not a parametrised session fixture: that would start a server anew whenever the order, which is
# random, comes back to it.
@pytest.fixture(params=TARGETS, ids=str)
def live(request: pytest.FixtureRequest, servers: Servers) -> Live:
    target: Target = request.param
    return Live(target, servers.get(target))


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
        report.sections.append((f"output of {live.target}", live.running.text[-5000:]))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts a server."""
    for item in items:
        if "live" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
