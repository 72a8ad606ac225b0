"""What happens to pages: hidden, frozen, left and returned to, offline, asleep."""

from __future__ import annotations

from time import time

import pytest
from playwright.async_api import Browser

from agentprogress import SessionRegistry, Settings
from agentprogress.testing import FaultProxy

from .site import Site, Tab, Tabs, cut_off, page_url, serving_site
from .window import opened_window

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SLEPT_MS = 2 * 60_000

# A server that asks its clients to return over the longest time there is.
SPREAD_OUT = Settings(min_retry_window=20.0)


async def test_a_page_that_is_kept_for_going_back_lets_go_and_goes_on_without_a_gap(
    site: Site, transport: str
) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        await tab.until_state("live")
        await tab.ask("void addEventListener('pageshow', (event) => told.shown = event.persisted)")
        await tab.page.goto(f"{site.address}/progress/health")
        await site.until_followed(session, by=0)
        joins = len(site.joins)
        session.log("while nobody looked")
        await session.flush()
        assert len(site.joins) == joins
        # The page is not loaded again, so nothing but this tells that it is there.
        async with tab.page.expect_event("framenavigated"):
            await tab.ask("void setTimeout(() => history.back())")
        await tab.until("told.shown === true")
        await tab.until_lines("while nobody looked")
        await tab.until_state("live")
        await site.until_followed(session)
        assert await tab.ask("made.most") == 1
    await tab.judge_end(session)


async def test_a_hidden_page_comes_back_after_a_cut_as_any_other(
    site: Site, browser: Browser, transport: str
) -> None:
    session = site.begin()
    async with FaultProxy("127.0.0.1", site.port) as proxy:
        url = page_url(site.url(session, proxy.url("")), transport=transport)
        async with opened_window(browser, url) as window:
            tab = Tab(window)
            await tab.until("window.told?.state === 'live'")
            await site.until_followed(session)
            await window.hide()
            session.log("while hidden")
            await tab.until_lines("while hidden")
            await proxy.cut_all()
            session.log("while away")
            await tab.until_lines("while hidden", "while away")
            assert await tab.ask("document.hidden")
            site.end(session)
            await tab.judge_end(session)


async def test_a_page_that_was_frozen_goes_on_where_it_was(
    site: Site, browser: Browser, transport: str
) -> None:
    session = site.begin()
    async with FaultProxy("127.0.0.1", site.port) as proxy:
        url = page_url(site.url(session, proxy.url("")), transport=transport)
        async with opened_window(browser, url) as window:
            tab = Tab(window)
            await tab.until("window.told?.state === 'live'")
            await site.until_followed(session)
            await window.hide()
            await window.freeze()
            await proxy.cut_all()
            session.log("while frozen")
            await session.flush()
            assert await tab.ask("told.events.length") == 1
            await window.thaw()
            await window.show()
            await tab.until_lines("while frozen")
            site.end(session)
            await tab.judge_end(session)


async def test_who_looks_at_a_page_again_does_not_wait_for_its_next_attempt(
    tabs: Tabs, browser: Browser, transport: str
) -> None:
    async with (
        serving_site(SessionRegistry(SPREAD_OUT), tabs) as site,
        FaultProxy("127.0.0.1", site.port) as proxy,
    ):
        session = site.begin()
        url = page_url(site.url(session, proxy.url("")), transport=transport, random=0.999)
        async with opened_window(browser, url) as window:
            tab = Tab(window)
            await tab.until("window.told?.state === 'live'")
            await site.until_followed(session)
            await window.hide()
            async with cut_off(proxy):
                await tab.until("told.state === 'reconnecting'")
            await window.show()
            await tab.until_state("live")
            due = "told.connections.findLast(({ retryAtMs }) => retryAtMs).retryAtMs"
            assert await tab.ask(f"{due} > Date.now()")
            site.end(session)
            await tab.judge_end(session)


# The network --------------------------------------------------------------------------------------


async def test_back_online_it_comes_back_at_once(site: Site, transport: str) -> None:
    """The page's clock stands: it is not a timer that brings it back."""
    session = site.begin()
    async with FaultProxy("127.0.0.1", site.port) as proxy:
        src = site.url(session, proxy.url(""))
        tab = await site.tabs.open(src, transport=transport, clock=True)
        await site.until_followed(session)
        await tab.stop_clock()
        await site.tabs.context.set_offline(True)
        async with cut_off(proxy):
            await tab.until("told.state === 'reconnecting' && told.retryAtMs")
        assert (await tab.connection)["offline"]
        session.log("while offline")
        await session.flush()
        await site.tabs.context.set_offline(False)
        await tab.until_lines("while offline")
        await tab.until_state("live")
        assert not (await tab.connection)["offline"]
        await tab.start_clock()
        site.end(session)
        await tab.judge_end(session)


async def test_offline_is_shown_and_does_not_keep_it_from_trying(
    site: Site, transport: str
) -> None:
    """Browsers are wrong about it, at times: this one is asked to lie, and its network works."""
    session = site.begin()
    tab = await site.open(session, transport=transport, idle=True)
    await tab.ask("void Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false })")
    await tab.ask("void (window.leave = client.subscribe(look))")
    await tab.until_state("live")
    assert (await tab.connection)["offline"]
    site.end(session)
    await tab.judge_end(session)


# Time ---------------------------------------------------------------------------------------------


async def test_who_slept_connects_anew_at_once(site: Site, transport: str) -> None:
    """A laptop that wakes up: what was open may be silent for ever, and nobody says so."""
    session = site.begin()
    tab = await site.open(session, transport=transport, clock=True)
    await site.until_followed(session)
    await tab.stop_clock()
    before = await tab.ask("made.all.length")
    await tab.page.clock.fast_forward(SLEPT_MS)
    await tab.until("(before) => made.all.length > before", before)
    session.log("awake")
    await tab.until_lines("awake")
    await tab.until_state("live")
    assert await tab.ask("made.most") == 1
    await tab.start_clock()
    site.end(session)
    await tab.judge_end(session)


async def test_a_clock_that_is_set_back_stops_nothing(site: Site, transport: str) -> None:
    session = site.begin()
    tab = await site.open(session, transport=transport, clock=True)
    await tab.until_state("live")
    await tab.page.clock.set_system_time(0)
    session.log("in 1970")
    await tab.until_lines("in 1970")
    await tab.until("(now) => Date.now() + client.getSnapshot().clockOffsetMs > now", time() * 1000)
    site.end(session)
    await tab.judge_end(session)
