"""Deadlines of connections: a fixed cadence, and a guard against our own delays."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from agentprogress import Settings
from agentprogress.heartbeat import HeartbeatScheduler
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock
from tests.kit import on_virtual_time

INTERVAL = 15.0


class Beating:
    """Notes when it is called, and wants to be called again one interval later."""

    def __init__(self, now: Callable[[], float], first: float) -> None:
        self._now = now
        self._next = first
        self.beats: list[float] = []

    def on_deadline(self, now: float) -> float | None:
        self.beats.append(self._now())
        self._next += INTERVAL
        return self._next


class Failing:
    def on_deadline(self, now: float) -> float | None:
        raise RuntimeError("boom")


def scheduler(**settings: float) -> tuple[HeartbeatScheduler, ManualClock]:
    clock = ManualClock()
    return HeartbeatScheduler(Settings(**settings), clock), clock  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_cadence_is_fixed_however_late_each_call_comes() -> None:
    beats, clock = scheduler()
    item = Beating(clock.monotonic, first=INTERVAL)
    beats.set(item, INTERVAL)
    while clock.monotonic() < 10 * INTERVAL:
        planned = beats.next_deadline()
        assert planned is not None
        # Never early, and always up to 0.9 s late.
        clock.jump(planned - clock.monotonic() + 0.9)
        beats.woke(planned)
        beats.fire()
    assert item.beats == pytest.approx([INTERVAL * n + 0.9 for n in range(1, 11)])
    assert beats.stalled == 0


def test_a_deadline_is_moved_and_taken_off_exactly() -> None:
    beats, clock = scheduler()
    item = Beating(clock.monotonic, first=5)
    beats.set(item, 5)
    beats.set(item, 50)
    clock.jump(20)
    assert not beats.fire()
    assert item.beats == []
    beats.set(item, None)
    assert len(beats) == 0
    assert beats.next_deadline() is None


def test_a_stall_of_the_loop_moves_every_deadline_and_drops_nobody() -> None:
    beats, clock = scheduler()
    items = [Beating(clock.monotonic, first=10.0 + n) for n in range(10)]
    for number, item in enumerate(items):
        beats.set(item, 10.0 + number)
    planned = beats.next_deadline()
    clock.jump(300)
    beats.woke(planned)
    beats.fire()
    assert all(len(item.beats) == 0 for item in items)
    assert 290 <= beats.stalled <= 292
    clock.jump(1)
    beats.fire()
    assert [len(item.beats) for item in items][:1] == [1]
    assert sum(len(item.beats) for item in items) <= 2


def test_only_so_many_are_called_in_one_turn() -> None:
    beats, clock = scheduler(max_sweep=10)
    items = [Beating(clock.monotonic, first=1) for _ in range(25)]
    for item in items:
        beats.set(item, 1)
    clock.jump(2)
    assert [beats.fire() for _ in range(3)] == [True, True, False]
    assert all(len(item.beats) == 1 for item in items)


def test_one_that_fails_keeps_nobody_else_from_being_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    beats, clock = scheduler()
    good = Beating(clock.monotonic, first=1)
    beats.set(Failing(), 1)
    beats.set(good, 1)
    beats.set(Failing(), 1)
    clock.jump(2)
    beats.fire()
    assert len(good.beats) == 1
    assert len(beats) == 1
    assert "boom" in caplog.text


@pytest.mark.anyio
async def test_the_host_calls_them_in_time() -> None:
    registry, clock = on_virtual_time()
    async with registry:
        with registry.open(session_id="job"):
            host = engine_of(registry).host()
            item = Beating(clock.monotonic, first=INTERVAL)
            host.heartbeats.set(item, INTERVAL)
            host.wake()
            await clock.advance(5 * INTERVAL + 1)
            host.heartbeats.set(item, None)
    assert item.beats == [INTERVAL * n for n in range(1, 6)]
