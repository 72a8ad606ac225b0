"""What the registry tells of itself."""

from __future__ import annotations

import pytest

from agentprogress import SessionInfo
from tests.kit import following, on_virtual_time, settle

pytestmark = pytest.mark.anyio


async def test_stats_count_what_there_is() -> None:
    registry, _ = on_virtual_time()
    registry.reserve_sync()
    with registry.open() as done:
        pass
    done.log("too late")
    with registry.open(session_id="gone"):
        pass
    registry.delete("gone")
    with registry.open() as session:
        async with following(registry, session.id):
            stats = registry.stats()
    assert stats.sessions == {"pending": 1, "running": 1, "completed": 1}
    assert stats.tombstones == 1
    assert stats.subscribers == 1
    assert stats.dropped == 1
    assert stats.held_bytes > 0
    assert not stats.draining
    await registry.drain()
    assert registry.stats().draining


async def test_drops_of_sessions_that_are_gone_still_count() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        pass
    session.log("late")
    registry.delete("job")
    assert registry.stats().dropped == 1


async def test_a_stall_of_the_loop_is_told() -> None:
    registry, clock = on_virtual_time()
    async with registry:
        with registry.open(history_ttl=10):
            pass
        await settle()
        clock.jump(60)
        await settle()
        # As late as it came, and the threshold on top.
        assert 60 <= registry.stats().stalled <= 61


async def test_the_end_of_each_session_is_told_once_with_what_is_known_of_it() -> None:
    registry, _ = on_virtual_time()
    ended: list[SessionInfo] = []
    returned = registry.on_end(ended.append)
    assert returned == ended.append
    with registry.open(owner="ann") as session:
        session.log("x")
    registry.delete(session.id)
    assert [(info.id, info.status, info.owner, info.head) for info in ended] == [
        (session.id, "completed", "ann", 3)
    ]


async def test_a_failing_callback_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    registry, _ = on_virtual_time()
    told: list[str] = []

    @registry.on_end
    def fail(info: SessionInfo) -> None:
        raise RuntimeError("boom")

    @registry.on_end
    def note(info: SessionInfo) -> None:
        told.append(info.id)

    with registry.open() as session:
        pass
    assert told == [session.id]
    assert "boom" in caplog.text


async def test_a_coroutine_function_is_no_callback() -> None:
    registry, _ = on_virtual_time()

    async def callback(info: SessionInfo) -> None: ...

    class Callback:
        async def __call__(self) -> None: ...

    with pytest.raises(TypeError, match="on_end takes a plain function"):
        registry.on_end(callback)
    with registry.open() as session, pytest.raises(TypeError, match="on_cancel takes"):
        session.on_cancel(Callback())


def test_drops_of_an_earlier_attempt_still_count() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        pass
    session.log("late")
    with registry.open(session_id="job", existing="restart"):
        assert registry.stats().dropped == 1
