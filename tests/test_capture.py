"""`agentprogress.testing.capture`: for the tests of those who use the library."""

from __future__ import annotations

import pytest

from agentprogress import Settings, current_session, track
from agentprogress.errors import EventTooLarge
from agentprogress.events import LogMessage
from agentprogress.testing import ManualClock, capture


def test_what_instrumented_code_emits_is_recorded() -> None:
    with capture() as recording:
        for _ in track(range(3), "pages"):
            current_session().log("page")
    assert recording.types == [
        "session.started",
        "step.started",
        "log.message",
        "step.progress",
        "log.message",
        "log.message",
        "step.completed",
    ]
    assert recording.snapshot.steps[0].current == 3
    assert [event.seq for event in recording.events] == list(range(1, 8))


def test_it_is_strict() -> None:
    with capture() as recording, pytest.raises(EventTooLarge):
        recording.session.log("x" * 10_000)


def test_it_may_be_as_lenient_as_the_real_thing() -> None:
    with capture(settings=Settings()) as recording:
        recording.session.log("x" * 10_000)
    assert recording.types[-1] == "log.message"


def test_it_forgets_nothing() -> None:
    with capture() as recording:
        for number in range(5000):
            recording.session.log(str(number))
    assert len(recording.events) == 5001


def test_times_come_from_the_clock() -> None:
    clock = ManualClock(wall=0)
    with capture(clock=clock) as recording:
        clock.jump(90)
        recording.session.log("x")
    log = recording.events[-1]
    assert isinstance(log, LogMessage)
    assert log.time is not None
    assert log.time.timestamp() == 90


def test_captures_nest_and_end() -> None:
    with capture() as outer:
        with capture() as inner:
            current_session().log("inner")
        current_session().log("outer")
    assert not current_session()
    assert [log.message for log in inner.snapshot.logs] == ["inner"]
    assert [log.message for log in outer.snapshot.logs] == ["outer"]


@pytest.mark.anyio
async def test_flushing_works_in_it() -> None:
    with capture() as recording:
        await recording.session.flush()
        recording.session.flush_sync()
        assert recording.session.cursor.endswith("-1")
