"""`reserve`: an id for a job that begins later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from agentprogress.errors import SessionConflict, SessionGone
from tests.kit import entered, following, on_virtual_time, settle

async_test = pytest.mark.anyio


@async_test
async def test_a_reserved_session_is_pending_until_somebody_opens_it() -> None:
    registry, _ = on_virtual_time()
    handle = await registry.reserve(title="report", owner="ann", private={"row": 7})
    session_id = handle["session_id"]
    info = registry.get(session_id)
    assert (info.status, info.title, info.owner, info.private) == (
        "pending",
        "report",
        "ann",
        {"row": 7},
    )
    async with registry.open(session_id=session_id) as session:
        assert session.id == session_id
        assert session.attempt == 1
        snapshot = session.snapshot()
        assert (snapshot.status, snapshot.title) == ("running", "report")


@async_test
async def test_a_subscriber_may_wait_for_the_beginning() -> None:
    registry, _ = on_virtual_time()
    handle = await registry.reserve(session_id="job")
    async with following(registry, "job") as follower:
        assert (follower.resume, follower.items) == ("fresh", [])
        with registry.open(session_id=handle["session_id"]) as session:
            session.log("at last")
        await settle()
        assert follower.finished
        assert follower.types == ["session.started", "log.message", "session.completed"]


def test_what_was_said_when_reserving_holds_when_the_job_begins() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job", title="a", metadata={"k": 1}, plan=["one"])
    with registry.open(session_id="job", title="b") as session:
        snapshot = session.snapshot()
        assert (snapshot.title, snapshot.metadata) == ("b", {"k": 1})
        assert [step.name for step in snapshot.steps] == ["one"]


def test_reserving_again_changes_nothing_and_tells_no_token() -> None:
    registry, _ = on_virtual_time()
    first = registry.reserve_sync(session_id="job", title="first")
    again = registry.reserve_sync(session_id="job", title="second")
    assert first["control_token"]
    assert again == {**first, "control_token": None}
    assert registry.get("job").title == "first"
    with registry.open(session_id="job"):
        assert registry.reserve_sync(session_id="job")["session_id"] == "job"
    assert registry.reserve_sync(session_id="job")["session_id"] == "job"
    assert registry.get("job").status == "completed"


def test_reserving_from_many_threads_makes_one_session_and_one_token() -> None:
    registry, _ = on_virtual_time()
    with ThreadPoolExecutor(8) as threads:
        handles = list(threads.map(lambda _: registry.reserve_sync(session_id="job"), range(64)))
    assert sum(handle["control_token"] is not None for handle in handles) == 1
    assert len(registry.list()) == 1


def test_opening_from_many_threads_lets_one_in() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job")

    def enter(_: int) -> bool:
        try:
            entered(registry.open(session_id="job"))
        except SessionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(enter, range(64))) == 1
    assert registry.get("job").head == 1


def test_cancelling_a_pending_session_ends_it() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job")
    assert registry.cancel("job", "not needed")
    assert registry.get("job").status == "cancelled"
    assert not registry.cancel("job")
    with pytest.raises(SessionConflict, match="cancelled"), registry.open(session_id="job"):
        pass


def test_an_expired_id_is_not_reserved_by_mistake() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job"):
        pass
    registry.delete("job")
    with pytest.raises(SessionGone):
        registry.reserve_sync(session_id="job")
    handle = registry.reserve_sync(session_id="job", existing="restart")
    assert handle["control_token"]
    assert (registry.get("job").status, registry.get("job").attempt) == ("pending", 2)
