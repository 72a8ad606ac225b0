"""The counting client: raw sockets, no protocol library, nothing decoded while the clock runs.

It counts a mark that each event contains exactly once, also where a read has cut the mark in two.
"""

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .errors import MeasurementFailed
from .payload import EVENT_MARK, WELCOME_MARK
from .servers import RunningServer

Transport: TypeAlias = Literal["websocket", "sse"]

READ_BYTES = 256 * 1024
OVERLAP = len(EVENT_MARK) - 1
SILENCE = 0.3

buffer = bytearray(OVERLAP + READ_BYTES)
window = memoryview(buffer)[OVERLAP:]


class Closed(MeasurementFailed):
    """The server has ended a connection."""


@dataclass(eq=False)
class Follower:
    """One connection: what it has counted so far, and the last bytes of its last read."""

    connection: socket.socket
    tail: bytes = bytes(OVERLAP)
    events: int = 0
    received_bytes: int = 0
    welcomed: bool = False
    transcript: list[bytes] | None = field(default=None, repr=False)
    """Keeps everything received, for the oracle; None where only counting is wanted."""

    def read(self) -> None:
        """Counts the events in what has arrived."""
        size = self.connection.recv_into(window)
        if size == 0:
            raise Closed(f"the server closed a connection after {self.events} events")
        buffer[:OVERLAP] = self.tail
        self.events += buffer.count(EVENT_MARK, 0, OVERLAP + size)
        self.tail = bytes(buffer[size : size + OVERLAP])
        self.received_bytes += size
        if not self.welcomed:
            self.welcomed = buffer.find(WELCOME_MARK, 0, OVERLAP + size) >= 0
        if self.transcript is not None:
            self.transcript.append(bytes(window[:size]))


class Crowd:
    """All the connections of one measurement."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self.followers = followers
        self.selector = selectors.DefaultSelector()
        for follower in followers:
            follower.connection.setblocking(False)
            self.selector.register(follower.connection, selectors.EVENT_READ, follower)

    def wait_for_welcome(self, timeout: float) -> None:
        """Returns when the server has welcomed every connection."""
        deadline = time.monotonic() + timeout
        missing = sum(not follower.welcomed for follower in self.followers)
        while missing:
            for follower in self.ready(deadline, f"{missing} subscribers were not welcomed"):
                before = follower.welcomed
                follower.read()
                missing -= follower.welcomed and not before

    def wait_for_events(self, expected: int, timeout: float) -> None:
        """Returns at the moment when the last connection has all its events, and none has more."""
        deadline = time.monotonic() + timeout
        missing = len(self.followers)
        while missing:
            for follower in self.ready(
                deadline, f"{missing} subscribers have not all {expected} events"
            ):
                before = follower.events
                follower.read()
                if before < expected <= follower.events:
                    missing -= 1
        self.require(expected)

    def wait_for_silence(self, expected: int) -> None:
        """Returns when nothing more comes, after the last event: no subscriber got one twice."""
        while keys := self.selector.select(SILENCE):
            for key, _ in keys:
                try:
                    key.data.read()
                except Closed:
                    self.selector.unregister(key.fileobj)
        self.require(expected)

    def require(self, expected: int) -> None:
        """Raises unless every connection has exactly as many events as were sent."""
        counts = {follower.events for follower in self.followers}
        if counts != {expected}:
            raise MeasurementFailed(
                f"{expected} events were sent, subscribers got {sorted(counts)}"
            )

    def ready(self, deadline: float, complaint: str) -> list[Follower]:
        """Returns the connections with something to read."""
        keys = self.selector.select(deadline - time.monotonic())
        if not keys:
            raise MeasurementFailed(
                f"{complaint}: {sorted({f.events for f in self.followers})[:5]} so far"
            )
        return [key.data for key, _ in keys]

    def close(self) -> None:
        """Closes every connection."""
        self.selector.close()
        for follower in self.followers:
            follower.connection.close()


def connect(
    server: RunningServer,
    path: str,
    transport: Transport,
    *,
    transcript: bool = False,
    receive_buffer: int | None = None,
) -> Follower:
    """Opens one stream; it returns when the server has accepted it."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    if transport == "websocket":
        request += (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
    connection = server.connect(receive_buffer)
    connection.sendall((request + "\r\n").encode())
    # Byte by byte, so that the follower sees the stream itself from its first byte.
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise MeasurementFailed(f"GET {path} was not answered")
        head += byte
    if not head.startswith(b"HTTP/1.1 101 " if transport == "websocket" else b"HTTP/1.1 200 "):
        raise MeasurementFailed(f"GET {path} was answered with {bytes(head[:80])!r}")
    return Follower(connection, transcript=[] if transcript else None)
