"""`agentprogress doctor` as a test asks it, and servers to be looked at, some of them strange."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import socket
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from agentprogress._asgi import Message, Receive, Scope, Send
from agentprogress.cli import main

__all__ = ["CHECKS", "Altered", "Doctor", "InTurn", "answering", "closed", "serving", "wild"]

App = Callable[[Scope, Receive, Send], Any]
CHECKS = (
    "Connection",
    "Server",
    "Host",
    "Origin",
    "Upgrade",
    "Workers",
    "Buffering",
    "Compression",
    "Headers",
    "Idle",
)


class Doctor:
    """Asks, and keeps what was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *always: str) -> None:
        self._capsys = capsys
        self._always = always
        self.printed = ""
        self.checks: dict[str, dict[str, Any]] = {}

    def ask(self, url: str, *options: str, idle: str = "0") -> int:
        """Runs the command and returns its exit status."""
        status = main(["doctor", url, "--json", "--idle", idle, *self._always, *options])
        self.printed = self._capsys.readouterr().out
        told = json.loads(self.printed)
        assert told["exit_status"] == status
        assert tuple(each["name"] for each in told["checks"]) == CHECKS
        self.checks = {each["name"]: each for each in told["checks"]}
        return status

    def of(self, verdict: str) -> list[str]:
        """Returns the checks that went so."""
        return [name for name, check in self.checks.items() if check["verdict"] == verdict]

    def sentence(self, name: str) -> str:
        """Returns what a check has seen."""
        return str(self.checks[name]["sentence"])

    def fixes(self, name: str) -> dict[str, list[str]]:
        """Returns the lines that would change it."""
        return {fix["who"]: fix["lines"] for fix in self.checks[name]["fixes"]}


@dataclass
class InTurn:
    """Hands each connection to the next application."""

    apps: list[App]
    turn: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.turn += 1
        await self.apps[self.turn % len(self.apps)](scope, receive, send)


@dataclass
class Altered:
    """Changes headers of what an application answers.

    Attributes:
        headers: None takes one away.
        squeeze: whether what a client can decompress is compressed, and held back.
    """

    app: App
    headers: dict[str, str | None] = field(default_factory=dict[str, str | None])
    squeeze: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = dict(scope.get("headers", ())).get(b"accept-encoding", b"")
        squeezed = self.squeeze and b"gzip" in asked
        packer = zlib.compressobj(wbits=31)

        async def altered(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = dict(message["headers"])
                for name, value in self.headers.items():
                    found.pop(name.encode(), None)
                    if value is not None:
                        found[name.encode()] = value.encode()
                if squeezed:
                    found[b"content-encoding"] = b"gzip"
                message = {**message, "headers": list(found.items())}
            elif squeezed and message["type"] == "http.response.body":
                message = {**message, "body": packer.compress(message.get("body", b""))}
            await send(message)

        await self.app(scope, receive, altered)


@contextlib.contextmanager
def serving(app: App) -> Iterator[str]:
    """Serves an application in a thread; gives the address."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="websockets-sansio")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class _Answers(http.server.BaseHTTPRequestHandler):
    """Answers everything in the same way."""

    status = 404
    headers_sent: tuple[tuple[str, str], ...] = ()
    body = b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""


@contextlib.contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Runs a server that answers everything so; gives its address."""
    own = {"status": status, "body": body, "headers_sent": tuple((headers or {}).items())}
    handler = type("_Own", (_Answers,), own)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Wild(socketserver.StreamRequestHandler):
    """Says one thing, whatever it is asked; of `plain` requests another."""

    said = b""
    plain: bytes | None = None

    def handle(self) -> None:
        key: bytes | None = None
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b": ")
            key = value if name.lower() == b"sec-websocket-key" else key
        said = self.said if key or self.plain is None else self.plain
        self.wfile.write(said.replace(b"{accept}", _accepting(key or b"")))


@contextlib.contextmanager
def wild(said: bytes, plain: bytes | None) -> Iterator[str]:
    """Runs a server that says one thing; gives its address."""
    handler = type("_Own", (_Wild,), {"said": said, "plain": plain})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _accepting(key: bytes) -> bytes:
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + magic, usedforsecurity=False).digest())


@contextlib.contextmanager
def closed() -> Iterator[str]:
    """Gives an address that nobody listens on: the port is held, and refuses."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/sessions/job-7"
