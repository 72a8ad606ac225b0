"""A real server for all cases of a worker, and one of its own for a case that ends it."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.conformance.live import Live

from .serve import AMPLE, Served

TRANSPORTS = ("websocket", "sse", "long-poll")


@pytest.fixture(scope="session")
def lasting() -> Iterator[Served]:
    """A server that nobody ends."""
    served = Served(AMPLE)
    try:
        served.begin()
        yield served
    finally:
        served.close()


@pytest.fixture
def live(lasting: Served) -> Live:
    return lasting.live


@pytest.fixture
def served() -> Iterator[Served]:
    """A server that has not begun yet, and may be ended and begun again."""
    served = Served(AMPLE)
    try:
        yield served
    finally:
        served.close()


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the server printed when a case fails."""
    report = yield
    found = getattr(item, "funcargs", {})
    served = found.get("served") or found.get("lasting")
    if report.failed and isinstance(served, Served):
        report.sections.append(("output of the server", served.text[-5000:]))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts a server."""
    for item in items:
        if {"lasting", "served"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
