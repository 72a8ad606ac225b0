"""Time on a connection: heartbeats, pongs, blocked writes, closes that do not come."""

from __future__ import annotations

from itertools import pairwise

import pytest

from .following import Site, settle

pytestmark = pytest.mark.anyio

V1 = ("agentprogress.v1",)


async def test_heartbeats_come_on_a_fixed_cadence_whatever_else_is_sent() -> None:
    site = Site()
    beats: list[float] = []
    async with site.peer() as peer:
        for _ in range(70):
            site.session.log("busy")
            await site.clock.advance(1)
            if peer.types.count("heartbeat") > len(beats):
                beats.append(site.clock.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    # The first is jittered between half and whole; slots are a second wide.
    assert 7 <= beats[0] <= 17
    assert len(beats) >= 4
    assert all(14 <= gap <= 16 for gap in gaps)


async def test_a_heartbeat_tells_head_producer_and_the_way_back() -> None:
    site = Site()
    async with site.peer() as peer:
        await site.clock.advance(17)
    heartbeat = peer.frames[-1]
    assert heartbeat["type"] == "heartbeat"
    assert heartbeat["head"] == 1
    assert heartbeat["producer"] == "alive"
    assert heartbeat["retry_window"] == 0.2


async def test_sse_heartbeats_are_named_events_without_an_id() -> None:
    site = Site()
    async with site.peer("events", kind="http") as peer:
        await site.clock.advance(17)
    chunk = peer.sent[-1]["body"]
    assert chunk.startswith(b"event: heartbeat\ndata: {")
    assert b"id:" not in chunk


async def test_a_client_that_offered_to_answer_and_does_not_is_closed() -> None:
    site = Site()
    async with site.peer(subprotocols=V1) as peer:
        await site.clock.advance(17 + 11)
        assert peer.frames[-1]["code"] == "no_pong"
        assert peer.close_code == 4102
        assert site.registry.stats().unanswered == 1


async def test_a_client_that_answers_stays() -> None:
    site = Site()
    async with site.peer(subprotocols=V1) as peer:
        for _ in range(120):
            before = peer.types.count("heartbeat")
            await site.clock.advance(1)
            if peer.types.count("heartbeat") > before:
                peer.say('{"type": "pong"}')
                await settle()
    assert peer.close_code is None
    assert peer.types.count("heartbeat") >= 7


async def test_a_client_that_offered_nothing_need_not_answer() -> None:
    site = Site()
    async with site.peer() as peer:
        await site.clock.advance(100)
    assert peer.close_code is None


async def test_a_write_blocked_too_long_detaches_and_touches_the_connection_no_more() -> None:
    site = Site()
    async with site.peer() as stalled, site.peer() as healthy:
        stalled.stop_reading()
        site.session.log("one")
        await site.clock.advance(5)
        assert site.registry.stats().subscribers == 2
        await site.clock.advance(7)
        stats = site.registry.stats()
        assert (stats.subscribers, stats.detached) == (1, 1)
        await stalled.finished.wait()
        site.session.log("two")
        await site.clock.advance(1)
    assert "two" not in stalled.messages
    assert healthy.messages == ["one", "two"]


async def test_a_blocked_snapshot_has_more_time() -> None:
    site = Site(max_history_events=5)
    for number in range(20):
        site.session.log(str(number))
    # It takes the accept and the welcome; the snapshot is what blocks.
    async with site.peer(reads=2) as peer:
        assert peer.types == ["welcome"]
        await site.clock.advance(30)
        assert site.registry.stats().detached == 0
        await site.clock.advance(12)
        assert site.registry.stats().detached == 1


async def test_the_end_waits_a_little_for_the_peer_to_close() -> None:
    site = Site()
    async with site.peer(closes=False) as peer:
        site.end()
        await site.clock.advance(1)
        assert peer.close_code == 1000
        assert not peer.finished.is_set()
        await site.clock.advance(3)
        assert peer.finished.is_set()


async def test_a_connection_of_age_is_told_to_come_back() -> None:
    site = Site(max_connection_age=100)
    async with site.peer() as peer:
        await site.clock.advance(102)
        assert peer.types[-1] == "reconnect"
        assert peer.frames[-1]["retry_after"] == 0
        assert peer.close_code == 1012


async def test_a_stalled_loop_drops_nobody() -> None:
    site = Site()
    async with site.peer(subprotocols=V1) as peer:
        while "heartbeat" not in peer.types:
            await site.clock.advance(1)
        # The pong is on its way while the loop stands still for longer than anybody may wait.
        site.clock.jump(60)
        await settle()
        peer.say('{"type": "pong"}')
        await site.clock.advance(1)
        assert peer.close_code is None
        assert site.registry.stats().stalled >= 45
