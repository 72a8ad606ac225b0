"""Both ends of a connection through the proxy."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from agentprogress.abc import Clock
from agentprogress.testing import FaultProxy, Faults, ManualClock

HOST = "127.0.0.1"
# More turns of the loop than one end takes to fill the buffers by another chunk.
TURNS = 100


class Upstream:
    """A server whose connections a test takes one by one."""

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener
        self.port: int = listener.extra(SocketAttribute.local_port)

    async def accept(self) -> SocketStream:
        return await self._listener.accept()


@asynccontextmanager
async def listening() -> AsyncIterator[Upstream]:
    listener = await anyio.create_tcp_listener(local_host=HOST)
    only = listener.listeners[0]
    assert isinstance(only, SocketListener)
    async with listener:
        yield Upstream(only)


@asynccontextmanager
async def proxying(
    plan: Faults | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[FaultProxy, Upstream]]:
    async with (
        listening() as upstream,
        FaultProxy(HOST, upstream.port, plan=plan or Faults(), clock=clock) as proxy,
    ):
        yield proxy, upstream


async def connected(proxy: FaultProxy) -> SocketStream:
    return await anyio.connect_tcp(HOST, proxy.port)


@dataclass
class Ends:
    """A connection that is led through: what a test writes at one end it reads at the other."""

    proxy: FaultProxy
    client: SocketStream
    server: SocketStream

    def of(self, direction: str) -> tuple[SocketStream, SocketStream]:
        """Who sends and who receives in a direction."""
        ends = (self.client, self.server)
        return ends if direction == "to_server" else (self.server, self.client)


@asynccontextmanager
async def joined(plan: Faults | None = None, clock: Clock | None = None) -> AsyncIterator[Ends]:
    async with AsyncExitStack() as stack:
        proxy, upstream = await stack.enter_async_context(proxying(plan, clock))
        client = await stack.enter_async_context(await connected(proxy))
        server = await stack.enter_async_context(await upstream.accept())
        yield Ends(proxy, client, server)


async def read_exactly(stream: SocketStream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += await stream.receive(size - len(found))
    return found


async def read_to_end(stream: SocketStream) -> tuple[bytes, str]:
    """Everything that arrives, and how it ends: by ``fin`` or ``rst``."""
    parts: list[bytes] = []
    try:
        while True:
            parts.append(await stream.receive())
    except anyio.EndOfStream:
        return b"".join(parts), "fin"
    except anyio.BrokenResourceError as broken:
        # Who had tried to write before reads of it as a broken pipe.
        is_reset = isinstance(broken.__cause__, ConnectionResetError | BrokenPipeError)
        return b"".join(parts), "rst" if is_reset else "broken"


async def send_all(stream: SocketStream, data: bytes) -> None:
    """Sends as long as somebody takes it."""
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


class ToldClock(ManualClock):
    """Tells how many waits have begun."""

    begun = 0

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        self.begun += 1
        await super().wait(event, deadline)

    async def told(self, begun: int) -> None:
        """Waits until so many waits have begun."""
        await until(lambda: self.begun == begun)


async def until(condition: Callable[[], bool]) -> None:
    """Lets everything else run until something is so."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def turns() -> None:
    """Lets everything happen that needs neither time nor one of the ends."""
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


def pattern(size: int) -> bytes:
    """Bytes of which none is like its neighbours, so that a lost one shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def collect(stream: SocketStream, into: list[bytes]) -> None:
    try:
        while True:
            into.append(await stream.receive())
    except anyio.EndOfStream:
        into.append(b"")


async def dialled_to_reset(proxy: FaultProxy) -> bool:
    """Whether a connection is reset; a client may see it in its connect already."""
    try:
        async with await connected(proxy) as client:
            return await read_to_end(client) == (b"", "rst")
    except OSError as error:
        return isinstance(error.__cause__ or error, ConnectionResetError)


async def nobody_dialled(upstream: Upstream) -> None:
    async with anyio.create_task_group() as tasks:
        arrived = anyio.Event()

        async def accept() -> None:
            async with await upstream.accept():
                arrived.set()

        tasks.start_soon(accept)
        await turns()
        assert not arrived.is_set()
        tasks.cancel_scope.cancel()


async def send_for_ever(stream: SocketStream) -> None:
    while True:
        await stream.send(b"x")
