"""`track` and `traced`: one line of instrumentation each."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from agentprogress import current_step, traced, track
from agentprogress.events import StepCompleted, StepStarted
from agentprogress.testing import Recording, capture

async_test = pytest.mark.anyio


def shape(recording: Recording) -> list[tuple[str, str, float | None, float | None, str | None]]:
    return [
        (step.name, step.status, step.current, step.total, step.unit)
        for step in recording.snapshot.steps
    ]


def test_track_is_one_step_that_advances_with_each_item() -> None:
    with capture() as recording:
        assert list(track([1, 2, 3], "read", unit="page")) == [1, 2, 3]
    assert shape(recording) == [("read", "completed", 3, 3, "page")]


def test_track_works_without_a_length_and_without_a_session() -> None:
    with capture() as recording:
        assert list(track((n for n in range(3)), "read")) == [0, 1, 2]
    assert shape(recording) == [("read", "completed", 3, None, None)]
    assert list(track("ab", "read")) == ["a", "b"]


class BadLength(list[int]):
    def __len__(self) -> int:
        raise RuntimeError


def test_a_length_that_fails_is_no_length() -> None:
    with capture() as recording:
        assert list(track(BadLength([1]), "read")) == [1]
    assert shape(recording) == [("read", "completed", 1, None, None)]


@async_test
async def test_track_works_on_asynchronous_iterables() -> None:
    async def pages() -> AsyncIterator[int]:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield number

    with capture() as recording:
        assert [page async for page in track(pages(), "read", total=3)] == [0, 1, 2]
    assert shape(recording) == [("read", "completed", 3, 3, None)]


def test_a_loop_that_is_left_early_is_cancelled_and_one_that_fails_has_failed() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError

    with capture() as recording:
        left = track([1, 2, 3], "left")
        for item in left:
            if item == 2:
                break
        left.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(LookupError):
            list(track(failing(), "failing"))
    assert [entry[:3] for entry in shape(recording)] == [
        ("left", "cancelled", 1),
        ("failing", "failed", 1),
    ]


def test_the_body_of_a_tracked_loop_runs_where_it_stands() -> None:
    with capture() as recording, recording.session.phase("around") as around:
        for _ in track([1], "read"):
            assert current_step() is around


@traced(kind="tool")
def add(a: int, b: int = 2) -> int:
    current_step().log("adding")
    return a + b


@traced(kind="agent", capture="full", name="adder")
async def add_later(a: int, *rest: int) -> int:
    await anyio.lowlevel.checkpoint()
    return a + sum(rest)


@traced(capture="names")
def count(to: int) -> Generator[int, str, str]:
    heard = ""
    for number in range(to):
        with current_step().step("inside"):
            heard += (yield number) or ""
    return heard


@traced()
async def count_later(to: int) -> AsyncGenerator[int, str]:
    for number in range(to):
        await anyio.lowlevel.checkpoint()
        current_step().log(f"at {number}")
        yield number


def names(recording: Recording) -> list[tuple[str, str, str]]:
    return [(step.kind, step.name, step.status) for step in recording.snapshot.steps]


def test_a_traced_function_is_a_step_of_where_it_is_called() -> None:
    with capture() as recording, recording.session.phase("p") as phase:
        assert add(1, b=4) == 5
    step = recording.snapshot.steps[1]
    assert (step.kind, step.name, step.status) == ("tool", "add", "completed")
    assert step.parent_id == phase.step_id
    assert recording.snapshot.logs[0].step_id == step.step_id
    assert add(1) == 3


@async_test
async def test_a_traced_coroutine_function_tells_what_it_got_and_gave() -> None:
    with capture() as recording:
        assert await add_later(1, 2, 3) == 6
    started, completed = recording.events[1:]
    assert isinstance(started, StepStarted)
    assert isinstance(completed, StepCompleted)
    assert (started.kind, started.name) == ("agent", "adder")
    assert (started.input, completed.output) == ({"a": 1, "rest": [2, 3]}, 6)


def test_a_traced_generator_is_current_while_it_runs_and_only_then() -> None:
    with capture() as recording, recording.session.phase("p") as phase:
        numbers = count(3)
        assert next(numbers) == 0
        assert current_step() is phase
        assert numbers.send("a") == 1
        assert numbers.send("b") == 2
        assert current_step() is phase
        with pytest.raises(StopIteration) as stop:
            numbers.send("c")
        assert stop.value.value == "abc"
    steps = {step.name: step for step in recording.snapshot.steps}
    assert steps["inside"].parent_id == steps["count"].step_id
    assert [event.input for event in recording.events if isinstance(event, StepStarted)][1] == [
        "to"
    ]


def test_exceptions_and_the_end_reach_a_traced_generator() -> None:
    caught: list[str] = []

    @traced()
    def stubborn() -> Generator[int]:
        try:
            yield 1
        except LookupError:
            caught.append("LookupError")
        try:
            yield 2
        finally:
            caught.append(f"closed in {current_step().step_id != ''}")

    with capture() as recording:
        numbers = stubborn()
        next(numbers)
        assert numbers.throw(LookupError()) == 2
        numbers.close()
    assert caught == ["LookupError", "closed in True"]
    assert names(recording) == [("tool", "stubborn", "cancelled")]


@async_test
async def test_a_traced_asynchronous_generator_is_a_step() -> None:
    with capture() as recording:
        assert [number async for number in count_later(2)] == [0, 1]
        closing = count_later(2)
        await anext(closing)
        await closing.aclose()
        assert not current_step()
    steps = recording.snapshot.steps
    assert [step.status for step in steps] == ["completed", "cancelled"]
    assert [log.step_id for log in recording.snapshot.logs] == [
        steps[0].step_id,
        steps[0].step_id,
        steps[1].step_id,
    ]


class Agent:
    @traced(capture="full")
    def method(self, x: int) -> int:
        return x

    @traced(capture="full")
    @classmethod
    def of_class(cls, x: int) -> str:
        return cls.__name__ * x

    @classmethod
    @traced(capture="full")
    def of_class_too(cls, x: int) -> int:
        return x

    @traced(capture="full")
    @staticmethod
    def alone(x: int) -> int:
        return x


def test_methods_are_traced_without_their_self() -> None:
    with capture() as recording:
        assert Agent().method(1) == 1
        assert Agent.of_class(2) == "AgentAgent"
        assert Agent.of_class_too(3) == 3
        assert Agent.alone(4) == 4
    inputs = [event.input for event in recording.events if isinstance(event, StepStarted)]
    assert inputs == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 4}]


@async_test
async def test_what_is_called_like_a_function_is_traced() -> None:
    class Tool:
        async def __call__(self, x: int) -> int:
            await anyio.lowlevel.checkpoint()
            return x

    with capture() as recording:
        assert await traced()(Tool())(3) == 3
        assert traced(capture="full")(math.hypot)(3, 4) == 5
        assert traced(name="partial")(partial(add, 1))() == 3
    assert names(recording) == [
        ("tool", "Tool", "completed"),
        ("tool", "hypot", "completed"),
        ("tool", "partial", "completed"),
        ("tool", "add", "completed"),
    ]


def test_what_a_traced_function_raises_fails_its_step() -> None:
    @traced()
    def failing(x: Any) -> None:
        raise LookupError

    with capture() as recording:
        with pytest.raises(LookupError):
            failing(1)
        with pytest.raises(TypeError):
            failing()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert [step.status for step in recording.snapshot.steps] == ["failed", "failed"]
