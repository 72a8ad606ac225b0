"""A gateway that is gone without a word: its clients go on at another one."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from agentprogress.client import FollowOptions, follow
from agentprogress.testing import FaultProxy
from tests.client.storm import EAGER, as_items
from tests.conformance.oracle import check_items

from .conftest import StartGateway, StartPeer
from .kit import Reader

pytestmark = pytest.mark.server

TRANSPORTS = ("websocket", "sse", "long-poll")


@pytest.mark.anyio
async def test_clients_of_a_killed_gateway_go_on_at_another_and_miss_nothing(
    url: str, start_peer: StartPeer, start_gateway: StartGateway
) -> None:
    producer, first, second = start_peer(url), start_gateway(url), start_gateway(url)
    session_id = producer.ask("open", title="watched")
    readers = [Reader() for _ in TRANSPORTS]

    def emit(number: int) -> str:
        producer.ask("log", first=number, count=10)
        cursor: str = producer.ask("flush")
        return cursor

    async with FaultProxy(*first.address) as front, anyio.create_task_group() as tasks:
        session = front.url(f"/progress/sessions/{session_id}")

        async def read(reader: Reader, transport: str) -> None:
            options = FollowOptions(settings=EAGER)
            async with follow(session, transport=transport, options=options) as feed:
                await reader.read(feed)

        for reader, transport in zip(readers, TRANSPORTS, strict=True):
            tasks.start_soon(read, reader, transport)
        await anyio.to_thread.run_sync(emit, 1)
        for reader in readers:
            await reader.until_number(10)
        # It dies between two events that only the other one can tell.
        first.kill()
        front.target = second.address
        await anyio.to_thread.run_sync(emit, 11)
        for reader in readers:
            await reader.until_number(20)
        head = await anyio.to_thread.run_sync(lambda: producer.ask("end"))
        for reader in readers:
            await reader.until_ended()
            check_items(as_items(reader.items), head)
    for reader in readers:
        assert reader.numbers == list(range(1, 21))
