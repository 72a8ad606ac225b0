"""Asking a person: questions that a running job waits for."""

from __future__ import annotations

import threading
from datetime import date
from functools import partial
from typing import Any, Literal

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from agentprogress import ProgressSession, SessionCancelled, SessionRegistry, Settings
from agentprogress.errors import (
    InputExpired,
    InputSettled,
    InvalidAnswer,
    InvalidEvent,
    SessionConflict,
    SessionEnded,
)
from agentprogress.events import InputRequested, InputResolved
from agentprogress.registry import engine_of
from agentprogress.session import NO_SESSION
from agentprogress.testing import ManualClock
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio


class Trip(BaseModel):
    model_config = ConfigDict(strict=True)

    to: str
    on: date


class Asking:
    """A job that asks once and keeps what came of it."""

    def __init__(self, schema: Any = None, **options: Any) -> None:
        self.schema = schema
        self.options = {"request_id": "q", **options}
        self.answer: Any = None
        self.error: BaseException | None = None

    async def __call__(self, session: ProgressSession) -> None:
        try:
            self.answer = await session.request_input("Go on?", self.schema, **self.options)
        except BaseException as error:
            self.error = error
            raise


def resolved(session: ProgressSession | str, registry: SessionRegistry) -> list[tuple[Any, ...]]:
    """Returns how the session's questions were settled, as told to viewers."""
    session_id = session if isinstance(session, str) else session.id
    record = engine_of(registry).record(session_id)
    events = record.locked(lambda history: history.page(0, history.head)).events
    return [
        (event.request_id, event.outcome, event.value)
        for event in events
        if isinstance(event, InputResolved)
    ]


async def asked(job: Asking, **settings: Any) -> tuple[SessionRegistry, ManualClock]:
    registry, clock = on_virtual_time(**settings)
    registry.start(job, session_id="job")
    await settle()
    return registry, clock


@async_test
async def test_an_answer_ends_the_wait_as_a_validated_value() -> None:
    job = Asking(Trip)
    registry, clock = await asked(job)
    async with following(registry, "job") as follower:
        assert registry.get("job").status == "running"
        (request,) = registry.snapshot("job").requests
        assert (request.request_id, request.prompt) == ("q", "Go on?")
        assert request.schema_ == Trip.model_json_schema()
        registry.answer("job", "q", {"to": "Rome", "on": "2026-11-22"}, by="ann")
        await clock.advance(1)
        assert job.answer == Trip(to="Rome", on=date(2026, 11, 22))
        assert follower.types[-3:] == ["input.requested", "input.resolved", "session.completed"]
        assert registry.snapshot("job").requests == []


@async_test
@pytest.mark.parametrize(
    ("schema", "told", "value", "read"),
    [
        pytest.param(bool, {"type": "boolean"}, True, True, id="bool"),
        pytest.param(
            list[int], {"type": "array", "items": {"type": "integer"}}, [1, 2], [1, 2], id="list"
        ),
        pytest.param(
            Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}, "b", "b", id="literal"
        ),
        pytest.param({"type": "string"}, {"type": "string"}, 5, 5, id="told but not enforced"),
        pytest.param(None, None, {"any": [None]}, {"any": [None]}, id="any JSON"),
        pytest.param(None, None, None, None, id="null"),
    ],
)
async def test_a_schema_may_be_a_type_a_json_schema_or_none(
    schema: Any, told: Any, value: Any, read: Any
) -> None:
    job = Asking(schema)
    registry, clock = await asked(job)
    async with following(registry, "job") as follower:
        registry.answer("job", "q", value)
        await clock.advance(1)
        assert follower.types[-1] == "session.completed"
        (request,) = [item for item in follower.items if isinstance(item, InputRequested)]
        assert request.schema_ == told
    assert job.answer == read


@async_test
async def test_an_answer_that_does_not_fit_says_why_and_leaves_the_question_open() -> None:
    job = Asking(Trip)
    registry, _ = await asked(job)
    with pytest.raises(InvalidAnswer) as raised:
        registry.answer("job", "q", {"to": 5})
    assert raised.value.problems == ["to: Input should be a valid string", "on: Field required"]
    assert "pydantic" not in str(raised.value)
    with pytest.raises(InvalidAnswer, match="no JSON form"):
        registry.answer("job", "q", object())
    with pytest.raises(InvalidAnswer, match="bytes encoded"):
        registry.answer("job", "q", "x" * 70_000)
    assert len(registry.snapshot("job").requests) == 1
    registry.answer("job", "q", {"to": "Rome", "on": "2026-11-22"})
    await settle()
    assert registry.get("job").status == "completed"


