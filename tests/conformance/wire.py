"""Clients on plain sockets: HTTP, server-sent events, WebSocket.

They share no code with the library. Everything blocks, with one timeout, so a test reads top to
bottom.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

__all__ = [
    "Address",
    "Answer",
    "Connect",
    "EventStream",
    "WebSocket",
    "dial",
    "exchange",
    "request",
]

# Seconds after which a case has failed; nothing waits that long when all is well.
PATIENCE = 20.0

Address = tuple[str, int]
# Given an address and the size of the receive buffer, None for the system's.
Connect = Callable[[Address, int | None], socket.socket]
Frame = dict[str, Any]


def dial(address: Address, receive_buffer: int | None) -> socket.socket:
    """Makes a connection of its own."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(address)
    return connection


@dataclass(frozen=True)
class Answer:
    """A whole response; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    address: Address,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    *,
    connect: Connect = dial,
) -> Answer:
    """Sends a request."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    connection.sock = connect(address, None)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, _headers(response), response.read())
    finally:
        connection.close()


def exchange(address: Address, sent: bytes) -> bytes:
    """Sends bytes as they are, and reads until the server closes."""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := _received(connection):
            received += chunk
        return received


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _reset(connection: socket.socket) -> None:
    """Makes the next close a reset: whatever is under way is thrown away, RST goes out."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(frozen=True)
class SseMessage:
    """One message of an event stream, with the names of its lines in their order."""

    event: str
    frame: Frame
    last_id: str
    retry: int | None
    lines: tuple[str, ...]


class EventStream:
    """A GET whose answer is read as server-sent events, by WHATWG's rules."""

    def __init__(
        self,
        address: Address,
        path: str,
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
        connect: Connect = dial,
    ) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
        self._socket = self._connection.sock = connect(address, receive_buffer)
        self._connection.request("GET", path, headers=dict(headers or {}))
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = _headers(self._response)
        self.last_id = ""
        self.raw = b""

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def messages(self) -> Iterator[SseMessage]:
        """Yields messages until the server ends the stream; half a message at the end is none."""
        names: list[str] = []
        event, data, retry = "message", "", None
        while line := self._response.readline():
            self.raw += line
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            value = value.removeprefix(" ")
            if line.strip():
                names.append(name)
            elif data:
                yield SseMessage(event, json.loads(data), self.last_id, retry, tuple(names))
                names, event, data, retry = [], "message", "", None
            if name == "data":
                data += value
            elif name == "event":
                event = value
            elif name == "id":
                self.last_id = value
            elif name == "retry":
                retry = int(value)

    def frames(self) -> Iterator[Frame]:
        """Yields the frames alone."""
        return (message.frame for message in self.messages())

    def read(self) -> bytes:
        """Reads an answer that is no stream."""
        return self._response.read()

    def close(self, *, reset: bool = False) -> None:
        """Leaves: with FIN, or with RST."""
        if reset and self._socket.fileno() >= 0:
            _reset(self._socket)
        self._response.close()
        self._connection.close()
        self._socket.close()


@dataclass
class WebSocket:
    """A WebSocket whose every byte can be chosen; pings are answered while it reads."""

    address: Address
    path: str
    subprotocols: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    receive_buffer: int | None = None
    connect: Connect = dial

    def __post_init__(self) -> None:
        host, port = self.address
        self._protocol = ClientProtocol(
            parse_uri(f"ws://{host}:{port}{self.path}"),
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            max_size=None,
        )
        self._connection = self.connect(self.address, self.receive_buffer)
        self._events: list[Any] = []
        self._text = b""
        self.messages: list[str] = []
        opening = self._protocol.connect()
        for name, value in self.headers.items():
            opening.headers[name] = Origin(value)
        self._protocol.send_request(opening)
        self._flush()
        self.response: Response = self._handshake()

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _handshake(self) -> Response:
        while True:
            # The first frames may come in one piece with the answer.
            self._events += self._advance()
            if self._events:
                answer = self._events.pop(0)
                assert isinstance(answer, Response)
                return answer
            assert not self.over, f"no handshake: {self._protocol.handshake_exc!r}"

    @property
    def subprotocol(self) -> str | None:
        """What the server selected."""
        return self._protocol.subprotocol

    @property
    def accepted(self) -> bool:
        """Whether the handshake was."""
        return self.response.status_code == 101

    @property
    def over(self) -> bool:
        """Whether the server closed, with or without saying so."""
        return self._protocol.state is State.CLOSED

    @property
    def close_code(self) -> int | None:
        """What the server's close said; 1006 if it said nothing."""
        return self._protocol.close_code

    @property
    def close_reason(self) -> str | None:
        return self._protocol.close_reason

    def frames(self) -> Iterator[Frame]:
        """Yields frames until the server closes."""
        while True:
            yield from self._events_as_frames()
            if self.over:
                return
            self._events += self._advance()

    def _events_as_frames(self) -> Iterator[Frame]:
        while self._events:
            event = self._events.pop(0)
            assert isinstance(event, WireFrame)
            if event.opcode not in (Opcode.TEXT, Opcode.CONT):
                continue
            self._text += bytes(event.data)
            if event.fin:
                text, self._text = self._text.decode(), b""
                self.messages.append(text)
                message = json.loads(text)
                assert isinstance(message, list)
                yield from message

    def _advance(self) -> list[Any]:
        data = _received(self._connection)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        return self._protocol.events_received()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            try:
                self._connection.sendall(data)
            except OSError:
                return

    def send(self, text: str | bytes, *, times: int = 1) -> None:
        """Sends text frames, valid UTF-8 or not."""
        data = text.encode() if isinstance(text, str) else text
        for _ in range(times):
            self._protocol.send_text(data)
        self._connection.sendall(b"".join(self._protocol.data_to_send()))

    def send_binary(self, data: bytes) -> None:
        """Sends a binary frame."""
        self._protocol.send_binary(data)
        self._flush()

    def round_trip(self) -> None:
        """Returns once the server has read all that was sent: it has answered a ping."""
        self._protocol.send_ping(b"all read")
        self._flush()
        while not (pongs := [event for event in self._events if event.opcode is Opcode.PONG]):
            assert not self.over, f"closed: {self.close_code}"
            self._events += self._advance()
        self._events.remove(pongs[0])

    def close(self, *, reset: bool = False) -> None:
        """Leaves without a close frame: with FIN, or with RST."""
        if reset and self._connection.fileno() >= 0:
            _reset(self._connection)
        self._connection.close()
