"""Following a session in the same process."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from agentprogress import Gap, ProgressSession, SessionRegistry, Snapshot
from agentprogress.errors import SessionGone, SessionUnknown
from agentprogress.registry import engine_of
from tests.kit import entered, following, on_virtual_time, settle

pytestmark = pytest.mark.anyio


def running(lines: int, **settings: Any) -> tuple[SessionRegistry, ProgressSession, str]:
    """Returns a registry with a running session of so many lines, and its epoch."""
    registry, _ = on_virtual_time(**settings)
    session = entered(registry.open(session_id="job"))
    for number in range(lines):
        session.log(str(number))
    return registry, session, registry.get("job").epoch


async def answer(
    registry: SessionRegistry, after: str | None
) -> tuple[str, list[Any], list[int | None]]:
    async with following(registry, "job", after) as follower:
        await settle()
        shown: list[Any] = []
        for item in follower.items:
            if isinstance(item, Gap):
                shown.append(("gap", item.missed_from, item.missed_to, item.reason))
            elif isinstance(item, Snapshot):
                shown.append(("snapshot", item.seq, item.reset))
        events = [i.seq for i in follower.items if not isinstance(i, Gap | Snapshot)]
        return follower.resume, shown, events


async def test_without_a_cursor_a_complete_log_comes_whole() -> None:
    registry, _, _ = running(5)
    assert await answer(registry, None) == ("fresh", [], [1, 2, 3, 4, 5, 6])


async def test_without_a_cursor_a_trimmed_log_comes_after_its_state() -> None:
    registry, _, _ = running(9, max_history_events=4)
    assert await answer(registry, None) == ("snapshot", [("snapshot", 6, False)], [7, 8, 9, 10])


@pytest.mark.parametrize(("seq", "events"), [(6, [7, 8, 9, 10]), (8, [9, 10]), (10, [])])
async def test_a_retained_cursor_resumes_exactly(seq: int, events: list[int]) -> None:
    registry, _, epoch = running(9, max_history_events=4)
    assert await answer(registry, f"{epoch}-{seq}") == ("exact", [], events)


@pytest.mark.parametrize("seq", [0, 2, 5])
async def test_an_older_cursor_is_told_what_it_missed(seq: int) -> None:
    registry, _, epoch = running(9, max_history_events=4)
    assert await answer(registry, f"{epoch}-{seq}") == (
        "gap",
        [("gap", seq + 1, 6, "evicted"), ("snapshot", 6, False)],
        [7, 8, 9, 10],
    )


@pytest.mark.parametrize("cursor", ["0000000000-3", "{epoch}-11", "nonsense", "", "{epoch}-x"])
async def test_a_cursor_of_another_log_starts_again(cursor: str) -> None:
    registry, _, epoch = running(9, max_history_events=4)
    assert await answer(registry, cursor.format(epoch=epoch)) == (
        "reset",
        [("snapshot", 6, True)],
        [7, 8, 9, 10],
    )
    registry, _, epoch = running(2)
    assert await answer(registry, cursor.format(epoch=epoch)) == (
        "reset",
        [("snapshot", 0, True)],
        [1, 2, 3],
    )


async def test_after_the_end_everything_comes_and_then_the_end() -> None:
    registry, session, epoch = running(2)
    with pytest.raises(LookupError), registry.open(session_id="failed"):
        raise LookupError
    async with following(registry, "failed") as follower:
        assert follower.finished
        assert follower.types == ["session.started", "session.failed"]
    head = registry.get("failed").head
    cursor = f"{registry.get('failed').epoch}-{head}"
    async with following(registry, "failed", cursor) as follower:
        assert (follower.finished, follower.items, follower.resume) == (True, [], "exact")
    assert session.status == "running"
    assert epoch


async def test_a_swept_history_leaves_its_state() -> None:
    registry, clock = on_virtual_time(history_ttl=5)
    async with registry:
        with registry.open(session_id="job") as session:
            session.complete("result")
        await clock.advance(7)
        async with following(registry, "job") as follower:
            assert follower.finished
            assert (follower.resume, follower.types) == ("snapshot", ["snapshot"])
            item = follower.items[0]
            assert isinstance(item, Snapshot)
            assert (item.state.status, item.state.result) == ("completed", "result")


async def test_what_never_was_or_is_gone_is_told_when_entered() -> None:
    registry, _, _ = running(0)
    with pytest.raises(SessionUnknown):
        async with registry.subscribe("other"):
            pass
    registry.delete("job")
    with pytest.raises(SessionGone):
        async with registry.subscribe("job"):
            pass
    assert registry.stats().subscribers == 0


async def test_events_come_as_they_happen_and_the_cursor_moves_along() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            for number in range(5):
                session.log(str(number))
                await clock.advance(1)
                assert len(follower.items) == number + 2
                assert follower.subscription is not None
                assert follower.subscription.cursor == session.cursor


async def test_a_session_that_was_quiet_is_published_at_once_and_a_busy_one_at_its_tick() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            await clock.advance(1)
            session.log("at once")
            await settle()
            assert len(follower.items) == 2
            session.log("at the tick")
            session.log("with it")
            await settle()
            assert len(follower.items) == 2
            await clock.advance(registry.settings.delivery_interval)
            assert len(follower.items) == 4


async def test_a_slow_reader_is_told_what_it_missed_and_goes_on() -> None:
    registry, clock = on_virtual_time(max_history_events=4, max_batch_events=2)
    with registry.open(session_id="job") as session:
        async with following(registry, "job") as follower:
            follower.stall()
            session.log("one to stall on")
            await clock.advance(1)
            for number in range(20):
                session.log(str(number))
            await clock.advance(1)
            follower.reads.set()
            await settle()
            session.log("last")
            await clock.advance(1)
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
            session.log("and on")
            await clock.advance(1)
            assert follower.seqs[-1] == registry.get("job").head


async def test_a_reader_that_never_waits_lets_others_run() -> None:
    registry, _, _ = running(900, max_batch_events=1)
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        async with registry.subscribe("job") as subscription:
            for _ in range(901):
                await anext(subscription)
        tasks.cancel_scope.cancel()
    assert others > 100


async def test_events_leaves_out_what_is_none() -> None:
    registry, _, epoch = running(9, max_history_events=4)
    async with registry.subscribe("job", after=f"{epoch}-0") as subscription:
        events = subscription.events()
        assert [(await anext(events)).seq for _ in range(4)] == [7, 8, 9, 10]


async def test_a_cancelled_reader_loses_nothing() -> None:
    registry, clock = on_virtual_time()
    with registry.open(session_id="job") as session:
        async with registry.subscribe("job") as subscription:
            seqs: list[Any] = []
            for number in range(10):
                session.log(str(number))
                await clock.advance(1)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    seqs.append(getattr(await anext(subscription), "seq", None))
            while len(seqs) < 11:
                seqs.append(getattr(await anext(subscription), "seq", None))
            assert seqs == list(range(1, 12))


async def test_a_subscription_is_used_as_a_block() -> None:
    registry, _, _ = running(0)
    with pytest.raises(RuntimeError, match="async with"):
        await anext(registry.subscribe("job"))


async def test_leaving_forgets_the_subscriber_everywhere() -> None:
    registry, _, _ = running(0)
    async with registry.subscribe("job"):
        assert registry.get("job").subscribers == registry.stats().subscribers == 1
    assert registry.get("job").subscribers == registry.stats().subscribers == 0
    assert not engine_of(registry).record("job").subscribers
