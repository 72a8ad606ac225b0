"""Listening sockets: what accepted ones inherit, and a peer that reads nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import pytest
import uvicorn

from agentprogress import Settings
from agentprogress.errors import InvalidSettings
from agentprogress.sockets import tune, tuned_socket

needs_user_timeout = pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the platform has no TCP_USER_TIMEOUT"
)


def option(of: socket.socket, name: str, level: int = socket.IPPROTO_TCP) -> int:
    return of.getsockopt(level, getattr(socket, name))


def options(of: socket.socket) -> tuple[int, int, int, int]:
    """Milliseconds of the user timeout, seconds of silence and between probes, no delay."""
    names = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_NODELAY")
    user_timeout, silence, interval, no_delay = (option(of, name) for name in names)
    assert option(of, "SO_KEEPALIVE", socket.SOL_SOCKET) == 1
    return user_timeout, silence, interval, no_delay


def accepted(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Returns a connection's two ends, the server's first."""
    client = socket.create_connection(listener.getsockname()[:2])
    return listener.accept()[0], client


# What is set


@needs_user_timeout
def test_accepted_sockets_inherit_every_option() -> None:
    with tuned_socket() as listener:
        ours, peers = accepted(listener)
        with ours, peers:
            assert options(ours) == (30_000, 15, 15, 1)


@needs_user_timeout
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"user_timeout": 5}, (5_000, 3, 3, 1)),
        ({"user_timeout": 0.2}, (200, 1, 1, 1)),
        ({"user_timeout": 0.0001}, (1, 1, 1, 1)),
        ({"user_timeout": 60, "keepalive": 7.5}, (60_000, 8, 8, 1)),
        ({"user_timeout": 2_147_483}, (2_147_483_000, 32_767, 32_767, 1)),
    ],
    ids=str,
)
def test_seconds_become_what_the_kernel_takes(
    given: dict[str, float], found: tuple[int, int, int, int]
) -> None:
    with tuned_socket(**given) as listener:  # type: ignore[arg-type]
        ours, peers = accepted(listener)
        with ours, peers:
            assert options(ours) == found


def test_the_default_is_the_settings_own() -> None:
    assert Settings().user_timeout == 30


# Where it listens


def test_port_zero_is_any_free_port_of_this_machine_alone() -> None:
    with tuned_socket() as one, tuned_socket() as other:
        assert one.getsockname()[0] == "127.0.0.1"
        assert one.getsockname()[1] != other.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "bound"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1")]
)
def test_an_address_of_either_family_is_taken_as_it_is(host: str, bound: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with tuned_socket(host) as listener:
        assert listener.getsockname()[0] == bound
        ours, peers = accepted(listener)
        ours.close()
        peers.close()


def test_a_name_is_looked_up() -> None:
    with tuned_socket("localhost") as listener:
        assert listener.getsockname()[0] in ("127.0.0.1", "::1")


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_port_is_free_again_as_soon_as_its_server_is_gone() -> None:
    with tuned_socket() as listener:
        port: int = listener.getsockname()[1]
        ours, peers = accepted(listener)
        # The side that closes first keeps the port for a minute, in TIME_WAIT.
        ours.close()
        peers.close()
    tuned_socket(port=port).close()


def test_a_port_that_is_taken_is_an_os_error_and_leaves_no_socket_behind() -> None:
    with tuned_socket() as listener, pytest.raises(OSError, match="Address already in use"):
        tuned_socket(port=listener.getsockname()[1])


def test_a_host_that_is_not_here_is_an_os_error() -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        tuned_socket("192.0.2.1")
    with pytest.raises(socket.gaierror):
        tuned_socket("no such host")
    with pytest.raises(socket.gaierror):
        tuned_socket("")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"user_timeout": 0}, "user_timeout must be seconds greater than 0 and at most 2147483"),
        ({"user_timeout": -1}, "user_timeout must be seconds"),
        ({"user_timeout": 2_147_484}, "user_timeout must be seconds"),
        ({"user_timeout": float("nan")}, "user_timeout must be seconds"),
        ({"user_timeout": float("inf")}, "user_timeout must be seconds"),
        ({"keepalive": 0}, "keepalive must be seconds greater than 0 and at most 32767, not 0."),
        ({"keepalive": 32_768}, "keepalive must be seconds"),
        ({"port": -1}, "port must be from 0 to 65535, not -1."),
        ({"port": 65_536}, "port must be from 0 to 65535, not 65536."),
        ({"backlog": 0}, "backlog must be at least 1, not 0."),
        ({"host": "a..b"}, "'a..b' cannot be the name of a host."),
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_with_a_sentence(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        tuned_socket(**given)
    assert str(caught.value).startswith(sentence)


# One connection


@needs_user_timeout
def test_a_socket_that_somebody_else_accepted_can_be_tuned() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours, peers = accepted(listener)
        with ours, peers:
            assert option(ours, "TCP_USER_TIMEOUT") == 0
            tune(ours)
            assert options(ours) == (30_000, 15, 15, 1)
            tune(ours, 5, 2)
            assert options(ours) == (5_000, 2, 2, 1)
            with pytest.raises(InvalidSettings, match="user_timeout"):
                tune(ours, 0)
            with pytest.raises(InvalidSettings, match="keepalive"):
                tune(ours, 5, -1)


@needs_user_timeout
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_socket_of_an_asyncio_transport_can_be_tuned() -> None:
    with tuned_socket() as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        found = writer.get_extra_info("socket")
        tune(found, 5)
        assert options(found) == (5_000, 3, 3, 1)
        writer.close()
        await writer.wait_closed()
        assert await reader.read() == b""
        # The transport has let go of its socket.
        tune(found, 5)


def test_what_is_not_tcp_or_gone_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        tune(one)
        tune(datagrams)
        assert option(one, "SO_KEEPALIVE", socket.SOL_SOCKET) == 0
        assert option(datagrams, "SO_KEEPALIVE", socket.SOL_SOCKET) == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours, peers = accepted(listener)
    peers.close()
    ours.close()
    tune(ours)


# A peer that reads nothing


class Flood:
    """An application that writes for as long as it can, and tells when its client is gone."""

    def __init__(self) -> None:
        self.gone = anyio.Event()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                while True:
                    await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
                    # After a disconnect uvicorn's send returns at once, and lets nothing else run.
                    await anyio.lowlevel.checkpoint()

            tasks.start_soon(write)
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone.set()
            tasks.cancel_scope.cancel()


CHUNK = b"x" * 65_536


@needs_user_timeout
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_kernel_gives_up_a_peer_that_reads_nothing_and_the_server_is_told() -> None:
    app = Flood()
    listener = tuned_socket(user_timeout=0.2)
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve, [listener])
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            # It neither reads nor closes; without the option this would wait for ever.
            with anyio.fail_after(30):
                await app.gone.wait()
        server.should_exit = True
