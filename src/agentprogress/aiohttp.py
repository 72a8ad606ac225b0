"""Progress on aiohttp: the same routes as the ASGI application, on an `aiohttp.web` application.

No decision is made here: this file translates between aiohttp's objects and the rest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import anyio

from ._core.outputs import Accept, Close, Write
from ._driver import Received
from ._http import CUT, Header, Request, Response
from ._service import Service
from .access import Authorize
from .registry import SessionRegistry
from .settings import Settings
from .sockets import tune

try:
    from aiohttp import WSMsgType, hdrs, web
except ImportError as error:
    raise ImportError(
        "agentprogress.aiohttp needs aiohttp: pip install 'agentprogress[aiohttp]'"
    ) from error

__all__ = ["add_progress_routes"]

# What is up to so many times too large is told so; anything larger is not even assembled.
_ASSEMBLED = 4


def add_progress_routes(
    app: web.Application,
    registry: SessionRegistry,
    prefix: str = "/progress",
    authorize: Authorize | None = None,
    *,
    allowed_origins: Sequence[str] = (),
) -> None:
    """Adds the routes of a registry to an application, which drains it when it shuts down.

    Args:
        app: not yet started.
        registry: whose sessions are served.
        prefix: where the routes go.
        authorize: as for `agentprogress.asgi.ProgressApp`.
        allowed_origins: as there.

    Raises:
        InvalidSettings: one of `allowed_origins` is no origin.
    """
    # aiohttp calls `on_shutdown` before it waits for streams: no signal has to be chained.
    service = Service(registry, authorize, allowed_origins, chain=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await _websocket(service, registry.settings, request)
        return await _http(service, registry.settings, request)

    async def alive(_: web.Application) -> AsyncGenerator[None]:
        async with registry:
            yield

    app.router.add_route("*", prefix.rstrip("/") + "/{path:.*}", handle)
    app.cleanup_ctx.append(alive)
    app.on_shutdown.append(lambda _: registry.drain())


async def _http(service: Service, settings: Settings, request: web.Request) -> web.StreamResponse:
    posted = request.method == hdrs.METH_POST
    body = await _body(request, service.max_body_bytes) if posted else b""
    if body is None:
        return web.Response(status=CUT.status)
    answer = await service.answer(_request(request, body))
    if isinstance(answer, Response):
        headers = _decoded(answer.headers)
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    channel = _EventStream(request, settings, answer.headers)
    await answer.driver.run(channel)
    return channel.response


async def _websocket(
    service: Service, settings: Settings, request: web.Request
) -> web.StreamResponse:
    offered = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())
    names = [name.strip() for line in offered for name in line.split(",")]
    channel = _WebSocket(request, settings)
    driver = await service.connect(_request(request).offering(names))
    await driver.run(channel)
    return channel.response


class _Channel:
    """What both kinds of `Channel` have in common."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        self._request = request
        self._settings = settings

    def _tune(self) -> None:
        transport = self._request.transport
        connection = None if transport is None else transport.get_extra_info("socket")
        if connection is not None:
            tune(connection, self._settings.user_timeout)

    def abort(self) -> None:
        # After a cancelled write aiohttp cannot even close cleanly (measured): the transport goes.
        if self._request.transport is not None:
            self._request.transport.abort()


class _WebSocket(_Channel):
    response: web.WebSocketResponse

    async def send(self, output: Accept | Write | Close) -> None:
        if isinstance(output, Write):
            await self.response.send_str(str(output.data))
        elif isinstance(output, Close):
            # It waits for the peer's close as well, for as long as it was told below.
            await self.response.close(code=output.code, message=output.reason.encode())
        else:
            await self._accept(output.subprotocol)

    async def _accept(self, subprotocol: str | None) -> None:
        self._tune()
        # aiohttp reads one line of offers only, and logs the names that nobody knows, of which one
        # may be a token. So it is shown what was selected.
        headers = self._request.headers.copy()
        headers.popall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
        if subprotocol is not None:
            headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = subprotocol
        self.response = web.WebSocketResponse(
            protocols=() if subprotocol is None else (subprotocol,),
            timeout=min(self._settings.close_timeout, self._settings.write_timeout),
            max_msg_size=self._settings.max_client_frame_bytes * _ASSEMBLED,
            compress=False,
        )
        try:
            handshake = self._request.clone(headers=headers)
        except RuntimeError as error:
            raise ValueError("A middleware has read the body of a handshake.") from error
        await self.response.prepare(handshake)

    async def read(self, received: Received) -> None:
        async for message in self.response:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                received(message.data)


class _EventStream(_Channel):
    def __init__(self, request: web.Request, settings: Settings, headers: Sequence[Header]) -> None:
        super().__init__(request, settings)
        self.response = web.StreamResponse(headers=_decoded(headers))

    async def send(self, output: Accept | Write | Close) -> None:
        if isinstance(output, Write):
            assert isinstance(output.data, bytes)
            await self.response.write(output.data)
        elif isinstance(output, Close):
            await self.response.write_eof()
        else:
            self._tune()
            await self.response.prepare(self._request)

    async def read(self, received: Received) -> None:
        # aiohttp tells nobody that a client is gone: the next write, a heartbeat at latest, does.
        await anyio.sleep_forever()


def _request(request: web.Request, body: bytes = b"") -> Request:
    return Request.read(
        request.method,
        f"/{request.match_info['path']}",
        request.raw_headers,
        query=request.rel_url.raw_query_string.encode(),
        client=request.remote,
        state={key: value for key, value in request.items() if isinstance(key, str)},
        body=body,
    )


async def _body(request: web.Request, most: int) -> bytes | None:
    """Reads a body, or just enough of it to see that it is too large; None when it was cut."""
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > most:
                break
    except (OSError, web.RequestPayloadError):
        return None
    return bytes(body)


def _decoded(headers: Sequence[Header]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}
