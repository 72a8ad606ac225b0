from __future__ import annotations

import random
import socket
import subprocess
import sys

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from agentprogress.errors import InvalidSettings
from agentprogress.testing import Cut, FaultProxy, Faults

from .wires import (
    HOST,
    ToldClock,
    Upstream,
    connected,
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
# A reader with little room.
RECEIVE_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)


# Nothing but a proxy -----------------------------------------------------------------------------


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


# Latency and slices ------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_each_slice_waits_for_its_latency(direction: str) -> None:
    clock = ToldClock()
    async with joined(Faults(latency=0.5, slice_bytes=3), clock) as ends:
        source, sink = ends.of(direction)
        await source.send(b"abcdefgh")
        arrived: list[bytes] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, sink, arrived)
            for number, expected in enumerate([b"abc", b"def", b"gh"], start=1):
                await clock.told(number)
                await clock.advance(0.499)
                assert arrived == []
                await clock.advance(0.001)
                await until(lambda: bool(arrived))
                assert arrived.pop() == expected
            tasks.cancel_scope.cancel()


async def test_slices_arrive_whole_and_in_order() -> None:
    data = pattern(20_000)
    async with joined(Faults(slice_bytes=7)) as ends, anyio.create_task_group() as tasks:
        tasks.start_soon(ends.server.send, data)
        assert await read_exactly(ends.client, len(data)) == data


async def test_a_connection_that_waits_for_its_latency_can_be_cut() -> None:
    clock = ToldClock()
    async with joined(Faults(latency=60), clock) as ends:
        await ends.server.send(b"never seen")
        await clock.told(1)
        await ends.proxy.cut_all("fin")
        assert await read_to_end(ends.client) == (b"", "fin")


# Cuts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("by", ["fin", "rst"])
@pytest.mark.parametrize(
    ("after_bytes", "slice_bytes"), [(0, None), (1, None), (70_001, None), (5_000, 7)]
)
async def test_a_cut_passes_exactly_so_many_bytes(
    direction: str, by: str, after_bytes: int, slice_bytes: int | None
) -> None:
    cut = Cut(after_bytes, by=by, direction=direction)  # type: ignore[arg-type]
    data = pattern(200_000)
    async with joined(Faults(cut=cut, slice_bytes=slice_bytes)) as ends:
        source, sink = ends.of(direction)
        # What the other direction carries makes no difference.
        await send_all(sink, b"x" * 100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, source, data)
            assert await read_to_end(sink) == (data[:after_bytes], by)
            await sink.aclose()
        assert (await read_to_end(source))[1] in {"fin", "rst"}
        await until(lambda: ends.proxy.live == 0)


@pytest.mark.parametrize("by", ["fin", "rst"])
async def test_a_cut_is_exact_with_latency(by: str) -> None:
    clock = ToldClock()
    faults = Faults(latency=1, slice_bytes=4, cut=Cut(10, by=by))  # type: ignore[arg-type]
    async with joined(faults, clock) as ends:
        await ends.server.send(pattern(100))
        for begun in (1, 2, 3):
            await clock.told(begun)
            await clock.advance(1)
        assert await read_to_end(ends.client) == (pattern(10), by)


