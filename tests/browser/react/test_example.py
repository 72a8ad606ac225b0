"""The example: its types hold, Vite builds it, and its pages work with its own backend."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from examples.react.server import create_app
from tests.http.peers import serving

from .bundles import MODULES, PACKAGE, run

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

EXAMPLE = Path(__file__).parents[3] / "examples" / "react"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, with what `npm install` would put beside it."""
    folder = tmp_path_factory.mktemp("example") / "react"
    own = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=own)
    modules = folder / "node_modules"
    modules.mkdir()
    for module in MODULES.iterdir():
        (modules / module.name).symlink_to(module)
    shutil.copytree(PACKAGE, modules / "agentprogress")
    return folder


@pytest.fixture(scope="module")
def pages(example: Path) -> Path:
    run([str(MODULES / ".bin" / "vite"), "build"], example)
    return example / "dist"


@pytest.fixture
async def page(browser: Browser, pages: Path) -> AsyncIterator[Page]:
    """The example's page; its backend works without a pause, and waits where it asks."""
    complaints: list[str] = []
    async with serving(create_app(pace=0, pages=pages)) as address:
        page = await browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        await page.goto(address)
        yield page
        await page.close()
    assert complaints == []


async def start(page: Page, topic: str) -> tuple[Locator, Locator]:
    """Starts a report; returns where the hook's card and the element are, both at its question."""
    await page.get_by_label("Topic").fill(topic)
    await page.get_by_role("button", name="Start a report").click()
    card = page.get_by_role("region", name="useProgressSession()")
    element = page.get_by_role("region", name="<AgentProgress>")
    for shown in (card, element):
        await expect(shown).to_contain_text(f"Report on {topic}")
        await expect(shown).to_contain_text("Publish the report?")
    return card, element


def test_its_types_hold(example: Path) -> None:
    run([str(MODULES / ".bin" / "tsc"), "--noEmit"], example)


async def test_a_job_is_seen_live_found_again_after_a_reload_and_gives_its_result(
    page: Page,
) -> None:
    card, element = await start(page, "tea")
    await expect(card.get_by_role("status")).to_contain_text("review")
    await page.reload()
    for shown in (card, element):
        await expect(shown).to_contain_text("Publish the report?")
    await card.get_by_role("button", name="Publish").click()
    await expect(card).to_contain_text(re.compile(r"\d+ words on tea, published"))
    await expect(card.locator("article")).to_have_attribute("data-connection", "ended")
    await expect(element.locator("agent-progress")).to_contain_text('"published": true')
    await expect(page).to_have_title("Research desk: completed")


async def test_a_job_is_cancelled_and_cleared(page: Page) -> None:
    card, element = await start(page, "tea")
    await card.get_by_role("button", name="Cancel").click()
    await expect(card.locator("article")).to_have_attribute("data-status", "cancelled")
    await expect(element.locator("agent-progress")).to_contain_text(re.compile("cancelled", re.I))
    await card.get_by_role("button", name="Clear").click()
    await expect(card).to_contain_text("Nothing runs.")


async def test_the_next_job_takes_the_place_of_the_last(page: Page) -> None:
    await start(page, "tea")
    card, element = await start(page, "coffee")
    for shown in (card, element):
        await expect(shown).not_to_contain_text("Report on tea")
