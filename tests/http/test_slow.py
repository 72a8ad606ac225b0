"""Subscribers that stop reading: what they get if they read on; nobody else notices them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from agentprogress._driver import Driver
from agentprogress.registry import engine_of
from tests.conformance.oracle import check_history

from .following import Site, settle
from .peers import AsgiPeer, Message

pytestmark = pytest.mark.anyio

TRANSPORTS = pytest.mark.parametrize(
    ("route", "kind"), [("ws", "websocket"), ("events", "http")], ids=["websocket", "sse"]
)

# Longer than any test's pause: nobody is detached.
PATIENT = {"write_timeout": 600.0, "snapshot_write_timeout": 600.0}
CROWD = 100


async def stall(site: Site, *peers: AsgiPeer) -> None:
    """Makes peers stop reading, and gives each a write that it blocks."""
    for peer in peers:
        peer.stop_reading()
    site.session.log("blocked")
    await site.clock.advance(0.1)


async def go_on(site: Site, seconds: int) -> None:
    """Lets a busy session run."""
    for second in range(seconds):
        for number in range(5):
            site.session.log(f"{second}.{number}")
        await site.clock.advance(1)


async def seconds_of(site: Site, call: Callable[[], Awaitable[object]]) -> float:
    """Returns how long something takes in virtual time, to a tenth of a second; at most 5 s."""
    done = anyio.Event()

    async def run() -> None:
        await call()
        done.set()

    started = site.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await settle()
        while not done.is_set() and site.clock.monotonic() < started + 5:
            await site.clock.advance(0.1)
        tasks.cancel_scope.cancel()
    return site.clock.monotonic() - started


@asynccontextmanager
async def stalled_crowd(site: Site) -> AsyncIterator[list[AsgiPeer]]:
    """Has a hundred follow the session who have stopped reading, half over each transport."""
    path = f"/sessions/{site.session.id}"
    crowd = [
        AsgiPeer(f"{path}/events", kind="http") if number % 2 else AsgiPeer(f"{path}/ws")
        for number in range(CROWD)
    ]
    async with anyio.create_task_group() as tasks:
        for peer in crowd:
            tasks.start_soon(peer.run, site.app)
        await settle()
        await stall(site, *crowd)
        assert site.registry.get(site.session.id).subscribers == CROWD
        yield crowd
        tasks.cancel_scope.cancel()


# Those who read on


@TRANSPORTS
async def test_who_reads_on_after_a_minute_gets_a_gap_the_state_and_the_present(
    route: str, kind: str
) -> None:
    site = Site(max_history_events=50, **PATIENT)
    async with site.peer(route, kind=kind) as slow:
        await stall(site, slow)
        await go_on(site, 60)
        slow.read_on()
        await settle()
        site.session.log("present")
        await site.clock.advance(1)
        site.end()
        await site.clock.advance(1)
    told = [frame for frame in slow.frames if frame["type"] != "heartbeat"]
    check_history(told)
    # What was being written when it stopped, then where it is now, and nothing in between.
    assert [frame["type"] for frame in told] == [
        "welcome",
        "session.started",
        "log.message",
        "gap",
        "snapshot",
        "log.message",
        "session.completed",
        "end",
    ]
    gap, snapshot = told[3], told[4]
    assert (gap["reason"], gap["missed_from"], gap["missed_to"]) == ("slow", 3, 302)
    assert snapshot["state"]["logs"][-1]["message"] == "59.4"
    assert slow.messages == ["blocked", "present"]


@TRANSPORTS
async def test_who_reads_on_while_history_has_it_all_misses_nothing(route: str, kind: str) -> None:
    site = Site(**PATIENT)
    async with site.peer(route, kind=kind) as slow:
        await stall(site, slow)
        await go_on(site, 60)
        slow.read_on()
        site.end()
        await site.clock.advance(1)
    check_history(slow.frames)
    assert "gap" not in slow.types
    assert len(slow.messages) == 301


@TRANSPORTS
async def test_who_reads_on_after_the_end_gets_the_state_and_the_end(route: str, kind: str) -> None:
    site = Site(max_history_events=50, **PATIENT)
    async with site.peer(route, kind=kind) as slow:
        await stall(site, slow)
        await go_on(site, 30)
        site.end()
        await site.clock.advance(30)
        slow.read_on()
        await site.clock.advance(1)
    check_history(slow.frames)
    assert slow.types[-3:] == ["gap", "snapshot", "end"]
    assert slow.frames[-2]["state"]["status"] == "completed"


@TRANSPORTS
async def test_who_stalls_again_and_again_is_told_of_every_hole(route: str, kind: str) -> None:
    site = Site(max_history_events=20, **PATIENT)
    async with site.peer(route, kind=kind) as slow:
        for _ in range(5):
            await stall(site, slow)
            await go_on(site, 12)
            slow.read_on()
            await settle()
        site.end()
        await site.clock.advance(1)
    check_history(slow.frames)
    assert slow.types.count("gap") == slow.types.count("snapshot") == 5


# Those who do not


@TRANSPORTS
async def test_who_does_not_read_on_in_time_is_let_go_and_sent_nothing_more(
    route: str, kind: str
) -> None:
    site = Site()
    async with site.peer(route, kind=kind) as slow:
        await stall(site, slow)
        sent = len(slow.sent)
        await go_on(site, 60)
        assert slow.finished.is_set()
        assert site.registry.stats().detached == 1
        slow.read_on()
        await go_on(site, 5)
        site.end()
        await site.clock.advance(5)
    assert len(slow.sent) == sent


@TRANSPORTS
async def test_nothing_is_kept_of_who_was_let_go(route: str, kind: str) -> None:
    site = Site()
    others = drivers(())
    async with site.peer(route, kind=kind) as slow:
        assert len(drivers(others)) == 1
        await stall(site, slow)
        await go_on(site, 60)
        assert not drivers(others)
        engine = engine_of(site.registry)
        host = engine.host()
        assert not engine.record(site.session.id).subscribers
        assert (len(host.members), len(host.heartbeats)) == (0, 0)


def drivers(others: Sequence[Driver]) -> list[Driver]:
    """Returns the connections that anything refers to, beside others."""
    gc.collect()
    found = [thing for thing in gc.get_objects() if type(thing) is Driver]
    return [driver for driver in found if driver not in others]


@pytest.mark.parametrize("taken", [0, 1], ids=["the accept", "the welcome"])
@TRANSPORTS
async def test_who_never_reads_at_all_is_let_go_too(route: str, kind: str, taken: int) -> None:
    site = Site()
    async with site.peer(route, kind=kind, reads=taken) as mute:
        await site.clock.advance(60)
        assert mute.finished.is_set()
        stats = site.registry.stats()
        assert (stats.detached, stats.subscribers) == (1, 0)
    assert len(mute.sent) == taken


class ShieldedPeer(AsgiPeer):
    """A blocked write that cannot be cancelled, as on hypercorn with trio."""

    async def _send(self, message: Message) -> None:
        with anyio.CancelScope(shield=True):
            await super()._send(message)


@TRANSPORTS
async def test_a_write_that_cannot_be_cancelled_does_not_keep_its_session(
    route: str, kind: str
) -> None:
    site = Site()
    handle = await site.registry.reserve(title="queued")
    record = weakref.ref(engine_of(site.registry).record(handle["session_id"]))
    peer = ShieldedPeer(f"/sessions/{handle['session_id']}/{route}", kind=kind, reads=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run, site.app)
        await settle()
        await site.clock.advance(60)
        assert peer.finished.is_set()
        site.registry.delete(handle["session_id"])
        await site.clock.advance(1)
        gc.collect()
        assert record() is None
        # The server lets go of the connection at last.
        peer.read_on()
        await settle()
    assert len(peer.sent) == 2


# Those beside them


async def test_a_hundred_who_stalled_cost_a_producer_one_flush_timeout_once() -> None:
    site = Site(**PATIENT)
    async with stalled_crowd(site):
        assert await seconds_of(site, site.session.flush) == pytest.approx(1, abs=0.11)
        for _ in range(10):
            site.session.log("more")
            assert await seconds_of(site, site.session.flush) == 0


async def test_those_who_read_get_everything_at_once_beside_a_hundred_who_stalled() -> None:
    site = Site(**PATIENT)
    async with (
        stalled_crowd(site),
        site.peer() as page,
        site.peer("events", kind="http") as stream,
    ):
        for number in range(200):
            site.session.log(f"line {number}")
            await site.clock.advance(site.registry.settings.delivery_interval)
            assert page.messages[-1] == stream.messages[-1] == f"line {number}"


async def test_a_sweep_comes_in_time_beside_a_hundred_who_stalled() -> None:
    site = Site(history_ttl=10, result_ttl=20, **PATIENT)
    async with stalled_crowd(site):
        with site.registry.open(title="another") as other:
            other.log("detail")
        site.end()
        await site.clock.advance(11)
        engine = engine_of(site.registry)
        for session_id in (other.id, site.session.id):
            assert len(engine.record(session_id).history) == 0
        await site.clock.advance(10)
        assert (site.registry.stats().sessions, site.registry.stats().tombstones) == ({}, 2)


async def test_an_end_waits_for_none_of_a_hundred_who_stalled() -> None:
    site = Site(**PATIENT)
    async with stalled_crowd(site), site.peer() as healthy:

        async def job() -> None:
            async with site.registry.open(title="another") as other:
                other.log("x")

        assert await seconds_of(site, job) == 0
        site.end()
        await site.clock.advance(0.1)
        assert healthy.types[-1] == "end"
        assert healthy.close_code == 1000


async def test_a_deletion_waits_for_none_of_a_hundred_who_stalled() -> None:
    site = Site(**PATIENT)
    async with stalled_crowd(site) as crowd, site.peer() as healthy:
        site.registry.delete(site.session.id)
        await site.clock.advance(0.1)
        assert healthy.frames[-1]["code"] == "session_gone"
        assert healthy.close_code == 4410
        for peer in crowd:
            peer.read_on()
        await site.clock.advance(3)
        assert {peer.types[-1] for peer in crowd} == {"error"}
        assert site.registry.stats().subscribers == 0


async def test_a_drain_waits_one_flush_timeout_for_a_hundred_who_stalled() -> None:
    site = Site(**PATIENT)
    async with stalled_crowd(site), site.peer() as healthy:
        assert await seconds_of(site, site.registry.drain) == pytest.approx(1, abs=0.11)
        assert healthy.types[-1] == "end"


async def test_a_hundred_who_stalled_are_let_go_together() -> None:
    site = Site()
    async with stalled_crowd(site) as crowd, site.peer() as healthy:
        await go_on(site, 12)
        stats = site.registry.stats()
        assert (stats.detached, stats.subscribers) == (CROWD, 1)
        assert all(peer.finished.is_set() for peer in crowd)
        assert healthy.messages[-1] == "11.4"
