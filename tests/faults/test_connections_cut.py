"""Connections to a Redis that break where it hurts: in an append, and before the last news."""

from __future__ import annotations

import random
from typing import Literal

import anyio
import anyio.to_thread
import pytest

from agentprogress.testing import Cut, FaultProxy, Faults
from tests.stores.engines import HOST, Engine, ask

from .kit import Reader, numbers_in, quick
from .muffler import Muffler

pytestmark = pytest.mark.server

CUTS = 40
_ENDS: tuple[Literal["fin", "rst"], ...] = ("fin", "rst")


class Cuts:
    """Cuts each connection after some bytes, in both directions, until there were enough."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def __call__(self, number: int) -> Faults:
        if number >= CUTS:
            return Faults()
        by = self._chance.choice(_ENDS)
        if self._chance.random() < 0.5:
            # Enough to say what is wanted; the answer, that it was done, gets lost.
            return Faults(cut=Cut(self._chance.randrange(8_000), by, "to_client"))
        return Faults(cut=Cut(self._chance.randrange(16_000), by, "to_server"))


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 2])
async def test_an_append_that_is_cut_is_repeated_and_done_once(engine: Engine, seed: int) -> None:
    async with FaultProxy(HOST, engine.port, plan=Cuts(seed)) as proxy:
        broken = f"redis://{HOST}:{proxy.port}/0"
        emitted = 0
        async with quick(broken) as registry, registry.open(title="cut") as session:
            while proxy.connections <= CUTS:
                for _ in range(5):
                    emitted += 1
                    session.log(f"{emitted}", cargo="x" * 500)
                await session.flush()
        assert numbers_in(engine.url, session.id) == list(range(1, emitted + 1))


@pytest.mark.anyio
async def test_an_answer_that_gets_lost_is_no_second_append(engine: Engine) -> None:
    """The append is done, and the very answer to it is cut off."""
    plan = Faults()
    async with FaultProxy(HOST, engine.port, plan=lambda _: plan) as proxy:
        url = f"redis://{HOST}:{proxy.port}/0"
        async with quick(url) as registry, registry.open(title="cut") as session:
            session.log("1")
            await session.flush()
            # From here on each new connection hears nothing of what it asks for.
            plan = Faults(cut=Cut(0, "rst", "to_client"))
            accepted = proxy.connections
            await proxy.cut_all()
            session.log("2")
            with anyio.fail_after(20):
                while proxy.connections < accepted + 5:  # noqa: ASYNC110 - a proxy tells nobody
                    await anyio.sleep(0.01)
            plan = Faults()
            await session.flush()
    assert numbers_in(engine.url, session.id) == [1, 2]


@pytest.mark.anyio
async def test_news_that_the_network_has_swallowed_are_asked_for(engine: Engine) -> None:
    reader = Reader()
    with Muffler(engine.port) as muffler:
        async with (
            quick(engine.url) as producing,
            quick(muffler.url, news_interval=0.5) as following,
            producing.open(title="quiet") as session,
            anyio.create_task_group() as tasks,
        ):
            session.log("1")
            await session.flush()
            async with following.subscribe(session.id) as subscription:
                tasks.start_soon(reader.read, subscription)
                session.log("2")
                await session.flush()
                await reader.until_number(2)  # so it listens by now
                muffler.muffled.set()
                session.log("3")
                await session.flush()
                await anyio.to_thread.run_sync(muffler.kept.wait, 20)
                await reader.until_number(3)
                tasks.cancel_scope.cancel()
    assert reader.numbers == [1, 2, 3]


@pytest.mark.anyio
async def test_a_listener_that_is_thrown_out_finds_what_it_missed(engine: Engine) -> None:
    reader = Reader()
    async with (
        quick(engine.url) as producing,
        quick(engine.url) as following,
        producing.open(title="quiet") as session,
        anyio.create_task_group() as tasks,
    ):
        session.log("1")
        await session.flush()
        async with following.subscribe(session.id) as subscription:
            tasks.start_soon(reader.read, subscription)
            await reader.until_number(1)
            with engine.client() as client:
                for number in range(2, 22):
                    ask(client, "CLIENT", "KILL", "TYPE", "PUBSUB")
                    session.log(f"{number}")
                    await session.flush()
            await reader.until_number(21)
            tasks.cancel_scope.cancel()
    assert reader.numbers == list(range(1, 22))
