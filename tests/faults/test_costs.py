"""What a process costs a Redis: connections by its threads, and next to nothing while it rests."""

from __future__ import annotations

import socket
import threading
from contextlib import AsyncExitStack

import anyio
import anyio.to_thread
import pytest

from agentprogress import SessionRegistry
from tests.stores.engines import HOST, Engine

from .conftest import StartPeer
from .kit import Reader, quick

pytestmark = pytest.mark.server

SUBSCRIBERS = 1_000
SESSIONS = 50
MOST_CONNECTIONS = 6
# Time is the subject here, the only place where it is waited for.
RESTING_SECONDS = 5.0
_OVER = "ECHO over"


def connections(engine: Engine) -> int:
    """Returns how many clients a server has besides whoever asks."""
    with engine.client() as client:
        return len(client.client_list()) - 1


@pytest.mark.anyio
async def test_a_thousand_subscribers_share_a_handful_of_connections(
    engine: Engine, start_peer: StartPeer
) -> None:
    producer = start_peer(engine.url)
    ids = [producer.ask("open", title="one of many") for _ in range(SESSIONS)]
    producer.ask("log_all", count=3)
    before = connections(engine)
    readers = [Reader() for _ in range(SUBSCRIBERS)]
    seen: list[int] = []
    async with quick(engine.url) as registry, anyio.create_task_group() as tasks:

        async def follow(reader: Reader, session_id: str) -> None:
            async with registry.subscribe(session_id) as subscription:
                await reader.read(subscription)

        for number, reader in enumerate(readers):
            tasks.start_soon(follow, reader, ids[number % SESSIONS])
        for reader in readers:
            await reader.until_number(3)
        seen.append(connections(engine))
        await anyio.to_thread.run_sync(lambda: producer.ask("log_all", count=3))
        await anyio.to_thread.run_sync(lambda: producer.ask("end"))
        for reader in readers:
            await reader.until_ended()
        seen.append(connections(engine))
    assert max(seen) - before <= MOST_CONNECTIONS
    assert all(reader.numbers == [1, 2, 3, 1, 2, 3] for reader in readers)


def commands_sent(engine: Engine, seconds: float) -> list[str]:
    """Returns what clients send to a server in that time; what their scripts do is not counted."""
    sent: list[str] = []
    with engine.client() as client, client.monitor() as monitor:
        threading.Timer(seconds, lambda: _say(engine, _OVER)).start()
        while True:
            command = monitor.next_command()
            assert command is not None
            if command["command"].startswith("ECHO"):
                return sent
            if command["client_type"] != "lua":
                sent.append(command["command"])


def _say(engine: Engine, text: str) -> None:
    # No handshake but the word: it would be counted as well.
    with socket.create_connection((HOST, engine.port)) as line:
        line.sendall(f"{text}\r\n".encode())
        line.recv(100)


@pytest.mark.anyio
async def test_a_process_at_rest_makes_at_most_a_call_a_second(engine: Engine) -> None:
    """One that produces and follows, with the numbers that it has by default."""
    async with SessionRegistry(store=engine.url) as registry, AsyncExitStack() as stack:
        for _ in range(20):
            block = registry.open(title="at rest")
            session = await stack.enter_async_context(block)
            await session.flush()
            await stack.enter_async_context(registry.subscribe(session.id))
        sent = await anyio.to_thread.run_sync(commands_sent, engine, RESTING_SECONDS)
    assert len(sent) <= RESTING_SECONDS, sent
