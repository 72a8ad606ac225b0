"""What happens to an id that was used: restart, and retries."""

from __future__ import annotations

import pytest

from agentprogress import ProgressSession, SessionCancelled, SessionRegistry
from agentprogress.errors import SessionConflict
from agentprogress.testing import ManualClock
from tests.kit import following, on_virtual_time, settle

async_test = pytest.mark.anyio


def run(registry: SessionRegistry, **options: object) -> ProgressSession:
    with registry.open(session_id="job", **options) as session:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        session.log("hello")
        session.complete("result")
    return session


def test_a_restart_is_a_new_epoch_and_the_next_attempt() -> None:
    registry, _ = on_virtual_time()
    first = run(registry)
    before = registry.get("job")
    with registry.open(session_id="job", existing="restart") as second:
        after = registry.get("job")
        assert after.epoch != before.epoch
        assert (second.attempt, after.attempt, after.head) == (2, 2, 1)
        with pytest.raises(SessionConflict):
            registry.result("job")
        first.log("from the grave")
        assert registry.get("job").head == 1
    assert registry.stats().sessions == {"completed": 1}


def test_restarting_what_runs_or_never_was_is_no_restart() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job", existing="restart") as session:
        assert session.attempt == 1
        with (
            pytest.raises(SessionConflict, match="already has a producer"),
            registry.open(session_id="job", existing="restart"),
        ):
            pass


@async_test
async def test_an_expired_session_restarts_as_the_next_attempt() -> None:
    registry, clock = on_virtual_time(history_ttl=1, result_ttl=2)
    run(registry)
    async with registry:
        await clock.advance(5)
        assert registry.stats().tombstones == 1
        with registry.open(session_id="job", existing="restart") as session:
            assert session.attempt == 2
            assert registry.stats().tombstones == 0


@async_test
async def test_the_expiry_of_the_old_epoch_does_not_touch_the_new_one() -> None:
    registry, clock = on_virtual_time(history_ttl=10, result_ttl=20)
    run(registry)
    async with registry:
        await clock.advance(9)
        with registry.open(session_id="job", existing="restart") as session:
            await clock.advance(100)
            assert registry.get("job").status == "running"
            session.log("alive")
            assert registry.get("job").head == 2


@async_test
async def test_subscribers_are_moved_to_the_new_epoch() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync(session_id="job")
    async with following(registry, "job") as follower:
        run(registry)
        with registry.open(session_id="job", existing="restart") as session:
            session.log("again")
        await settle()
        assert follower.finished
        first, reset, second = follower.items[:3], follower.items[3], follower.items[4:]
        assert [item.type for item in first][-1] == "session.completed"
        assert (reset.type, getattr(reset, "reset", None)) == ("snapshot", True)
        assert [item.type for item in second] == [
            "session.started",
            "log.message",
            "session.completed",
        ]


def failing_once(registry: SessionRegistry, error: Exception) -> ProgressSession:
    with (
        pytest.raises(type(error)),
        registry.open(session_id="job", plan=["a", "b"], retry_on=(OSError,)) as session,
    ):
        with session.phase("a"):
            pass
        session.phase("b")
        session.on_cancel(lambda: session.log("stale"))
        raise error
    return session


def test_an_error_to_be_retried_puts_the_session_back_to_pending() -> None:
    registry, _ = on_virtual_time()
    failing_once(registry, ConnectionError("down"))
    snapshot = registry.snapshot("job")
    assert (snapshot.status, snapshot.ended_at) == ("pending", None)
    assert snapshot.error is not None
    assert [step.status for step in snapshot.steps] == ["completed", "interrupted"]


def test_any_other_error_fails_it() -> None:
    registry, _ = on_virtual_time()
    failing_once(registry, ValueError("wrong"))
    assert registry.get("job").status == "failed"


def test_the_attempt_rises_with_the_next_run_in_the_same_epoch() -> None:
    registry, _ = on_virtual_time()
    failing_once(registry, ConnectionError("down"))
    before = registry.get("job")
    with registry.open(session_id="job") as session:
        assert session.attempt == 2
        assert session.snapshot().attempt == 2
        assert registry.get("job").epoch == before.epoch
    assert registry.get("job").status == "completed"


@pytest.mark.parametrize("plan", [None, ["a", "b"]])
def test_steps_of_the_plan_keep_their_places_in_the_next_attempt(plan: list[str] | None) -> None:
    registry, _ = on_virtual_time()
    failing_once(registry, ConnectionError("down"))
    known = [step.step_id for step in registry.snapshot("job").steps]
    with registry.open(session_id="job", plan=plan) as session:
        for name in ("a", "b"):
            with session.phase(name):
                pass
        steps = session.snapshot().steps
        assert [step.step_id for step in steps] == known
        assert [step.status for step in steps] == ["completed", "completed"]


def test_the_producer_of_the_failed_attempt_is_no_longer_heard() -> None:
    registry, _ = on_virtual_time()
    old = failing_once(registry, ConnectionError("down"))
    with registry.open(session_id="job") as session:
        head = registry.get("job").head
        old.log("late")
        with pytest.raises(SessionConflict):
            old.flush_sync()
        assert registry.get("job").head == head
        assert session.request_cancel()
        # Neither are the callbacks it had registered.
        session.snapshot()
        assert "stale" not in [log.message for log in session.snapshot().logs]


def test_a_cancelled_job_is_not_retried() -> None:
    registry, _ = on_virtual_time()
    with (
        pytest.raises(SessionCancelled),
        registry.open(session_id="job", retry_on=(Exception,)) as session,
    ):
        session.request_cancel("enough")
        session.raise_if_cancelled()
    assert registry.get("job").status == "cancelled"


@async_test
async def test_a_retry_that_nobody_starts_is_lost() -> None:
    registry, clock = on_virtual_time(pending_ttl=60)
    failing_once(registry, ConnectionError("down"))
    async with registry:
        await clock.advance(59)
        assert registry.get("job").status == "pending"
        await clock.advance(2)
        assert registry.get("job").status == "lost"


@async_test
async def test_a_job_of_the_registry_is_retried_by_starting_its_id_again() -> None:
    clock = ManualClock()
    registry = SessionRegistry(clock=clock)
    attempts: list[int] = []

    async def job(session: ProgressSession) -> str:
        attempts.append(session.attempt)
        if len(attempts) == 1:
            raise TimeoutError
        return "done"

    registry.start(job, session_id="job", retry_on=(TimeoutError,))
    await settle()
    assert registry.get("job").status == "pending"
    registry.start(job, session_id="job", retry_on=(TimeoutError,))
    await settle()
    assert attempts == [1, 2]
    assert registry.result("job") == "done"


def test_a_waiting_session_is_taken_up_only_on_purpose() -> None:
    registry, _ = on_virtual_time()
    run(registry)
    with (
        pytest.raises(SessionConflict, match="completed"),
        registry.open(session_id="job", existing="resume"),
    ):
        pass
