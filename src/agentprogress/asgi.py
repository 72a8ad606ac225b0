"""Progress as an ASGI application, for any server: ``receive`` is always awaited, one task writes.

No protocol decision is made here: those are in `_core/connection.py` and `_http.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from ._core import frames
from ._core.connection import Close, Transport, Write
from ._core.sse import encode_control
from ._driver import Driver, return_delay
from ._engine import Engine
from ._http import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    SSE_HEADERS,
    Endpoints,
    Request,
    Response,
    Route,
    problem,
    route,
)
from ._record import SessionRecord
from .access import Access, Authorize, allow_generated_ids
from .errors import CODES, Draining, ProgressError, TooManySubscribers
from .registry import SessionRegistry, engine_of

__all__ = ["ProgressApp"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SUBPROTOCOL = "agentprogress.v1"


class ProgressApp:
    """The read routes of a registry, mountable anywhere; needs no lifespan.

    Args:
        registry: whose sessions are served.
        authorize: who may follow what; the default lets whoever knows a generated id follow it.
    """

    def __init__(self, registry: SessionRegistry, authorize: Authorize | None = None) -> None:
        self._engine = engine_of(registry)
        self._endpoints = Endpoints(self._engine, authorize or allow_generated_ids)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _request(scope)
        found = route(request.path)
        response: Response | None
        if found is None or found.name == "ws":
            response = NOT_FOUND
        elif request.method not in ("GET", "HEAD"):
            response = METHOD_NOT_ALLOWED
        elif found.name == "events":
            await self._events(request, found, receive, send)
            return
        else:
            response = await self._answer(request, found, receive)
        if response is not None:
            await _respond(send, response, request)

    async def _answer(self, request: Request, found: Route, receive: Receive) -> Response | None:
        """Answers, unless the client goes away while a long poll waits: then nobody is there."""
        response = None
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                response = await self._endpoints.answer(request, found)
            except ProgressError as error:
                response = problem(error)
            tasks.cancel_scope.cancel()
        return response

    async def _events(self, request: Request, found: Route, receive: Receive, send: Send) -> None:
        try:
            record, access = await self._endpoints.authorized(request, found.session_id)
            if self._endpoints.has_it_all(request, record):
                await _respond(send, Response(204, headers=[]), request)
                return
            if request.method == "HEAD":
                await _respond(send, Response(200, headers=SSE_HEADERS), request)
                return
            driver = _SseDriver(self._engine, record, access, receive, send)
            driver.join(self._endpoints, request.cursor)
        except (Draining, TooManySubscribers):
            # An EventSource never comes back after an error status; after this it does.
            delay = return_delay(self._engine)
            body = encode_control("reconnect", frames.reconnect(delay), retry=delay)
            await _respond(send, Response(200, body, SSE_HEADERS), request)
            return
        except ProgressError as error:
            await _respond(send, problem(error), request)
            return
        await driver.run()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        request = _request(scope)
        found = route(request.path)
        if found is None or found.name != "ws":
            await send({"type": "websocket.close", "code": CODES["bad_request"].websocket})
            return
        answers = SUBPROTOCOL in scope.get("subprotocols", ())
        # A browser cannot read a refused handshake: accept, say why, close.
        try:
            record, access = await self._endpoints.authorized(request, found.session_id)
            driver = _WebSocketDriver(self._engine, record, access, receive, send, answers=answers)
            driver.join(self._endpoints, request.cursor)
        except ProgressError as error:
            await send(_accept(answers=answers))
            await self._refuse(error, receive, send)
            return
        await driver.run()

    async def _refuse(self, error: ProgressError, receive: Receive, send: Send) -> None:
        code = CODES[error.code]
        if isinstance(error, Draining):
            code = CODES["going_away"]
            frame = frames.reconnect(return_delay(self._engine))
        else:
            frame = frames.error(error.code, str(error))
        await send({"type": "websocket.send", "text": f"[{frame.decode()}]"})
        await send({"type": "websocket.close", "code": code.websocket, "reason": code.name})
        with anyio.move_on_after(self._engine.settings.close_timeout):
            while (await receive())["type"] != "websocket.disconnect":
                pass


class _AsgiDriver(Driver):
    """What both kinds of streams have in common on ASGI."""

    __slots__ = ("_answers", "_receive", "_send")

    def __init__(
        self,
        engine: Engine,
        record: SessionRecord,
        access: Access,
        receive: Receive,
        send: Send,
        *,
        answers: bool = False,
    ) -> None:
        super().__init__(engine, record, access, answers=answers)
        self._receive = receive
        self._send = send
        self._answers = answers


class _WebSocketDriver(_AsgiDriver):
    __slots__ = ()

    transport = Transport.WEBSOCKET

    async def open(self) -> None:
        await self._send(_accept(answers=self._answers))

    async def read(self) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            self.received(message.get("text"))

    async def send(self, step: Write | Close) -> None:
        if isinstance(step, Write):
            await self._send({"type": "websocket.send", "text": step.data})
        else:
            await self._send({"type": "websocket.close", "code": step.code, "reason": step.reason})


class _SseDriver(_AsgiDriver):
    __slots__ = ()

    transport = Transport.SSE

    async def open(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})

    async def read(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send(self, step: Write | Close) -> None:
        if isinstance(step, Write):
            await self._send({"type": "http.response.body", "body": step.data, "more_body": True})
        else:
            await self._send({"type": "http.response.body", "body": b""})
            self.finished()


def _accept(*, answers: bool) -> Message:
    return {"type": "websocket.accept", "subprotocol": SUBPROTOCOL if answers else None}


def _request(scope: Scope) -> Request:
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
        scope.get("query_string", b""),
        client[0] if client else None,
    )


async def _respond(send: Send, response: Response, request: Request) -> None:
    length = str(len(response.body)).encode()
    headers = [*response.headers]
    if response.status not in (204, 304) and response.headers is not SSE_HEADERS:
        headers.append((b"content-length", length))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if request.method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Answers a server that asks, though nothing here needs it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
