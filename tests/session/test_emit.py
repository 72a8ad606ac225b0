"""`session.emit` is strict; and threads, signal handlers and finalizers that emit lose nothing."""

from __future__ import annotations

import gc
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from agentprogress import CustomEvent, ProgressSession, SessionRegistry, Settings
from agentprogress.errors import EventTooLarge, InvalidEvent, SessionConflict, SessionEnded
from agentprogress.events import (
    CancelRequested,
    CustomEmitted,
    EventBase,
    LogMessage,
    ProducerEvent,
    SessionCompleted,
    StepProgress,
    StepStarted,
    TextDelta,
)
from agentprogress.registry import engine_of
from tests.kit import entered, following, on_virtual_time, retained, settle

async_test = pytest.mark.anyio


class Quote(CustomEvent, name="tests.quote"):
    symbol: str
    price: float


def messages(registry: SessionRegistry, session_id: str) -> list[str]:
    """Returns the log messages that are retained, as they went into the log."""
    return [
        LogMessage.model_validate_json(frame, strict=False).message
        for frame in retained(registry, session_id)
        if b'"log.' in frame
    ]


@async_test
async def test_typed_events_arrive_as_they_were_emitted() -> None:
    registry, _ = on_virtual_time()
    emitted: list[ProducerEvent] = [
        StepStarted(step_id="a", kind="tool", name="search", input={"q": [1, None, "x"]}),
        LogMessage(level="warning", message="careful", fields={"n": 1}),
        Quote(symbol="ACME", price=1.5),
        CustomEmitted(name="tests.unknown", data=[1, 2]),
    ]
    with registry.open(session_id="job") as session:
        for event in emitted:
            session.emit(event)
        async with following(registry, "job") as follower:
            await settle()
            received = follower.items[1:]
    assert [type(item) for item in received] == [type(event) for event in emitted]
    for got, sent in zip(received, emitted, strict=True):
        assert isinstance(got, EventBase)
        assert isinstance(got, type(sent))
        assert got.model_copy(update={"seq": None, "time": None}) == sent
        assert got.time == datetime.fromtimestamp(1_750_000_000, UTC)


@pytest.mark.parametrize(
    "event", [SessionCompleted(), CancelRequested(), object(), None, {"type": "log.message"}]
)
def test_what_is_not_a_producers_to_emit_is_refused(event: Any) -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        with pytest.raises(InvalidEvent):
            session.emit(event)
        assert registry.get(session.id).head == 1


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (LogMessage(message="x", fields={"o": object()}), InvalidEvent),
        (LogMessage(message="x" * 70_000), EventTooLarge),
        (TextDelta(message_id="m", delta="x" * 70_000), EventTooLarge),
    ],
)
def test_what_cannot_be_encoded_raises_and_changes_nothing(event: Any, error: type) -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        with pytest.raises(error):
            session.emit(event)
        assert registry.get(session.id).head == 1


def test_emitting_after_the_end_raises() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        pass
    for event in (LogMessage(message="x"), TextDelta(message_id="m", delta="x")):
        with pytest.raises(SessionEnded, match="completed"):
            session.emit(event)


def test_emitting_after_another_owner_has_begun_raises() -> None:
    registry, _ = on_virtual_time()
    with (
        pytest.raises(OSError, match="down"),
        registry.open(session_id="job", retry_on=(OSError,)) as first,
    ):
        raise OSError("down")
    with registry.open(session_id="job"), pytest.raises(SessionConflict, match="Another owner"):
        first.emit(LogMessage(message="x"))


def test_typed_progress_and_text_coalesce_like_the_sugars() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        for current in range(100):
            session.emit(StepProgress(step_id="a", current=current))
            session.emit(TextDelta(message_id="m", delta="x"))
        assert registry.get(session.id).head == 3