def test_what_is_told_of_a_bad_answer_is_bounded() -> None:
    registry, _ = on_virtual_time()
    block = registry.open(session_id="job")
    session = entered(block)
    asking = Thread(session, list[int])
    with pytest.raises(InvalidAnswer) as raised:
        registry.answer("job", "q", ["x"] * 5_000)
    assert 0 < len(str(raised.value)) < 2 * Settings().max_field_bytes
    registry.answer("job", "q", [1])
    assert asking.outcome() == [1]
    block.__exit__(None, None, None)


@async_test
async def test_a_validator_that_breaks_refuses_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Fragile(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def breaks(cls, name: str) -> str:
            if name == "bad":
                raise KeyError(name)
            return name

    job = Asking(Fragile)
    registry, _ = await asked(job)
    with pytest.raises(InvalidAnswer, match="cannot be checked"):
        registry.answer("job", "q", {"name": "bad"})
    assert "KeyError" in caplog.text
    registry.answer("job", "q", {"name": "good"})
    await settle()
    assert job.answer == Fragile(name="good")


@async_test
async def test_the_first_answer_wins_and_the_same_one_again_is_accepted() -> None:
    registry, _ = on_virtual_time()
    async with registry.open(session_id="job") as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: session.request_input("Go on?", request_id="q"))
            await settle()
            registry.answer("job", "q", {"a": 1, "b": [True]})
        registry.answer("job", "q", {"b": [True], "a": 1.0})
        for other in ({"a": 1, "b": [1]}, {"a": 1}, None, object()):
            with pytest.raises((InputSettled, InvalidAnswer)):
                registry.answer("job", "q", other)
        assert resolved(session, registry) == [("q", "answered", {"a": 1, "b": [True]})]
        with pytest.raises(InputSettled, match="no open question 'other'"):
            registry.answer("job", "other", True)
    # Also when the answer was what ended the session, and the response to it was lost.
    registry.answer("job", "q", {"a": 1, "b": [True]})
    with pytest.raises(InputSettled):
        registry.answer("job", "q", {"a": 2})


@async_test
async def test_what_is_masked_for_viewers_reaches_the_job() -> None:
    job = Asking()
    registry, _ = await asked(job)
    registry.answer("job", "q", {"password": "hunter2"})
    await settle()
    assert job.answer == {"password": "hunter2"}
    assert resolved("job", registry) == [("q", "answered", {"password": "***"})]


@async_test
async def test_a_redaction_that_fails_hides_the_answer_and_the_job_gets_it() -> None:
    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        if wire["type"] == "input.resolved":
            raise RuntimeError("broken")
        return wire

    job = Asking()
    registry = SessionRegistry(redact=redact, clock=ManualClock())
    registry.start(job, session_id="job")
    await settle()
    registry.answer("job", "q", "secret")
    await settle()
    assert job.answer == "secret"
    assert resolved("job", registry) == [("q", "answered", None)]


def test_a_question_that_cannot_be_told_is_not_asked() -> None:
    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        if wire["type"] == "input.requested":
            raise RuntimeError("broken")
        return wire

    registry = SessionRegistry(redact=redact, clock=ManualClock())
    with registry.open() as session:
        with pytest.raises(InvalidEvent):
            session.request_input_sync("Go on?")
        assert session.snapshot().requests == []


# Expiry


@async_test
async def test_a_question_that_nobody_answers_expires() -> None:
    job = Asking(timeout=10)
    registry, clock = await asked(job)
    (request,) = registry.snapshot("job").requests
    assert request.expires_at is not None
    assert request.expires_at.timestamp() == clock.wall() + 10
    await clock.advance(9.9)
    assert registry.get("job").status == "running"
    await clock.advance(0.2)
    assert isinstance(job.error, InputExpired)
    assert resolved("job", registry) == [("q", "expired", None)]
    with pytest.raises(InputSettled):
        registry.answer("job", "q", True)
    assert registry.get("job").status == "failed"


@async_test
async def test_from_the_moment_of_expiry_no_answer_is_taken() -> None:
    job = Asking(timeout=10)
    registry, clock = await asked(job)
    # Nobody has noticed yet that the time is over.
    clock.jump(10)
    with pytest.raises(InputSettled):
        registry.answer("job", "q", True)
    await settle()
    assert isinstance(job.error, InputExpired)
    assert resolved("job", registry) == [("q", "expired", None)]


@async_test
async def test_nothing_is_left_to_expire_once_a_question_is_settled() -> None:
    registry, _ = on_virtual_time()
    async with registry.open(session_id="job") as session, anyio.create_task_group() as tasks:
        for number in range(3):
            request_id = f"q{number}"
            tasks.start_soon(partial(session.request_input, "?", timeout=99, request_id=request_id))
        await settle()
        assert registry.stats().deadlines == 3
        registry.answer("job", "q0", 1)
        assert registry.stats().deadlines == 2
        registry.answer("job", "q1", 1)
        registry.answer("job", "q2", 1)
        assert registry.stats().deadlines == 0


