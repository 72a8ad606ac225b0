"""What stands in the environment, and nobody at the other end: proxies, trust, names, TLS."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from agentprogress import Settings
from agentprogress.client import FollowOptions, FollowState, follow
from agentprogress.client._web import _system_trust
from agentprogress.errors import FollowError
from agentprogress.testing import ManualClock
from tests.kit import settle

from .line import SESSION, end, event, welcome
from .scripted import BRISK, Asked, held, joined, listening, reply, scripted

pytestmark = pytest.mark.anyio

PATIENT = FollowOptions(settings=BRISK)
GUARD = 10.0
# Nobody but a proxy knows this host (RFC 6761, 6.4).
BEHIND = f"http://only-by-proxy.invalid/progress/sessions/{SESSION}"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes out what the machine's own environment says."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def untrusting() -> Generator[None]:
    """Forgets whom the system trusts, before and after: it is read once for a process."""
    _system_trust.cache_clear()
    yield
    _system_trust.cache_clear()


async def told(url: str) -> FollowError:
    """Returns how one attempt to follow ends."""
    with anyio.fail_after(GUARD), pytest.raises(FollowError) as raised:
        async with follow(url, max_attempts=1, transport="sse", options=PATIENT) as feed:
            await anext(feed)
    return raised.value


# Proxies ------------------------------------------------------------------------------------------


async def test_every_transport_goes_through_the_proxy_of_the_environment(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        await stream.send(joined(asked, welcome(1), event(1), end(1)))
        await held(stream)

    async with scripted(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        with anyio.fail_after(GUARD):
            async with follow(BEHIND, transport=transport, options=PATIENT) as feed:
                assert [item.seq async for item in feed.events()] == [1]
    assert [asked.target.partition("?")[0] for asked in proxy.asked] == [
        f"{BEHIND}/{proxy.routes[0]}"
    ]


@pytest.mark.parametrize("status", [400, 403, 501])
async def test_a_proxy_that_takes_no_upgrade_is_gone_through_by_an_event_stream(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if asked.route == "ws":
            await stream.send(reply(status, b"<html>No.</html>", "text/html"))
        else:
            await stream.send(joined(asked, welcome(1), event(1), end(1)))
            await held(stream)

    async with scripted(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        with anyio.fail_after(GUARD):
            async with follow(BEHIND, options=PATIENT) as feed:
                assert [item.seq async for item in feed.events()] == [1]
    assert (proxy.routes, feed.transport) == (["ws", "events"], "sse")


@pytest.mark.parametrize("proxy", ["://", "garbage:::", "gopher://127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_is_told_at_once(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(FollowError, match="HTTP_PROXY") as raised:
        async with follow(BEHIND):
            pytest.fail("It was entered.")
    assert (raised.value.kind, raised.value.retryable) == ("network", False)


# Trust --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untrusting")
async def test_a_file_of_certificates_that_is_not_there_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
    with pytest.raises(FollowError, match="SSL_CERT_FILE") as raised:
        async with follow(BEHIND):
            pytest.fail("It was entered.")
    assert (raised.value.kind, raised.value.retryable) == ("network", False)


# Headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\nb"}, {"X": "\u20ac"}, {"X Y": "a"}, {"": "a"}, {"X": "a\r"}, {"X\n": "a"}],
)
async def test_a_header_that_cannot_be_sent_is_refused_before_anything_is_tried(
    headers: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="is no header"):
        FollowOptions(headers=headers)


# Nobody there -------------------------------------------------------------------------------------


def unknown(name: str) -> str:
    """Returns what the system says of a name."""
    with pytest.raises(socket.gaierror) as found:
        socket.getaddrinfo(name.encode(), 80)
    return (found.value.strerror or "").lower()


async def test_a_name_that_nobody_has_is_told_in_the_words_of_who_looks_it_up() -> None:
    # Longer than a name may be, so that no server is asked for it.
    name = "a." * 200 + "invalid"
    error = await told(f"http://{name}/sessions/{SESSION}")
    assert (error.kind, error.retryable) == ("network", True)
    assert str(error) == f"The server cannot be reached: {unknown(name)}."


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".invalid"])
async def test_a_host_that_cannot_be_is_told_in_words(host: str) -> None:
    # asyncio asks the system; trio encodes the name first, which fails.
    assert str(await told(f"http://{host}/sessions/{SESSION}")) in (
        f"The server cannot be reached: {unknown(host)}.",
        "The URL has a host that cannot be, or is too long.",
    )


async def test_a_server_without_tls_is_told_as_a_wrong_version() -> None:
    async def meet(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(reply(400, b"A TLS handshake is no request.", "text/plain"))

    async with listening(meet) as port:
        error = await told(f"https://127.0.0.1:{port}/sessions/{SESSION}")
    assert (error.kind, error.retryable) == ("network", True)
    assert "wrong version number" in str(error) or "record layer failure" in str(error)


async def test_a_tls_handshake_that_is_cut_is_told_in_words() -> None:
    async def meet(stream: SocketStream) -> None:
        await stream.receive()

    async with listening(meet) as port:
        error = await told(f"https://127.0.0.1:{port}/sessions/{SESSION}")
    assert (error.kind, error.retryable) == ("network", True)
    assert "eof" in str(error)


# Sleep --------------------------------------------------------------------------------------------


class Sleeper(ManualClock):
    """A machine's clock: it stands still while the machine sleeps, and the wall's goes on."""

    slept = 0.0

    def wall(self) -> float:
        return super().wall() + self.slept


async def test_a_dead_connection_is_noticed_after_a_sleep_with_a_full_inbox() -> None:
    clock, settings = Sleeper(), Settings(max_buffered_events=1)
    options = FollowOptions(clock=clock, random=lambda: 0.0, settings=settings)
    again, goes_on, live = anyio.Event(), anyio.Event(), anyio.Event()
    told: list[FollowState] = []

    async def answer(asked: Asked, stream: ByteStream) -> None:
        if len(server.asked) == 1:
            await stream.send(joined(asked, welcome(1), event(1)))
        elif len(server.asked) == 2:
            again.set()
            await goes_on.wait()
            await stream.send(joined(asked, welcome(1, "exact")))
        await held(stream)

    def tell(state: FollowState) -> None:
        told.append(state)
        if again.is_set() and state is FollowState.LIVE:
            live.set()

    async with scripted(answer) as server:
        feed = follow(server.url, transport="websocket", on_state=tell, options=options)
        with anyio.fail_after(GUARD):
            async with feed:
                while feed.state is not FollowState.LIVE:
                    await anyio.lowlevel.checkpoint()
                await settle()  # nothing more is read, because nobody takes what is here
                clock.slept = 3_600.0
                await clock.advance(settings.sleep_check_interval)
                await again.wait()
                assert (await anext(feed.events())).seq == 1
                goes_on.set()
                await live.wait()
                assert told.count(FollowState.RECONNECTING) == 1
                await clock.advance(settings.heartbeat_interval + settings.silence_timeout)
                assert told.count(FollowState.RECONNECTING) == 2
