"""How the connection to a session stands, as `<agent-progress>` says it, with what to do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from agentprogress import SessionRegistry
from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.errors import Forbidden, TokenExpired, Unauthorized

from .showing import Show, in_page, part, showing
from .site import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

# Delays as long as they may be, and each `fetch` and WebSocket looks whether there is a network.
SLOW = "Math.random = () => 0.999;"


class Guard:
    """Answers who may follow."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.bearers: list[str | None] = []

    def __call__(self, request: AccessRequest) -> Access:
        self.bearers.append(request.connection.bearer)
        if self.refusal is not None:
            raise self.refusal
        return allow_anyone(request)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs, guard: Guard) -> AsyncIterator[Show]:
    async with showing(registry, tabs, guard) as found:
        yield found


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (Unauthorized("Who are you?"), "Who are you? Sign in again."),
        (TokenExpired(), "Sign in again."),
        (Forbidden("It is not yours."), "It is not yours. Ask for access."),
    ],
)
async def test_a_refusal_is_said_with_what_to_do_and_can_be_tried_again(
    show: Show, guard: Guard, refusal: Exception, advice: str
) -> None:
    guard.refusal = refusal
    with show.registry.open(title="Mine") as session:
        page = await show.open(session)
        await expect(part(page, "connection")).to_contain_text("Not connected")
        await expect(part(page, "notices")).to_contain_text(advice)
        await expect(part(page, "title")).to_have_text("Session")
        await expect(part(page, "body")).to_have_count(0)
        guard.refusal = None
        retry = page.get_by_role("button", name="Retry now")
        await retry.press("Enter")
        await expect(part(page, "connection")).to_contain_text("Live")
        await expect(part(page, "notices")).to_be_empty()
        await expect(part(page, "title")).to_have_text("Mine")
        await expect(retry).to_have_count(0)
        # The button that had the focus is gone; the focus is still here.
        assert await in_page(page, "document.activeElement === element")
    show.complaints.clear()  # of refused answers, which browsers report themselves


async def test_a_session_that_is_gone_is_not_shown_as_an_empty_one(show: Show) -> None:
    with show.registry.open() as session:
        pass
    show.registry.delete(session.id)
    page = await show.open(session)
    await expect(part(page, "connection")).to_contain_text("Not connected")
    await expect(part(page, "notices")).to_contain_text("Run it again.")
    await expect(part(page, "status")).to_have_count(0)
    show.complaints.clear()


async def test_a_lost_network_is_said_counted_down_and_survived(show: Show) -> None:
    with show.registry.open() as session:
        page = await show.open(session, before=SLOW)
        await expect(part(page, "connection")).to_contain_text("Live")
        await page.context.set_offline(True)
        # An open WebSocket stays: only a new connection meets the emulated network.
        await in_page(page, "(window.dispatchEvent(new Event('online')), 1)")
        connection = part(page, "connection")
        await expect(connection).to_contain_text("Offline")
        await expect(connection.locator("[aria-hidden=true]")).to_have_text(r"in 1 s")
        await expect(page.get_by_role("button", name="Retry now")).to_be_visible()
        await expect(part(page, "status")).to_have_text("Running")
        session.log("while away")
        await page.context.set_offline(False)
        await expect(connection).to_contain_text("Live")
        await expect(part(page, "lines")).to_contain_text("while away")
    show.complaints.clear()


async def test_a_server_that_cannot_be_reached_is_tried_again_visibly(show: Show) -> None:
    with show.registry.open(title="Far away") as session:
        page = await show.open(None, before=SLOW)
        await page.route("**/sessions/**", lambda route: route.abort())
        await in_page(page, f"(element.transport = 'sse', element.src = '{show.url(session)}', 1)")
        connection = part(page, "connection")
        await expect(connection).to_contain_text("Reconnecting")
        await expect(part(page, "notices")).to_have_text("The server cannot be reached.")
        await expect(page.get_by_role("button", name="Retry now")).to_be_visible()
        await expect(part(page, "title")).to_have_text("Session")
        await page.unroute("**/sessions/**")
        await expect(part(page, "title")).to_have_text("Far away")
        await expect(part(page, "notices")).to_be_empty()
    show.complaints.clear()


async def test_what_is_announced_is_what_changed_and_not_the_countdown(show: Show) -> None:
    with show.registry.open() as session:
        page = await show.open(session)
        await expect(part(page, "connection").get_by_role("status")).to_have_text("Live")
        await expect(part(page, "notices")).to_have_attribute("role", "status")
        await in_page(
            page,
            "(window.told = [], new MutationObserver((seen) => told.push(...seen)).observe("
            "element.shadowRoot.querySelector('[part=head]'),"
            " { subtree: true, childList: true, characterData: true }), 1)",
        )
        for number in range(50):
            session.log(f"line {number}")
        await expect(part(page, "lines")).to_contain_text("line 49")
        regions = await in_page(
            page, "told.filter(({ target }) => target.closest?.('[role=status]')).length"
        )
        assert regions == 0
        await expect(part(page, "lines")).to_have_attribute("aria-live", "off")


async def test_elapsed_time_is_the_servers_and_stands_still_once_nobody_tells(
    show: Show, guard: Guard
) -> None:
    with show.registry.open() as session:
        page = await show.open(session, clock="2001-01-01T00:00:00Z")
        elapsed = part(page, "figure").nth(1)
        await expect(elapsed).to_have_text(re.compile(r"^0:\d\d$"))
        guard.refusal = Forbidden()
        await in_page(page, "(window.dispatchEvent(new Event('online')), 1)")
        await expect(part(page, "connection")).to_contain_text("Not connected")
        stood = await elapsed.text_content()
        await page.clock.fast_forward(60 * 60_000)
        await in_page(page, "new Promise((told) => requestAnimationFrame(() => setTimeout(told)))")
        assert await elapsed.text_content() == stood
    show.complaints.clear()
