"""A producer that is gone without a word: killed, or stopped for longer than its lease."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from agentprogress.events import SessionLost, SessionResumed
from tests.client.storm import as_items
from tests.conformance.oracle import check_items

from .conftest import StartPeer
from .kit import BRIEF, KEPT, Reader, entries_in, found_in, lapsed_in, numbers_in, quick, until
from .processes import Trouble

pytestmark = pytest.mark.server


@pytest.mark.anyio
async def test_who_follows_is_told_once_that_a_killed_producer_is_lost(
    url: str, start_peer: StartPeer
) -> None:
    producer = start_peer(url, **BRIEF)
    session_id = producer.ask("open", title="doomed")
    producer.ask("log", first=1, count=3)
    producer.ask("flush")
    reader, other = Reader(), Reader()
    # Two processes that would both say it.
    async with (
        quick(url, **BRIEF) as first,
        quick(url, **BRIEF) as second,
        anyio.create_task_group() as tasks,
        first.subscribe(session_id) as here,
        second.subscribe(session_id) as there,
    ):
        tasks.start_soon(reader.read, here)
        tasks.start_soon(other.read, there)
        await reader.until_number(3)
        producer.kill()
        await reader.until_ended()
        await other.until_ended()
    for items in (reader.items, other.items):
        assert [type(item) for item in items if isinstance(item, SessionLost)] == [SessionLost]
    assert [entry["type"] for entry in entries_in(url, session_id)].count("session.lost") == 1
    assert numbers_in(url, session_id) == [1, 2, 3]


@pytest.mark.anyio
async def test_a_job_that_is_delivered_again_goes_on_in_the_same_log(
    url: str, start_peer: StartPeer
) -> None:
    producer = start_peer(url, **KEPT)
    producer.ask("open", session_id="job-7")
    producer.ask("log", first=1, count=3)
    producer.ask("flush")
    reader = Reader()
    async with (
        quick(url, **KEPT) as registry,
        anyio.create_task_group() as tasks,
        registry.subscribe("job-7") as subscription,
    ):
        tasks.start_soon(reader.read, subscription)
        await reader.until_number(3)
        producer.kill()
        again = start_peer(url, **KEPT)
        await anyio.to_thread.run_sync(lambda: until(lambda: lapsed_in(url, "job-7")))
        again.ask("open", session_id="job-7", existing="resume")
        again.ask("log", first=4, count=3)
        head = again.ask("end")
        await reader.until_ended()
        # Nothing is missing, nothing came twice, and it is the same epoch to the end.
        check_items(as_items(reader.items), head)
    assert not reader.resets
    assert reader.numbers == [1, 2, 3, 4, 5, 6]
    assert [type(item) for item in reader.items].count(SessionResumed) == 1


def test_a_producer_that_still_lives_is_not_taken_over(url: str, start_peer: StartPeer) -> None:
    producer, second = start_peer(url), start_peer(url)
    producer.ask("open", session_id="job-8")
    with pytest.raises(Trouble, match="SessionConflict"):
        second.ask("open", session_id="job-8", existing="resume")
    producer.ask("log", first=1, count=1)
    producer.ask("end")
    assert numbers_in(url, "job-8") == [1]


def test_who_slept_through_a_takeover_writes_nothing_any_more(
    url: str, start_peer: StartPeer
) -> None:
    sleeper = start_peer(url, **KEPT)
    sleeper.ask("open", session_id="job-9")
    sleeper.ask("log", first=1, count=2)
    sleeper.ask("flush")
    sleeper.pause()
    until(lambda: lapsed_in(url, "job-9"))
    other = start_peer(url, **KEPT)
    other.ask("open", session_id="job-9", existing="resume")
    other.ask("log", first=3, count=2)
    other.ask("flush")
    sleeper.resume()
    sleeper.ask("log", first=100, count=2)
    with pytest.raises(Trouble, match="SessionConflict"):
        sleeper.ask("flush")
    assert sleeper.ask("dropped") >= 2
    sleeper.ask("end")
    other.ask("log", first=5, count=1)
    other.ask("end")
    assert numbers_in(url, "job-9") == [1, 2, 3, 4, 5]
    found = found_in(url, "job-9")
    assert found is not None
    assert found.status == "completed"


def test_a_reserved_session_whose_producer_never_comes_is_lost(
    url: str, start_peer: StartPeer
) -> None:
    gone = start_peer(url, pending_ttl=0.5, **BRIEF)
    session_id = gone.ask("reserve")
    gone.kill()
    # Whoever uses the store looks after all that is in it.
    with quick(url, **BRIEF) as registry, registry.open(title="something else"):
        until(lambda: (found := found_in(url, session_id)) and found.status == "lost")
    [entry] = entries_in(url, session_id)
    assert entry["type"] == "session.lost"
    assert entry["reason"] == "never_started"
