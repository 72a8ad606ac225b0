"""Progress as an ASGI application, for any server: ``receive`` is always awaited, one task writes.

No decision is made here: this file translates between ASGI's messages and the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import anyio

from ._core.connection import Accept, Close, Write
from ._driver import Received
from ._http import Header, Request, Response
from ._service import Service, Stream
from .access import Authorize
from .errors import ProgressError
from .registry import SessionRegistry

__all__ = ["ProgressApp"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ProgressApp:
    """The routes of a registry, mountable anywhere; needs no lifespan, and uses one where it is.

    Args:
        registry: whose sessions are served.
        authorize: who may follow, control and list what; the default lets whoever knows a generated
            id follow it, and whoever has its control token control it.
        allowed_origins: pages of other origins that may call, as ``https://app.example``; ``"*"``
            is any. With it the application answers CORS itself.
        chain_signals: whether SIGTERM and SIGINT drain the registry before the server handles them.

    Raises:
        InvalidSettings: one of `allowed_origins` is no origin.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        authorize: Authorize | None = None,
        *,
        allowed_origins: Sequence[str] = (),
        chain_signals: bool = True,
    ) -> None:
        self._registry = registry
        self._service = Service(registry, authorize, allowed_origins, chain=chain_signals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self.websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def websocket(
        self, scope: Scope, receive: Receive, send: Send, refusal: ProgressError | None = None
    ) -> None:
        """Serves a WebSocket, or tells it what a framework's own check has refused it with."""
        await receive()  # websocket.connect
        request = _request(scope).offering(scope.get("subprotocols", ()))
        driver = await self._service.connect(request, refusal)
        await driver.run(_WebSocket(receive, send))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        if scope["method"] == "POST":
            body = await _body(receive, self._service.max_body_bytes)
        answer = await self._answer(_request(scope, body), receive)
        if isinstance(answer, Response):
            await _start(send, answer.status, answer.headers)
            await send({"type": "http.response.body", "body": answer.body})
        elif answer is not None:
            await answer.driver.run(_EventStream(receive, send, answer.headers))

    async def _answer(self, request: Request, receive: Receive) -> Response | Stream | None:
        """Answers, unless the client goes away while a long poll waits: then nobody is there."""
        if "wait" not in request.connection.query:
            return await self._service.answer(request)
        answer = None
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await _until_disconnect(receive)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            answer = await self._service.answer(request)
            tasks.cancel_scope.cancel()
        return answer

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """The application is the server's own: the registry lives as long as it serves."""
        await receive()  # lifespan.startup
        async with self._registry:
            self._service.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})


class _WebSocket:
    """A `Channel`."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def send(self, step: Accept | Write | Close) -> None:
        if isinstance(step, Write):
            await self._send({"type": "websocket.send", "text": step.data})
        elif isinstance(step, Close):
            await self._send({"type": "websocket.close", "code": step.code, "reason": step.reason})
        else:
            await self._send({"type": "websocket.accept", "subprotocol": step.subprotocol})

    async def read(self, received: Received) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            received(message.get("bytes") or b"" if text is None else text)

    def abort(self) -> None:
        """ASGI has no word for it: `sockets.tuned_socket` makes the kernel do it."""


class _EventStream:
    """A `Channel`."""

    __slots__ = ("_headers", "_receive", "_send")

    def __init__(self, receive: Receive, send: Send, headers: Sequence[Header]) -> None:
        self._receive = receive
        self._send = send
        self._headers = headers

    async def send(self, step: Accept | Write | Close) -> None:
        if isinstance(step, Accept):
            await _start(self._send, 200, self._headers)
        elif isinstance(step, Write):
            await self._send({"type": "http.response.body", "body": step.data, "more_body": True})
        else:
            await self._send({"type": "http.response.body", "body": b""})

    async def read(self, received: Received) -> None:
        await _until_disconnect(self._receive)

    def abort(self) -> None:
        """As for a WebSocket."""


def _request(scope: Scope, body: bytes = b"") -> Request:
    path: str = scope["path"]
    # Servers and frameworks differ on whether the path includes the mount; the spec says it does.
    root: str = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    client = scope.get("client")
    return Request.read(
        scope.get("method", "GET"),
        path,
        scope["headers"],
        query=scope.get("query_string", b""),
        client=client[0] if client else None,
        state=scope.get("state", {}),
        body=body,
    )


async def _body(receive: Receive, most: int) -> bytes:
    """Reads a body, or just enough of it to see that it is too large."""
    body = bytearray()
    more = True
    while more and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _start(send: Send, status: int, headers: Sequence[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
