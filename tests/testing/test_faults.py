"""Each fault, to the byte."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.abc import SocketAttribute

from agentprogress.errors import InvalidSettings
from agentprogress.testing import Cut, Faults

from .wires import (
    ToldClock,
    collect,
    connected,
    dialled_to_reset,
    joined,
    nobody_dialled,
    pattern,
    proxying,
    read_exactly,
    read_to_end,
    send_all,
    send_for_ever,
    turns,
    until,
)

pytestmark = pytest.mark.anyio

DIRECTIONS = ["to_client", "to_server"]
# A reader with little room.
RECEIVE_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 131_072)


# Latency and slices -------------------------------------------------------------------------------


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


# Cuts ---------------------------------------------------------------------------------------------


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
        # What is thrown away blocks nobody; the kernel's buffers would not take so much.
        await source.send(pattern(32 * 2**20))
        await sink.send(b"and on")
        assert await source.receive() == b"and on"
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


# Instead of the server ----------------------------------------------------------------------------


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


# Values -------------------------------------------------------------------------------------------


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
