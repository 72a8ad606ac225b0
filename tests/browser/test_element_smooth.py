"""`<agent-progress>` under load: no task of the page's main thread takes long, whatever comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from agentprogress import ProgressSession, SessionRegistry

from .showing import ELEMENT, Show, in_page, part, showing
from .site import Tabs
from .tracing import smooth

# A trace is slow to make and to read.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.proof,
    pytest.mark.timeout(240),
]

FRAME = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs) -> AsyncIterator[Show]:
    async with showing(registry, tabs) as found:
        yield found


async def follow(page: Page, show: Show, session: ProgressSession) -> None:
    """Lets a page that is there already show a session."""
    await in_page(page, f"(element.src = '{show.url(session)}', 1)")


async def until_true(page: Page, expression: str) -> None:
    """Waits until something is true of `root`; a look is cheap, where a locator's would be seen."""
    await page.wait_for_function(
        f"() => {{ const root = {ELEMENT}.shadowRoot; return {expression}; }}", timeout=120_000
    )


LAST_LINE = "root.querySelector('.lines')?.lastChild?.lastChild?.textContent"
LATEST = "root.querySelector('.log .button')"


async def test_ten_thousand_lines_at_once_stay_smooth(show: Show, browser: Browser) -> None:
    with show.registry.open() as session:
        for number in range(10_000):
            session.log(f"line {number} of many, with some words to read", n=number)
        await session.flush()
        page = await show.open(None)
        async with smooth(browser, page):
            await follow(page, show, session)
            await until_true(page, f"{LAST_LINE}?.includes('line 9999 ')")
            # Through all of it, and back to the end.
            await in_page(page, "(element.shadowRoot.querySelector('.lines').focus(), 1)")
            await page.keyboard.press("Home")
            await until_true(page, f"{LATEST} && !root.querySelector('.lines').scrollTop")
            await in_page(page, "(element.shadowRoot.querySelector('.log .button').click(), 1)")
            await until_true(page, f"!{LATEST}")
        await expect(part(page, "lines").locator("p")).to_have_count(10_000)


async def test_five_thousand_events_a_second_stay_smooth(show: Show, browser: Browser) -> None:
    with show.registry.open() as session, session.phase("read", total=2000) as phase:
        page = await show.open(None)
        async with smooth(browser, page):
            await follow(page, show, session)
            await expect(part(page, "connection")).to_contain_text("Live")
            # More than 160 for each pair of frames, which 1/30 s has where nothing else is done.
            for beat in range(50):
                for number in range(33):
                    phase.advance(1, message=f"at {beat}, {number}")
                    session.log(f"line {beat}, {number}", level="warning")
                    phase.tool(f"tool {number}").complete()
                    session.log("x" * 200, n=number)
                await session.flush()
                await page.evaluate(FRAME)
            session.log("the last one")
            await until_true(page, f"{LAST_LINE}?.includes('the last one')")


async def test_a_text_that_grows_without_end_stays_smooth_and_bounded(
    show: Show, browser: Browser
) -> None:
    with show.registry.open() as session, session.text() as text:
        page = await show.open(None)
        output = part(page, "text")
        async with smooth(browser, page):
            await follow(page, show, session)
            await expect(part(page, "connection")).to_contain_text("Live")
            for _ in range(60):
                text.write("word and word " * 200)
                await session.flush()
                await page.evaluate(FRAME)
            text.write("the end")
            await expect(output).to_contain_text("the end")
        await expect(output.locator("h4")).to_have_text("Output · only the end · writing")
        shown = await output.locator("[part=box]").evaluate("(box) => box.textContent.length")
        assert shown <= 16_000


async def test_two_thousand_steps_at_once_stay_smooth(show: Show, browser: Browser) -> None:
    with show.registry.open() as session:
        for number in range(400):
            agent = session.agent(f"agent {number}")
            for _ in range(4):
                agent.tool("search").complete()
        await session.flush()
        page = await show.open(None)
        async with smooth(browser, page):
            await follow(page, show, session)
            await until_true(page, "root.querySelector('.tree')?.childElementCount === 400")
            await page.evaluate(FRAME)
