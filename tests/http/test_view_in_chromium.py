"""The view page in a real Chromium: what it adds to the element that it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.access import Access, AccessRequest
from agentprogress.asgi import ProgressApp

from .peers import App, serving


@pytest.fixture
def anyio_backend() -> str:
    """uvicorn and Playwright run on asyncio."""
    return "asyncio"


pytestmark = [pytest.mark.anyio, pytest.mark.browser]


class Site:
    """A served registry and a browser; collects what goes wrong in any page."""

    def __init__(self, registry: SessionRegistry, browser: Browser) -> None:
        self.registry = registry
        self.complaints: list[str] = []
        self._browser = browser

    async def open(self, address: str, session: ProgressSession, more: str = "") -> Page:
        """Opens a session's page; `more` is a query or a fragment."""
        page = await self._browser.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        await page.goto(f"{address}/sessions/{session.id}/view{more}")
        return page

    @asynccontextmanager
    async def serving(self, app: App) -> AsyncIterator[str]:
        """Serves an application; pages are closed first, since a server waits for followers."""
        async with serving(app) as address:
            try:
                yield address
            finally:
                for context in self._browser.contexts:
                    await context.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "These tests need chromium on the PATH or named by CHROMIUM."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        found = Site(SessionRegistry(), browser)
        try:
            yield found
        finally:
            await browser.close()
        assert found.complaints == []


def part(name: str) -> str:
    """Returns the selector of a part of the element."""
    return f"agent-progress [part~={name}]"


async def test_a_page_joins_late_is_refreshed_and_opened_after_the_end(site: Site) -> None:
    async with site.serving(ProgressApp(site.registry)) as address:
        with site.registry.open(title="Late join") as session:
            session.log("first half")
            page = await site.open(address, session)
            await expect(page.locator(part("connection"))).to_contain_text("Live")
            await expect(page.locator(part("title"))).to_have_text("Late join")
            await expect(page).to_have_title("Running · Late join")
            lines = page.locator(f"{part('lines')} p > span")
            await expect(lines).to_have_text(["first half"])
            await page.reload()
            await expect(lines).to_have_text(["first half"])
            session.log("second half")
            await expect(lines).to_have_text(["first half", "second half"])
            session.complete({"files": 4})
        for seen in (page, await site.open(address, session)):
            await expect(seen).to_have_title("Completed · Late join")
            await expect(seen.locator(part("result"))).to_contain_text('"files": 4')
            await expect(seen.locator(part("connection"))).to_have_text("Ended")


async def test_beneath_a_mount_it_finds_its_modules_and_its_session(site: Site) -> None:
    app = Starlette(routes=[Mount("/deep/progress", ProgressApp(site.registry))])
    async with site.serving(app) as address:
        with site.registry.open(title="Mounted") as session:
            page = await site.open(f"{address}/deep/progress", session)
            await expect(page.locator(part("title"))).to_have_text("Mounted")


async def test_by_the_default_rule_it_only_shows_unless_its_address_has_the_control_token(
    site: Site,
) -> None:
    async with site.serving(ProgressApp(site.registry)) as address:
        with site.registry.open() as session:
            page = await site.open(address, session)
            await expect(page.locator(part("connection"))).to_contain_text("Live")
            await expect(page.get_by_role("button")).to_have_count(0)
            token = session.handle()["control_token"]
            assert token is not None
            page = await site.open(address, session, f"#token={token}")
            await page.get_by_role("button", name="Cancel").click()
            with anyio.fail_after(20):
                while not session.cancel_requested:
                    await anyio.lowlevel.checkpoint()
            assert token not in await page.content()


async def test_an_application_that_decides_itself_gets_the_query_and_offers_control(
    site: Site,
) -> None:
    queries: set[str | None] = set()

    def authorize(request: AccessRequest) -> Access:
        queries.add(request.connection.query.get("key"))
        return Access(actions=frozenset({"follow", "control"}))

    async with site.serving(ProgressApp(site.registry, authorize=authorize)) as address:
        with site.registry.open() as session:
            page = await site.open(address, session, "?key=abc")
            await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
            await page.get_by_role("button", name="Cancel").click()
            await expect(page.get_by_role("button", name="Cancelling…")).to_be_visible()
    assert queries == {"abc"}


async def test_a_session_that_waits_is_answered_by_another_and_goes_on(site: Site) -> None:
    form = {"type": "object", "properties": {"password": {"type": "string"}}}
    async with site.serving(ProgressApp(site.registry)) as address:
        with site.registry.open() as session:
            session.suspend("May I sign in?", schema=form)
        page = await site.open(address, session)
        question = page.locator(part("question"))
        await expect(question).to_contain_text("May I sign in?")
        (request,) = session.snapshot().requests
        site.registry.answer(session.id, request.request_id, {"password": "hunter2"})
        await expect(question).to_have_count(0)
        with site.registry.open(session_id=session.id, existing="resume"):
            await expect(page.locator(part("status"))).to_have_text("Running")
        await expect(page.locator(part("status"))).to_have_text("Completed")
        shown = await page.locator("agent-progress").evaluate("(it) => it.shadowRoot.textContent")
        assert "hunter2" not in shown


async def test_a_refused_session_says_why_and_gives_up(site: Site) -> None:
    with site.registry.open() as session:
        pass
    site.registry.delete(session.id)
    async with site.serving(ProgressApp(site.registry)) as address:
        page = await site.open(address, session)
        await expect(page.locator(part("connection"))).to_contain_text("Not connected")
        await expect(page.locator(part("notices"))).to_contain_text("Run it again.")
        await expect(page).to_have_title("Progress")
