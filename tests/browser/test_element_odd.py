"""`<agent-progress>` and what nobody expects: words like its own, changes, other documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from playwright.async_api import expect

from agentprogress import SessionRegistry

from .showing import ELEMENT, Show, in_page, part, showing
from .site import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs) -> AsyncIterator[Show]:
    async with showing(registry, tabs) as found:
        yield found


@pytest.mark.parametrize("kind", ["attempt", "retrying", "{n}", "__proto__", "panel"])
async def test_a_kind_of_any_name_is_shown_as_it_is(show: Show, kind: str) -> None:
    with show.registry.open(title="Odd") as session, session.step("read", kind=cast(Any, kind)):
        page = await show.open(session)
        await expect(part(page, "step")).to_contain_text(f"read{kind}0:")
        await expect(part(page, "panel")).to_have_count(1)


async def test_what_becomes_readonly_keeps_its_connection_and_its_lines(show: Show) -> None:
    with show.registry.open() as session:
        session.log("before")
        page = await show.open(session)
        await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        await in_page(page, "(window.client = element.client, element.readonly = true, 1)")
        await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        await expect(part(page, "lines").locator("p > span")).to_have_text(["before"])
        await in_page(page, "(element.readonly = undefined, 1)")
        await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        assert await in_page(page, "element.client === client")


async def test_a_value_that_cannot_be_shown_does_not_stop_the_rest(show: Show) -> None:
    with show.registry.open(title="Odd") as session, session.step("read", total=4) as step:
        step.advance(1)
        page = await show.open(session)
        # As a server that is no server of ours might send it.
        await in_page(
            page,
            """(element.client.getSnapshot().session.steps.forEach((step) => Object.assign(step, {
                progress: 'half', current: 'one' })), 1)""",
        )
        session.log("after")
        await expect(part(page, "lines").locator("p > span")).to_have_text(["after"])
        step.advance(2)
        await expect(part(page, "step")).to_contain_text("3 / 4")


async def test_in_another_document_it_looks_the_same(show: Show) -> None:
    with show.registry.open(title="Away") as session:
        page = await show.open(session)
        await expect(part(page, "title")).to_have_text("Away")
        await page.evaluate(
            f"""() => {{
                const frame = document.body.appendChild(document.createElement("iframe"));
                frame.contentDocument.body.append({ELEMENT});
            }}"""
        )
        inner = page.frame_locator("iframe").locator("agent-progress")
        await expect(inner.locator("[part~=title]")).to_have_text("Away")
        assert await inner.evaluate("(found) => getComputedStyle(found).display") == "block"
        assert await inner.evaluate("(found) => found.shadowRoot.adoptedStyleSheets.length") == 1
