"""Servers, and what stands before them, that are broken or mean harm, on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from agentprogress.client import Feed, FollowOptions, FollowState, follow
from agentprogress.client._feed import new_feed
from agentprogress.client._steps import FollowerOptions
from agentprogress.errors import FollowError
from agentprogress.testing import ManualClock
from tests.kit import settle
from tests.proxies.certificates import Certificates, make_certificates

from .line import EPOCH, Line, end, event, heartbeat, snapshot, welcome
from .scripted import (
    BRISK,
    Asked,
    frames_of,
    held,
    joined,
    message,
    ping,
    reply,
    scripted,
)

PATIENT = FollowOptions(settings=BRISK)
GUARD = 10.0
# It takes a slow machine some seconds to answer until nothing more can be written.
LONG_GUARD = 40.0


# Connections --------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    "flood",
    [ping() * 50, (ping() * 20 + message(heartbeat())) * 5],
    ids=["pings", "pings and heartbeats"],
)
async def test_a_peer_that_wants_answers_and_reads_none_is_left(flood: bytes) -> None:
    sent = 0
    was_left = False

    async def answer(asked: Asked, stream: ByteStream) -> None:
        nonlocal sent, was_left
        await stream.send(joined(asked, welcome(0)))
        with anyio.move_on_after(LONG_GUARD):
            try:
                while True:
                    await stream.send(flood)
                    sent += 1
            except anyio.BrokenResourceError:
                was_left = True

    async with scripted(answer, receive_buffer=1_024) as server:
        async with follow(server.url, transport="websocket", options=PATIENT):
            before = -1
            # Both ends write, and neither can.
            while before < sent or not sent:
                before = sent
                await settle()
        await settle()
    assert was_left


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(Path(tmp_path_factory.mktemp("tls")))


# A record of TLS whose content is no encryption of anything.
SPOILED = b"\x17\x03\x03\x00\x40" + bytes(64)


@pytest.mark.anyio
async def test_a_spoiled_tls_record_is_a_cut(certificates: Certificates, transport: str) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.server)
    options = replace(PATIENT, ssl_context=ssl.create_default_context(cafile=certificates.ca))
    told: list[tuple[str, str | None]] = []

    async def answer(asked: Asked, stream: ByteStream) -> None:
        if len(server.asked) > 1:
            resume = "exact" if "after=" in asked.target else "fresh"
            await stream.send(joined(asked, welcome(2, resume), event(1), event(2), end(2)))
            await held(stream)
            return
        whole = joined(asked, welcome(2), event(1))
        # A page would be whole, and nothing after it is read.
        await stream.send(whole[:-1] if asked.route == "page" else whole)
        assert isinstance(stream, TLSStream)
        await stream.transport_stream.send(SPOILED)
        await held(stream.transport_stream)  # type: ignore[arg-type]  # it is one of bytes

    def tell(state: FollowState) -> None:
        told.append((state.value, feed.error.kind if feed.error else None))

    async with scripted(answer, tls=tls) as server:
        feed = follow(server.url, transport=transport, on_state=tell, options=options)
        with anyio.fail_after(GUARD):
            async with feed:
                assert [item.seq async for item in feed.events()] == [1, 2]
    assert ("reconnecting", "network") in told
    assert told[-1] == ("ended", None)
    assert len(server.asked) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("cut", [b"", message({"type": 7})], ids=["cut", "nonsense"])
async def test_a_rest_is_ended_by_who_is_told_of_it(cut: bytes) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if len(server.asked) == 1:
            await stream.send(joined(asked, welcome(0)) + cut)
        else:
            await stream.send(joined(asked, welcome(1, "exact"), event(1), end(1)))
            await held(stream)

    def tell(state: FollowState) -> None:
        if state is FollowState.RECONNECTING:
            feed.retry_now()

    # No time passes, so that nothing else ends it.
    options = FollowOptions(clock=ManualClock(), random=lambda: 0.9)
    async with scripted(answer) as server:
        feed = follow(server.url, transport="websocket", on_state=tell, options=options)
        with anyio.fail_after(GUARD):
            async with feed:
                assert [item.seq async for item in feed.events()] == [1]


def test_an_end_before_what_the_welcome_has_promised_is_none() -> None:
    line = Line("websocket")
    line.open(welcome(3), event(1), end(1))
    assert line.follower.state is FollowState.RECONNECTING
    assert line.follower.error is not None
    assert (line.follower.error.kind, line.follower.error.retryable) == ("protocol", True)


# What a user holds --------------------------------------------------------------------------------

LARGE = 60_000
PIECE = 1_000


@pytest.mark.anyio
async def test_large_events_in_many_pieces_are_held_up_to_the_bound_of_bytes() -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        await stream.send(joined(asked, welcome(1_000)))
        for seq in range(1, 1_001):
            told = frames_of(asked, event(seq, "log.message", level="info", message="x" * LARGE))
            for start in range(0, len(told), PIECE):
                await stream.send(told[start : start + PIECE])
                await anyio.lowlevel.checkpoint()

    bounded = replace(BRISK, max_buffered_bytes=5 * LARGE)
    options = FollowOptions(settings=bounded)
    async with scripted(answer) as server:
        feed, driver = new_feed(server.url, FollowerOptions(None, "sse"), None, None, options)
        with anyio.fail_after(GUARD):
            async with feed:
                while not driver.inbox.full:
                    await anyio.lowlevel.checkpoint()
                held_now = await driver.inbox.take_all()
    # The beginning, the events, and the few that one read may have brought beyond the bound.
    assert 5 <= len(held_now) <= 8


# The state before a cursor ------------------------------------------------------------------------


async def nothing(_: ByteStream) -> None:
    """Ends the connection."""


def says(answer: bytes) -> Callable[[ByteStream], Awaitable[None]]:
    async def say(stream: ByteStream) -> None:
        await stream.send(answer)

    return say


@pytest.mark.anyio
@pytest.mark.parametrize(
    "state_route",
    [
        pytest.param(held, id="silent"),
        pytest.param(nothing, id="cut"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="cut in the middle"
        ),
        pytest.param(says(reply(200, b"<html>", "text/html")), id="a page for people"),
        pytest.param(says(reply(200, {"steps": 7})), id="no state"),
        pytest.param(says(reply(200, [])), id="a list"),
        pytest.param(says(reply(503, b"")), id="away"),
    ],
)
async def test_following_goes_on_without_the_state_before_a_cursor(
    state_route: Callable[[ByteStream], Awaitable[None]], transport: str
) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if asked.route == "":
            await state_route(stream)
        else:
            await stream.send(joined(asked, welcome(3, "exact"), event(3), end(3)))
            await held(stream)

    options = FollowOptions(settings=replace(BRISK, connect_timeout=0.2))
    async with scripted(answer) as server:
        with anyio.fail_after(GUARD):
            async with follow(
                server.url, f"{EPOCH}-2", transport=transport, options=options
            ) as feed:
                assert [item.seq async for item in feed.events()] == [3]
                assert feed.snapshot is None


@pytest.mark.anyio
async def test_the_state_before_a_cursor_is_there_with_the_first_item(transport: str) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if asked.route == "":
            await stream.send(reply(200, snapshot(3, title="found")["state"]))
        else:
            await stream.send(joined(asked, welcome(3, "exact"), event(3), end(3)))
            await held(stream)

    async with scripted(answer) as server:
        with anyio.fail_after(GUARD):
            async with follow(server.url, f"{EPOCH}-2", transport=transport) as feed:
                await anext(feed)
                assert feed.snapshot is not None
                assert (feed.snapshot.seq, feed.snapshot.title) == (3, "found")
        assert server.routes.count("") == 1


# What is asked beside the stream ------------------------------------------------------------------

Asking = Callable[[Feed], Awaitable[Any]]
HASTY = FollowOptions(settings=replace(BRISK, control_timeout=0.1))


async def cancels(feed: Feed) -> None:
    await feed.request_cancel()


async def answers(feed: Feed) -> None:
    await feed.answer("q", 1)


async def refusal(
    ask: Asking, command: Callable[[Asked, ByteStream], Awaitable[None]], seconds: float = GUARD
) -> tuple[FollowError, int]:
    """Returns what came of a command to a server, and how often it was sent."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        await (held(stream) if asked.method == "GET" else command(asked, stream))

    async with scripted(answer) as server:
        async with follow(server.url, token="key", options=HASTY) as feed:
            with anyio.fail_after(seconds), pytest.raises(FollowError) as raised:
                await ask(feed)
        return raised.value, sum(asked.method == "POST" for asked in server.asked)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", [cancels, answers])
async def test_a_command_whose_answer_drips_is_given_up_in_time(ask: Asking) -> None:
    async def drip(_: Asked, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        while True:
            await stream.send(b" ")
            await anyio.lowlevel.checkpoint()

    error, sent = await refusal(ask, drip, seconds=5)
    assert (error.kind, error.retryable, sent) == ("timeout", True, 1)
    assert "may have been taken nevertheless" in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", [cancels, answers])
async def test_a_sign_in_page_is_no_success_of_a_command(ask: Asking) -> None:
    async def sign_in(_: Asked, stream: ByteStream) -> None:
        await stream.send(reply(200, b"<html>Sign in</html>", "text/html; charset=utf-8"))

    error, _ = await refusal(ask, sign_in)
    assert "Something that is not agentprogress answered 200 (text/html)" in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", [cancels, answers])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_command_that_is_redirected_is_not_taken_for_done(ask: Asking, status: int) -> None:
    async def elsewhere(asked: Asked, stream: ByteStream) -> None:
        await stream.send(reply(status, b"", Location=f"/moved{asked.target}"))

    error, sent = await refusal(ask, elsewhere)
    assert (error.kind, error.retryable, error.status, sent) == ("protocol", False, status, 1)
    assert "use the URL that it leads to" in str(error)
