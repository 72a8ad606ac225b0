"""One Chromium for the cases of a module; each has a server, a context and pages of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect

from agentprogress import SessionRegistry, Settings

from .desk import Desk, opened_desk
from .site import Site, Tabs, serving_site

# A machine that is busy with other tests takes its time.
expect.set_options(timeout=30_000)

# Nothing is evicted, hearts beat as often as they may, and live events come at once.
AMPLE = Settings(
    max_history_events=50_000,
    max_history_bytes=64 * 2**20,
    heartbeat_interval=1,
    delivery_interval=0.002,
    min_retry_window=0.001,
)

CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """uvicorn and Playwright run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "These tests need chromium on the PATH or named by CHROMIUM."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                *CHROMIUM_ARGUMENTS,
                # Every name under .test is this machine, and a foreign host.
                "--host-resolver-rules=MAP *.test 127.0.0.1",
            ],
            # Pages are kept for going back, as browsers of people keep them.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture
def registry() -> SessionRegistry:
    return SessionRegistry(AMPLE)


@pytest.fixture
async def tabs(browser: Browser) -> AsyncIterator[Tabs]:
    """Pages; what is thrown in one of them and caught by nobody fails the test."""
    context = await browser.new_context(ignore_https_errors=True)
    # What answers in the place of a server is at no address: such a page may not call this machine.
    await context.grant_permissions(["local-network-access"])
    context.set_default_timeout(30_000)
    opened = Tabs(context)
    try:
        yield opened
    finally:
        await context.close()
    assert opened.uncaught == []


@pytest.fixture
async def site(registry: SessionRegistry, tabs: Tabs) -> AsyncIterator[Site]:
    async with serving_site(registry, tabs) as found:
        yield found


@pytest.fixture(params=["websocket", "sse", "long-poll"])
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
async def opened(browser: Browser) -> AsyncIterator[Desk]:
    async with opened_desk(browser) as opened:
        yield opened


@pytest.fixture
async def desk(opened: Desk) -> AsyncIterator[Desk]:
    """The module's page of forms, loaded anew; anything that it complains of fails the test."""
    await opened.begin_anew()
    yield opened
    assert opened.complaints == []
