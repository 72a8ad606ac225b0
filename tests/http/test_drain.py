"""Draining with subscribers over the network: told at once, waited for by nobody."""

from __future__ import annotations

import anyio
import pytest

from agentprogress import SessionRegistry
from agentprogress.asgi import ProgressApp

from .following import Site, settle
from .peers import AsgiPeer

pytestmark = pytest.mark.anyio


async def test_those_who_follow_a_session_that_lives_on_are_sent_away_to_come_back() -> None:
    site = Site()
    handle = await site.registry.reserve(title="queued")
    async with site.peer(session_id=handle["session_id"]) as peer:
        await site.registry.drain()
        await settle()
    assert peer.types == ["welcome", "reconnect"]
    assert 0 <= peer.frames[-1]["retry_after"] <= 10
    assert peer.close_code == 1012


async def test_those_who_follow_a_running_session_get_its_end() -> None:
    site = Site()
    async with site.peer() as peer, site.peer("events", kind="http") as stream:
        await site.registry.drain()
        await settle()
    for followed in (peer, stream):
        assert followed.types[-2:] == ["session.failed", "end"]
        assert followed.frames[-2]["error"]["code"] == "server_shutdown"
    assert peer.close_code == 1000


async def test_a_stalled_subscriber_holds_a_drain_up_for_a_flush_at_most() -> None:
    site = Site()
    async with site.peer() as stalled:
        stalled.stop_reading()
        site.session.log("blocked")
        await site.clock.advance(0.1)
        drained = anyio.Event()

        async def drain() -> None:
            await site.registry.drain()
            drained.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain)
            await site.clock.advance(site.registry.settings.flush_timeout)
            assert drained.is_set()


async def test_who_comes_while_draining_is_sent_away_to_come_back() -> None:
    site = Site()
    session_id = (await site.registry.reserve())["session_id"]
    await site.registry.drain()
    async with (
        site.peer(session_id=session_id) as peer,
        site.peer("events", kind="http", session_id=session_id) as stream,
    ):
        await settle()
        peer.hang_up()
    assert peer.types == stream.types == ["reconnect"]
    assert peer.close_code == 1012
    assert stream.sent[0]["status"] == 200
    assert b"retry: " in stream.sent[1]["body"]


async def test_the_end_of_what_has_ended_is_told_while_draining() -> None:
    site = Site()
    await site.registry.drain()
    async with site.peer() as peer:
        await settle()
    assert peer.types == ["welcome", "session.started", "session.failed", "end"]


async def test_two_drains_at_once_are_over_together() -> None:
    site = Site()
    async with site.peer(closes=False) as peer:
        over: list[int] = []

        async def drain(number: int) -> None:
            await site.registry.drain()
            over.append(number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, 1)
            await settle()
            tasks.start_soon(drain, 2)
            await settle()
            assert peer.close_code == 1000
            assert over == []
            peer.hang_up()
    assert sorted(over) == [1, 2]


async def test_a_drain_from_another_threads_loop_tells_everybody_too() -> None:
    registry = SessionRegistry()
    session_id = (await registry.reserve())["session_id"]
    peer = AsgiPeer(f"/sessions/{session_id}/ws")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run, ProgressApp(registry, chain_signals=False))
        await settle()
        await anyio.to_thread.run_sync(anyio.run, registry.drain)
        await peer.finished.wait()
    assert peer.types == ["welcome", "reconnect"]
