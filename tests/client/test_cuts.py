"""Every event exactly once and in order, whatever the network does: a short form of the proof.

The long one, 10,000 events through 1,000 cuts, is `python -m benchmarks.cuts`.
"""

from __future__ import annotations

import gc
import logging
import random

import anyio
import pytest

from agentprogress.client import FollowOptions, follow
from agentprogress.testing import FaultProxy
from tests.conformance.live import Live

from .storm import EAGER, Storm, Weather, everything

pytestmark = pytest.mark.anyio

ROUGH = Weather(seed=20, cuts=40, blackholes=0, events=400)
# The silence of an open connection takes more than a second to be sure of.
SILENT = Weather(seed=21, cuts=4, blackholes=1, events=40)


@pytest.mark.parametrize("weather", [ROUGH, SILENT], ids=["rough", "silent"])
async def test_nothing_is_lost_or_repeated_through_cuts(
    live: Live, transport: str, weather: Weather
) -> None:
    storm = Storm(live, weather, transport)
    await storm.run()
    storm.judge()
    assert storm.proxy.connections > weather.cuts


async def test_a_client_that_changes_its_transport_on_the_way_loses_nothing(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    storm = Storm(live, ROUGH, "auto")
    with caplog.at_level(logging.WARNING, "agentprogress.client"):
        await storm.run()
    storm.judge()
    steps = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert [step.partition(":")[0] for step in steps] == [
        "Following by sse instead of websocket",
        "Following by long-poll instead of sse",
    ]


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_all_clients_come_back_when_all_are_cut_at_once(
    live: Live, transport: str, how: str
) -> None:
    weather = Weather(seed=22, cuts=0, blackholes=0, events=60)
    storm = Storm(live, weather, transport)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(storm.run)
        for number in (10, 30, 50):
            await storm.received(number)
            await storm.proxy.cut_all(how)  # type: ignore[arg-type]  # one of the two
    storm.judge()
    assert storm.proxy.connections > 3


async def test_a_storm_is_left_at_any_moment_and_nothing_stays(live: Live, transport: str) -> None:
    session, chance = live.session(), random.Random(23)
    session.do(("cargo", 23, 0, 300))
    weather = Weather(seed=23, cuts=10**6, blackholes=0, events=0)
    options = FollowOptions(settings=EAGER)
    async with FaultProxy(*live.address, plan=weather) as proxy:
        before = len(anyio.get_running_tasks())
        for _ in range(15):
            # In the middle of whatever it does: entering, dialling, reading, resting, leaving.
            with anyio.move_on_after(chance.uniform(0, 0.05)):
                url = proxy.url(session.url)
                async with follow(url, transport=transport, options=options) as feed:
                    with anyio.move_on_after(chance.uniform(0, 0.05)):
                        await everything(feed)
        await proxy.cut_all()
        while proxy.live:
            await anyio.lowlevel.checkpoint()
        assert len(anyio.get_running_tasks()) == before
    # What is left suspended or open complains here.
    gc.collect()
