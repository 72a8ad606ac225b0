"""Following a session in the same process, wherever it lives and whoever produces it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from agentprogress import Gap, ProgressSession, SessionRegistry, Snapshot
from agentprogress.errors import SessionGone, SessionUnknown
from agentprogress.registry import engine_of
from tests.backings import EVERYWHERE, ON_VIRTUAL_TIME, Backing, Stores
from tests.kit import Follower, entered, following

pytestmark = pytest.mark.anyio

moves_time = pytest.mark.parametrize("backing", ON_VIRTUAL_TIME, ids=str, indirect=True)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with Stores(tmp_path_factory.mktemp("stores")) as stores:
        yield stores


@pytest.fixture(params=EVERYWHERE, ids=str)
def backing(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Backing]:
    with Backing(request.param, stores) as backing:
        yield backing


class Running:
    """A running session, as its producer and as its followers see it.

    Attributes:
        producer: the registry that it runs in.
        registry: the one in which it is followed.
    """

    def __init__(
        self, session: ProgressSession, producer: SessionRegistry, registry: SessionRegistry
    ) -> None:
        self.session = session
        self.producer = producer
        self.registry = registry

    @property
    def epoch(self) -> str:
        return self.registry.get("job").epoch

    def has_told(self, follower: Follower) -> bool:
        """Whether the follower has everything that is in the log."""
        assert follower.subscription is not None
        return follower.subscription.cursor == self.session.cursor


async def running(backing: Backing, lines: int = 0, **settings: Any) -> Running:
    """Returns a session of so many lines, that goes on."""
    producer, registry = backing.registries(**settings)
    session = entered(producer.open(session_id="job"))
    for number in range(lines):
        session.log(str(number))
    if backing.way.store is not None:
        await session.flush()  # what a store has not yet is in no log
    return Running(session, producer, registry)


def reached(follower: Follower, seq: int) -> Callable[[], bool]:
    return lambda: follower.seqs[-1:] == [seq]


async def answer(
    backing: Backing, job: Running, after: str | None
) -> tuple[str, list[Any], list[int | None]]:
    async with following(job.registry, "job", after) as follower:
        await backing.until(follower, lambda: job.has_told(follower), within=0)
        shown: list[Any] = []
        for item in follower.items:
            if isinstance(item, Gap):
                shown.append(("gap", item.missed_from, item.missed_to, item.reason))
            elif isinstance(item, Snapshot):
                shown.append(("snapshot", item.seq, item.reset))
        events = [i.seq for i in follower.items if not isinstance(i, Gap | Snapshot)]
        return follower.resume, shown, events


async def test_without_a_cursor_a_complete_log_comes_whole(backing: Backing) -> None:
    job = await running(backing, 5)
    assert await answer(backing, job, None) == ("fresh", [], [1, 2, 3, 4, 5, 6])


async def test_without_a_cursor_a_trimmed_log_comes_after_its_state(backing: Backing) -> None:
    job = await running(backing, 9, max_history_events=4)
    assert await answer(backing, job, None) == (
        "snapshot",
        [("snapshot", 6, False)],
        [7, 8, 9, 10],
    )


@pytest.mark.parametrize(("seq", "events"), [(6, [7, 8, 9, 10]), (8, [9, 10]), (10, [])])
async def test_a_retained_cursor_resumes_exactly(
    backing: Backing, seq: int, events: list[int]
) -> None:
    job = await running(backing, 9, max_history_events=4)
    assert await answer(backing, job, f"{job.epoch}-{seq}") == ("exact", [], events)


@pytest.mark.parametrize("seq", [0, 2, 5])
async def test_an_older_cursor_is_told_what_it_missed(backing: Backing, seq: int) -> None:
    job = await running(backing, 9, max_history_events=4)
    assert await answer(backing, job, f"{job.epoch}-{seq}") == (
        "gap",
        [("gap", seq + 1, 6, "evicted"), ("snapshot", 6, False)],
        [7, 8, 9, 10],
    )


@pytest.mark.parametrize("cursor", ["0000000000-3", "{epoch}-11", "nonsense", "", "{epoch}-x"])
async def test_a_cursor_of_another_log_starts_again(backing: Backing, cursor: str) -> None:
    job = await running(backing, 9, max_history_events=4)
    assert await answer(backing, job, cursor.format(epoch=job.epoch)) == (
        "reset",
        [("snapshot", 6, True)],
        [7, 8, 9, 10],
    )
    job = await running(backing, 2)
    assert await answer(backing, job, cursor.format(epoch=job.epoch)) == (
        "reset",
        [("snapshot", 0, True)],
        [1, 2, 3],
    )


async def test_after_the_end_everything_comes_and_then_the_end(backing: Backing) -> None:
    job = await running(backing, 2)
    with pytest.raises(LookupError), job.producer.open(session_id="failed"):
        raise LookupError
    async with following(job.registry, "failed") as follower:
        await backing.until(follower, lambda: follower.finished, within=0)
        assert follower.types == ["session.started", "session.failed"]
    info = job.registry.get("failed")
    async with following(job.registry, "failed", f"{info.epoch}-{info.head}") as follower:
        await backing.until(follower, lambda: follower.finished, within=0)
        assert (follower.items, follower.resume) == ([], "exact")
    assert job.session.status == "running"


@moves_time
async def test_a_swept_history_leaves_its_state(backing: Backing) -> None:
    producer, registry = backing.registries(history_ttl=5)
    async with registry:
        with producer.open(session_id="job") as session:
            session.complete("result")
        await backing.advance(7)
        async with following(registry, "job") as follower:
            assert follower.finished
            assert (follower.resume, follower.types) == ("snapshot", ["snapshot"])
            item = follower.items[0]
            assert isinstance(item, Snapshot)
            assert (item.state.status, item.state.result) == ("completed", "result")


async def test_what_never_was_or_is_gone_is_told_when_entered(backing: Backing) -> None:
    job = await running(backing)
    with pytest.raises(SessionUnknown):
        async with job.registry.subscribe("other"):
            pass
    job.producer.delete("job")
    with pytest.raises(SessionGone):
        async with job.registry.subscribe("job"):
            pass
    assert job.registry.stats().subscribers == 0


async def test_events_come_as_they_happen_and_the_cursor_moves_along(backing: Backing) -> None:
    job = await running(backing)
    async with following(job.registry, "job") as follower:
        for count in range(1, 6):
            assert len(follower.items) == count
            job.session.log("another")
            await backing.until(follower, reached(follower, count + 1))
            assert follower.subscription is not None
            assert follower.subscription.cursor == f"{job.epoch}-{count + 1}"
            await job.session.flush()  # the producer's process may be the last to hear of it
            assert job.has_told(follower)


@moves_time
async def test_a_session_that_was_quiet_is_published_at_once_and_a_busy_one_at_its_tick(
    backing: Backing,
) -> None:
    job = await running(backing)
    async with following(job.registry, "job") as follower:
        await backing.advance(1)
        job.session.log("at once")
        await backing.advance(0)
        assert len(follower.items) == 2
        job.session.log("at the tick")
        job.session.log("with it")
        await backing.advance(0)
        assert len(follower.items) == 2
        await backing.advance(job.registry.settings.delivery_interval)
        assert len(follower.items) == 4


async def test_a_slow_reader_is_told_what_it_missed_and_goes_on(backing: Backing) -> None:
    job = await running(backing, max_history_events=4, max_batch_events=2)
    async with following(job.registry, "job") as follower, following(job.registry, "job") as other:
        follower.stall()
        job.session.log("one to stall on")
        await backing.until(follower, reached(follower, 2))
        for number in range(20):
            job.session.log(str(number))
        # Whatever others have been told, this one has missed.
        await backing.until(other, reached(other, 22))
        assert follower.seqs == [1, 2]
        follower.reads.set()
        await backing.until(follower, reached(follower, 22), within=0)
        job.session.log("last")
        await backing.until(follower, reached(follower, 23))
        kinds = follower.types
        gap = next(item for item in follower.items if isinstance(item, Gap))
        snapshot = follower.items[follower.items.index(gap) + 1]
        assert gap.reason == "slow"
        assert isinstance(snapshot, Snapshot)
        assert not snapshot.reset
        assert gap.missed_to == snapshot.seq
        before = follower.items[follower.items.index(gap) - 1]
        assert not isinstance(before, Gap)
        assert before.seq == gap.missed_from - 1
        assert kinds[-1] == "log.message"
        job.session.log("and on")
        await backing.until(follower, reached(follower, 24))
        assert job.registry.get("job").head == 24


async def test_a_reader_that_never_waits_lets_others_run(backing: Backing) -> None:
    job = await running(backing, 900, max_batch_events=1)
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        async with job.registry.subscribe("job") as subscription:
            tasks.start_soon(other)
            for _ in range(901):
                await anext(subscription)
        tasks.cancel_scope.cancel()
    assert others > 100


async def test_events_leaves_out_what_is_none(backing: Backing) -> None:
    job = await running(backing, 9, max_history_events=4)
    async with job.registry.subscribe("job", after=f"{job.epoch}-0") as subscription:
        events = subscription.events()
        assert [(await anext(events)).seq for _ in range(4)] == [7, 8, 9, 10]


async def test_a_cancelled_reader_loses_nothing(backing: Backing) -> None:
    job = await running(backing)
    async with (
        following(job.registry, "job") as other,
        job.registry.subscribe("job") as subscription,
    ):
        seqs: list[Any] = []
        for number in range(10):
            job.session.log(str(number))
            await backing.until(other, reached(other, number + 2))
            with anyio.CancelScope() as scope:
                scope.cancel()
                seqs.append(getattr(await anext(subscription), "seq", None))
        while len(seqs) < 11:
            seqs.append(getattr(await anext(subscription), "seq", None))
        assert seqs == list(range(1, 12))


async def test_a_subscription_is_used_as_a_block(backing: Backing) -> None:
    job = await running(backing)
    with pytest.raises(RuntimeError, match="async with"):
        await anext(job.registry.subscribe("job"))


async def test_leaving_forgets_the_subscriber_everywhere(backing: Backing) -> None:
    job = await running(backing)
    async with job.registry.subscribe("job"):
        assert job.registry.get("job").subscribers == job.registry.stats().subscribers == 1
    assert job.registry.get("job").subscribers == job.registry.stats().subscribers == 0
    assert not engine_of(job.registry).record("job").subscribers
