"""What goes when memory is short, and in which order."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.errors import SessionGone, TooManySessions, TooManySubscribers
from agentprogress.registry import engine_of
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio

KIB = 1024
LINE = "x" * 1000

# A store in which four histories of 64 KiB are too many.
SMALL = Settings(
    max_history_bytes=64 * KIB,
    min_history_bytes=8 * KIB,
    max_event_bytes=64 * KIB,
    max_store_bytes=200 * KIB,
)


def fill(session: ProgressSession, kib: int) -> None:
    for _ in range(kib):
        session.log(LINE)
    session.snapshot()


def ended(registry: SessionRegistry, session_id: str, kib: int, result: object = None) -> None:
    with registry.open(session_id=session_id) as session:
        fill(session, kib)
        session.complete(result)


def retained(registry: SessionRegistry, session_id: str) -> int:
    return len(engine_of(registry).record(session_id).history)


def counted(registry: SessionRegistry) -> int:
    """Recounts what is held, from the records themselves."""
    overhead = registry.settings.event_overhead_bytes
    total = 0
    for record in engine_of(registry).local:
        total += record.history.size_bytes + overhead * len(record.history)
        total += len(record.life.result or b"")
        if not len(record.history):
            total += len(record.locked(lambda history: history.head_json()))
    return total


def test_a_history_is_bounded_in_events_and_in_bytes() -> None:
    registry = SessionRegistry(Settings(max_history_events=10, max_history_bytes=64 * KIB))
    with registry.open() as session:
        for _ in range(25):
            session.log("short")
        session.snapshot()
        history = engine_of(registry).record(session.id).history
        assert (len(history), history.head) == (10, 26)
        for _ in range(9):
            session.log(LINE * 9)
        session.snapshot()
        assert history.size_bytes <= 64 * KIB
        assert 6 <= len(history) <= 8


def test_histories_of_ended_sessions_go_first_the_oldest_before_the_others() -> None:
    registry = SessionRegistry(SMALL)
    ended(registry, "old", 50, result="kept")
    ended(registry, "young", 50)
    with registry.open(session_id="running") as session:
        fill(session, 50)
        assert retained(registry, "old") > 0
        with registry.open(session_id="last") as last:
            fill(last, 25)
            assert retained(registry, "old") == 0
            assert retained(registry, "young") > 0
            assert retained(registry, "running") == 51
    # Losing history loses detail, never state.
    assert registry.snapshot("old").seq == 52
    assert registry.result("old") == "kept"
    assert registry.stats().held_bytes <= SMALL.max_store_bytes
    assert registry.stats().held_bytes == counted(registry)


def test_then_running_sessions_keep_only_a_small_history() -> None:
    registry = SessionRegistry(SMALL)
    sessions = [entered(registry.open(session_id=session_id)) for session_id in "abcd"]
    for session in sessions:
        fill(session, 55)
    assert registry.stats().held_bytes <= SMALL.max_store_bytes
    assert retained(registry, "a") < 10
    assert retained(registry, "d") > 40
    fill(sessions[0], 50)
    assert retained(registry, "a") < 10
    assert sessions[0].snapshot().seq == 106


def test_a_last_event_that_is_larger_than_the_history_leaves_a_state_that_is_counted() -> None:
    registry = SessionRegistry(SMALL)
    with registry.open(session_id="job") as session:
        fill(session, 30)
        engine_of(registry).record("job").shrink(8 * KIB)
        session.complete("r" * 10 * KIB)
    assert retained(registry, "job") == 0
    assert registry.stats().held_bytes == counted(registry) > 30 * KIB


def test_then_the_oldest_results_that_nobody_follows() -> None:
    registry = SessionRegistry(SMALL)
    for session_id in ("a", "b", "c"):
        ended(registry, session_id, 1, result="r" * 60 * KIB)
    ended(registry, "d", 1, result="r" * 60 * KIB)
    with pytest.raises(SessionGone):
        registry.get("a")
    assert registry.result("b")
    assert registry.stats().held_bytes == counted(registry) <= SMALL.max_store_bytes


@async_test
async def test_a_result_that_somebody_follows_stays() -> None:
    registry = SessionRegistry(SMALL)
    ended(registry, "a", 1, result="r" * 60 * KIB)
    registry.reserve_sync(session_id="wanted")
    async with following(registry, "wanted"):
        registry.cancel("wanted")
        for session_id in ("b", "c", "d"):
            ended(registry, session_id, 1, result="r" * 60 * KIB)
        await settle()
    with pytest.raises(SessionGone):
        registry.get("a")
    assert registry.get("wanted").status == "cancelled"


def test_then_opening_raises() -> None:
    registry = SessionRegistry(SMALL)
    blocks = [registry.open(session_id=f"job-{number}") for number in range(40)]
    with pytest.raises(TooManySessions, match="max_store_bytes"):
        for block in blocks:
            fill(entered(block), 8)
    # The producers that run are not harmed.
    with registry_room(registry) as session:
        session.log("on")


class registry_room:
    """The first running session, which may go on emitting when there is no room for others."""

    def __init__(self, registry: SessionRegistry) -> None:
        self.session = registry.attach(registry.list(limit=1)[0].id)

    def __enter__(self) -> ProgressSession:
        return self.session

    def __exit__(self, *exc_info: object) -> None:
        head = self.session.snapshot().seq
        self.session.log("still on")
        assert self.session.snapshot().seq == head + 1


def test_there_may_be_so_many_sessions_and_no_more() -> None:
    registry = SessionRegistry(Settings(max_sessions=3))
    running = registry.open(session_id="running")
    entered(running)
    for number in range(10):
        ended(registry, f"ended-{number}", 1)
    assert [info.id for info in registry.list()] == ["running", "ended-8", "ended-9"]
    with pytest.raises(SessionGone):
        registry.get("ended-0")
    others = [registry.open(session_id=f"more-{number}") for number in range(2)]
    for block in others:
        entered(block)
    with pytest.raises(TooManySessions, match="max_sessions is 3"):
        entered(registry.open())
    assert len(registry.list()) == 3


def test_tombstones_are_bounded_too() -> None:
    registry = SessionRegistry(Settings(max_tombstones=5))
    for number in range(8):
        ended(registry, f"job-{number}", 1)
        registry.delete(f"job-{number}")
    assert registry.stats().tombstones == registry.stats().deadlines == 5
    with pytest.raises(SessionGone):
        registry.get("job-7")


def test_a_try_to_evict_in_vain_is_not_repeated_for_each_event() -> None:
    registry = SessionRegistry(SMALL)
    looks: list[str] = []
    store = engine_of(registry).local

    class Watched(dict):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            looks.append("scan")
            return super().__iter__()

    store._results = Watched()  # pyright: ignore[reportPrivateUsage]
    blocks = [registry.open(session_id=f"job-{number}") for number in range(25)]
    sessions = [entered(block) for block in blocks]
    for session in sessions:
        fill(session, 9)
    looks.clear()
    assert registry.stats().held_bytes > SMALL.max_store_bytes
    for number in range(100):
        sessions[number % 25].log("short")
        sessions[number % 25].snapshot()
    assert len(looks) <= 2


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns so often that each order of their steps comes up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_threads_that_all_push_over_the_bound_do_not_deadlock_and_the_count_stays_exact() -> None:
    registry = SessionRegistry(SMALL)

    def work(thread: int) -> None:
        for number in range(15):
            with registry.open(session_id=f"{thread}-{number}") as session:
                fill(session, 30)
                session.complete("r" * 10 * KIB)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work, thread) for thread in range(4)]:
            future.result()
    assert registry.stats().held_bytes == counted(registry) <= SMALL.max_store_bytes


def test_nothing_refers_to_a_session_that_was_deleted_while_its_history_was_large() -> None:
    registry = SessionRegistry(SMALL)
    ended(registry, "large", 50)
    record = weakref.ref(engine_of(registry).record("large"))
    registry.delete("large")
    gc.collect()
    assert record() is None


@async_test
async def test_subscribers_of_one_principal_and_of_the_process_are_bounded() -> None:
    registry, _ = on_virtual_time(max_subscribers=3, max_session_subscribers=2)
    with registry.open(session_id="job"):
        async with (
            registry.subscribe("job"),
            registry.subscribe("job"),
            registry.subscribe("job"),
        ):
            with pytest.raises(TooManySubscribers):
                async with registry.subscribe("job"):
                    pass
        async with registry.subscribe("job"):
            assert registry.stats().subscribers == 1
