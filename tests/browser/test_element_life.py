"""`<agent-progress>` in a page that lives: moved, removed, defined late, given another session."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from agentprogress import SessionRegistry
from agentprogress.access import Access, AccessRequest

from .showing import ELEMENT, Show, in_page, part, showing
from .site import Tabs, until

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

COMPLETED = "addEventListener('complete', ({ detail }) => (window.ends ??= []).push(detail), true);"


class Guard:
    """Lets everybody do everything, and remembers with which token."""

    def __init__(self) -> None:
        self.bearers: list[str | None] = []

    def __call__(self, request: AccessRequest) -> Access:
        self.bearers.append(request.connection.bearer)
        return Access(actions=frozenset({"follow", "control"}))


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs, guard: Guard) -> AsyncIterator[Show]:
    async with showing(registry, tabs, guard) as found:
        yield found


async def test_a_moved_element_keeps_its_connection(show: Show, guard: Guard) -> None:
    with show.registry.open() as session:
        page = await show.open(session)
        await expect(part(page, "connection")).to_contain_text("Live")
        await in_page(page, "(document.body.append(element), 1)")
        session.log("after the move")
        await expect(part(page, "lines")).to_contain_text("after the move")
        assert len(guard.bearers) == 1


async def test_a_removed_element_lets_go_and_goes_on_when_it_is_back(show: Show) -> None:
    with show.registry.open() as session:
        session.log("before")
        page = await show.open(session)
        await expect(part(page, "lines")).to_contain_text("before")
        await in_page(page, "(window.kept = element, element.remove(), 1)")
        await until(lambda: show.registry.get(session.id).subscribers == 0)
        session.log("while away")
        await page.evaluate("document.body.append(kept)")
        await expect(part(page, "lines").locator("p > span")).to_have_text(["before", "while away"])


async def test_another_src_shows_another_session_and_nothing_of_the_first(show: Show) -> None:
    with show.registry.open(title="First") as first, show.registry.open(title="Second") as second:
        first.log("of the first")
        second.log("of the second")
        page = await show.open(first)
        await expect(part(page, "lines")).to_contain_text("of the first")
        await in_page(page, f"(element.src = '{show.url(second)}', 1)")
        await expect(part(page, "title")).to_have_text("Second")
        await expect(part(page, "lines").locator("p > span")).to_have_text(["of the second"])
        await until(lambda: show.registry.get(first.id).subscribers == 0)
        await in_page(page, "(element.src = null, 1)")
        await expect(page.locator("agent-progress")).to_have_text("Nothing to follow.")
        await until(lambda: show.registry.get(second.id).subscribers == 0)


async def test_properties_set_before_the_definition_count(show: Show, guard: Guard) -> None:
    with show.registry.open() as session:
        page = await show.open_html(
            "<!doctype html><link rel=icon href=data:,><title>Late</title>"
            "<agent-progress></agent-progress>"
        )
        url = show.url(session)
        await in_page(
            page,
            f"(Object.assign(element, {{ src: '{url}', token: 'a-token', readonly: true,"
            " labels: { running: 'Busy' } }), 1)",
        )
        await page.evaluate("import('/client/define.js').then(() => 1)")
        await expect(part(page, "status")).to_have_text("Busy")
        await expect(page.get_by_role("button")).to_have_count(0)
        assert guard.bearers == ["a-token"]


async def test_another_token_disturbs_nothing_and_is_used_when_one_is_needed(
    show: Show, guard: Guard
) -> None:
    with show.registry.open() as session:
        page = await show.open(None)
        await in_page(
            page, f"(element.token = () => 'one', element.src = '{show.url(session)}', 1)"
        )
        await expect(part(page, "connection")).to_contain_text("Live")
        await in_page(page, "(element.token = () => 'two', 1)")
        session.log("still here")
        await expect(part(page, "lines")).to_contain_text("still here")
        assert guard.bearers == ["one"]
        await in_page(page, "(element.token = 'three', element.client.requestCancel(), 1)")
        await until(lambda: guard.bearers == ["one", "three"])


@pytest.mark.parametrize("live", [True, False])
async def test_complete_is_told_once_however_the_end_was_reached(show: Show, live: bool) -> None:
    with show.registry.open() as session:
        page = await show.open(session if live else None, before=COMPLETED)
        if live:
            await expect(part(page, "connection")).to_contain_text("Live")
        session.complete({"files": 4})
    if not live:
        await in_page(page, f"(element.src = '{show.url(session)}', 1)")
    await page.wait_for_function("() => window.ends?.length")
    await in_page(page, "(document.body.append(element), element.labels = {}, 1)")
    await expect(part(page, "result")).to_contain_text('"files": 4')
    assert await page.evaluate("ends.map(({ status, result }) => [status, result.files])") == [
        ["completed", 4]
    ]


async def test_a_hidden_page_draws_nothing_and_is_right_when_it_is_looked_at(show: Show) -> None:
    with show.registry.open() as session:
        # Frames come when they are given, as in a page that is hidden and shown.
        page = await show.open(
            session, before="window.requestAnimationFrame = (f) => (window.frames_ ??= []).push(f);"
        )
        session.log("unseen")
        await page.wait_for_function(
            f"() => {ELEMENT}.client?.getSnapshot().session?.logs.length === 1"
        )
        await expect(part(page, "lines")).to_have_count(0)
        assert await page.evaluate("frames_.length") == 1
        await page.evaluate("frames_.splice(0).forEach((draw) => draw())")
        await expect(part(page, "lines")).to_contain_text("unseen")
