"""A proxy without faults, its plans, and what its block leaves."""

from __future__ import annotations

import random
import subprocess
import sys

import anyio
import pytest
from anyio.abc import SocketStream

from agentprogress.errors import InvalidSettings
from agentprogress.testing import Cut, FaultProxy, Faults

from .wires import (
    HOST,
    connected,
    dialled_to_reset,
    joined,
    listening,
    pattern,
    proxying,
    read_exactly,
    read_to_end,
    reset,
    send_all,
    turns,
    until,
)

pytestmark = pytest.mark.anyio

DIRECTIONS = ["to_client", "to_server"]


# Nothing but a proxy ------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_the_end_of_one_direction_leaves_the_other_one_open(direction: str) -> None:
    data = pattern(300_000)
    async with joined() as ends, anyio.create_task_group() as tasks:
        source, sink = ends.of(direction)
        tasks.start_soon(source.send, data)
        assert await read_exactly(sink, len(data)) == data
        await source.send_eof()
        assert await read_to_end(sink) == (b"", "fin")
        await sink.send(b"still here")
        await sink.send_eof()
        assert await read_to_end(source) == (b"still here", "fin")
        await until(lambda: ends.proxy.live == 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_reset_at_one_end_is_a_reset_at_the_other(direction: str) -> None:
    async with joined() as ends:
        source, sink = ends.of(direction)
        await source.send(b"last words")
        assert await read_exactly(sink, 10) == b"last words"
        await reset(source)
        assert await read_to_end(sink) == (b"", "rst")


async def test_a_target_that_refuses_is_a_reset() -> None:
    async with listening() as upstream:
        port = upstream.port
    async with FaultProxy(HOST, port) as proxy:
        assert await dialled_to_reset(proxy)


async def test_a_target_by_name_is_looked_up() -> None:
    async with (
        listening() as upstream,
        FaultProxy("localhost", upstream.port) as proxy,
        await connected(proxy) as client,
        await upstream.accept() as server,
    ):
        await server.send(b"hello")
        assert await client.receive() == b"hello"


async def test_a_server_that_moved_is_reached_at_the_same_port() -> None:
    async with proxying() as (proxy, first), listening() as second:
        async with await connected(proxy) as old, await first.accept() as old_server:
            proxy.target = (HOST, second.port)
            async with await connected(proxy) as new, await second.accept() as new_server:
                await old_server.send(b"first")
                await new_server.send(b"second")
                assert await old.receive() == b"first"
                assert await new.receive() == b"second"
        assert proxy.url("/a?b=c") == f"http://127.0.0.1:{proxy.port}/a?b=c"


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_who_does_not_read_stops_the_reading_from_the_other_end(direction: str) -> None:
    chunk = pattern(64 * 1024)
    # More than the kernel's buffers on the way could take.
    most = 256 * 2**20
    sent = 0

    async def send_on(stream: SocketStream) -> None:
        nonlocal sent
        while sent < most:
            await stream.send(chunk)
            sent += len(chunk)

    async with joined() as ends, anyio.create_task_group() as tasks:
        source, sink = ends.of(direction)
        # anyio's accepted streams read ahead on asyncio until they have waited for something.
        tasks.start_soon(read_exactly, sink, 1)
        await turns()
        await source.send(b"!")
        await turns()
        tasks.start_soon(send_on, source)
        before = -1
        while before < sent:
            before = sent
            await turns()
        assert 0 < sent < most
        # It goes on as soon as there is room again.
        await read_exactly(sink, sent)
        await turns()
        assert sent > before
        tasks.cancel_scope.cancel()


# Plans --------------------------------------------------------------------------------------------


async def test_a_plan_is_asked_once_for_each_connection_and_can_be_replaced() -> None:
    asked: list[int] = []

    def plan(number: int) -> Faults:
        asked.append(number)
        return Faults(cut=Cut(number))

    async with proxying() as (proxy, upstream):
        proxy.plan = plan
        for number in range(3):
            async with await connected(proxy) as client, await upstream.accept() as server:
                await send_all(server, b"abc")
                assert await read_to_end(client) == (b"abc"[:number], "fin")
        proxy.plan = Faults(status=503)
        async with await connected(proxy) as client:
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b"503 Service Unavailable" in (await read_to_end(client))[0]
    assert asked == [0, 1, 2]


async def test_faults_of_many_connections_at_once_do_not_meet() -> None:
    draw = random.Random(7)
    data = pattern(50_000)
    cuts = [Cut(draw.randrange(50_000), by=draw.choice(["fin", "rst"])) for _ in range(200)]

    async def follow(proxy: FaultProxy, endings: list[tuple[int, str]]) -> None:
        async with await connected(proxy) as client:
            found, ending = await read_to_end(client)
            assert found == data[: len(found)]
            endings.append((len(found), ending))

    async def serve(server: SocketStream) -> None:
        async with server:
            await send_all(server, data)
            await read_to_end(server)

    endings: list[tuple[int, str]] = []
    async with proxying() as (proxy, upstream):
        proxy.plan = lambda number: Faults(cut=cuts[number], slice_bytes=1_000 + number)
        async with anyio.create_task_group() as tasks:
            for _ in cuts:
                tasks.start_soon(follow, proxy, endings)
            for _ in cuts:
                tasks.start_soon(serve, await upstream.accept())
        await until(lambda: proxy.live == 0)
        assert proxy.connections == len(cuts)
    assert sorted(endings) == sorted((cut.after_bytes, str(cut.by)) for cut in cuts)


# The block ----------------------------------------------------------------------------------------


async def test_leaving_resets_idle_stalled_and_black_holed_connections_at_once() -> None:
    plans = [Faults(), Faults(), Faults(cut=Cut(0, by="blackhole")), Faults(latency=3600)]
    async with listening() as upstream, anyio.create_task_group() as tasks:
        pairs: list[tuple[SocketStream, SocketStream]] = []
        async with FaultProxy(HOST, upstream.port, plan=plans.__getitem__) as proxy:
            for _ in plans:
                pairs.append((await connected(proxy), await upstream.accept()))
            tasks.start_soon(send_all, pairs[1][1], pattern(64 * 2**20))
            await pairs[3][1].send(b"late")
            await turns()
            assert proxy.live == len(plans)
        assert proxy.live == 0
        for client, server in pairs:
            assert (await read_to_end(client))[1] == "rst"
            await client.aclose()
            await server.aclose()


async def test_what_the_block_raises_goes_through_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with proxying() as (proxy, _), await connected(proxy):
            raise KeyError("mine")


async def test_a_block_that_is_cancelled_from_outside_ends() -> None:
    with anyio.CancelScope() as scope:
        async with joined():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("plan", [lambda _: 1 / 0, lambda _: "none"])
async def test_a_plan_that_fails_ends_the_block(plan: object) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with proxying() as (proxy, _):
            proxy.plan = plan  # type: ignore[assignment]
            assert await dialled_to_reset(proxy)
            await anyio.sleep_forever()
    assert isinstance(raised.value.exceptions[0], ZeroDivisionError | InvalidSettings)


async def test_a_proxy_has_a_port_inside_its_block_only() -> None:
    proxy = FaultProxy(HOST, 1)
    with pytest.raises(RuntimeError, match="async with"):
        proxy.url("/")
    for _ in range(2):
        async with proxy:
            assert proxy.port
            with pytest.raises(RuntimeError, match="running already"):
                await proxy.__aenter__()
    with pytest.raises(RuntimeError, match="async with"):
        _ = proxy.port


async def test_a_proxy_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InvalidSettings, match="port must be a whole number from 1 to 65535"):
        FaultProxy(HOST, 70_000)
    with pytest.raises(InvalidSettings, match="plan must be Faults or a function, not 5"):
        FaultProxy(HOST, 80, plan=5)  # type: ignore[arg-type]
    async with proxying() as (proxy, _):
        with pytest.raises(InvalidSettings, match="how must be one of rst, fin, not 'slowly'"):
            await proxy.cut_all("slowly")  # type: ignore[arg-type]
        with pytest.raises(InvalidSettings, match="host must be a name or an address"):
            proxy.target = (None, 80)  # type: ignore[assignment]


def test_importing_it_loads_no_optional_dependency() -> None:
    optional = {"aiohttp", "fastapi", "httpx2", "hypothesis", "jwt", "pytest", "rich", "trio"}
    code = f"import sys, agentprogress.testing; print(*{optional}.intersection(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "\n"
