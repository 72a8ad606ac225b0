from __future__ import annotations

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from agentprogress.client._inbox import Inbox
from agentprogress.client._reader import NewEvent
from agentprogress.errors import FollowError
from agentprogress.settings import Settings

from .line import EPOCH, event

pytestmark = pytest.mark.anyio

SMALL = Settings(max_buffered_events=3, max_buffered_bytes=100)


def items(*seqs: int) -> list[NewEvent]:
    return [NewEvent(EPOCH, event(seq)) for seq in seqs]


async def test_deliveries_come_out_in_their_order() -> None:
    inbox = Inbox(SMALL)
    inbox.put(items(1, 2), 10)
    inbox.put(items(3), 10)
    assert [await inbox.take() for _ in range(3)] == items(1, 2, 3)


async def test_who_takes_waits_until_something_comes() -> None:
    inbox, taken = Inbox(SMALL), list[object]()

    async def take() -> None:
        taken.append(await inbox.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await wait_all_tasks_blocked()
        assert taken == []
        inbox.put(items(1), 10)
    assert taken == items(1)


async def test_all_there_is_can_be_taken_at_once() -> None:
    inbox = Inbox(SMALL)
    inbox.put(items(1, 2, 3), 10)
    assert await inbox.take_all() == items(1, 2, 3)
    inbox.put(items(4), 10)
    inbox.close(None)
    assert await inbox.take_all() == items(4)
    assert await inbox.take_all() == []


@pytest.mark.parametrize(
    ("sizes", "full"),
    [([(1, 10)] * 2, False), ([(1, 10)] * 3, True), ([(1, 99)], False), ([(1, 100)], True)],
)
async def test_it_is_full_by_number_or_by_bytes(sizes: list[tuple[int, int]], full: bool) -> None:
    inbox = Inbox(SMALL)
    for number, size in sizes:
        inbox.put(items(*range(1, number + 1)), size)
    assert inbox.full is full


async def test_who_reads_from_the_server_waits_for_room() -> None:
    inbox, passed = Inbox(SMALL), anyio.Event()

    async def read() -> None:
        await inbox.room()
        passed.set()

    inbox.put(items(1, 2, 3, 4), 10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await wait_all_tasks_blocked()
        await inbox.take()  # three are left
        await wait_all_tasks_blocked()
        assert not passed.is_set()
        await inbox.take()
        await wait_all_tasks_blocked()
        assert passed.is_set()


async def test_nothing_is_counted_any_more_when_all_is_taken() -> None:
    inbox = Inbox(SMALL)
    for _ in range(50):
        inbox.put(items(1, 2, 3), 100)  # not divisible
        assert len(await inbox.take_all()) == 3
    inbox.put(items(1), 99)
    assert not inbox.full


async def test_a_reader_and_a_taker_never_leave_each_other_waiting() -> None:
    inbox, taken = Inbox(SMALL), list[object]()

    async def read() -> None:
        for seq in range(1, 200):
            await inbox.room()
            inbox.put(items(seq), seq % 120)
        inbox.close(None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        while some := await inbox.take_all():
            taken += some
    assert taken == items(*range(1, 200))


async def test_the_end_comes_after_all_that_came_before_it() -> None:
    inbox = Inbox(SMALL)
    inbox.put(items(1), 10)
    inbox.close(None)
    assert await inbox.take() == items(1)[0]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await inbox.take()


async def test_a_failure_is_raised_to_whoever_has_taken_all() -> None:
    inbox, error = Inbox(SMALL), FollowError("gone", "It is gone.", retryable=False)
    inbox.put(items(1), 10)
    inbox.close(error)
    inbox.close(None)  # the first one counts
    assert await inbox.take_all() == items(1)
    with pytest.raises(FollowError, match="It is gone"):
        await inbox.take()
    with pytest.raises(FollowError, match="It is gone"):
        await inbox.take_all()


async def test_closing_wakes_who_waits() -> None:
    inbox = Inbox(SMALL)
    async with anyio.create_task_group() as tasks:

        async def take() -> None:
            assert await inbox.take_all() == []

        tasks.start_soon(take)
        await wait_all_tasks_blocked()
        inbox.close(None)
