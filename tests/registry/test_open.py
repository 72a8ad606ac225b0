"""`SessionRegistry.open`: a block that is a session."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest

from agentprogress import SessionRegistry
from agentprogress.errors import (
    Draining,
    InvalidSessionId,
    InvalidSettings,
    SessionConflict,
    WrongProcess,
)
from tests.kit import on_virtual_time, settle

async_test = pytest.mark.anyio


@async_test
async def test_a_block_left_normally_completes_its_session() -> None:
    registry, _ = on_virtual_time()
    async with registry.open(title="report", metadata={"pages": 3}) as session:
        assert session.status == "running"
        session.complete({"url": "/r/1"})
        assert session.status == "running"
    assert session.status == "completed"
    snapshot = registry.snapshot(session.id)
    assert (snapshot.title, snapshot.metadata, snapshot.result) == (
        "report",
        {"pages": 3},
        {"url": "/r/1"},
    )


def test_a_block_needs_no_loop() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        session.log("hello")
    assert registry.get(session.id).status == "completed"
    assert registry.get(session.id).head == 3


@pytest.mark.parametrize("kind", ["with", "async with"])
@async_test
async def test_an_exception_fails_the_session_and_propagates(kind: str) -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(ZeroDivisionError):
        if kind == "with":
            with registry.open(session_id="job"):
                raise ZeroDivisionError
        else:
            async with registry.open(session_id="job"):
                raise ZeroDivisionError
    assert registry.get("job").status == "failed"


@pytest.mark.parametrize("way_out", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_error_cancels_the_session_and_propagates(way_out: type[BaseException]) -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(way_out), registry.open(session_id="job"):
        raise way_out
    assert registry.get("job").status == "cancelled"


def test_a_generator_that_is_thrown_away_cancels_its_session() -> None:
    registry, _ = on_virtual_time()

    def pages() -> Generator[int]:
        with registry.open(session_id="job"):
            yield 1
            yield 2

    reading = pages()
    assert next(reading) == 1
    assert registry.get("job").status == "running"
    reading.close()
    assert registry.get("job").status == "cancelled"


@async_test
async def test_an_asynchronous_generator_that_is_closed_cancels_its_session() -> None:
    registry, _ = on_virtual_time()

    async def pages() -> AsyncGenerator[int]:
        async with registry.open(session_id="job"):
            yield 1
            yield 2

    reading = pages()
    assert await anext(reading) == 1
    await reading.aclose()
    assert registry.get("job").status == "cancelled"


@async_test
async def test_cancelling_the_code_around_stays_a_cancellation() -> None:
    registry, _ = on_virtual_time()
    with anyio.CancelScope() as around:
        async with registry.open(session_id="job"):
            around.cancel()
            await anyio.sleep_forever()
    assert around.cancelled_caught
    assert registry.get("job").status == "cancelled"


def test_a_timeout_around_the_block_stays_a_timeout() -> None:
    registry, _ = on_virtual_time()

    async def main() -> None:
        async with asyncio.timeout(0), registry.open(session_id="job"):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert registry.get("job").status == "cancelled"


def test_a_failing_sibling_of_the_block_stays_the_reason() -> None:
    registry, _ = on_virtual_time()

    async def block() -> None:
        async with registry.open(session_id="job"):
            await asyncio.sleep(60)

    async def failing() -> None:
        raise LookupError

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(block())
            await asyncio.sleep(0)
            tasks.create_task(failing())

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(main())
    assert raised.group_contains(LookupError)
    assert registry.get("job").status == "cancelled"


@async_test
async def test_errors_of_a_task_group_inside_the_block_come_out_as_they_are() -> None:
    registry, _ = on_virtual_time()

    async def failing() -> None:
        raise LookupError

    with pytest.raises(ExceptionGroup) as raised:
        async with registry.open(session_id="job"), anyio.create_task_group() as tasks:
            tasks.start_soon(failing)
            await anyio.sleep_forever()
    assert raised.group_contains(LookupError)
    assert registry.get("job").status == "failed"


def test_ids_are_unguessable_tagged_and_unique() -> None:
    registry, _ = on_virtual_time()
    ids: set[str] = set()
    for _ in range(50):
        with registry.open() as session:
            ids.add(session.id)
    assert len(ids) == 50
    assert len({session_id[:6] for session_id in ids}) == 1
    assert all(len(session_id) == 28 for session_id in ids)


@pytest.mark.parametrize("session_id", ["s_mine", "", "a b", "-a", "x" * 129, "a/b", "é"])
def test_ids_that_may_not_be_chosen_are_refused(session_id: str) -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(InvalidSessionId), registry.open(session_id=session_id):
        pass
    assert registry.list() == []


def test_an_id_of_another_process_is_refused_as_such() -> None:
    registry, _ = on_virtual_time()
    foreign = "s_" + "0" * 26
    for ask in (registry.get, registry.attach, registry.cancel, registry.delete):
        with pytest.raises(WrongProcess):
            ask(foreign)


def test_a_running_id_is_not_opened_twice() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        with pytest.raises(SessionConflict, match="running"), registry.open(session_id="job"):
            pass
        session.log("still mine")
        assert session.status == "running"
    with pytest.raises(SessionConflict, match="restart"), registry.open(session_id="job"):
        pass


def test_a_misspelt_option_is_refused() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(TypeError, match="'tilte' is no option"):
        registry.open(tilte="report")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_time_to_live_must_be_above_zero(ttl: float) -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(InvalidSettings, match="history_ttl"):
        registry.open(history_ttl=ttl)


@async_test
async def test_nothing_is_opened_while_draining() -> None:
    registry, _ = on_virtual_time()
    await registry.drain()
    with pytest.raises(Draining):
        async with registry.open():
            pass


@async_test
async def test_planned_steps_are_known_before_they_start() -> None:
    registry, _ = on_virtual_time()
    plan: list[Any] = ["research", {"name": "write", "weight": 3}, {"name": "", "kind": "tool"}]
    async with registry.open(plan=plan) as session:
        assert [step.status for step in session.snapshot().steps] == ["planned"] * 3
        with session.phase("research"):
            pass
        steps = session.snapshot().steps
        assert [(step.name, step.status) for step in steps[:2]] == [
            ("research", "completed"),
            ("write", "planned"),
        ]
        assert session.snapshot().progress == 1 / 5


@pytest.mark.parametrize(
    "plan", [7, [object()], [None, 3.5, {"weight": "x"}], "one", [{"name": 3, "kind": None}]]
)
def test_a_horrible_plan_does_not_keep_a_job_from_running(plan: object) -> None:
    registry, _ = on_virtual_time()
    with registry.open(plan=plan, title=object(), metadata=object()) as session:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        session.log("on")
    assert registry.get(session.id).status == "completed"


@async_test
async def test_a_block_that_is_left_leaves_nothing_behind_in_its_task() -> None:
    registry, _ = on_virtual_time()
    async with registry.open():
        pass
    gc.collect()
    await settle()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


def test_two_blocks_may_overlap() -> None:
    registry = SessionRegistry()
    with registry.open() as outer, registry.open() as inner:
        inner.log("in")
        outer.log("out")
    assert registry.get(outer.id).head == registry.get(inner.id).head == 3
