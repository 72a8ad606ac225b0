"""Time to live, counted from the end; and that nothing remains after it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from agentprogress import SessionRegistry, Settings
from agentprogress.errors import SessionGone, SessionUnknown
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio


@async_test
async def test_the_time_to_live_counts_from_the_end() -> None:
    registry, clock = on_virtual_time(history_ttl=100, result_ttl=1000, tombstone_ttl=1000)
    async with registry:
        with registry.open(session_id="job") as session:
            session.log("detail")
            session.complete("result")
            await clock.advance(5000)
            assert registry.get("job").status == "running"
        record = engine_of(registry).record("job")
        await clock.advance(99)
        assert len(record.history) == 3
        await clock.advance(2)
        assert len(record.history) == 0
        assert registry.result("job") == "result"
        assert [log.message for log in registry.snapshot("job").logs] == ["detail"]
        await clock.advance(898)
        assert registry.result("job") == "result"
        await clock.advance(3)
        with pytest.raises(SessionGone, match="completed"):
            registry.get("job")
        await clock.advance(990)
        with pytest.raises(SessionGone):
            registry.get("job")
        await clock.advance(12)
        with pytest.raises(SessionUnknown):
            registry.get("job")


@async_test
async def test_a_session_may_have_its_own_times() -> None:
    registry, clock = on_virtual_time()
    async with registry:
        with registry.open(session_id="job", history_ttl=5, result_ttl=10):
            pass
        await clock.advance(6)
        assert len(engine_of(registry).record("job").history) == 0
        await clock.advance(5)
        with pytest.raises(SessionGone):
            registry.get("job")


@async_test
async def test_a_reserved_session_that_nobody_starts_is_lost() -> None:
    registry, clock = on_virtual_time(pending_ttl=60)
    async with registry:
        registry.reserve_sync(session_id="job")
        async with following(registry, "job") as follower:
            await clock.advance(61)
            assert follower.finished
            assert [(item.type, getattr(item, "reason", "")) for item in follower.items] == [
                ("session.lost", "never_started")
            ]
        assert registry.get("job").status == "lost"


@async_test
async def test_a_session_that_begins_just_before_it_would_be_lost_lives() -> None:
    registry, clock = on_virtual_time(pending_ttl=60)
    async with registry:
        registry.reserve_sync(session_id="job")
        await clock.advance(59)
        with registry.open(session_id="job") as session:
            await clock.advance(1000)
            assert session.status == "running"


@async_test
async def test_a_subscriber_that_is_still_reading_is_told_that_it_has_expired() -> None:
    registry, clock = on_virtual_time(history_ttl=5, result_ttl=10)
    async with registry:
        block = registry.open(session_id="job")
        session = entered(block)
        async with following(registry, "job") as follower:
            follower.stall()
            session.log("one")
            await settle()
            await clock.advance(1)
            session.log("two")
            block.__exit__(None, None, None)
            await clock.advance(20)
            follower.reads.set()
            await settle()
            assert isinstance(follower.error, SessionGone)


@async_test
async def test_a_sweep_removes_only_so_many_in_one_turn_and_goes_on_at_once() -> None:
    # Removing a record counts as ten: that much longer it takes.
    registry, clock = on_virtual_time(
        history_ttl=1, result_ttl=1, tombstone_ttl=500, max_sweep=100, max_sessions=1000
    )
    for _ in range(95):
        with registry.open():
            pass
    store = engine_of(registry).local
    clock.jump(3)
    left: list[int] = []
    while store.sweep(lambda record: None):
        left.append(len(store))
    assert left == [85, 75, 65, 55, 45, 35, 25, 15, 5]
    assert len(store) == 0
    async with registry:
        clock.jump(600)
        await settle()
        assert registry.stats().tombstones == 0


def test_without_any_loop_those_who_ask_do_the_sweeping() -> None:
    registry, clock = on_virtual_time(history_ttl=5, result_ttl=10, tombstone_ttl=10)
    with registry.open(session_id="job"):
        pass
    clock.jump(12)
    with pytest.raises(SessionGone):
        registry.get("job")
    clock.jump(12)
    with pytest.raises(SessionUnknown):
        registry.get("job")
    assert registry.stats().deadlines == 0


class Private:
    """Something of the application's that a session holds on to."""


@async_test
async def test_after_the_last_expiry_nothing_remains() -> None:
    # Warm: what pydantic and the loops keep for themselves is there before the count.
    await _use_everything()
    before = _ours()
    await _use_everything()
    assert _ours() == before


async def _use_everything() -> None:
    registry, clock = on_virtual_time(history_ttl=5, result_ttl=10, tombstone_ttl=10)
    private = Private()
    weak: list[weakref.ref[Any]] = [weakref.ref(private)]

    async def job(session: Any) -> str:
        with session.phase("work") as phase:
            phase.advance(1)
            session.log("line")
            weak.append(weakref.ref(session))
            await anyio.lowlevel.checkpoint()
        return "result"

    for number in range(5):
        session = registry.start(job, session_id=f"job-{number}", private=private)
        weak.append(weakref.ref(session))
        del session
    del private
    registry.reserve_sync(session_id="pending")
    async with following(registry, "job-0") as follower, following(registry, "pending"):
        await settle()
        assert follower.finished
        registry.cancel("pending")
        await settle()
    weak.extend(weakref.ref(record) for record in engine_of(registry).local)
    await clock.advance(40)
    stats = registry.stats()
    assert (stats.sessions, stats.tombstones, stats.deadlines) == ({}, 0, 0)
    assert (stats.held_bytes, stats.subscribers) == (0, 0)
    host = weakref.ref(engine_of(registry).host())
    await settle()
    del follower
    await settle()
    gc.collect()
    assert [ref() for ref in weak if ref() is not None] == []
    # Its task ends by itself: there is nothing left to wait for.
    found = host()
    assert found is None or not found.alive


def _ours() -> dict[str, int]:
    gc.collect()
    counts: dict[str, int] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith("agentprogress."):
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
    return counts


@async_test
async def test_the_tasks_of_a_registry_end_with_its_last_expiry() -> None:
    clock = ManualClock()
    registry = SessionRegistry(Settings(history_ttl=1, result_ttl=1, tombstone_ttl=1), clock=clock)

    async def job(session: object) -> None: ...

    registry.start(job)
    await settle()
    names = {task.name for task in anyio.get_running_tasks()}
    assert any("agentprogress host" in (name or "") for name in names)
    await clock.advance(10)
    await settle()
    names = {task.name for task in anyio.get_running_tasks()}
    assert not any("agentprogress host" in (name or "") for name in names)
