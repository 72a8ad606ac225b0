"""Deleting sessions, and listing them."""

from __future__ import annotations

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.errors import SessionGone, SessionUnknown
from tests.kit import following, on_virtual_time, retained, settle

async_test = pytest.mark.anyio


@async_test
async def test_deleting_tells_those_who_follow_and_leaves_a_tombstone() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job")
    async with following(registry, "job") as follower:
        registry.delete("job")
        await settle()
        assert follower.finished
        assert isinstance(follower.error, SessionGone)
    with pytest.raises(SessionGone, match="cancelled"):
        registry.get("job")
    assert registry.stats().tombstones == 1
    assert registry.stats().subscribers == 0


@async_test
async def test_deleting_a_running_session_cancels_its_job() -> None:
    registry, _ = on_virtual_time()
    stopped = anyio.Event()

    async def job(session: ProgressSession) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    session = registry.start(job)
    await settle()
    registry.delete(session.id)
    await settle()
    assert stopped.is_set()
    assert session.cancel_requested
    session.log("late")
    assert registry.stats().held_bytes == 0


def test_deleting_twice_says_that_it_is_gone() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job"):
        pass
    registry.delete("job")
    with pytest.raises(SessionGone):
        registry.delete("job")
    with pytest.raises(SessionUnknown):
        registry.delete("never")


def test_sessions_are_listed_in_the_order_of_their_creation() -> None:
    registry, _ = on_virtual_time()
    for number in range(6):
        with registry.open(session_id=f"job-{number}", owner="ab"[number % 2]):
            pass
    registry.reserve_sync(session_id="waiting", owner="a")
    ids = [info.id for info in registry.list()]
    assert ids == [f"job-{number}" for number in range(6)] + ["waiting"]
    assert [info.id for info in registry.list(owner="b")] == ["job-1", "job-3", "job-5"]
    assert [info.id for info in registry.list(status="pending")] == ["waiting"]
    assert [info.id for info in registry.list(limit=2)] == ["job-0", "job-1"]
    assert [info.id for info in registry.list(after="job-3", limit=2)] == ["job-4", "job-5"]
    assert [info.id for info in registry.list(after="job-3", owner="a")] == ["job-4", "waiting"]
    assert registry.list(after="nobody") == []
    assert registry.list(limit=0) == []


def test_the_private_data_of_a_session_is_told_to_nobody_else() -> None:
    registry, _ = on_virtual_time()
    with registry.open(
        session_id="job", owner="ann@example.org", private={"row": "p7q"}
    ) as session:
        session.log("x")
    text = b"".join(retained(registry, "job")).decode() + registry.snapshot("job").model_dump_json()
    assert "ann@example.org" not in text
    assert "p7q" not in text
    assert registry.get("job").private == {"row": "p7q"}


def test_odd_questions_are_answered_with_nothing() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job", owner="ada")
    assert registry.list(limit=0) == registry.list(limit=-1) == []
    assert registry.list(owner="\ud800") == registry.list(after="\ud800") == []
    assert [info.id for info in registry.list(limit=10**30)] == ["job"]


def test_an_owner_whose_name_is_no_text_is_found_by_it() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job", owner="\ud800")
    assert [info.id for info in registry.list(owner="\ud800")] == ["job"]
