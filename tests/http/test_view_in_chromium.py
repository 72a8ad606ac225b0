"""The view page in a real Chromium: joined late, refreshed, in two tabs, opened after the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import anyio
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp

from .peers import serving


@pytest.fixture
def anyio_backend() -> str:
    """uvicorn and Playwright run on asyncio."""
    return "asyncio"


pytestmark = [pytest.mark.anyio, pytest.mark.browser]


class Site:
    """A served registry and a browser; collects what goes wrong in any page."""

    def __init__(self, registry: SessionRegistry, address: str, browser: Browser) -> None:
        self.registry = registry
        self.complaints: list[str] = []
        self._address = address
        self._browser = browser

    async def open(self, session: ProgressSession) -> Page:
        page = await self._browser.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        await page.goto(f"{self._address}/sessions/{session.id}/view")
        return page


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    registry = SessionRegistry()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "These tests need chromium on the PATH or named by CHROMIUM."
    async with serving(ProgressApp(registry)) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        found = Site(registry, address, browser)
        try:
            yield found
        finally:
            await browser.close()
        assert found.complaints == []


class Stages:
    """A job that goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on = [anyio.Event(), anyio.Event()]

    async def job(self, session: ProgressSession) -> dict[str, int]:
        with session.phase("read", total=4, unit="file") as phase:
            phase.advance(2, message="half way")
            session.log("first half")
            await self.go_on[0].wait()
            phase.advance(2)
            session.log("second half <b>not bold</b>")
        await self.go_on[1].wait()
        return {"files": 4}


async def whole_story(page: Page) -> None:
    """Waits for the end and checks that nothing is missing or twice."""
    body = page.locator("body")
    await expect(body).to_have_attribute("data-connection", "ended")
    await expect(body).to_have_attribute("data-status", "completed")
    rows = page.locator("#log .log-row")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("first half")
    await expect(rows.nth(1)).to_contain_text("second half <b>not bold</b>")
    await expect(page.locator("#result")).to_contain_text('"files": 4')
    step = page.locator("[data-step-id]")
    await expect(step).to_have_count(1)
    await expect(step).to_have_attribute("data-status", "completed")


async def test_a_page_that_joins_late_sees_what_was_and_what_comes(site: Site) -> None:
    stages = Stages()
    session = site.registry.start(stages.job, title="Late join")
    await session.flush()
    page = await site.open(session)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    await expect(page.locator("#title")).to_have_text("Late join")
    await expect(page.locator("#log .log-row")).to_have_count(1)
    await expect(page.locator("[data-step-id]")).to_have_attribute("data-status", "running")
    for event in stages.go_on:
        event.set()
    await whole_story(page)


async def test_a_refresh_in_the_middle_shows_the_same_story(site: Site) -> None:
    stages = Stages()
    session = site.registry.start(stages.job)
    page = await site.open(session)
    await expect(page.locator("#log .log-row")).to_have_count(1)
    stages.go_on[0].set()
    await expect(page.locator("#log .log-row")).to_have_count(2)
    await page.reload()
    await expect(page.locator("#log .log-row")).to_have_count(2)
    stages.go_on[1].set()
    await whole_story(page)


async def test_two_tabs_see_the_same(site: Site) -> None:
    stages = Stages()
    session = site.registry.start(stages.job)
    first = await site.open(session)
    stages.go_on[0].set()
    second = await site.open(session)
    await expect(second.locator("body")).to_have_attribute("data-connection", "live")
    stages.go_on[1].set()
    for page in (first, second):
        await whole_story(page)


async def test_a_session_that_ended_before_anybody_looked_shows_its_result(site: Site) -> None:
    stages = Stages()
    for event in stages.go_on:
        event.set()
    session = site.registry.start(stages.job)
    async with site.registry.subscribe(session.id) as subscription:
        async for _ in subscription:
            pass
    await whole_story(await site.open(session))


async def test_a_refused_session_says_why_and_gives_up(site: Site) -> None:
    with site.registry.open() as session:
        pass
    site.registry.delete(session.id)
    page = await site.open(session)
    await expect(page.locator("body")).to_have_attribute("data-connection", "gave_up")
    await expect(page.locator("#notices")).to_contain_text("its record is gone")


async def test_a_session_that_waits_shows_its_question_and_that_it_is_settled(site: Site) -> None:
    form = {"type": "object", "properties": {"password": {"type": "string"}}}
    with site.registry.open() as session:
        session.suspend("May I sign in?", schema=form)
    page = await site.open(session)
    body, question = page.locator("body"), page.locator("#requests .request")
    await expect(body).to_have_attribute("data-status", "waiting")
    await expect(page.locator("#status")).to_have_text("Waiting")
    await expect(question).to_have_count(1)
    await expect(question).to_contain_text("May I sign in?")
    await expect(question).to_contain_text('"password": {')
    (request,) = session.snapshot().requests
    site.registry.answer(session.id, request.request_id, {"password": "hunter2"})
    await expect(page.locator("#requests-panel")).to_be_hidden()
    await expect(page.locator("#notices")).to_contain_text("The question is settled")
    with site.registry.open(session_id=session.id, existing="resume"):
        await expect(body).to_have_attribute("data-status", "running")
        await expect(page.locator("#notices")).to_have_text("")
    await expect(body).to_have_attribute("data-status", "completed")
    assert "hunter2" not in await page.content()


async def test_markup_in_texts_is_text(site: Site) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>1</script>'
    with site.registry.open(title=hostile) as session:
        with session.tool(hostile) as tool:
            tool.update(message=hostile)
        with session.text() as text:
            text.write(hostile)
        session.log(hostile)
        session.complete(hostile)
    page = await site.open(session)
    await expect(page.locator("body")).to_have_attribute("data-connection", "ended")
    await expect(page.locator("#title")).to_have_text(hostile)
    await expect(page.locator("#result")).to_contain_text("<script>")
    assert await page.locator("main img, main script").count() == 0
