"""Applications' own values and errors that fail when they are looked at: the session still ends."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from agentprogress import SessionRegistry


class BadNumber(float):
    """A number that cannot be read."""

    def __float__(self) -> float:
        raise ValueError("boom")


class BadAttributes(Exception):
    """An error that fails on any attribute it does not have."""

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class Obliging(Exception):
    """An error that has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return object()


def test_a_result_that_cannot_be_read_fails_the_session_and_not_the_caller() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        session.complete(BadNumber(1.5))
    assert session.status == "failed"


@pytest.mark.parametrize("kind", [BadAttributes, Obliging])
def test_an_error_with_attributes_of_its_own_propagates_and_fails_the_session(
    kind: type[Exception],
) -> None:
    registry = SessionRegistry()
    raised: type[BaseException] | None = None
    block = registry.open(session_id="job")
    try:
        with block as session, session.step("x"):
            raise kind
    except BaseException as error:  # noqa: BLE001 - not pytest.raises, which looks at the error
        raised = type(error)
    assert raised is kind
    snapshot = registry.snapshot("job")
    assert snapshot.status == "failed"
    assert snapshot.steps[0].status == "failed"
    assert snapshot.error is not None
    assert "object at" not in snapshot.error.message


def test_a_redact_that_breaks_the_shape_of_events_does_not_harm_the_job() -> None:
    def mask(wire: dict[str, Any]) -> dict[str, Any]:
        return {key: value if key == "type" else "***" for key, value in wire.items()}

    registry = SessionRegistry(redact=mask)
    with registry.open(plan=["a"]) as session:
        session.log("hello")
    assert session.status == "completed"


@pytest.mark.anyio
async def test_a_flush_lets_the_loop_go_on_though_nobody_follows() -> None:
    registry = SessionRegistry()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    with registry.open() as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            for _ in range(10):
                await session.flush()
            tasks.cancel_scope.cancel()
    assert turns >= 5