@async_test
async def test_a_session_that_is_deleted_leaves_no_question() -> None:
    job = Asking(timeout=99)
    registry, _ = await asked(job)
    assert registry.stats().deadlines == 1
    registry.delete("job")
    await settle()
    assert job.error is not None
    # The tombstone's.
    assert registry.stats().deadlines == 1


# Cancelling and ending


@async_test
async def test_asking_to_cancel_withdraws_the_question_and_ends_the_wait() -> None:
    job = Asking(timeout=99)
    registry, clock = await asked(job)
    async with following(registry, "job") as follower:
        registry.cancel("job", "enough")
        await clock.advance(1)
        assert follower.types[-3:] == ["cancel.requested", "input.resolved", "session.cancelled"]
    assert resolved("job", registry) == [("q", "cancelled", None)]


@async_test
async def test_a_task_that_is_cancelled_withdraws_its_question() -> None:
    registry, _ = on_virtual_time()
    async with registry.open(session_id="job") as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: session.request_input("Go on?", request_id="q"))
            await settle()
            tasks.cancel_scope.cancel()
        assert resolved(session, registry) == [("q", "cancelled", None)]
        assert not session.cancel_requested
    assert session.status == "completed"


@async_test
async def test_a_plain_block_that_nobody_cancels_is_told_when_asked_to_stop() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(SessionCancelled, match="enough"):
                    await session.request_input("Go on?")

            tasks.start_soon(ask)
            await settle()
            await anyio.to_thread.run_sync(registry.cancel, "job", "enough")
        assert session.cancel_requested
    assert session.status == "completed"


@async_test
async def test_who_waits_when_the_session_ends_is_told_so() -> None:
    registry, _ = on_virtual_time()
    block = registry.open(session_id="job")
    session = entered(block)
    outcome: list[BaseException] = []

    async def ask() -> None:
        try:
            await session.request_input("Go on?", timeout=99)
        except SessionEnded as error:
            outcome.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await settle()
        block.__exit__(None, None, None)
    assert len(outcome) == 1
    assert registry.snapshot("job").requests == []
    # Only the session's own expiry is left, also after it was run again.
    assert registry.stats().deadlines == 1
    with registry.open(session_id="job", existing="restart") as again:
        with pytest.raises(SessionEnded):
            await session.request_input("Go on?")
        assert again.snapshot().requests == []
        assert registry.stats().deadlines == 0


@async_test
async def test_a_drain_wakes_who_waits() -> None:
    job = Asking()
    registry, _ = await asked(job)
    await registry.drain()
    assert job.error is not None
    assert registry.get("job").status == "failed"


@async_test
async def test_what_is_asked_after_the_request_to_stop_is_refused() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(SessionCancelled), registry.open() as session:
        session.request_cancel()
        await session.request_input("Go on?")
    assert resolved(session, registry) == []


# Threads


class Thread:
    """A thread that asks."""

    def __init__(self, session: ProgressSession, schema: Any = None, **options: Any) -> None:
        self._session = session
        self._schema = schema
        self._options = {"request_id": "q", **options}
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        while not session.snapshot().requests and self._thread.is_alive():
            pass

    def _ask(self) -> None:
        try:
            self._outcome = self._session.request_input_sync(
                "Go on?", self._schema, **self._options
            )
        except Exception as error:  # noqa: BLE001 - what a test looks at
            self._outcome = error

    def outcome(self) -> Any:
        self._thread.join()
        return self._outcome


def test_a_thread_waits_without_any_loop() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        asking = Thread(session, bool)
        registry.answer("job", "q", True)
        assert asking.outcome() is True


def test_a_thread_that_waits_is_woken_by_a_cancel_request() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        asking = Thread(session, timeout=1_000)
        registry.cancel("job", "enough")
        error = asking.outcome()
        assert isinstance(error, SessionCancelled)
        assert error.reason == "enough"
        assert registry.stats().deadlines == 0


def test_without_a_loop_those_who_come_and_ask_let_a_question_expire() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        asking = Thread(session, timeout=1_000)
        clock.jump(1_001)
        registry.get("job")
        assert isinstance(asking.outcome(), InputExpired)
        assert resolved(session, registry) == [("q", "expired", None)]


def test_a_thread_expires_its_own_question_when_nobody_comes() -> None:
    registry = SessionRegistry()
    with registry.open() as session, pytest.raises(InputExpired):
        session.request_input_sync("Go on?", timeout=0.001)


@async_test
async def test_a_plain_job_asks_from_its_worker_thread() -> None:
    registry, _ = on_virtual_time()

    def job(session: ProgressSession) -> str:
        return session.request_input_sync("Name?", str, request_id="q")

    session = registry.start(job, session_id="job")
    while not session.snapshot().requests:
        await anyio.lowlevel.checkpoint()
    await anyio.to_thread.run_sync(registry.answer, "job", "q", "ann")
    while session.status != "completed":
        await anyio.lowlevel.checkpoint()
    assert registry.result("job") == "ann"


