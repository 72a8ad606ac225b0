"""Progress in Starlette and FastAPI: routes, a lifespan, and a router that runs dependencies."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ._http import ROUTES, Route
from .access import Authorize
from .asgi import Message, ProgressApp, Receive, Scope, Send
from .errors import Forbidden, NotFound, ProgressError, Unauthorized
from .registry import SessionRegistry

try:
    from starlette import routing
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket
except ImportError as error:
    raise ImportError(
        "agentprogress.starlette needs Starlette: pip install 'agentprogress[starlette]'"
    ) from error

if TYPE_CHECKING:
    from fastapi import APIRouter
    from fastapi.params import Depends

__all__ = ["progress_lifespan", "progress_router", "progress_routes"]

_logger = logging.getLogger("agentprogress")


def progress_routes(
    registry: SessionRegistry,
    authorize: Authorize | None = None,
    *,
    allowed_origins: Sequence[str] = (),
    chain_signals: bool = True,
) -> list[routing.BaseRoute]:
    """Returns the routes of a registry, for ``Starlette(routes=…)`` or ``Mount(…, routes=…)``.

    Args:
        registry: whose sessions are served.
        authorize: as for `agentprogress.asgi.ProgressApp`.
        allowed_origins: as there.
        chain_signals: as there.

    Raises:
        InvalidSettings: one of `allowed_origins` is no origin.
    """
    app = ProgressApp(
        registry, authorize, allowed_origins=allowed_origins, chain_signals=chain_signals
    )
    routes: list[routing.BaseRoute] = [
        routing.Route(route.path, app, name=f"progress_{route.name}") for route in ROUTES
    ]
    return [*routes, routing.WebSocketRoute(_WEBSOCKET.path, app, name="progress_websocket")]


def progress_lifespan(
    registry: SessionRegistry,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Returns a lifespan that drains the registry when the application shuts down.

    An application with a lifespan of its own writes ``async with registry:`` in it.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        async with registry:
            yield

    return lifespan


def progress_router(
    registry: SessionRegistry,
    authorize: Authorize | None = None,
    dependencies: Sequence[Depends] = (),
    *,
    allowed_origins: Sequence[str] = (),
    chain_signals: bool = True,
) -> APIRouter:
    """Returns a FastAPI router with all routes, for ``app.include_router(…, prefix="/progress")``.

    Args:
        registry: whose sessions are served; the router's lifespan drains it.
        authorize: as for `agentprogress.asgi.ProgressApp`; asked after the dependencies, and sees
            what they left in ``request.state`` as ``connection.state``.
        dependencies: FastAPI's, as ``[Depends(current_user)]``. They run for every request and for
            the handshake of every WebSocket, which they see as the GET request that it is, with a
            bearer that came as a subprotocol in ``Authorization``.
        allowed_origins: as for `agentprogress.asgi.ProgressApp`.
        chain_signals: as there.

    Raises:
        ImportError: FastAPI is not installed.
        InvalidSettings: one of `allowed_origins` is no origin.
    """
    try:
        from fastapi import APIRouter
    except ImportError as error:
        raise ImportError("progress_router needs FastAPI: pip install fastapi") from error
    app = ProgressApp(
        registry, authorize, allowed_origins=allowed_origins, chain_signals=chain_signals
    )
    router = APIRouter(lifespan=progress_lifespan(registry))
    for route in ROUTES:
        router.add_api_route(
            route.path,
            _endpoint(app, route),
            methods=[*route.methods],
            dependencies=dependencies,
            name=f"progress_{route.name}",
            response_model=None,
            include_in_schema=False,
        )
        # A browser's question whether it may ask carries no credentials: no dependency sees it.
        router.add_route(
            route.path, _endpoint(app, route), methods=["OPTIONS"], include_in_schema=False
        )
    router.add_api_websocket_route(
        _WEBSOCKET.path, _websocket_endpoint(app, _Handshake(dependencies)), name="progress_ws"
    )
    return router


_WEBSOCKET = next(route for route in ROUTES if route.name == "ws")


class _Relay(Response):
    """Hands a request on to the application, at the path that the application knows."""

    def __init__(self, app: ProgressApp, route: Route) -> None:
        super().__init__()
        self._app = app
        self._route = route

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        await self._app(_relative(scope, self._route), receive, send)


def _relative(scope: Scope, route: Route) -> Scope:
    path = route.path.format_map(scope.get("path_params", {}))
    return {**scope, "path": path, "root_path": ""}


def _endpoint(app: ProgressApp, route: Route) -> Callable[[Request], Any]:
    relay = _Relay(app, route)

    async def endpoint(request: Request) -> Response:
        return relay

    return endpoint


def _websocket_endpoint(app: ProgressApp, handshake: _Handshake) -> Callable[[WebSocket], Any]:
    async def endpoint(websocket: WebSocket) -> None:
        refusal = await handshake.refusal(websocket)
        scope = _relative(websocket.scope, _WEBSOCKET)
        await app.websocket(scope, websocket.receive, websocket.send, refusal)

    return endpoint


class _Handshake:
    """A WebSocket's handshake as FastAPI's dependencies see it: the GET request that it is.

    Most dependencies take a request, or a security scheme that does, and FastAPI gives neither to a
    WebSocket. What they raise reaches the client as an error frame, which a browser can read.
    """

    def __init__(self, dependencies: Sequence[Depends]) -> None:
        self._dependencies = list(dependencies)

    async def refusal(self, websocket: WebSocket) -> ProgressError | None:
        """Runs the dependencies; returns what they refuse with, if they do."""
        if not self._dependencies:
            return None
        from fastapi.routing import APIRoute

        route = APIRoute(
            "/",
            _passed,
            status_code=_PASSED,
            dependencies=self._dependencies,
            # With the application's overrides, by which its tests put other users in.
            dependency_overrides_provider=websocket.app,
        )
        told = _Told()
        try:
            await route.app(_as_get(websocket.scope), told.receive, told.send)
        except Exception:
            # A request would be answered with 500 by the framework; for a WebSocket nobody does it.
            _logger.exception("a dependency failed in a WebSocket's handshake")
            return ProgressError()
        return told.error()


_PASSED = HTTPStatus.NO_CONTENT


async def _passed() -> None:
    """The endpoint behind the dependencies: whoever gets here may follow."""


def _as_get(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    from ._http import Request as Handshake

    scope.setdefault("state", {})
    headers = list(scope["headers"])
    offered = Handshake.read("GET", "/", headers, query=b"", client=None, state={}).offering(
        scope.get("subprotocols", ())
    )
    if offered.connection.bearer is not None and "authorization" not in offered.connection.headers:
        bearer = offered.connection.bearer
        headers.append((b"authorization", b"Bearer " + bearer.encode("latin-1", "replace")))
    return {**scope, "type": "http", "method": "GET", "headers": headers}


class _Told:
    """A request without a body, and what the answer to it is."""

    def __init__(self) -> None:
        self._status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        self._body = b""

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        self._status = message.get("status", self._status)
        self._body += message.get("body", b"")

    def error(self) -> ProgressError | None:
        if self._status == _PASSED:
            return None
        failed = self._status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = _ERRORS.get(self._status, ProgressError if failed else Forbidden)
        return kind(self._detail())

    def _detail(self) -> str:
        try:
            detail = json.loads(self._body)["detail"]
        except (ValueError, KeyError, TypeError):
            return ""
        return detail if isinstance(detail, str) else ""


_ERRORS: dict[int, type[ProgressError]] = {401: Unauthorized, 404: NotFound}