async def test_a_reset_loses_nothing_of_what_a_slow_reader_has_not_taken_yet() -> None:
    size = 8 * 2**20
    data = pattern(size + 100_000)
    async with joined(Faults(cut=Cut(size, by="rst"))) as ends:
        raw = ends.client.extra(SocketAttribute.raw_socket)
        raw.setsockopt(*RECEIVE_BUFFER)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, ends.server, data)
            for _ in range(20):
                await turns()
            found, ending = await read_to_end(ends.client)
            assert (len(found), found == data[:size], ending) == (size, True, "rst")


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_half_close_ends_one_direction_only(direction: str) -> None:
    cut = Cut(5, by="half_close", direction=direction)  # type: ignore[arg-type]
    async with joined(Faults(cut=cut)) as ends:
        source, sink = ends.of(direction)
        await source.send(b"12345678")
        assert await read_to_end(sink) == (b"12345", "fin")
        for word in (b"and", b"on"):
            # What is thrown away blocks nobody.
            await source.send(pattern(500_000))
            await sink.send(word)
            assert await source.receive() == word
        await sink.send_eof()
        assert await read_to_end(source) == (b"", "fin")
        assert ends.proxy.live == 1
        await source.send_eof()
        await until(lambda: ends.proxy.live == 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_black_hole_passes_nothing_and_closes_nothing(direction: str) -> None:
    cut = Cut(3, by="blackhole", direction=direction)  # type: ignore[arg-type]
    async with joined(Faults(cut=cut)) as ends:
        source, sink = ends.of(direction)
        arrived: list[bytes] = []
        async with anyio.create_task_group() as tasks:
            await source.send(b"123456")
            assert await read_exactly(sink, 3) == b"123"
            tasks.start_soon(collect, sink, arrived)
            tasks.start_soon(collect, source, arrived)
            await sink.send(b"an answer")
            await source.send_eof()
            await sink.send_eof()
            await turns()
            assert arrived == []
            assert ends.proxy.live == 1
            tasks.cancel_scope.cancel()
        await ends.proxy.cut_all("rst")
        assert await read_to_end(ends.client) == (b"", "rst")
        assert await read_to_end(ends.server) == (b"", "rst")


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_all_live_connections_can_be_cut_at_once(how: str) -> None:
    async with proxying() as (proxy, upstream):
        pairs = [(await connected(proxy), await upstream.accept()) for _ in range(5)]
        await proxy.cut_all(how)  # type: ignore[arg-type]
        for pair in pairs:
            for end in pair:
                assert await read_to_end(end) == (b"", how)
                await end.aclose()
        async with await connected(proxy) as client, await upstream.accept() as server:
            await server.send(b"a new one")
            assert await client.receive() == b"a new one"
            assert (proxy.connections, proxy.live) == (6, 1)


async def test_who_ignores_the_end_of_a_cut_connection_can_be_reset() -> None:
    async with joined() as ends:
        await ends.proxy.cut_all("fin")
        assert await read_to_end(ends.client) == (b"", "fin")
        await ends.client.send(b"what?")
        assert ends.proxy.live == 1
        await ends.proxy.cut_all("rst")
        assert ends.proxy.live == 0
        with pytest.raises(anyio.BrokenResourceError):
            await send_for_ever(ends.client)


# Instead of the server ---------------------------------------------------------------------------


async def test_a_refused_connection_is_reset_and_its_target_not_dialled() -> None:
    async with proxying(Faults(refuse=True)) as (proxy, upstream):
        assert await dialled_to_reset(proxy)
        await nobody_dialled(upstream)


async def test_a_status_answers_a_head_that_comes_in_parts() -> None:
    async with proxying(Faults(status=502, slice_bytes=5)) as (proxy, upstream):
        async with await connected(proxy) as client:
            for part in (b"POST / HTTP/1.1\r\nHost: a\r", b"\n\r", b"\n", b"the body"):
                await client.send(part)
                await turns()
            answer, ending = await read_to_end(client)
        await nobody_dialled(upstream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n")
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert body.startswith(b"<html>")
    assert ending == "fin"


async def test_a_status_without_a_name_and_a_request_without_an_end() -> None:
    async with proxying(Faults(status=599)) as (proxy, _):
        async with await connected(proxy) as client:
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            assert (await client.receive()).startswith(b"HTTP/1.1 599 Unknown\r\n")
        async with await connected(proxy) as client:
            await client.send(b"GET / HTTP/1.1\r\n")
            await client.send_eof()
            assert await read_to_end(client) == (b"", "fin")


# Plans -------------------------------------------------------------------------------------------


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


# The block ---------------------------------------------------------------------------------------


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


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"latency": -1}, "latency must be finite and at least 0 seconds, not -1."),
        ({"latency": float("inf")}, "latency must be finite"),
        ({"latency": float("nan")}, "latency must be finite"),
        ({"latency": True}, "latency must be finite"),
        ({"latency": "1"}, "latency must be finite"),
        ({"slice_bytes": 0}, "slice_bytes must be a whole number of at least 1, not 0."),
        ({"slice_bytes": 1.5}, "slice_bytes must be a whole number"),
        ({"cut": 5}, "cut must be a Cut or None, not 5."),
        ({"refuse": 1}, "refuse must be True or False, not 1."),
        ({"status": 101}, "status must be a whole number from 200 to 599, not 101."),
        ({"status": 204}, "status must be one whose answer has a body, not 204."),
        ({"status": 502, "cut": Cut(1)}, "status and cut exclude each other."),
        ({"refuse": True, "latency": 1}, "A connection that is refused suffers nothing else."),
    ],
)
def test_faults_that_cannot_be_are_refused_in_words(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidSettings, match="^" + sentence.replace(".", r"\.")):
        Faults(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"after_bytes": -1}, "after_bytes must be a whole number of at least 0, not -1."),
        ({"after_bytes": True}, "after_bytes must be a whole number"),
        ({"by": "axe"}, "by must be one of fin, rst, half_close, blackhole, not 'axe'."),
        ({"direction": []}, r"direction must be one of to_client, to_server, not \[\]."),
    ],
)
def test_a_cut_that_cannot_be_is_refused_in_words(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidSettings, match="^" + sentence):
        Cut(**{"after_bytes": 1, **values})  # type: ignore[arg-type]


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


# What several tests do ---------------------------------------------------------------------------


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
