"""The other side of a connection: a client that speaks ASGI directly, and a real server."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import uvicorn

App = Callable[[Any, Any, Any], Awaitable[None]]
Message = MutableMapping[str, Any]


class AsgiPeer:
    """What a server and a client do together, one step at a time: nothing moves by itself.

    A peer that stops reading makes `send` wait, as a server with a full socket does.
    """

    def __init__(
        self,
        path: str,
        *,
        kind: str = "websocket",
        subprotocols: tuple[str, ...] = (),
        reads: int | None = None,
        closes: bool = True,
        body: bytes = b"",
        whole: bool = True,
    ) -> None:
        path, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": kind,
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [],
            "subprotocols": list(subprotocols),
        }
        self.sent: list[Message] = []
        # Whether it answers a close, as clients do.
        self._closes = closes
        self.deliver, self._inbox = anyio.create_memory_object_stream[Message](100)
        # How many messages it still takes before it stops reading; None: all.
        self._reads = reads
        self._reading = anyio.Event()
        self._reading.set()
        self.finished = anyio.Event()
        self.broken = False
        self.failure: Exception | None = None
        self._stops_before = ""
        if kind == "websocket":
            self.deliver.send_nowait({"type": "websocket.connect"})
        else:
            self.deliver.send_nowait({"type": "http.request", "body": body, "more_body": not whole})

    async def run(self, app: App) -> None:
        """Serves this connection."""
        try:
            await app(self.scope, self._receive, self._send)
        finally:
            self.deliver.close()
            self._inbox.close()
            self.finished.set()

    async def _receive(self) -> Message:
        return await self._inbox.receive()

    async def _send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        if self.broken:
            raise OSError("the peer is gone")
        if self._reads is not None and len(self.sent) >= self._reads:
            self.stop_reading()
            self._reads = None
        if message["type"] == self._stops_before:
            self.stop_reading()
        # As on servers whose sends cannot be cancelled, where that matters.
        with anyio.CancelScope(shield=message["type"] == self._stops_before):
            await self._reading.wait()
        self.sent.append(message)
        if message["type"] == "websocket.close" and self._closes:
            self.hang_up()

    def stop_reading(self) -> None:
        """From now on every send blocks."""
        self._reading = anyio.Event()

    def stop_before(self, kind: str) -> None:
        """A send of this type blocks, and cannot be cancelled."""
        self._stops_before = kind

    def read_on(self) -> None:
        """Blocked sends go on."""
        self._reading.set()

    def say(self, text: str | None = None, data: bytes | None = None) -> None:
        """Sends a message of the client's."""
        self.deliver.send_nowait({"type": "websocket.receive", "text": text, "bytes": data})

    def hang_up(self) -> None:
        """The client is gone."""
        kind = self.scope["type"]
        # The application may be done with the connection by now.
        with suppress(anyio.ClosedResourceError):
            self.deliver.send_nowait({"type": f"{kind}.disconnect", "code": 1006})

    @property
    def frames(self) -> list[dict[str, Any]]:
        """All frames that arrived, in order."""
        if self.scope["type"] == "http":
            body = b"".join(m.get("body", b"") for m in self.sent)
            return [frame for _, frame, _ in read_sse(body.decode())]
        texts = [m["text"] for m in self.sent if m["type"] == "websocket.send"]
        return [frame for text in texts for frame in json.loads(text)]

    @property
    def types(self) -> list[str]:
        """The frames' types."""
        return [frame["type"] for frame in self.frames]

    @property
    def messages(self) -> list[str]:
        """The texts of all log messages that arrived."""
        return [frame["message"] for frame in self.frames if frame["type"] == "log.message"]

    @property
    def close_code(self) -> int | None:
        """The code of the close, once it came."""
        return next((m["code"] for m in self.sent if m["type"] == "websocket.close"), None)


def read_sse(text: str) -> list[tuple[str, dict[str, Any], str]]:
    """Reads a whole stream of server-sent events as (event, data, last id), by WHATWG's rules."""
    found: list[tuple[str, dict[str, Any], str]] = []
    event, last_id = "", ""
    data: list[str] = []
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append((event or "message", json.loads("\n".join(data)), last_id))
            event, data = "", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            last_id = value
    return found


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """Runs a real uvicorn in this event loop on a free port; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve, [listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
