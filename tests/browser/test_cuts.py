"""Every event exactly once and in order, whatever the network does to a page's connections."""

from __future__ import annotations

import random

import pytest

from agentprogress.testing import Cut, FaultProxy, Faults
from tests.client.material import cargo, deltas
from tests.client.storm import Weather

from .site import Site, Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

# A browser rests 100 ms after each cut.
ROUGH = Weather(seed=30, cuts=60, blackholes=0, events=300)


class Job:
    """A session that emits now a little and now a lot ahead of the page that follows it."""

    def __init__(self, site: Site, seed: int) -> None:
        self.session = site.begin()
        self.emitted = 0
        self.texts: dict[str, str] = {}
        self._site = site
        self._seed = seed
        self._chance = random.Random(seed)

    def go_on(self) -> None:
        """Emits some more."""
        for _ in range(self._chance.randrange(1, 12)):
            self.session.emit(cargo(self._seed, self.emitted))
            self.emitted += 1
        if self._chance.random() < 0.05:
            parts = deltas(self._seed, self.emitted)
            with self.session.text(message_id=f"text-{self.emitted}") as text:
                for part in parts:
                    text.write(part)
            self.texts[f"text-{self.emitted}"] = "".join(parts)

    async def until_told(self, tab: Tab) -> None:
        """Waits until the page has all but a few events."""
        least = self.emitted - self._chance.choice((0, 0, 5, 20))
        await tab.until("(least) => told.cargoes >= least", least)

    async def judge_end(self, tab: Tab) -> None:
        """Ends, and checks that the page was told all of it, unchanged."""
        self._site.end(self.session, {"emitted": self.emitted})
        await tab.judge_end(self.session)
        events = await tab.events
        carried = [each["data"]["text"] for each in events if each["type"] == "custom.emitted"]
        assert carried == [cargo(self._seed, number).text for number in range(self.emitted)]
        for message_id, text in self.texts.items():
            mine = (each for each in events if each.get("message_id") == message_id)
            assert "".join(each.get("delta", "") for each in mine) == text


@pytest.mark.proof
async def test_nothing_is_lost_or_repeated_through_many_cuts(site: Site, transport: str) -> None:
    job = Job(site, ROUGH.seed)
    async with FaultProxy("127.0.0.1", site.port, plan=ROUGH) as proxy:
        tab = await site.tabs.open(
            site.url(job.session, proxy.url("")), transport=transport, random=0
        )
        while job.emitted < ROUGH.events or proxy.connections <= ROUGH.cuts:
            job.go_on()
            await job.until_told(tab)
        await job.judge_end(tab)
        assert await tab.ask("made.most") == 1


async def test_silence_is_found_out_and_nothing_is_lost(site: Site, transport: str) -> None:
    """A connection that is open and dead: nothing tells of it but that nothing comes."""
    silent, least = 3, 3_000
    chance = random.Random(31)
    places = [chance.randrange(least) for _ in range(silent)]
    job = Job(site, seed=31)
    async with FaultProxy(
        "127.0.0.1",
        site.port,
        plan=lambda n: Faults(cut=Cut(places[n], "blackhole")) if n < silent else Faults(),
    ) as proxy:
        src = site.url(job.session, proxy.url(""))
        tab = await site.tabs.open(src, transport=transport, random=0, clock=True)
        while proxy.connections <= silent:
            job.go_on()
            # Longer than a heartbeat and 10 s more.
            await tab.page.clock.run_for(11_500)
        await job.until_told(tab)
        await job.judge_end(tab)


async def test_a_client_that_changes_its_transport_on_the_way_loses_nothing(site: Site) -> None:
    """Cut as it begins, again and again, it takes the next transport each time; those work, too."""
    job = Job(site, seed=32)
    plan = Weather(seed=32, cuts=15, blackholes=0, events=100)
    async with FaultProxy("127.0.0.1", site.port, plan=plan) as proxy:
        tab = await site.tabs.open(site.url(job.session, proxy.url("")), random=0)
        while job.emitted < plan.events or proxy.connections <= plan.cuts:
            job.go_on()
            await job.until_told(tab)
        await job.judge_end(tab)
        transports = await tab.ask("told.connections.map(({ transport }) => transport)")
        assert list(dict.fromkeys(transports)) == ["websocket", "sse", "long-poll"]


async def test_all_tabs_come_back_when_all_are_cut_at_once(site: Site) -> None:
    job = Job(site, seed=33)
    async with FaultProxy("127.0.0.1", site.port) as proxy:
        src = site.url(job.session, proxy.url(""))
        tabs = [
            await site.tabs.open(src, transport=each, random=0)
            for each in ("websocket", "sse", "long-poll")
        ]
        for how in ("fin", "rst", "fin"):
            await site.until_followed(job.session, by=len(tabs))
            await proxy.cut_all(how)
            job.go_on()
            for tab in tabs:
                await job.until_told(tab)
        site.end(job.session)
        for tab in tabs:
            await tab.judge_end(job.session)
