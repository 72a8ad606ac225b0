"""Pages behind a real nginx with TLS, and pages of another origin than what they follow."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentprogress import SessionRegistry
from tests.proxies.certificates import Certificates, make_certificates
from tests.proxies.configs import NginxKind, Place
from tests.proxies.programs import Nginx, reserved, run_nginx

from .conftest import AMPLE
from .site import Site, Tab, Tabs, serving_site

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class Behind:
    """Starts nginx before a site. Its pages trust whatever certificate it has."""

    def __init__(self, site: Site, certificates: Certificates, folder: Path) -> None:
        self._site = site
        self._certificates = certificates
        self._folder = folder

    @contextmanager
    def nginx(self, kind: NginxKind) -> Generator[tuple[Nginx, str]]:
        """Runs one of a kind; yields it and its origin."""
        app = ("127.0.0.1", self._site.port)
        with reserved(2) as (public, inner):
            place = Place(self._folder, public, inner, app, self._certificates, "1s")
            with run_nginx(kind, place) as proxy:
                yield proxy, f"https://127.0.0.1:{public[1]}"


@pytest.fixture
def behind(site: Site, certificates: Certificates, tmp_path: Path) -> Behind:
    return Behind(site, certificates, tmp_path)


async def transports(tab: Tab) -> list[str]:
    """Returns the transports that were tried, in order."""
    found = await tab.ask("told.connections.map(({ transport }) => transport)")
    return list(dict.fromkeys(found))


async def test_a_page_of_https_follows_and_comes_back_after_a_reload_of_nginx(
    site: Site, behind: Behind, transport: str
) -> None:
    session = site.begin()
    with behind.nginx("good") as (proxy, origin):
        tab = await site.tabs.open(site.url(session, origin), transport=transport, random=0)
        await site.until_followed(session)
        session.log("before")
        await tab.until_lines("before")
        proxy.cut_all()
        # What was cut before there was an answer, browsers ask for again by themselves.
        if transport != "long-poll":
            await tab.until("told.connections.some(({ state }) => state === 'reconnecting')")
        session.log("after")
        await tab.until_lines("before", "after")
        scheme = await tab.ask("made.all[0].split(':')[0]")
        assert scheme == ("wss" if transport == "websocket" else "https")
        site.end(session)
        await tab.judge_end(session)


async def test_without_upgrade_it_follows_by_events_and_says_once_what_to_change(
    site: Site, behind: Behind
) -> None:
    session = site.begin()
    with behind.nginx("no_upgrade") as (proxy, origin):
        tab = await site.tabs.open(site.url(session, origin), random=0)
        await tab.until_state("live")
        session.log("before")
        await tab.until_lines("before")
        proxy.cut_all()
        await tab.until("told.connections.some(({ state }) => state === 'reconnecting')")
        session.log("after")
        await tab.until_lines("before", "after")
        assert await transports(tab) == ["websocket", "sse"]
        site.end(session)
        await tab.judge_end(session)
    (warning,) = site.tabs.warnings
    assert "followed by sse" in warning
    assert "docs/servers.md" in warning


async def test_where_streams_are_held_back_it_asks_for_pages(site: Site, behind: Behind) -> None:
    session = site.begin()
    with behind.nginx("buffering") as (_, origin):
        tab = await site.tabs.open(site.url(session, origin), random=0, clock=True)
        await tab.until("client.getSnapshot().connection.transport === 'sse'")
        await site.until_followed(session)
        session.log("held back")
        await session.flush()
        # What a client waits for an answer.
        await tab.page.clock.run_for(11_000)
        await tab.until_lines("held back")
        assert await transports(tab) == ["websocket", "sse", "long-poll"]
        session.log("at once")
        await tab.until_lines("held back", "at once")
        site.end(session)
        await tab.judge_end(session)


async def test_compression_delays_nothing(site: Site, behind: Behind) -> None:
    session = site.begin()
    with behind.nginx("gzip") as (_, origin):
        tab = await site.tabs.open(site.url(session, origin), transport="sse")
        for number in range(3):
            session.log(f"line {number}")
            await tab.until_lines(*(f"line {each}" for each in range(number + 1)))
        site.end(session)
        await tab.judge_end(session)


# Another origin -----------------------------------------------------------------------------------


async def test_a_page_of_an_allowed_origin_follows_asks_and_cancels(
    tabs: Tabs, transport: str
) -> None:
    origins: list[str] = []
    async with serving_site(SessionRegistry(AMPLE), tabs) as pages:
        origins.append(f"http://app.test:{pages.port}")
        async with serving_site(SessionRegistry(AMPLE), tabs, allowed_origins=origins) as site:
            with site.registry.open() as session:
                tab = await tabs.open(
                    site.url(session),
                    at=origins[0],
                    transport=transport,
                    token=session.handle()["control_token"],
                )
                await tab.until_state("live")
                await tab.ask("client.requestCancel('enough')")
                await tab.until("told.session.cancel_requested")
                session.complete("y" * 20_000)
            await tab.judge_end(session)
            assert await tab.ask("told.completed[0].result.length") == 20_000


async def test_a_page_of_a_foreign_origin_is_told_what_may_be_wrong(
    tabs: Tabs, transport: str
) -> None:
    async with (
        serving_site(SessionRegistry(AMPLE), tabs) as pages,
        serving_site(SessionRegistry(AMPLE), tabs) as site,
    ):
        with site.registry.open() as session:
            at = f"http://app.test:{pages.port}"
            tab = await tabs.open(site.url(session), at=at, transport=transport)
            await tab.until("client.getSnapshot().connection.error")
            found = await tab.connection
            assert await tab.events == []
    if transport == "websocket":
        assert (found["state"], found["error"]["kind"]) == ("gave_up", "forbidden")
        for word in ("app.test", "127.0.0.1", "allowed_origins"):
            assert word in found["reason"]
    else:
        # A page is not told more of answers that it may not read.
        assert (found["state"], found["error"]["kind"]) == ("reconnecting", "network")
        assert "does not let this page in" in found["reason"]
