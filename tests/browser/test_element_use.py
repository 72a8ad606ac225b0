"""`<agent-progress>` in use: filtered, scrolled, driven by keyboard, cancelled, translated."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from agentprogress import SessionRegistry
from agentprogress.access import Access, AccessRequest

from .showing import ELEMENT, Show, in_page, part, showing
from .site import Tabs, until

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

AT_END = (
    "(({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight < 30)"
    "(element.shadowRoot.querySelector('.lines'))"
)


class Guard:
    """Lets everybody follow, and those that it trusts control."""

    def __init__(self) -> None:
        self.trusts = True
        self.bearers: set[str | None] = set()

    def __call__(self, request: AccessRequest) -> Access | None:
        self.bearers.add(request.connection.bearer)
        return Access(actions=frozenset({"follow", "control"} if self.trusts else {"follow"}))


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs, guard: Guard) -> AsyncIterator[Show]:
    async with showing(registry, tabs, guard) as found:
        yield found


async def until_true(page: Page, expression: str) -> None:
    """Waits until something is true of `element`."""
    await page.wait_for_function(f"() => {{ const element = {ELEMENT}; return {expression}; }}")


async def test_the_log_is_filtered_by_level_and_levels_unknown_count_as_information(
    show: Show,
) -> None:
    with show.registry.open() as session:
        for rank in ("debug", "info", "warning", "error", "critical"):
            session.log(f"of {rank}", level=rank)
        page = await show.open(session)
        lines, level = part(page, "lines").locator("p > span"), part(page, "filter")
        await expect(lines).to_have_count(5)
        await level.select_option("Warning")
        await expect(lines).to_have_text(["of warning", "of error", "of critical"])
        session.log("later and less")
        session.log("later and worse", level="error")
        await expect(lines.last).to_have_text("later and worse")
        await expect(lines).to_have_count(4)
        await level.select_option("All")
        await expect(lines).to_have_count(7)


async def test_the_log_follows_its_end_until_its_reader_scrolls_and_jumps_back(show: Show) -> None:
    with show.registry.open() as session:
        for number in range(300):
            session.log(f"line {number}")
        page = await show.open(session)
        lines, latest = part(page, "lines"), page.get_by_role("button", name="Jump to latest")
        await expect(lines.locator("p")).to_have_count(300)
        await until_true(page, AT_END)
        await expect(latest).to_have_count(0)
        await lines.focus()
        await lines.press("Home")
        await expect(latest).to_be_visible()
        session.log("news")
        await expect(lines).to_contain_text("news")
        assert await in_page(page, "element.shadowRoot.querySelector('.lines').scrollTop") < 100
        await latest.press("Enter")
        await until_true(page, AT_END)
        await expect(latest).to_have_count(0)
        await expect(lines).to_be_focused()


async def test_everything_is_reached_by_keyboard_in_the_order_it_is_read(show: Show) -> None:
    with show.registry.open() as session:
        with session.phase("read") as phase:
            phase.tool("search").complete()
        session.artifact("notes", media_type="text/plain", data="x")
        session.log("a line")
        page = await show.open(session)
        await expect(part(page, "lines")).to_contain_text("a line")
        reached = []
        for _ in range(5):
            await page.keyboard.press("Tab")
            reached.append(
                await in_page(
                    page,
                    "(({ ariaLabel, localName, textContent }) =>"
                    " `${localName} ${ariaLabel ?? textContent}`)"
                    "(element.shadowRoot.activeElement)",
                )
            )
    names = [name.split()[0] for name in reached]
    assert names == ["button", "summary", "button", "select", "div"]
    assert reached[0] == "button Cancel"
    assert reached[2:] == ["button Download notes", "select Level", "div Log"]


async def test_cancel_asks_once_says_so_and_is_gone_at_the_end(show: Show) -> None:
    with show.registry.open() as session:
        page = await show.open(session)
        await page.get_by_role("button", name="Cancel").press("Enter")
        button = page.get_by_role("button", name="Cancelling…")
        await expect(button).to_have_attribute("aria-disabled", "true")
        await expect(button).to_be_focused()
        await until(lambda: session.cancel_requested)
    await expect(button).to_have_count(0)
    assert await in_page(page, "document.activeElement === element")


async def test_a_refused_cancel_is_said_as_a_sentence(show: Show, guard: Guard) -> None:
    guard.trusts = False
    with show.registry.open() as session:
        page = await show.open(session)
        await page.get_by_role("button", name="Cancel").click()
        await expect(part(page, "notice")).to_have_text("You may not do that with this session.")
        await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        assert not session.cancel_requested
    show.complaints.clear()  # of the refusal, which browsers report themselves


async def test_a_question_is_answered_in_the_page_and_the_focus_stays(show: Show) -> None:
    with show.registry.open() as session:
        session.suspend("Publish it?", schema={"type": "boolean"})
    page = await show.open(session)
    await expect(part(page, "status")).to_have_text("Waiting")
    question = part(page, "question")
    await expect(question).to_contain_text("Publish it?")
    await question.get_by_role("button", name="Yes").press("Enter")
    await expect(question).to_have_count(0)
    await expect(part(page, "notice")).to_have_text("The question is settled.")
    assert await in_page(page, "document.activeElement === element")
    with show.registry.open(session_id=session.id, existing="resume") as resumed:
        await expect(part(page, "status")).to_have_text("Running")
        assert resumed.status == "running"


async def test_a_form_that_is_being_filled_in_is_left_alone(show: Show) -> None:
    with show.registry.open() as session:
        session.suspend("Which one?", schema={"type": "string", "maxLength": 20})
    page = await show.open(session)
    field = part(page, "question").get_by_role("textbox")
    await field.fill("half an ans")
    await in_page(page, "(window.dispatchEvent(new Event('online')), 1)")
    await until_true(page, "element.client.getSnapshot().connection.state === 'live'")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("half an ans")


async def test_readonly_shows_questions_but_offers_no_control(show: Show) -> None:
    with show.registry.open() as session:
        session.suspend("Publish it?", schema={"type": "boolean"})
    page = await show.open(session, "readonly")
    await expect(part(page, "question")).to_contain_text("Answer it in the application.")
    await expect(page.get_by_role("button")).to_have_count(0)
    await in_page(page, "(element.readonly = false, 1)")
    await expect(page.get_by_role("button", name="Yes")).to_be_visible()


async def test_labels_replace_the_words_and_the_session_stays(show: Show) -> None:
    with show.registry.open() as session:
        session.log("eine Zeile")
        page = await show.open(session)
        await expect(part(page, "connection")).to_contain_text("Live")
        client = await page.evaluate_handle("document.querySelector('agent-progress').client")
        labels = (
            "{ running: 'Läuft', cancel: 'Abbrechen', log: 'Protokoll', of: '{n} von {total}' }"
        )
        await in_page(page, f"(element.labels = {labels}, 1)")
        await expect(part(page, "status")).to_have_text("Läuft")
        await expect(page.get_by_role("button", name="Abbrechen")).to_be_visible()
        await expect(part(page, "log").locator("h3")).to_have_text("Protokoll")
        await expect(part(page, "connection")).to_contain_text("Live")
        assert await client.evaluate(
            "(client) => client === document.querySelector('agent-progress').client"
        )


async def test_parts_and_properties_are_styled_from_the_page(show: Show) -> None:
    with show.registry.open(title="Styled") as session:
        page = await show.open(session)
        await expect(part(page, "title")).to_be_visible()
        await page.evaluate(
            """() => {
              const sheet = new CSSStyleSheet();
              sheet.replaceSync(`agent-progress { --ap-text: rgb(1, 2, 3) }
                agent-progress::part(title) { text-transform: uppercase }
                agent-progress::part(foot) { display: none }`);
              document.adoptedStyleSheets = [sheet];
            }"""
        )
        await expect(part(page, "title")).to_have_css("text-transform", "uppercase")
        await expect(part(page, "title")).to_have_css("color", "rgb(1, 2, 3)")
        await expect(part(page, "foot")).to_be_hidden()