def test_eight_threads_lose_nothing_while_subscribers_read() -> None:
    threads, each = 8, 500
    registry = SessionRegistry(Settings(max_history_events=10_000, max_history_bytes=2**24))

    def emit(session: ProgressSession, thread: int) -> None:
        for number in range(each):
            session.log(f"{thread} {number}")
            if number % 50 == 0:
                session.snapshot()

    async def main(backend: str) -> list[Any]:
        items: list[Any] = []
        block = registry.open(session_id=backend)
        session = entered(block)
        async with registry.subscribe(backend) as subscription:
            with ThreadPoolExecutor(threads) as pool:
                emitting = [pool.submit(emit, session, thread) for thread in range(threads)]
                async for item in subscription:
                    items.append(item)
                    if len(items) == 1 + threads * each:
                        break
                for future in emitting:
                    future.result()
        block.__exit__(None, None, None)
        return items

    import anyio

    for backend in ("asyncio", "trio"):
        items = anyio.run(main, backend, backend=backend)
        assert [item.seq for item in items] == list(range(1, 2 + threads * each))
        for thread in range(threads):
            mine = [i.message for i in items[1:] if i.message.startswith(f"{thread} ")]
            assert mine == [f"{thread} {number}" for number in range(each)]
        assert registry.get(backend).head == 2 + threads * each


def test_a_bounded_history_stays_contiguous_under_threads() -> None:
    registry = SessionRegistry(Settings(max_history_events=100))
    with registry.open() as session:
        record = engine_of(registry).record(session.id)

        def emit(_: int) -> None:
            for number in range(2000):
                session.log(str(number))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(emit, range(4)))
        assert record.locked(lambda history: history.head) == 8001
        snapshot = session.snapshot()
        assert snapshot.seq == 8001
        assert len(record.history) == 100
        seqs = [log.seq for log in snapshot.logs]
        assert all(later == earlier + 1 for earlier, later in pairwise(seqs))


def test_a_signal_handler_may_emit_at_any_moment() -> None:
    registry, _ = on_virtual_time(max_history_events=50)
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        session.log("from the handler")
        with session.step("in the handler") as step:
            step.advance()

    with registry.open() as session:
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            number = 0
            while handled < 200:
                number += 1
                session.log(str(number))
                session.snapshot()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        # Each handler: a line, a step's start, progress and end.
        assert registry.get(session.id).head == 1 + number + 4 * handled
        assert session.dropped == 0


def test_a_signal_handler_may_end_a_session_that_its_thread_is_writing() -> None:
    registry, _ = on_virtual_time()
    record_of = engine_of(registry).record

    class Ending:
        """Ends its session when it is encoded, in the middle of a turn."""

        def __repr__(self) -> str:
            record_of(session.id).transition({"type": "session.cancelled", "reason": "signal"})
            return "ending"

    with registry.open() as session:
        with session.step("a") as step:
            step.advance(message=Ending())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        record = record_of(session.id)
        record.locked(lambda _: record.transition({"type": "session.cancelled"}))
        assert session.status == "cancelled"
    assert registry.get(session.id).status == "cancelled"


class Emitting:
    """Emits when it is thrown away, wherever that happens to be."""

    def __init__(self, session: ProgressSession) -> None:
        self.session = session
        self.myself = self

    def __del__(self) -> None:
        self.session.log("finalized")


def test_finalizers_may_emit_wherever_the_collector_runs() -> None:
    registry, _ = on_virtual_time(max_history_events=20)
    before = gc.get_threshold()
    with registry.open() as session:
        gc.collect()
        gc.set_threshold(5)
        try:
            for _ in range(300):
                Emitting(session)
                session.log("line")
                session.snapshot()
        finally:
            gc.set_threshold(*before)
        gc.collect()
        assert registry.get(session.id).head == 1 + 600


def test_a_million_events_of_a_thread_without_a_loop_stay_bounded() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        record = engine_of(registry).record(session.id)
        for number in range(20_000):
            session.log(str(number))
        assert len(record.history) <= registry.settings.max_history_events
        pending = record.locked(lambda history: history.head) - record.history.head
        assert pending == 0
    assert messages(registry, session.id)[-1] == "19999"


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    registry, _ = on_virtual_time()
    with registry.open() as session:
        session.log("x")
        session.flush_sync()
    assert threading.active_count() == before
