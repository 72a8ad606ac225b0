"""A Redis that is killed, comes back with its data or without, loses keys, or is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.errors import StoreUnavailable
from agentprogress.events import EventsDropped
from tests.stores.engines import Engine

from .kit import Reader, entries_in, numbers_in, quick

pytestmark = pytest.mark.server


class Scene:
    """A session with a producer, and who follows it by another registry, as in another process."""

    def __init__(self, session: ProgressSession, registry: SessionRegistry) -> None:
        self.session = session
        self.registry = registry
        self.reader = Reader()
        self._last = 0

    async def emit(self, count: int = 3) -> None:
        """Emits, and returns when it is stored."""
        for _ in range(count):
            self._last += 1
            self.session.log(f"{self._last}")
        await self.session.flush()

    async def arrived(self) -> None:
        """Returns when who follows has everything."""
        await self.reader.until_number(self._last)

    @property
    def dropped(self) -> list[EventsDropped]:
        return [item for item in self.reader.items if isinstance(item, EventsDropped)]

    @property
    def epoch(self) -> str:
        return self.session.cursor.partition("-")[0]

    @property
    def head(self) -> int:
        return int(self.session.cursor.partition("-")[2])


@asynccontextmanager
async def playing(engine: Engine, **settings: Any) -> AsyncIterator[Scene]:
    async with (
        quick(engine.url, **settings) as producing,
        quick(engine.url) as following,
        producing.open(title="a job") as session,
        anyio.create_task_group() as tasks,
    ):
        scene = Scene(session, producing)
        await scene.emit()
        async with following.subscribe(session.id) as subscription:
            tasks.start_soon(scene.reader.read, subscription)
            await scene.arrived()
            yield scene
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_store_that_is_killed_and_back_with_its_data_costs_nothing(engine: Engine) -> None:
    async with playing(engine) as scene:
        epoch = scene.epoch
        engine.kill()
        for number in range(4, 7):
            scene.session.log(f"{number}")
        # What is emitted meanwhile waits, and nobody is sent away.
        with pytest.raises(StoreUnavailable):
            await anyio.to_thread.run_sync(lambda: scene.session.flush_sync(0.05))
        assert not scene.reader.ended
        engine.start()
        await scene.session.flush()
        await scene.reader.until_number(6)
        assert scene.epoch == epoch
        assert scene.reader.numbers == [1, 2, 3, 4, 5, 6]
        assert not scene.reader.resets
        assert numbers_in(engine.url, scene.session.id) == [1, 2, 3, 4, 5, 6]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["restarted", "flushed", "one session"])
async def test_a_store_without_its_data_is_a_new_epoch_with_the_state_as_it_was(
    engine: Engine, how: str
) -> None:
    async with playing(engine) as scene:
        epoch, head = scene.epoch, scene.head
        _losses[how](engine, scene.session.id)
        await scene.emit()
        await scene.arrived()
        [reset] = scene.reader.resets
        assert reset.state.epoch == scene.epoch != epoch
        # No seq is used again, and nothing of the state is lost with the events.
        assert reset.seq >= head
        assert [log.message for log in reset.state.logs][:3] == ["1", "2", "3"]
        assert reset.state.title == "a job"
        assert numbers_in(engine.url, scene.session.id) == [4, 5, 6]
        assert [entry["type"] for entry in entries_in(engine.url, scene.session.id)] == [
            "log.message"
        ] * 3


def _restart(engine: Engine, _: str) -> None:
    engine.kill()
    engine.restart(keep_data=False)


def _flush(engine: Engine, _: str) -> None:
    with engine.client() as client:
        client.flushall()


def _delete(engine: Engine, session_id: str) -> None:
    with engine.client() as client:
        keys = list(client.scan_iter(f"*{session_id}*"))
        assert keys
        client.delete(*keys)


_losses: dict[str, Callable[[Engine, str], None]] = {
    "restarted": _restart,
    "flushed": _flush,
    "one session": _delete,
}


@pytest.mark.anyio
async def test_a_replica_that_lacks_the_end_of_the_log_is_a_new_epoch(engine: Engine) -> None:
    with engine.replica() as replica:
        async with playing(engine) as scene:
            epoch = scene.epoch
            # It has everything so far, and hears no more.
            with engine.client() as client:
                assert client.wait(1, 5_000) == 1
            replica.promote()
            await scene.emit()
            await scene.arrived()
            engine.kill()
            head = scene.head
            replica.take_place_of(engine)
            await scene.emit()
            await scene.arrived()
            assert scene.epoch != epoch
            [reset] = scene.reader.resets
            assert reset.seq >= head
            assert [log.message for log in reset.state.logs][:6] == ["1", "2", "3", "4", "5", "6"]
            assert scene.reader.numbers == [1, 2, 3, 4, 5, 6, 7, 8, 9]
            assert numbers_in(replica.url, scene.session.id) == [7, 8, 9]


@pytest.mark.anyio
async def test_a_long_outage_keeps_what_matters_and_tells_what_it_gave_up(engine: Engine) -> None:
    async with playing(engine, max_outbox_events=1_000, max_append_events=100) as scene:
        engine.kill()
        scene.session.phase("half", step_id="half")
        for number in range(10_000, 14_100):
            scene.session.log(f"{number}")
        with pytest.raises(StoreUnavailable):
            await anyio.to_thread.run_sync(lambda: scene.session.flush_sync(0.5))
        assert scene.registry.stats().waiting < 2_000
        engine.start()
        await scene.session.flush()

        def told() -> int:
            kept = [number for number in scene.reader.numbers if number >= 10_000]
            return sum(each.by_type["log.message"] for each in scene.dropped) + len(kept)

        # What was given up may be told in several parts, and what was kept comes between them.
        await scene.reader.until(lambda: told() >= 4_100)
        assert [step.step_id for step in scene.session.snapshot().steps] == ["half"]
        assert scene.dropped
        assert told() == 4_100
