"""The example page in a real Chromium, served by another host than the progress that it follows."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp
from tests.cli.programs import started

from .peers import App, serving

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def anyio_backend() -> str:
    """uvicorn and Playwright run on asyncio."""
    return "asyncio"


pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser for which every name under ``.test`` is this machine, and a foreign host."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "These tests need chromium on the PATH or named by CHROMIUM."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--host-resolver-rules=MAP *.test 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def named(app: App, host: str) -> AsyncGenerator[str]:
    """Serves an app; yields its address under another name."""
    async with serving(app) as address:
        yield f"http://{host}:{urlsplit(address).port}"


@asynccontextmanager
async def pages() -> AsyncGenerator[str]:
    """Serves the examples' page; yields its origin."""
    files = StaticFiles(directory=ROOT / "examples")
    async with named(Starlette(routes=[Mount("/", files)]), "app.test") as origin:
        yield origin


class Site:
    """A page's origin, and the progress of another one."""

    def __init__(self, browser: Browser, page_origin: str, progress: str) -> None:
        self.progress = progress
        self._browser = browser
        self._page_origin = page_origin

    def url(self, session: ProgressSession) -> str:
        return f"{self.progress}/sessions/{session.id}"

    async def open(self, session: str, **query: str) -> Page:
        page = await self._browser.new_page()
        asked = urlencode({"session": session, **query})
        await page.goto(f"{self._page_origin}/page.html?{asked}")
        return page


@asynccontextmanager
async def site(
    browser: Browser, registry: SessionRegistry, *, allowed: bool
) -> AsyncGenerator[Site]:
    async with pages() as origin:
        app = ProgressApp(registry, allowed_origins=(origin,) if allowed else ())
        async with named(app, "api.test") as progress:
            yield Site(browser, origin, progress)


def state(page: Page) -> Any:
    return page.locator("#state")


@pytest.mark.parametrize("transport", ["fetch", "websocket"])
async def test_a_page_of_an_allowed_origin_follows_and_cancels(
    browser: Browser, transport: str
) -> None:
    registry = SessionRegistry()
    async with site(browser, registry, allowed=True) as found:
        with registry.open() as session:
            page = await found.open(found.url(session), transport=transport)
            await expect(state(page)).to_have_text("live")
            session.log("while it looks")
            await expect(page.locator("#events li")).to_have_count(2)
            await page.locator("#token").fill(str(session.handle()["control_token"]))
            await page.locator("button").click()
            await expect(page.locator("#answer")).to_have_text("202")
            await expect(page.locator("#events")).to_contain_text("cancel.requested")
            assert session.cancel_requested
        await expect(state(page)).to_have_text("ended")
        await expect(page.locator("#events li")).to_have_count(4)


async def test_a_page_of_an_allowed_origin_goes_on_from_a_cursor(browser: Browser) -> None:
    """``Last-Event-ID`` is a header that a browser asks about first."""
    registry = SessionRegistry()
    async with site(browser, registry, allowed=True) as found:
        with registry.open() as session:
            session.log("before")
            cursor = session.cursor
            session.log("after")
        page = await found.open(found.url(session))
        await expect(state(page)).to_have_text("ended")
        told = await page.evaluate(
            """async ([url, cursor]) => {
                const answer = await fetch(`${url}/events`, {headers: {"Last-Event-ID": cursor}});
                const state = await fetch(url);
                return [await answer.text(), state.headers.get("etag")];
            }""",
            [found.url(session), cursor],
        )
        assert '"resume":"exact"' in told[0]
        assert "after" in told[0]
        assert "before" not in told[0]
        assert told[1] == f'"{session.cursor}"'


async def test_a_page_of_a_foreign_origin_reads_nothing_by_fetch(browser: Browser) -> None:
    registry = SessionRegistry()
    async with site(browser, registry, allowed=False) as found:
        with registry.open() as session:
            page = await found.open(found.url(session))
            await expect(state(page)).to_have_text("TypeError: Failed to fetch")
            await page.locator("#token").fill(str(session.handle()["control_token"]))
            await page.locator("button").click()
            await expect(page.locator("#answer")).to_have_text("TypeError: Failed to fetch")
            assert not session.cancel_requested
            assert await page.locator("#events li").count() == 0


async def test_a_page_of_a_foreign_origin_can_read_why_its_websocket_is_refused(
    browser: Browser,
) -> None:
    registry = SessionRegistry()
    async with site(browser, registry, allowed=False) as found:
        with registry.open() as session:
            page = await found.open(found.url(session), transport="websocket")
            await expect(page.locator("body")).to_have_attribute("data-close", "4403")
            for word in ("app.test", "api.test", "allowed_origins"):
                await expect(state(page)).to_contain_text(word)
            assert await page.locator("#events li").count() == 0


@pytest.mark.server
async def test_the_example_prints_the_address_of_a_page_that_follows_it(browser: Browser) -> None:
    command = [sys.executable, "-m", "uvicorn", "examples.other_origin:app", "--port", "0"]
    async with pages() as origin:
        line = f"PAGE={origin} SERVER=http://api.test exec {' '.join(command)} 2>&1"
        async with started(["sh", "-c", line], cwd=ROOT) as program:
            told = await program.lines_until("INFO:     Uvicorn running on ")
            (address,) = [each for each in told if each.startswith(origin)]
            (token,) = [each for each in told if each.startswith("To cancel it: ")]
            port = urlsplit(told[-1].split()[4]).port
            page = await browser.new_page()
            await page.goto(address.strip().replace("//api.test", f"//api.test:{port}"))
            await expect(state(page)).to_have_text("live")
            await expect(page.locator("#events")).to_contain_text("step.started")
            await page.locator("#token").fill(token.split()[-1])
            await page.locator("button").click()
            await expect(state(page)).to_have_text("ended")
            await expect(page.locator("#events")).to_contain_text("session.cancelled")
            program.interrupt()
            assert await program.exit_status() == 0
