"""FastAPI's router: its dependencies run before `authorize`, on requests and WebSockets alike."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.params import Depends
from fastapi.routing import APIRoute

from . import _http
from ._asgi import Message, Receive, Scope, Send, serve
from ._service import Service
from .errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    ProgressError,
    TooManySubscribers,
    Unauthorized,
)

__all__ = ["APIRouter", "Depends", "new_router"]

_logger = logging.getLogger("agentprogress")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def new_router(service: Service, lifespan: Lifespan, dependencies: Sequence[Depends]) -> APIRouter:
    """Returns a router with all routes."""
    router = APIRouter(lifespan=lifespan)
    checks = _Dependencies(dependencies)
    for route in _http.ROUTES:
        relay = _Relay(service, route, checks)
        router.add_api_route(
            route.path,
            relay.endpoint,
            # A browser's preflight carries no credentials: it is answered before any check.
            methods=[*route.methods, "OPTIONS"],
            name=f"progress_{route.name}",
            response_model=None,
            include_in_schema=False,
        )
        if route.name == "ws":
            router.add_api_websocket_route(route.path, relay.websocket, name="progress_websocket")
    return router


class _Relay:
    """Hands requests on at the path that the service knows, whatever they are mounted under."""

    def __init__(self, service: Service, route: _http.Route, checks: _Dependencies) -> None:
        self._service = service
        self._route = route
        self._checks = checks

    async def endpoint(self, request: Request) -> Response:
        """What FastAPI calls; the response is what it then sends."""
        return _Relayed(self)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request or a WebSocket."""
        path = self._route.path.format_map(scope.get("path_params", {}))
        # What dependencies leave there is for `authorize`.
        scope.setdefault("state", {})

        added: tuple[_http.Header, ...] = ()

        async def check(request: _http.Request) -> _http.Response | None:
            nonlocal added
            heard = await self._checks.run(scope, request)
            if heard is None or heard.passed:
                added = () if heard is None else heard.theirs()
                return None
            error = heard.error()
            if error is not None and scope["type"] == "websocket":
                raise error
            return heard.response(error)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and added:
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        inner = {**scope, "path": path, "root_path": ""}
        await serve(self._service, inner, receive, sending, check)

    async def websocket(self, websocket: WebSocket) -> None:
        """What FastAPI calls for a WebSocket."""

        async def send(message: Message) -> None:
            try:
                await websocket.send(message)
            except WebSocketDisconnect as gone:
                # Starlette's name for what servers raise when the peer is gone.
                raise ConnectionResetError from gone

        await self.serve(websocket.scope, websocket.receive, send)


class _Relayed(Response):
    """A response that somebody else writes."""

    def __init__(self, relay: _Relay) -> None:
        super().__init__()
        self._relay = relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._relay.serve(scope, receive, send)
        if self.background is not None:
            await self.background()


class _Dependencies:
    """An application's dependencies, run on each request and on each WebSocket's handshake.

    A handshake is a GET request, and is shown to them as one: most dependencies take a request, or
    a security scheme that does, and FastAPI gives neither to a WebSocket. What they refuse with
    becomes an error of the protocol, which every client can read.
    """

    def __init__(self, dependencies: Sequence[Depends]) -> None:
        self._dependencies = list(dependencies)
        self._route: APIRoute | None = None

    async def run(self, scope: Scope, request: _http.Request) -> _Heard | None:
        """Runs them; returns what is heard of it, or None where there are none.

        Raises:
            ProgressError: one of them failed.
        """
        if not self._dependencies:
            return None
        heard = _Heard(request.body)
        try:
            seen = _as_request(scope, request) | {_HEARD: heard}
            await self._route_in(scope).app(seen, heard.receive, heard.send)
        except Exception as error:
            # Where nobody else would answer, as for a WebSocket, a client must not wait for it.
            _logger.exception("a dependency failed")
            raise ProgressError from error
        return heard

    def _route_in(self, scope: Scope) -> APIRoute:
        app = scope["app"]
        if self._route is None or self._route.dependency_overrides_provider is not app:
            self._route = APIRoute(
                "/",
                _passed,
                response_model=None,
                dependencies=self._dependencies,
                # With the application's overrides, by which its tests put other users in.
                dependency_overrides_provider=app,
            )
        return self._route


_HEARD = "agentprogress.heard"


async def _passed(request: Request) -> None:
    """The endpoint behind the dependencies: who gets here may go on, whatever status they set."""
    request.scope[_HEARD].passed = True


def _as_request(scope: Scope, request: _http.Request) -> dict[str, Any]:
    seen = request.connection
    headers = [(n, value) for n, value in scope["headers"] if n != b"cookie" or seen.cookies]
    if seen.bearer is not None and not request.has_authorization:
        headers.append((b"authorization", b"Bearer " + seen.bearer.encode("latin-1", "replace")))
    return {**scope, "type": "http", "method": request.method, "headers": headers}


class _Heard:
    """What a dependency hears of a request, and what is heard of its answer."""

    def __init__(self, body: bytes) -> None:
        self.passed = False
        self._unread: bytes | None = body
        self._status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        self._headers: tuple[_http.Header, ...] = ()
        self._body = b""

    async def receive(self) -> Message:
        if self._unread is None:
            # Whoever asks again waits for the client to leave, and is cancelled when all is said.
            await anyio.sleep_forever()
        body, self._unread = self._unread or b"", None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple(message["headers"])
        self._body += message.get("body", b"")

    def error(self) -> ProgressError | None:
        """Returns what the protocol calls a refusal; None where it is none."""
        if self._status < HTTPStatus.BAD_REQUEST:
            return None
        failed = self._status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = _ERRORS.get(self._status, ProgressError if failed else Forbidden)
        return kind(self._detail())

    def theirs(self) -> tuple[_http.Header, ...]:
        """Returns the headers that a dependency sets and the protocol does not."""
        return tuple(header for header in self._headers if header[0] in _THEIRS)

    def response(self, error: ProgressError | None) -> _http.Response:
        """Returns the answer with the dependency's own status."""
        if error is None:  # a redirect, say
            headers = [header for header in self._headers if header[0] != b"content-length"]
            return _http.Response(self._status, self._body, tuple(headers))
        told = _http.problem(error, status=self._status)
        theirs = self.theirs()
        names = {name for name, _ in theirs}
        ours = [header for header in told.headers if header[0] not in names]
        return replace(told, status=self._status, headers=(*ours, *theirs))

    def _detail(self) -> str:
        try:
            detail = json.loads(self._body)["detail"]
        except (ValueError, KeyError, TypeError):
            return ""
        return detail if isinstance(detail, str) else ""


# What a dependency says to the browser, on a yes and on a no.
_THEIRS = frozenset({b"www-authenticate", b"retry-after", b"set-cookie"})

_ERRORS: dict[int, type[ProgressError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidRequest,
    HTTPStatus.TOO_MANY_REQUESTS: TooManySubscribers,
}
