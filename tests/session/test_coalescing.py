"""Pending events coalesce: fast loops and fast models cannot wash out history."""

from __future__ import annotations

from typing import Any

import pytest

from agentprogress.events import StepProgress, TextDelta
from agentprogress.registry import engine_of
from agentprogress.testing import capture
from tests.kit import following, on_virtual_time

async_test = pytest.mark.anyio


def test_a_loop_of_a_million_steps_is_a_few_events() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        session.log("the first line")
        with session.step("rows", total=1_000_000) as step:
            for _ in range(1_000_000):
                step.advance()
        snapshot = session.snapshot()
        assert (snapshot.steps[0].current, snapshot.steps[0].progress) == (1_000_000, 1)
        assert [log.message for log in snapshot.logs] == ["the first line"]
        assert registry.get(session.id).head < 10


@async_test
async def test_a_loop_that_is_followed_costs_one_event_for_each_publication() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        step = session.step("rows")
        async with following(registry, "job") as follower:
            for _ in range(20):
                for _ in range(1000):
                    step.advance()
                await clock.advance(registry.settings.delivery_interval)
            await clock.advance(1)
            progress = [item for item in follower.items if isinstance(item, StepProgress)]
    assert 20 <= len(progress) <= 22
    assert progress[-1].current == 20_000


@async_test
async def test_a_fast_model_costs_one_delta_for_each_publication() -> None:
    registry, clock = on_virtual_time()
    words = [f"word{number} " for number in range(2000)]
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            with session.text(role="assistant") as text:
                for number, word in enumerate(words):
                    text.write(word)
                    if number % 100 == 99:
                        await clock.advance(registry.settings.delivery_interval)
            await clock.advance(1)
            deltas = [item for item in follower.items if isinstance(item, TextDelta)]
    assert 20 <= len(deltas) <= 22
    assert "".join(delta.delta for delta in deltas) == "".join(words)
    assert {delta.role for delta in deltas} == {"assistant"}


def test_a_long_delta_is_split_and_nothing_of_it_is_lost() -> None:
    with capture() as recording:
        recording.session.text().write("ß" * 10_000)
    deltas: list[Any] = recording.events[1:]
    assert [len(delta.delta) for delta in deltas] == [4096, 4096, 1808]


def test_everything_else_is_kept_one_by_one_and_in_order() -> None:
    with capture() as recording:
        session = recording.session
        for number in range(300):
            session.log(str(number))
    assert recording.types == ["session.started"] + ["log.message"] * 300
    assert [getattr(event, "message", "") for event in recording.events[1:]] == [
        str(number) for number in range(300)
    ]


def test_progress_stays_between_the_beginning_and_the_end_of_its_step() -> None:
    with capture() as recording:
        session = recording.session
        for _ in range(2):
            with session.step("again", step_id="same", total=2) as step:
                step.advance()
                session.log("between")
                step.advance()
    assert (
        recording.types[1:]
        == [
            "step.started",
            "step.progress",
            "log.message",
            "step.completed",
        ]
        * 2
    )
    assert [getattr(e, "current", None) for e in recording.events if e.type == "step.progress"] == [
        2,
        2,
    ]


def test_large_events_do_not_gather_where_nobody_publishes() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        record = engine_of(registry).record(session.id)
        for _ in range(200):
            session.log("x" * 8000)
        held = registry.stats().held_bytes
        pending = 201 - record.history.head
        assert pending <= 64
        assert held <= registry.settings.max_history_bytes * 2
