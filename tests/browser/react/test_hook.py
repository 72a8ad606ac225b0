"""The hook in a real browser, in strict mode, on each version of React."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import WebSocket, expect

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.access import Access, AccessRequest
from agentprogress.errors import Unauthorized
from tests.browser.site import Site, Tabs, serving_site

from .bundles import Bundle
from .screen import Held, Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


def let_in_with_good(request: AccessRequest) -> Access:
    if request.connection.bearer != "good":
        raise Unauthorized("This takes the good token.")
    return Access()


def head(session: ProgressSession) -> int:
    """Returns the last event's seq."""
    return int(session.cursor.rpartition("-")[2])


async def closed(socket: WebSocket) -> None:
    """Waits until a connection is closed."""
    if not socket.is_closed():
        await socket.wait_for_event("close")


# Following


async def test_what_happens_is_shown_and_strict_mode_costs_no_connection(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        session.log("before")
        await screen.show(hooks=[{"name": "a", "src": site.url(session)}])
        await screen.until_state("a", "live")
        await screen.until_lines("a", "before")
        session.log("after")
        await screen.until_lines("a", "before", "after")
        assert len(site.joins) == 1
    await screen.until_state("a", "ended")
    assert len(site.joins) == 1
    assert (await screen.told("a", "shown"))[0] == []
    seqs = [seq for _, seq in await screen.told("a", "events")]
    assert seqs == list(range(1, head(session) + 1))


@pytest.mark.parametrize("result", ["short", "x" * 50_000], ids=["inline", "fetched"])
@pytest.mark.parametrize("when", ["before the page", "while it is followed"])
async def test_the_end_is_told_once_with_its_result(
    site: Site, screen: Screen, result: str, when: str
) -> None:
    with site.registry.open() as session:
        shown = {"src": site.url(session)}
        what = {"hooks": [{"name": "a", **shown}], "elements": [{"name": "b", **shown}]}
        if when == "while it is followed":
            await screen.show(**what)
            await screen.until_state("a", "live")
        session.complete(result)
    await screen.show(**what)
    for name in ("a", "b"):
        await screen.until(f"told.{name}?.completed.length")
    # Nor is it told again because it is rendered again.
    await screen.show(**what)
    await screen.until_state("a", "ended")
    for name in ("a", "b"):
        (told,) = await screen.told(name, "completed")
        assert told["status"] == "completed"
        assert told["result"] == result


async def test_a_source_comes_changes_and_goes(site: Site, screen: Screen) -> None:
    with site.registry.open() as one, site.registry.open() as other:
        one.log("one")
        other.log("other")
        await screen.show(hooks=[{"name": "a", "src": None}])
        await screen.until_state("a", "idle")
        assert site.joins == []
        await screen.show(hooks=[{"name": "a", "src": site.url(one)}])
        await screen.until_lines("a", "one")
        await screen.show(hooks=[{"name": "a", "src": site.url(other)}])
        await screen.until_lines("a", "other")
        await closed(screen.sockets[0])
        await screen.show(hooks=[{"name": "a", "src": None}])
        await screen.until_state("a", "idle")
        await screen.until_lines("a")
        await closed(screen.sockets[1])
    assert len(site.joins) == 2
    # Whoever was left is not heard any more.
    assert await screen.told("a", "completed") == []


async def test_unmounting_closes_the_connection(site: Site, screen: Screen) -> None:
    with site.registry.open() as session:
        shown = {"src": site.url(session)}
        await screen.show(hooks=[{"name": "a", **shown}], elements=[{"name": "b", **shown}])
        await screen.until_state("a", "live")
        await screen.until("document.querySelector('#b').client.getSnapshot().session")
        await screen.unmount()
        for socket in screen.sockets:
            await closed(socket)
    assert len(screen.sockets) == 2
    assert await screen.told("a", "completed") == []


async def test_a_component_that_is_gone_is_told_nothing(site: Site, screen: Screen) -> None:
    with site.registry.open() as session:
        session.complete("x" * 50_000)
    result = Held()
    await screen.page.route("**/result*", result.hold)
    await screen.show(hooks=[{"name": "a", "src": site.url(session)}])
    await result.asked.wait()
    await screen.unmount()
    async with screen.page.expect_event("requestfinished"):
        result.go_on.set()
    await screen.page.evaluate("new Promise(requestAnimationFrame)")
    assert await screen.told("a", "completed") == []


async def test_two_components_follow_each_their_own_session(site: Site, screen: Screen) -> None:
    with site.registry.open() as one, site.registry.open() as other:
        hooks = [{"name": "a", "src": site.url(one)}, {"name": "b", "src": site.url(other)}]
        await screen.show(hooks=hooks)
        one.log("one")
        other.log("other")
        await screen.until_lines("a", "one")
        await screen.until_lines("b", "other")
    assert len(site.joins) == 2


async def test_what_is_not_selected_renders_nothing(site: Site, screen: Screen) -> None:
    with site.registry.open(title="The title") as session:
        await screen.show(hooks=[{"name": "a", "src": site.url(session), "pick": "title"}])
        await expect(screen.place("a")).to_have_text('"The title"')
        await screen.until_state("a", "live")
        before = await screen.told("a", "renders")
        session.log("not of the title")
        await screen.until(f"told.a.events.some(([, seq]) => seq === {head(session)})")
        assert await screen.told("a", "renders") == before


async def test_a_url_of_no_session_is_said_and_breaks_nothing(screen: Screen) -> None:
    shown = {"src": "ftp://somewhere"}
    await screen.show(hooks=[{"name": "a", **shown}], elements=[{"name": "b", **shown}])
    await screen.until_state("a", "gave_up")
    await expect(screen.place("a")).to_have_attribute("title", re.compile("must begin with http"))
    await expect(screen.place("b")).to_contain_text("must begin with http")
    await screen.page.evaluate("told.a.retryNow()")
    await screen.page.evaluate("told.a.cancel()")


# Options


async def test_other_functions_disturb_nothing_and_the_latest_are_called(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        shown = {"src": site.url(session), "tokens": [session.handle()["control_token"]]}

        async def show(mark: str) -> None:
            told = {**shown, "mark": mark}
            await screen.show(hooks=[{"name": "a", **told}], elements=[{"name": "b", **told}])

        await show("first")
        await screen.until_state("a", "live")
        await show("second")
        session.log("one more")
        await screen.until_lines("a", "one more")
        marks = {seq: mark for mark, seq in await screen.told("a", "events")}
        assert marks[head(session)] == "second"
    for name in ("a", "b"):
        await screen.until(f"told.{name}.completed.length")
        assert (await screen.told(name, "completed"))[0]["mark"] == "second"
    assert len(site.joins) == 2


async def test_another_transport_begins_anew(site: Site, screen: Screen) -> None:
    with site.registry.open() as session:
        session.log("kept")
        for transport in ("websocket", "sse"):
            hook = {"name": "a", "src": site.url(session), "transport": transport}
            await screen.show(hooks=[hook])
            await screen.until_state("a", "live")
            await screen.until(f"document.querySelector('#a').dataset.transport === '{transport}'")
            await screen.until_lines("a", "kept")
        await closed(screen.sockets[0])
    assert [join.partition("?")[0] for join in site.joins] == ["ws", "events"]


async def test_what_the_hook_gives_to_call_stays_the_same_and_works(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        token = session.handle()["control_token"]
        await screen.show(hooks=[{"name": "a", "src": None}])
        await screen.until_state("a", "idle")
        await screen.page.evaluate("told.a.cancel('nobody listens')")
        await screen.show(hooks=[{"name": "a", "src": site.url(session), "token": token}])
        await screen.until_state("a", "live")
        await screen.page.evaluate("told.a.cancel('enough')")
        assert session.cancel_requested
        assert await screen.told("a", "actions.size") == 3


async def test_a_string_that_replaces_a_refused_token_is_tried_at_once(
    registry: SessionRegistry, tabs: Tabs, bundle: Bundle
) -> None:
    async with serving_site(registry, tabs, authorize=let_in_with_good) as site:
        screen = await Screen.opened(site, bundle)
        with registry.open() as session:
            session.log("kept")
            hook = {"name": "a", "src": site.url(session), "token": "bad"}
            await screen.show(hooks=[hook])
            await screen.until_state("a", "gave_up")
            await screen.show(hooks=[{**hook, "token": "good"}])
            await screen.until_lines("a", "kept")
        await screen.until_state("a", "ended")


async def test_a_function_is_asked_for_the_token_again(
    registry: SessionRegistry, tabs: Tabs, bundle: Bundle
) -> None:
    async with serving_site(registry, tabs, authorize=let_in_with_good) as site:
        screen = await Screen.opened(site, bundle)
        with registry.open() as session:
            session.log("kept")
            hook = {"name": "a", "src": site.url(session), "tokens": ["bad", "good"]}
            await screen.show(hooks=[hook])
            await screen.until_lines("a", "kept")
            assert len(await screen.told("a", "asked")) == 2
