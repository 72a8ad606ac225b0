"""Progress in Starlette and FastAPI: routes, a lifespan, and a router that runs dependencies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from ._http import ROUTES
from ._service import Service
from .access import Authorize
from .asgi import ProgressApp
from .registry import SessionRegistry

try:
    from starlette import routing
except ImportError as error:
    raise ImportError(
        "agentprogress.starlette needs Starlette: pip install 'agentprogress[starlette]'"
    ) from error

if TYPE_CHECKING:
    from ._fastapi import APIRouter, Depends

__all__ = ["progress_lifespan", "progress_router", "progress_routes"]


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
    (websocket,) = [route for route in ROUTES if route.name == "ws"]
    return [*routes, routing.WebSocketRoute(websocket.path, app, name="progress_websocket")]


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
        from ._fastapi import new_router
    except ImportError as error:
        raise ImportError("progress_router needs FastAPI: pip install fastapi") from error
    service = Service(registry, authorize, allowed_origins, chain=chain_signals)
    return new_router(service, progress_lifespan(registry), dependencies)
