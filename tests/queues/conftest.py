"""A queue and a store on one engine, and the web process: this one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from agentprogress import SessionRegistry, Settings
from tests.stores.engines import Engine, Kind

from .kit import LEASE_TTL, Web


@pytest.fixture
def anyio_backend() -> str:
    """The programs of the command line's tests are asyncio's."""
    return "asyncio"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(Kind.REDIS) as engine:
        yield engine


@pytest.fixture
async def web(engine: Engine) -> AsyncIterator[Web]:
    engine.refresh()
    settings = Settings(lease_ttl=LEASE_TTL)
    async with SessionRegistry(settings, store=engine.url) as registry:
        yield Web(registry, engine.url)
