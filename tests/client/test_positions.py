"""Positions: going on from a cursor, histories that were trimmed, readers that are slow."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agentprogress import Gap, Settings
from agentprogress.client import FollowOptions, follow
from agentprogress.testing import Cut, FaultProxy, Faults
from tests.conformance.live import Live
from tests.conformance.oracle import check_items

from .serve import Served
from .storm import EAGER, as_items, everything, state_of, url_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("taken", [1, 7, 20])
async def test_a_cursor_is_a_place_to_go_on_from(live: Live, transport: str, taken: int) -> None:
    session = live.session()
    session.do(("log", 19))
    async with follow(url_of(session), transport=transport) as first:
        items = [await anext(first) for _ in range(taken)]
    head = session.do(("log", 5, 19), ("complete", None))
    async with follow(url_of(session), first.cursor, transport=transport) as second:
        rest = await everything(second)
        assert second.snapshot == state_of(session)
    check_items(as_items(rest), head, first.cursor)
    check_items(as_items(items + rest), head)


async def test_a_cursor_at_the_end_brings_nothing_but_the_state(live: Live, transport: str) -> None:
    session = live.ended()
    head = session.do()
    async with follow(url_of(session), head, transport=transport) as feed:
        assert await everything(feed) == []
        assert (feed.cursor, feed.snapshot) == (head, state_of(session))


async def test_what_was_not_handed_out_is_behind_the_cursor(live: Live, transport: str) -> None:
    session = live.ended(100)
    async with follow(url_of(session), transport=transport) as feed:
        async for event in feed.events():
            assert (feed.cursor or "").endswith(f"-{event.seq}")
            assert feed.snapshot is not None
            assert feed.snapshot.seq == event.seq


@pytest.fixture(scope="module")
def tight() -> Iterator[Live]:
    """A server that keeps 50 events of a session."""
    served = Served({"max_history_events": 50, "heartbeat_interval": 1})
    try:
        yield served.begin()
    finally:
        served.close()


async def test_a_history_that_was_trimmed_begins_with_a_state(tight: Live, transport: str) -> None:
    session = tight.ended(200)
    async with follow(url_of(session), transport=transport) as feed:
        items = await everything(feed)
    assert [item.type for item in items[:2]] == ["snapshot", "log.message"]
    check_items(as_items(items), session.do())
    assert feed.snapshot == state_of(session)


async def test_an_old_cursor_is_answered_with_what_is_missing(tight: Live, transport: str) -> None:
    session = tight.session()
    after = session.do(("log", 3))
    head = session.do(("log", 200), ("complete", None))
    async with follow(url_of(session), after, transport=transport) as feed:
        items = await everything(feed)
    assert [item.type for item in items[:2]] == ["gap", "snapshot"]
    check_items(as_items(items), head, after)
    assert feed.snapshot == state_of(session)


async def test_who_reads_slowly_is_told_what_it_has_missed(tight: Live, transport: str) -> None:
    session = tight.session()
    session.do(("log", 1))
    options = FollowOptions(settings=Settings(max_buffered_events=10))
    async with follow(url_of(session), transport=transport, options=options) as feed:
        items = [await anext(feed)]
        # More than all buffers on the way hold, the client's own included.
        for _ in range(4):
            session.do(("fill", 100, 60_000), "flush")
        head = session.do(("complete", None))
        items += await everything(feed)
    check_items(as_items(items), head)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert gaps
    assert feed.snapshot == state_of(session)


async def test_holes_are_told_as_they_are_through_cuts(tight: Live, transport: str) -> None:
    session, chance = tight.session(), random.Random(30)

    def plan(number: int) -> Faults:
        # While the client is away the log grows, often by more than is kept.
        if number < 30:
            lines = chance.randrange(120)
            session.do(("log", lines))
            # Before all that is new has come: an event takes more than 60 bytes. Where there is a
            # gap, its snapshot has to come as well to be told. But a page comes whole or not at
            # all, and many empty ones after it.
            snapshot = 6_000 if lines > 50 else 0
            whole = 300 + snapshot + 60 * min(lines, 50)
            most = 15_000 if transport == "long-poll" else whole
            return Faults(cut=Cut(chance.randrange(100, most), chance.choice(("fin", "rst"))))
        if number == 30:
            session.do(("complete", None))
        return Faults()

    async with FaultProxy(*tight.address, plan=plan) as proxy:
        url = proxy.url(session.url)
        options = FollowOptions(settings=replace(EAGER, max_wait=0.01))
        async with follow(url, transport=transport, options=options) as feed:
            items = await everything(feed)
    check_items(as_items(items), session.do())
    assert sum(isinstance(item, Gap) for item in items) > 3
    assert feed.snapshot == state_of(session)
