"""One connection through a `FaultProxy`: the client's socket, the server's, and what happens to it.

It works on sockets, not on streams: a stream buffers, and a cut after byte k has to know what the
kernel has. At most one chunk of each direction is held here.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Literal

import anyio

from ..abc import Clock
from ._faults import Cut, CutKind, Direction, Faults

__all__ = ["FaultyConnection", "reset"]

_CHUNK_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"
# `struct linger`: on, for 0 seconds. Windows has shorts.
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)
_STATUSES = frozenset(HTTPStatus)

# As getaddrinfo gives it.
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]


class FaultyConnection:
    """A connection from its accept to its close.

    Attributes:
        ended: set when both sides have been sent the end.
        closed: set when it is closed on both sides.
    """

    def __init__(self, client: socket.socket, faults: Faults, clock: Clock) -> None:
        self.ended = anyio.Event()
        self.closed = anyio.Event()
        self._sockets = [_prepared(client)]
        self._faults = faults
        self._chunk_bytes = faults.slice_bytes or _CHUNK_BYTES
        self._clock = clock
        self._never = anyio.Event()
        self._ending: Literal["fin", "rst"] = "fin"
        # Who must have read everything before a connection that was ended by FIN is closed.
        self._last = client
        self._serving = anyio.CancelScope()
        self._passing = anyio.CancelScope()
        self._finishing = anyio.CancelScope()

    async def run(self, target: tuple[str, int]) -> None:
        """Serves the connection to its end; whatever ends it, its sockets are closed after it."""
        try:
            with self._serving:
                await self._serve(target)
            if self._ending == "fin":
                with self._finishing:
                    await self._finish()
        finally:
            for sock in self._sockets:
                reset(sock)
            self.ended.set()
            self.closed.set()

    def end(self, how: Literal["rst", "fin"]) -> None:
        """Ends the connection, whatever it is doing."""
        if how == "rst":
            self._ending = how
            self._finishing.cancel()
        self._serving.cancel()

    async def _serve(self, target: tuple[str, int]) -> None:
        client = self._sockets[0]
        try:
            if self._faults.refuse:
                self.end("rst")
            elif self._faults.status is not None:
                await self._answer(client, self._faults.status)
            else:
                server = await _dial(*target)
                self._sockets.append(server)
                await self._join(client, server)
        except OSError:
            self.end("rst")

    async def _join(self, client: socket.socket, server: socket.socket) -> None:
        with self._passing:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._lead, client, server, "to_server")
                tasks.start_soon(self._lead, server, client, "to_client")
        if self._passing.cancel_called:
            await anyio.sleep_forever()

    async def _lead(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        """Passes one direction on, to its end or its cut."""
        cut = self._faults.cut
        try:
            if cut is None or cut.direction != direction:
                while chunk := await _receive(source, self._chunk_bytes):
                    await self._pass_on(sink, chunk)
                sink.shutdown(socket.SHUT_WR)
            else:
                await self._lead_to_cut(source, sink, cut)
        except OSError:
            self.end("rst")

    async def _lead_to_cut(self, source: socket.socket, sink: socket.socket, cut: Cut) -> None:
        left = cut.after_bytes
        while left:
            chunk = await _receive(source, min(left, self._chunk_bytes))
            if not chunk:
                sink.shutdown(socket.SHUT_WR)
                return
            await self._pass_on(sink, chunk)
            left -= len(chunk)
        await self._cut(source, sink, cut.by)

    async def _pass_on(self, sink: socket.socket, chunk: bytes) -> None:
        if self._faults.latency:
            deadline = self._clock.monotonic() + self._faults.latency
            await self._clock.wait(self._never, deadline)
            await anyio.lowlevel.checkpoint_if_cancelled()
        view = memoryview(chunk)
        while view:
            try:
                view = view[sink.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(sink)
                await anyio.lowlevel.checkpoint_if_cancelled()

    async def _cut(self, source: socket.socket, sink: socket.socket, by: CutKind) -> None:
        match by:
            case "fin":
                self._last = sink
                self.end("fin")
            case "rst":
                # A reset throws away what the kernel has not sent yet.
                await _transmitted(sink)
                self.end("rst")
            case "half_close":
                sink.shutdown(socket.SHUT_WR)
                await _discard(source)
            case "blackhole":
                self._passing.cancel()

    async def _answer(self, client: socket.socket, status: int) -> None:
        """Answers a request's head, and reads no further."""
        head = b""
        while _HEAD_END not in head:
            chunk = await _receive(client, _CHUNK_BYTES)
            if not chunk:
                return
            # The end may come in parts; nothing else of the head matters.
            head = head[1 - len(_HEAD_END) :] + chunk
        page = _page(status)
        for start in range(0, len(page), self._chunk_bytes):
            await self._pass_on(client, page[start : start + self._chunk_bytes])

    async def _finish(self) -> None:
        """Ends both directions, and closes when the peer has read to the end.

        A socket that is closed while something in it is unread resets its peer (RFC 1122,
        4.2.2.13), which may lose what was sent before: so it is read to its own end first.
        """
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        self.ended.set()
        async with anyio.create_task_group() as tasks:
            for sock in self._sockets:
                if sock is not self._last:
                    tasks.start_soon(_discard, sock)
            await _discard(self._last)
            tasks.cancel_scope.cancel()
        for sock in self._sockets:
            sock.close()


def reset(sock: socket.socket) -> None:
    """Closes a socket by RST; one that is closed already stays as it is."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _dial(host: str, port: int) -> socket.socket:
    """Connects to the first address of a host that can be reached."""
    failure = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in await _addresses(host, port):
        try:
            return await _connected(socket.socket(family, kind, protocol), address)
        except OSError as error:
            failure = error
    raise failure


async def _addresses(host: str, port: int) -> Sequence[_Address]:
    try:
        # What is an address already needs no thread that looks it up.
        flags = socket.AI_NUMERICHOST
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        return await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def _connected(sock: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        error = _prepared(sock).connect_ex(address)
        if error in _IN_PROGRESS:
            await anyio.wait_writable(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


async def _receive(sock: socket.socket, most_bytes: int) -> bytes:
    while True:
        await anyio.wait_readable(sock)
        # A connection may have been cut since it was woken.
        await anyio.lowlevel.checkpoint_if_cancelled()
        with suppress(BlockingIOError):
            return sock.recv(most_bytes)


async def _discard(sock: socket.socket) -> None:
    """Reads to the end, which a reset is as well."""
    with suppress(OSError):
        while await _receive(sock, _CHUNK_BYTES):
            pass


async def _transmitted(sock: socket.socket) -> None:
    """Waits until the kernel has sent everything, where it can be asked (Linux, macOS)."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # A socket is writable when less than this is unsent.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
        await anyio.wait_writable(sock)


def _page(status: int) -> bytes:
    """An answer as proxies give it when their server fails them."""
    phrase = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
    title = f"{status} {phrase}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()
