"""A server that does what a test says and nothing else: raw bytes on a real socket, in one loop.

It is for what no server of ours would do. How servers behave is tested with real ones.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSStream

from agentprogress.settings import Settings

from .line import SESSION

__all__ = [
    "BRISK",
    "Asked",
    "Scripted",
    "frames_of",
    "held",
    "joined",
    "listening",
    "message",
    "opened",
    "ping",
    "reply",
    "scripted",
]

# A client that rests for no time, and for whom a second is enough to leave.
BRISK = Settings(
    close_timeout=1,
    initial_retry_window=0.001,
    min_retry_window=0.001,
    min_retry_delay=0.0005,
    max_retry_delay=0.004,
)

_PATH = f"/progress/sessions/{SESSION}"
_MAX_HEAD_BYTES = 64 * 1024
# RFC 6455, 1.3.
_HANDSHAKE = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _PING = 0x81, 0x89
_MAX_SHORT, _MAX_MEDIUM = 125, 0xFFFF
_GONE = (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead, ssl.SSLError)


# The server ---------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A request.

    Attributes:
        method: of HTTP.
        target: as it stands in the first line.
        headers: by lower-case name.
        body: as it came.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def route(self) -> str:
        """What follows the session in the path: ``ws``, ``result`` …; ``""`` for itself."""
        return urlsplit(self.target).path.removeprefix(_PATH).removeprefix("/")


@dataclass
class Scripted:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        secure: whether it speaks TLS.
        asked: all requests so far.
    """

    port: int
    secure: bool
    asked: list[Asked] = field(default_factory=list[Asked])

    @property
    def url(self) -> str:
        """Of a session on it."""
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        """Returns the session's URL by another name of the host."""
        return f"http{'s' if self.secure else ''}://{host}:{self.port}{_PATH}"

    @property
    def routes(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.route for asked in self.asked]


@contextlib.asynccontextmanager
async def scripted(
    answer: Callable[[Asked, ByteStream], Awaitable[None]],
    *,
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> AsyncGenerator[Scripted]:
    """Serves until the block is left.

    Args:
        answer: called with each connection's first request; the connection ends when it returns.
        tls: with its certificate; None for plain HTTP.
        receive_buffer: as for `listening`.
    """

    async def meet(plain: SocketStream) -> None:
        stream: ByteStream = plain
        if tls is not None:
            stream = await TLSStream.wrap(
                plain, server_side=True, ssl_context=tls, standard_compatible=False
            )
        asked = await _request(stream)
        server.asked.append(asked)
        await answer(asked, stream)

    async with listening(meet, receive_buffer) as port:
        server = Scripted(port, tls is not None)
        yield server


@contextlib.asynccontextmanager
async def listening(
    meet: Callable[[SocketStream], Awaitable[None]], receive_buffer: int | None = None
) -> AsyncGenerator[int]:
    """Listens on a port of 127.0.0.1, which it yields, until the block is left.

    Args:
        meet: called with each connection, which ends when it returns.
        receive_buffer: bytes that the system takes in for it; None for the system's choice.
    """

    async def one(stream: SocketStream) -> None:
        with contextlib.suppress(*_GONE):
            async with stream:
                await meet(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1024) as listener:
        if receive_buffer is not None:
            bound = listener.extra(SocketAttribute.raw_socket)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, one)
            yield listener.extra(SocketAttribute.local_port)
            tasks.cancel_scope.cancel()


async def held(stream: ByteStream) -> None:
    """Keeps a connection, saying nothing, until the client ends it."""
    async for _ in stream:
        pass


async def _request(stream: ByteStream) -> Asked:
    buffered = BufferedByteReceiveStream(stream)
    head = await buffered.receive_until(b"\r\n\r\n", _MAX_HEAD_BYTES)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    parted = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in parted}
    # Whole: a connection that is closed with something unread is reset, and its answer lost.
    body = await buffered.receive_exactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


# What it says -------------------------------------------------------------------------------------


def opened(asked: Asked) -> bytes:
    """Returns the head of the answer to who joins, by the transport that was asked for."""
    if asked.route != "ws":
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    digest = hashlib.sha1(f"{asked.headers['sec-websocket-key']}{_HANDSHAKE}".encode()).digest()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        f"Sec-WebSocket-Protocol: {asked.headers['sec-websocket-protocol']}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def frames_of(asked: Asked, *frames: Mapping[str, Any]) -> bytes:
    """Returns frames as an open WebSocket or event stream has them."""
    if asked.route == "ws":
        return message(*frames)
    return b"".join(b"data: %s\n\n" % json.dumps(frame).encode() for frame in frames)


def joined(asked: Asked, *frames: Mapping[str, Any]) -> bytes:
    """Returns the answer to who joins, by whatever transport: a head and frames."""
    if asked.route == "page":
        return reply(200, {"frames": frames, "cursor": "", "done": False})
    return opened(asked) + frames_of(asked, *frames)


def message(*frames: Mapping[str, Any]) -> bytes:
    """Returns one message of a WebSocket."""
    return _framed(_TEXT, json.dumps(frames).encode())


def ping() -> bytes:
    """Returns a ping of a WebSocket, as large as one may be."""
    return _framed(_PING, bytes(_MAX_SHORT))


def reply(
    status: int, body: Any, content_type: str = "application/json", **headers: object
) -> bytes:
    """Returns a whole answer, after which the connection ends.

    Args:
        status: of HTTP.
        body: bytes as they are; anything else as JSON.
        content_type: of the body.
        **headers: more of them; `_` stands for `-`.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Type": content_type, "Content-Length": len(data), "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items())]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + data


def _framed(first: int, data: bytes) -> bytes:
    """RFC 6455, 5.2; a server does not mask."""
    size = len(data)
    if size <= _MAX_SHORT:
        return bytes([first, size]) + data
    if size <= _MAX_MEDIUM:
        return bytes([first, 126]) + size.to_bytes(2, "big") + data
    return bytes([first, 127]) + size.to_bytes(8, "big") + data
