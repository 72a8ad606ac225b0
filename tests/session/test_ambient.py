"""The current session and step: carried, restored, and harmless where there are none."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from agentprogress import ProgressSession, Step, bind, current_session, current_step
from agentprogress.session import NO_SESSION
from agentprogress.testing import capture
from tests.kit import on_virtual_time, settle

async_test = pytest.mark.anyio


def test_blocks_are_current_inside_and_restored_outside() -> None:
    registry, _ = on_virtual_time()
    assert not current_session()
    with registry.open() as outer:
        assert current_session() is outer
        assert not current_step()
        with outer.phase("a") as phase:
            assert current_step() is phase
            with phase.tool("b") as tool:
                assert current_step() is tool
                assert current_session() is outer
                with registry.open() as inner:
                    assert current_session() is inner
                    assert not current_step()
                assert current_step() is tool
            assert current_step() is phase
        with pytest.raises(ZeroDivisionError), outer.step("failing"):
            raise ZeroDivisionError
        assert not current_step()
    assert not current_session()


@async_test
async def test_each_task_has_its_own_place() -> None:
    registry, _ = on_virtual_time()
    seen: dict[str, str] = {}

    async def work(session: ProgressSession, name: str) -> None:
        with session.phase(name):
            await settle()
            current_step().log(name)
            seen[name] = current_step().step_id

    async with registry.open() as session:
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b", "c"):
                tasks.start_soon(work, session, name)
        steps = {step.name: step.step_id for step in session.snapshot().steps}
        logs = {log.message: log.step_id for log in session.snapshot().logs}
    assert seen == steps == logs


def test_bind_carries_the_place_into_a_thread() -> None:
    with capture() as recording, ThreadPoolExecutor(1) as pool:
        with recording.session.phase("p") as phase:

            def work(text: str) -> str:
                current_session().log(text)
                return current_step().step_id

            assert pool.submit(bind(work), "bound").result() == phase.step_id
            assert pool.submit(work, "unbound").result() == ""
        # Nothing of it stays in the thread.
        assert pool.submit(current_session).result() is NO_SESSION
    assert [log.message for log in recording.snapshot.logs] == ["bound"]


@async_test
async def test_bind_keeps_a_coroutine_function_one() -> None:
    with capture() as recording:

        async def work() -> ProgressSession:
            await anyio.lowlevel.checkpoint()
            return current_session()

        bound = bind(work)
    assert inspect.iscoroutinefunction(bound)
    assert await bound() is recording.session
    assert not current_session()


def test_a_block_may_be_left_in_another_context_than_it_was_entered_in() -> None:
    with capture() as recording:

        def fixture() -> Generator[Step]:
            with recording.session.phase("p") as phase:
                yield phase

        generator = fixture()
        other = contextvars.copy_context()
        phase = other.run(next, generator)
        assert other.run(current_step) is phase
        with pytest.raises(StopIteration):
            next(generator)
    assert recording.types[-1] == "step.completed"
    assert not current_session()


@async_test
async def test_a_session_may_be_open_across_the_yields_of_a_fixture() -> None:
    registry, _ = on_virtual_time()

    async def fixture() -> AsyncGenerator[ProgressSession]:
        with registry.open() as session:
            yield session

    generator = fixture()
    session = await anext(generator)
    assert current_session() is session
    with pytest.raises(StopAsyncIteration):
        await anext(generator)
    assert not current_session()


def public_calls(cls: type) -> list[str]:
    return [
        name
        for name in dir(cls)
        if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(cls, name))
    ]


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "log": ("line",),
    "emit": (None,),
    "artifact": ("a",),
    "fail": (ValueError("x"),),
    "on_cancel": (print,),
    **dict.fromkeys(("step", "phase", "agent", "tool", "model"), ("name",)),
}
# A question needs somebody to answer it: these raise where there is no session.
ASKING = {"request_input", "request_input_sync", "suspend"}


@async_test
@pytest.mark.parametrize(
    "nobody",
    [pytest.param(current_session(), id="session"), pytest.param(current_step(), id="step")],
)
async def test_where_there_is_no_session_every_call_works_and_keeps_nothing(
    nobody: ProgressSession | Step,
) -> None:
    assert not nobody
    assert isinstance(nobody, ProgressSession | Step)
    for name in public_calls(type(nobody)):
        if name in ASKING:
            continue
        returned = getattr(nobody, name)(*ARGUMENTS.get(name, ()))
        if inspect.isawaitable(returned):
            await returned
        if isinstance(returned, Step):
            assert not returned
    for name, attribute in inspect.getmembers(type(nobody)):
        if isinstance(attribute, property) and not name.startswith("_"):
            getattr(nobody, name)
    with nobody.phase("p") as phase, phase.text() as text:
        text.write("x")
        assert not current_step()
    assert isinstance(nobody.session, ProgressSession)
    assert nobody.session.result is None
    assert not nobody.session.cancel_requested


def test_a_step_without_a_session_does_not_hide_the_session_around_it() -> None:
    nobody = current_step()
    with capture() as recording:
        with nobody.phase("of nobody"):
            pass
        assert current_session() is recording.session
