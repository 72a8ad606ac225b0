"""`<agent-progress>` without eyes or mouse: axe's verdict, the focus, what is read out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from agentprogress import ProgressSession, SessionRegistry

from .showing import Show, part, showing
from .site import Tabs
from .states import STATES, in_state

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

# Rule, and what of the page breaks it.
VIOLATIONS = """
async (rules) => {
  const { violations } = await axe.run(rules ? { runOnly: rules } : {});
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.flat()}: ${failureSummary}`));
}
"""

FOCUSED = """
(() => {
  const node = document.querySelector("agent-progress").shadowRoot.activeElement;
  if (!node) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(node);
  const labelled = node.ariaLabel ?? node.labels?.[0]?.textContent ?? node.textContent;
  const { top, height } = node.getBoundingClientRect();
  return {
    name: labelled.trim().slice(0, 24),
    isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
    isInSight: top < innerHeight && top + height > 0,
  };
})()
"""

# What a screen reader is told while it is elsewhere: each change in what is live.
LISTEN = """
window.heard = [];
new MutationObserver((changes) => {
  const told = new Set();
  for (const { target } of changes) {
    const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
    const region = node?.closest("[role=status], [role=alert], [role=log], [aria-live]");
    if (region && region.ariaLive !== "off") told.add(region);
  }
  for (const region of told) window.heard.push(region.textContent);
}).observe(
  document.querySelector("agent-progress").shadowRoot,
  { subtree: true, childList: true, characterData: true },
);
"""


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        await context.close()


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs) -> AsyncIterator[Show]:
    async with showing(registry, tabs) as found:
        yield found


# The page that comes with the server has a head of its own around the same element.
@pytest.mark.parametrize(
    ("state", "in_view"),
    [(state, False) for state in STATES]
    + [(state, True) for state in ("running", "question", "failed", "reconnecting")],
)
async def test_axe_finds_no_violation(context: BrowserContext, state: str, in_view: bool) -> None:
    async with in_state(context, state, in_view=in_view) as page:
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        for width in (360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(VIOLATIONS) == [], width
        # Another scheme has other colours and is the same in all else.
        await page.emulate_media(color_scheme="dark")
        assert await page.evaluate(VIOLATIONS, ["color-contrast"]) == []


async def test_axe_would_find_one(context: BrowserContext) -> None:
    async with in_state(context, "running") as page:
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        root = "document.querySelector('agent-progress').shadowRoot"
        await page.evaluate(f"{root}.querySelector('.lines').removeAttribute('aria-label')")
        await page.evaluate(f"{root}.append(document.createElement('button'))")
        assert "button-name" in str(await page.evaluate(VIOLATIONS))


async def test_all_is_reached_by_keyboard_in_the_order_of_reading_and_seen_to_be(
    context: BrowserContext,
) -> None:
    async with in_state(context, "question") as page:
        reached: list[Any] = []
        await page.keyboard.press("Tab")
        while (focused := await page.evaluate(FOCUSED)) is not None:
            reached.append(focused)
            await page.keyboard.press("Tab")
        names = [focused["name"] for focused in reached]
        for focused in reached:
            assert focused["isSeen"], focused
            assert focused["isInSight"], focused
        assert names[:5] == ["Cancel", "publish", "Audience", "Note", "Send"]
        assert names[5].startswith("Research")
        assert names[-5:] == [
            "sources.bib",
            "Download table.csv",
            "fable-large · assistant",
            "Level",
            "Log",
        ]


async def test_an_answer_is_given_by_keyboard_alone(context: BrowserContext) -> None:
    async with in_state(context, "question") as page:
        for key in ("Tab", "Tab", "ArrowRight", "Tab", "p", "Tab", "x", "Tab", "Enter"):
            await page.keyboard.press(key)
        await expect(part(page, "questions")).to_have_count(0)


def busy(session: ProgressSession) -> None:
    """Emits 1,000 events of all kinds that come often."""
    with session.phase("load", total=200) as phase, phase.text() as text:
        for number in range(199):
            phase.advance(message=f"part {number}")
            phase.log(f"line {number}", level="warning")
            text.write(f"word {number} ")
            with phase.tool(f"tool {number}"):
                pass


async def test_a_thousand_events_are_not_read_out(show: Show) -> None:
    with show.registry.open(title="Load") as session:
        page = await show.open(session)
        await expect(part(page, "connection")).to_contain_text("Live")
        await page.evaluate(LISTEN)
        busy(session)
        session.log("the last line")
        await expect(part(page, "lines")).to_contain_text("the last line")
        assert await page.evaluate("heard") == []
    await expect(part(page, "connection")).to_contain_text("Ended")
    heard = [text.strip() for text in await page.evaluate("heard")]
    assert sorted(heard) == ["Completed", "Ended"]


async def test_what_has_the_focus_keeps_it_while_events_come(show: Show) -> None:
    with show.registry.open() as session:
        phase = session.phase("read")
        phase.tool("search")
        session.log("a line")
        page = await show.open(session)
        await expect(part(page, "lines")).to_contain_text("a line")
        for held in (
            page.get_by_role("button", name="Cancel"),
            part(page, "tree").locator("summary").first,
            part(page, "filter"),
            part(page, "lines"),
        ):
            await held.focus()
            node = await held.element_handle()
            busy(session)
            session.log("another line")
            await expect(part(page, "lines").locator("p").last).to_contain_text("another line")
            assert await page.evaluate(
                "(node) => node.getRootNode().activeElement === node && node.isConnected", node
            )
            session.log("and one more")
            await expect(part(page, "lines").locator("p").last).to_contain_text("and one more")
