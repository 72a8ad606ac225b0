"""Following a session whose producer is in another process: every row of the join table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentprogress import Snapshot
from agentprogress.errors import SessionGone, SessionUnknown

from .kit import Site, messages, shown

pytestmark = pytest.mark.anyio

Sites = Callable[..., Site]


def running(site: Site, lines: int) -> str:
    """Begins a session of so many lines, all stored, and returns its epoch."""
    session = site.session()
    for number in range(lines):
        session.log(str(number))
    session.flush_sync()
    return site.store.there("job").epoch


async def answer(site: Site, after: str | None) -> tuple[str, list[tuple[Any, ...]], list[Any]]:
    async with site.following(site.there, after) as follower:
        told = shown(follower.items)
        events = [seq for kind, seq, *rest in told if not rest]
        return follower.resume, [each for each in told if len(each) > 2], events


async def test_without_a_cursor_a_complete_log_comes_whole(site: Sites) -> None:
    job = site()
    running(job, 5)
    assert await answer(job, None) == ("fresh", [], [1, 2, 3, 4, 5, 6])


async def test_without_a_cursor_a_trimmed_log_comes_after_its_state(site: Sites) -> None:
    job = site(max_history_events=4)
    running(job, 9)
    assert await answer(job, None) == ("snapshot", [("snapshot", 6, False)], [7, 8, 9, 10])


@pytest.mark.parametrize(("seq", "events"), [(6, [7, 8, 9, 10]), (8, [9, 10]), (10, [])])
async def test_a_retained_cursor_resumes_exactly(site: Sites, seq: int, events: list[int]) -> None:
    job = site(max_history_events=4)
    epoch = running(job, 9)
    assert await answer(job, f"{epoch}-{seq}") == ("exact", [], events)


@pytest.mark.parametrize("seq", [0, 2, 5])
async def test_an_older_cursor_is_told_what_it_missed(site: Sites, seq: int) -> None:
    job = site(max_history_events=4)
    epoch = running(job, 9)
    assert await answer(job, f"{epoch}-{seq}") == (
        "gap",
        [("gap", seq + 1, 6, "evicted"), ("snapshot", 6, False)],
        [7, 8, 9, 10],
    )


@pytest.mark.parametrize("cursor", ["0000000000-3", "{epoch}-11", "nonsense", "", "{epoch}-x"])
async def test_a_cursor_of_another_log_starts_again(site: Sites, cursor: str) -> None:
    job = site(max_history_events=4)
    epoch = running(job, 9)
    assert await answer(job, cursor.format(epoch=epoch)) == (
        "reset",
        [("snapshot", 6, True)],
        [7, 8, 9, 10],
    )


async def test_events_come_as_they_are_stored(site: Sites) -> None:
    job = site()
    session = job.session()
    async with job.following(job.there) as follower:
        for number in range(5):
            session.log(str(number))
            await job.clock.advance(1)
            assert follower.seqs == list(range(1, number + 3))
            assert follower.subscription is not None
            assert follower.subscription.cursor == session.cursor


async def test_a_reader_that_falls_off_the_history_is_told_and_goes_on(site: Sites) -> None:
    job = site(max_history_events=4)
    session = job.session()
    async with job.following(job.there) as follower:
        follower.stall()
        session.log("taken, and then nothing is for a while")
        await job.clock.advance(1)
        for number in range(20):
            session.log(str(number))
            await job.clock.advance(1)
        follower.reads.set()
        await job.clock.settle()
        assert shown(follower.items) == [
            ("session.started", 1),
            ("log.message", 2),
            ("gap", 3, 22, "slow"),
            ("snapshot", 22, False),
        ]
        session.log("again")
        await job.clock.advance(1)
        assert follower.seqs[-1] == 23


async def test_a_reserved_session_is_waited_for(site: Sites) -> None:
    job = site()
    await job.here.reserve(session_id="job")
    async with job.following(job.there) as follower:
        assert (follower.items, follower.finished) == ([], False)
        with job.here.open(session_id="job"):
            pass
        await job.clock.advance(1)
        assert follower.types == ["session.started", "session.completed"]
        assert follower.finished


async def test_a_waiting_session_tells_what_it_waits_for_and_goes_on(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    async with job.following(job.there) as follower:
        assert follower.types == ["session.started", "input.requested", "session.waiting"]
        assert not follower.finished


async def test_after_the_end_everything_comes_and_then_the_end(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.log("a line")
    async with job.following(job.there) as follower:
        assert follower.finished
        assert follower.types == ["session.started", "log.message", "session.completed"]
    async with job.following(job.there, session.cursor) as follower:
        assert (follower.finished, follower.items, follower.resume) == (True, [], "exact")


async def test_a_swept_history_leaves_its_state(site: Sites) -> None:
    job = site(history_ttl=5)
    with job.here.open(session_id="job") as session:
        session.complete("result")
    await job.clock.advance(6)
    async with job.following(job.there) as follower:
        assert follower.finished
        assert (follower.resume, follower.types) == ("snapshot", ["snapshot"])
        (item,) = follower.items
        assert isinstance(item, Snapshot)
        assert (item.state.status, item.state.result) == ("completed", "result")


async def test_a_history_swept_while_it_was_held_leaves_its_state_as_well(site: Sites) -> None:
    job = site(history_ttl=5, replica_ttl=100)
    with job.here.open(session_id="job"):
        pass
    async with job.following(job.there) as follower:
        assert follower.types == ["session.started", "session.completed"]
    await job.clock.advance(6)
    for process in (job.here, job.there):
        async with job.following(process) as follower:
            assert (follower.resume, follower.types) == ("snapshot", ["snapshot"])


async def test_a_result_is_there_after_the_history(site: Sites) -> None:
    job = site(history_ttl=5)
    with job.here.open(session_id="job") as session:
        session.complete({"large": "x" * 20_000})
    await job.clock.advance(6)
    assert job.there.result("job") == {"large": "x" * 20_000}
    assert job.there.snapshot("job").result_bytes == 20_012


async def test_a_tombstone_says_that_it_was(site: Sites) -> None:
    job = site(history_ttl=5, result_ttl=10, tombstone_ttl=10)
    with job.here.open(session_id="job"):
        pass
    await job.clock.advance(11)
    for process in (job.here, job.there):
        with pytest.raises(SessionGone) as gone:
            async with process.subscribe("job"):
                pass
        assert gone.value.status == "completed"
    await job.clock.advance(10)
    for process in (job.here, job.there):
        with pytest.raises(SessionUnknown):
            async with process.subscribe("job"):
                pass


async def test_what_never_was_is_unknown(site: Sites) -> None:
    job = site()
    with pytest.raises(SessionUnknown):
        async with job.there.subscribe("job"):
            pass
    assert job.there.stats().subscribers == 0


async def test_a_cursor_ahead_of_what_is_held_here_is_no_cursor_of_another_log(
    site: Sites,
) -> None:
    job = site()
    session = job.session()
    async with job.following(job.there) as early:
        job.store.silent = True
        session.log("nobody is woken by this")
        await session.flush()
        assert early.seqs == [1]
        async with job.following(job.there, session.cursor) as late:
            assert (late.resume, late.items) == ("exact", [])
        # What was read for one is there for all.
        assert early.seqs == [1, 2]


async def test_a_lost_wake_up_costs_no_more_than_the_news_interval(site: Sites) -> None:
    job = site(news_interval=15)
    session = job.session()
    async with job.following(job.there) as follower:
        job.store.silent = True
        session.log("late, but here")
        await job.clock.advance(16)
        assert messages(follower.items) == ["late, but here"]
