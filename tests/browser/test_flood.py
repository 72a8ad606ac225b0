"""More than anybody can read: the page gets all of it, and stays quick."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from agentprogress import ProgressSession

from .site import Site, Tab
from .tracing import smooth

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

BURST = 250


def emit(session: ProgressSession, number: int) -> None:
    """Emits this and that, most of it lines, and nothing that coalesces."""
    if number % 100 == 0:
        with session.tool("search", input={"number": number}) as tool:
            tool.complete(output="x" * 100)
    elif number % 10 == 1:
        session.usage(model="m", input_tokens=1, output_tokens=2)
    else:
        session.log(f"line {number}", level="warning" if number % 7 else "info", number=number)


async def flood(site: Site, session: ProgressSession, tab: Tab, *, emits: int) -> None:
    """Emits as fast as it goes, to the end."""
    for number in range(emits):
        emit(session, number)
        if number % BURST == 0:
            await session.flush()
    site.end(session)
    await tab.until("told.completed.length === 1")


async def test_a_flood_is_received_in_full(site: Site, transport: str) -> None:
    session = site.begin()
    tab = await site.open(session, transport=transport)
    await tab.until_state("live")
    await flood(site, session, tab, emits=3_000)
    await tab.judge_end(session)
    assert await tab.ask("told.events.length") > 3_000


@pytest.mark.proof
async def test_a_flood_leaves_the_page_quick(site: Site, browser: Browser, transport: str) -> None:
    """As fast as they come, which is faster than 5,000 a second."""
    session = site.begin()
    tab = await site.open(session, transport=transport)
    await tab.until_state("live")
    async with smooth(browser, tab.page):
        await flood(site, session, tab, emits=15_000)
    await tab.judge_end(session)
