"""ASGI in and out: ``receive`` is always awaited, one task writes.

No decision is made here: this file translates between ASGI's messages and the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import anyio

from ._core.outputs import Accept, Close, Write
from ._driver import Received
from ._http import CUT, Header, Request, Response
from ._service import Check, Service, Stream, nothing

__all__ = ["Message", "Receive", "Scope", "Send", "serve"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def serve(
    service: Service, scope: Scope, receive: Receive, send: Send, check: Check = nothing
) -> None:
    """Serves one connection: a request or a WebSocket."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        request = _request(scope).offering(scope.get("subprotocols", ()))
        driver = await service.connect(request, check)
        await driver.run(_WebSocket(receive, send))
        return
    body = b""
    if scope["method"] == "POST":
        whole = await _body(receive, service.max_body_bytes)
        if whole is None:  # half a request is none
            await _respond(send, CUT)
            return
        body = whole
    answer = await _answer(service, _request(scope, body), receive, check)
    if isinstance(answer, Response):
        await _respond(send, answer)
    else:
        await answer.driver.run(_EventStream(receive, send, answer.headers))


async def _answer(
    service: Service, request: Request, receive: Receive, check: Check
) -> Response | Stream:
    """Answers, unless the client goes away while a long poll waits."""
    if not service.waits(request):
        return await service.answer(request, check)
    answer: Response | Stream = CUT
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await _until_disconnect(receive)
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            answer = await service.answer(request, check)
        except Exception as error:  # noqa: BLE001 - raised below, as it is and in no group
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


class _WebSocket:
    """A `Channel`."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def send(self, output: Accept | Write | Close) -> None:
        if isinstance(output, Write):
            await self._send({"type": "websocket.send", "text": output.data})
        elif isinstance(output, Close):
            await self._send(
                {"type": "websocket.close", "code": output.code, "reason": output.reason}
            )
        else:
            await self._send({"type": "websocket.accept", "subprotocol": output.subprotocol})

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

    async def send(self, output: Accept | Write | Close) -> None:
        if isinstance(output, Accept):
            await _start(self._send, 200, self._headers)
        elif isinstance(output, Write):
            await self._send({"type": "http.response.body", "body": output.data, "more_body": True})
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


async def _body(receive: Receive, most: int) -> bytes | None:
    """Reads a body, or just enough of it to see that it is too large; None when it was cut."""
    body = bytearray()
    more = True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _respond(send: Send, response: Response) -> None:
    await _start(send, response.status, response.headers)
    await send({"type": "http.response.body", "body": response.body})


async def _start(send: Send, status: int, headers: Sequence[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
