"""Who listens: when a client connects, lets go, goes on, and is done for good."""

from __future__ import annotations

import pytest

from agentprogress import SessionRegistry
from agentprogress.access import allow_anyone
from agentprogress.testing import FaultProxy

from .site import Site, Tabs, cut_off, serving_site

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

# Returns once all that was begun by now, and does not wait for the network, is done.
SETTLED = "new Promise((resolve) => setTimeout(resolve))"


async def test_nobody_is_asked_before_somebody_listens(site: Site, transport: str) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport, idle=True)
        await tab.ask(SETTLED)
        assert await tab.states == ["idle"]
        assert await tab.ask("made.all") == []
        await tab.ask("void (window.leave = client.subscribe(look))")
        await tab.until_state("live")
    await tab.judge_end(session)


async def test_the_connection_is_shared_and_let_go_with_the_last_listener(
    site: Site, transport: str
) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        await tab.ask("void (window.other = client.subscribe(() => {}))")
        await tab.until_state("live")
        await site.until_followed(session)
        await tab.ask("leave()")
        await tab.ask(SETTLED)
        assert await tab.ask("told.state") == "live"
        await tab.ask("other()")
        await tab.ask("other()")
        await tab.ask(SETTLED)
        assert await tab.ask("told.state") == "idle"
        await site.until_followed(session, by=0)
        session.log("while nobody listened")
        await session.flush()
        assert await tab.ask("told.events.length") == 1
        await tab.ask("void client.subscribe(look)")
        await tab.until_lines("while nobody listened")
        assert "after=" in site.joins[-1]
    await tab.judge_end(session)


async def test_who_leaves_and_returns_at_once_keeps_the_connection(
    site: Site, transport: str
) -> None:
    """As React's strict mode does."""
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        await tab.until_state("live")
        before = len(site.joins)
        await tab.ask("void (leave(), (window.leave = client.subscribe(look)))")
        session.log("still here")
        await tab.until_lines("still here")
        states = await tab.states
        assert states.count("connecting") == 1
        assert "reconnecting" not in states
        assert len(site.joins) == before + (transport == "long-poll")
    await tab.judge_end(session)


async def test_a_client_that_is_closed_is_closed_for_good(site: Site, transport: str) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        await tab.until_state("live")
        await tab.ask("client.close()")
        calls = await tab.ask("told.calls")
        await site.until_followed(session, by=0)
        joins = len(site.joins)
        await tab.ask("void (client.retryNow(), client.subscribe(look), client.close(), leave())")
        await tab.ask(SETTLED)
        session.log("unheard")
    await tab.ask(SETTLED)
    assert await tab.ask("told.calls") == calls
    assert await tab.ask("told.completed") == []
    assert len(site.joins) == joins
    assert (await tab.ask("told.session"))["status"] == "running"


async def test_what_listeners_throw_is_reported_and_harms_nobody(site: Site) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, idle=True)
        await tab.ask(
            """void (
                client.subscribe(() => { throw new Error("one listener"); }),
                window.leave = client.subscribe(look),
                client.subscribe(() => { throw new Error("another one"); })
            )"""
        )
        await tab.until_state("live")
        session.log("goes on")
        await tab.until_lines("goes on")
    await tab.judge_end(session)
    assert {"one listener", "another one"} <= {*site.tabs.uncaught}
    site.tabs.uncaught.clear()


@pytest.mark.parametrize("name", ["onEvent", "onComplete"])
async def test_what_callbacks_throw_is_reported_and_harms_nothing(site: Site, name: str) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, throws=name)
        await tab.until_state("live")
        session.log("goes on")
    await tab.judge_end(session)
    assert {*site.tabs.uncaught} == {name}
    site.tabs.uncaught.clear()


async def test_a_snapshot_is_the_same_object_until_something_changes(site: Site) -> None:
    look = "((was) => (window.before = was) === client.getSnapshot())(client.getSnapshot())"
    with site.registry.open() as session, session.phase("first"):
        tab = await site.open(session)
        await tab.until("told.session?.steps.length === 1 && told.state === 'live'")
        assert await tab.ask(look)
        session.log("a line")
        await tab.until_lines("a line")
        for part in ("connection", "session.steps"):
            assert await tab.ask(f"client.getSnapshot().{part} === before.{part}"), part
        for part in ("session", "session.logs"):
            assert await tab.ask(f"client.getSnapshot().{part} !== before.{part}"), part


async def test_however_often_it_is_told_to_connect_it_does_so_once(
    site: Site, transport: str
) -> None:
    wake = """void [...Array(20).keys()].forEach(() => {
        for (const type of ["online", "pageshow"]) window.dispatchEvent(new Event(type));
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        client.retryNow();
    })"""
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        for number in range(3):
            await tab.ask(wake)
            session.log(f"line {number}")
            await tab.until_lines(*(f"line {number}" for number in range(number + 1)))
        await tab.until_state("live")
        await site.until_followed(session)
        assert await tab.ask("made.most") == 1
    await tab.judge_end(session)


async def test_retry_now_does_not_wait(site: Site, transport: str) -> None:
    """The page's clock stands: nothing comes back by itself."""
    session = site.begin()
    async with FaultProxy("127.0.0.1", site.port) as proxy:
        src = site.url(session, proxy.url(""))
        tab = await site.tabs.open(src, transport=transport, clock=True)
        await site.until_followed(session)
        await tab.stop_clock()
        async with cut_off(proxy):
            await tab.until("told.state === 'reconnecting' && told.retryAtMs")
        await tab.ask("client.retryNow()")
        await tab.until_state("live")
        await tab.start_clock()
        site.end(session)
        await tab.judge_end(session)


async def test_who_gave_up_may_be_told_to_try_again(tabs: Tabs, transport: str) -> None:
    registry = SessionRegistry()
    async with serving_site(registry, tabs, authorize=allow_anyone) as site:
        tab = await tabs.open(f"{site.address}/progress/sessions/job-7", transport=transport)
        await tab.until_state("gave_up")
        assert (await tab.connection)["error"]["code"] == "session_unknown"
        with registry.open(session_id="job-7") as session:
            await tab.ask("client.retryNow()")
            await tab.until_state("live")
            assert (await tab.connection)["error"] is None
        await tab.judge_end(session)
