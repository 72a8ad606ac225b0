"""The sugar never harms the job: whatever is passed, nothing raises, and what arrives is sound."""

from __future__ import annotations

import enum
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.errors import EventTooLarge, InvalidEvent, SessionEnded
from agentprogress.events import LogMessage, StepCompleted, UnknownEvent
from agentprogress.testing import capture
from tests.kit import following, on_virtual_time, settle

LENIENT = Settings()


class BadText:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BadString(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no text")


class BadNumber:
    def __float__(self) -> float:
        raise RuntimeError("no number")


class BadBool:
    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class Kind(enum.StrEnum):
    TOOL = "tool"


LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: Any = []
for _ in range(5000):
    DEEP = [DEEP]

HORRIBLE = [
    pytest.param(value, id=name)
    for name, value in {
        "None": None,
        "object": object(),
        "bad text": BadText(),
        "bad string": BadString("x"),
        "bad number": BadNumber(),
        "bad bool": BadBool(),
        "lone surrogate": "\ud800 \udfff",
        "nul": "\0\x1b[31m",
        "huge text": "ß" * 200_000,
        "empty": "",
        "bytes": b"\xff\xfe",
        "nan": math.nan,
        "inf": -math.inf,
        "huge number": 10**400,
        "beyond 2**53": 2**60,
        "true": True,
        "decimal": Decimal("1.5"),
        "not a number": Decimal("sNaN"),
        "complex": 1j,
        "enum": Kind.TOOL,
        "path": Path("/tmp"),
        "a class": BadText,
        "a function": len,
        "generator": (x for x in "ab"),
        "self": LOOP,
        "deep": DEEP,
        "wide": list(range(70_000)),
        "keys": {1: 2, None: 3, (1, 2): 4, BadText: 5},
        "set": {1, "a"},
        "error": ValueError("x"),
    }.items()
]


def everything(session: ProgressSession, value: Any) -> None:
    """Passes a value to every parameter of every call."""
    session.log(value)
    session.log("line", value, logger=value, field=value)
    step = session.step(value, step_id=value, total=value, unit=value, weight=value, input=value)
    step.advance(value, value)
    step.update(value, value, message=value)
    for start in (step.phase, step.agent, step.tool, step.model):
        start(value, parent=value).complete(value)
    session.step("kind", kind=value).cancel(value)
    session.step("failing").fail(value)
    with step.text(message_id=value, role=value, channel=value) as text:
        text.write(value)
        text.write("x")
    step.artifact(value, media_type=value, url=value, data=value, artifact_id=value)
    step.usage(model=value, input_tokens=value, output_tokens=value, cost=value, currency=value)
    step.complete(value)
    session.complete(value)


@pytest.mark.anyio
@pytest.mark.parametrize("value", HORRIBLE)
async def test_nothing_raises_and_every_event_fits_its_type(value: Any) -> None:
    registry, _ = on_virtual_time(max_history_bytes=2**24)
    with registry.open(session_id="job", title=value) as session:
        everything(session, value)
        session.log("still here")
        session.request_cancel(value, value)
        async with following(registry, "job") as follower:
            await settle()
            items = list(follower.items)
    assert not [item for item in items if isinstance(item, UnknownEvent)]
    assert [i.message for i in items if isinstance(i, LogMessage)][-1] == "still here"
    assert len([i for i in items if i.type == "step.started"]) == 7
    assert len([i for i in items if i.type.startswith("step.") and i.type.endswith("ed")]) >= 13
    assert registry.snapshot("job").seq == registry.get("job").head
    assert registry.get("job").status in ("completed", "failed")


def test_long_fields_are_cut_and_say_so() -> None:
    with capture(settings=LENIENT) as recording:
        recording.session.log("x" * 10_000)
        recording.session.step("s").complete(output=["y" * 10_000])
    _, log, _, completed = recording.events
    assert isinstance(log, LogMessage)
    assert len(log.message) == LENIENT.max_field_bytes
    assert log.truncated_bytes == 10_000 - LENIENT.max_field_bytes
    assert isinstance(completed, StepCompleted)
    assert completed.truncated_bytes


def test_calls_after_the_end_are_dropped_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        step, text = session.step("a"), session.text()
    head = registry.get(session.id).head
    session.log("late")
    step.advance()
    step.complete()
    text.write("late")
    session.complete("late")
    assert registry.get(session.id).head == head
    assert session.dropped == 5
    assert len([r for r in caplog.records if r.name == "agentprogress"]) == 1
    assert "after the end" in caplog.text


def test_in_strict_settings_all_of_it_raises() -> None:
    registry = SessionRegistry(Settings(strict=True))
    with registry.open() as session:
        with pytest.raises(EventTooLarge):
            session.log("x" * 10_000)
        with pytest.raises(InvalidEvent):
            session.step("a", input=object())
        with pytest.raises(EventTooLarge):
            session.step("b").advance(message="x" * 10_000)
    with pytest.raises(SessionEnded):
        session.log("late")
    with pytest.raises(SessionEnded):
        session.text().write("late")


def test_a_second_end_of_a_step_or_text_is_ignored() -> None:
    with capture() as recording:
        with recording.session.step("a") as step:
            step.complete("first")
            step.fail("second")
            step.advance()
        with recording.session.text() as text:
            text.write("x")
            text.complete()
            text.write("y")
    assert recording.types[1:] == ["step.started", "step.completed", "text.delta", "text.completed"]


@pytest.mark.parametrize(
    ("error", "ending"),
    [(ValueError, "step.failed"), (KeyboardInterrupt, "step.cancelled")],
)
def test_how_a_step_is_left_is_how_it_ended(error: type[BaseException], ending: str) -> None:
    with capture() as recording, pytest.raises(error), recording.session.phase("p"):
        raise error
    assert recording.types[-1] == ending


def test_steps_have_their_place_in_the_tree() -> None:
    with capture() as recording:
        phase = recording.session.phase("research")
        with phase.agent("reader") as agent, agent.tool("search") as tool:
            tool.log("found")
        recording.session.step("elsewhere", parent=phase)
    by_name = {step.name: step for step in recording.snapshot.steps}
    assert by_name["reader"].parent_id == by_name["research"].step_id
    assert by_name["search"].parent_id == by_name["reader"].step_id
    assert by_name["elsewhere"].parent_id == by_name["research"].step_id
    assert recording.snapshot.logs[0].step_id == by_name["search"].step_id


@pytest.mark.anyio
async def test_steps_and_texts_are_asynchronous_blocks_too() -> None:
    with capture() as recording:
        async with recording.session.phase("p"), recording.session.text() as text:
            text.write("x")
    assert recording.types[1:] == ["step.started", "text.delta", "text.completed", "step.completed"]