@async_test
async def test_on_a_loops_own_thread_the_blocking_call_is_refused() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session, pytest.raises(RuntimeError, match="await"):
        session.request_input_sync("Go on?")


@async_test
async def test_an_answer_may_come_from_another_loop() -> None:
    job = Asking(bool)
    registry, _ = await asked(job)

    async def answer() -> None:
        await anyio.lowlevel.checkpoint()
        registry.answer("job", "q", True)

    await anyio.to_thread.run_sync(anyio.run, answer)
    while job.answer is None:
        await anyio.lowlevel.checkpoint()
    assert job.answer is True


def test_of_many_answers_cancels_and_expiries_at_once_exactly_one_counts() -> None:
    for _ in range(30):
        registry, clock = on_virtual_time()
        with registry.open(session_id="job") as session:
            asking = Thread(session, timeout=1_000)
            barrier = threading.Barrier(5)

            def act(number: int) -> None:
                barrier.wait()  # noqa: B023 - joined in this turn
                try:
                    if number < 3:
                        registry.answer("job", "q", number)  # noqa: B023
                    elif number == 3:
                        registry.cancel("job")  # noqa: B023
                    else:
                        clock.jump(1_001)  # noqa: B023
                        registry.get("job")  # noqa: B023
                except InputSettled:
                    pass

            threads = [threading.Thread(target=act, args=(number,)) for number in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            outcome = asking.outcome()
            ((_, told, value),) = resolved(session, registry)
            if told == "answered":
                assert outcome == value
            else:
                expected = InputExpired if told == "expired" else SessionCancelled
                assert isinstance(outcome, expected)
            assert registry.stats().deadlines == 0


# Bad input, bounds


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"timeout": 0}, ValueError, id="no time"),
        pytest.param({"timeout": float("nan")}, ValueError, id="nan"),
        pytest.param({"timeout": float("inf")}, ValueError, id="infinity"),
        pytest.param({"timeout": 1e12}, ValueError, id="after the year 9999"),
        pytest.param({"request_id": ""}, ValueError, id="empty id"),
        pytest.param({"request_id": "a/b"}, ValueError, id="id that no path holds"),
        pytest.param({"request_id": "x" * 129}, ValueError, id="long id"),
        pytest.param({"schema": 5}, TypeError, id="no schema"),
        pytest.param({"schema": "int"}, TypeError, id="the name of a type"),
        pytest.param({"schema": threading.Event}, TypeError, id="no JSON type"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception]
) -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        with pytest.raises(error):
            session.request_input_sync("Go on?", **options)
        assert session.snapshot().requests == []
        assert registry.stats().deadlines == 0


def test_an_id_names_one_question() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        asking = Thread(session)
        with pytest.raises(ValueError, match="asked before"):
            session.request_input_sync("Go on?", request_id="q")
        registry.answer("job", "q", 1)
        asking.outcome()
        with pytest.raises(ValueError, match="asked before"):
            session.request_input_sync("Go on?", request_id="q")


@async_test
async def test_open_questions_and_the_memory_of_settled_ones_are_bounded() -> None:
    registry, _ = on_virtual_time(max_requests=2)
    async with registry.open(session_id="job") as session, anyio.create_task_group() as tasks:
        for request_id in ("a", "b"):
            tasks.start_soon(partial(session.request_input, "?", request_id=request_id))
        await settle()
        with pytest.raises(SessionConflict, match="max_requests"):
            await session.request_input("One more?")
        registry.answer("job", "a", 1)
        registry.answer("job", "b", 1)
        await settle()
        tasks.start_soon(lambda: session.request_input("?", request_id="c"))
        await settle()
        registry.answer("job", "c", 1)
        registry.answer("job", "b", 1)
        with pytest.raises(InputSettled):
            registry.answer("job", "a", 1)


@async_test
async def test_where_there_is_no_session_nobody_could_answer() -> None:
    with pytest.raises(RuntimeError, match="no session here"):
        await NO_SESSION.request_input("Go on?")
    assert NO_SESSION.answer is None


def test_a_retry_forgets_the_questions_of_the_failed_attempt() -> None:
    registry, _ = on_virtual_time()
    block = registry.open(session_id="job", retry_on=(OSError,))
    asking = Thread(entered(block), timeout=1_000)
    block.__exit__(OSError, OSError("down"), None)
    assert isinstance(asking.outcome(), SessionConflict)
    with pytest.raises(InputSettled):
        registry.answer("job", "q", 1)
    with registry.open(session_id="job") as session:
        asking = Thread(session)
        registry.answer("job", "q", 1)
        assert asking.outcome() == 1
