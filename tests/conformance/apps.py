"""The ways to put progress into an application: each is served, and each must behave the same."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.requests import HTTPConnection
from starlette.applications import Starlette
from starlette.routing import Mount

from agentprogress.asgi import ProgressApp
from agentprogress.starlette import progress_lifespan, progress_router, progress_routes

from .backend import ALLOWED_ORIGIN, Backend, prefix_of

__all__ = ["APPS", "build"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


def _progress(backend: Backend) -> ProgressApp:
    return ProgressApp(backend.registry, backend.authorize, allowed_origins=(ALLOWED_ORIGIN,))


def _bare(backend: Backend) -> App:
    return _progress(backend)


def _starlette_mounted(backend: Backend) -> App:
    return Starlette(routes=[Mount("/progress", _progress(backend))])


def _starlette_routes(backend: Backend) -> App:
    routes = progress_routes(
        backend.registry, authorize=backend.authorize, allowed_origins=(ALLOWED_ORIGIN,)
    )
    return Starlette(
        routes=[Mount("/progress", routes=routes)], lifespan=progress_lifespan(backend.registry)
    )


def _fastapi_mounted(backend: Backend) -> App:
    app = FastAPI()
    app.mount("/progress", _progress(backend))
    return app


async def current_user(connection: HTTPConnection) -> str:
    """An application's own dependency, as it stands before its other routes."""
    user = connection.query_params.get("user", "ann")
    if user == "nobody":
        raise HTTPException(401, "Who are you?")
    return user


def _fastapi_router(backend: Backend) -> App:
    app = FastAPI()
    router = progress_router(
        backend.registry,
        authorize=backend.authorize,
        allowed_origins=(ALLOWED_ORIGIN,),
        dependencies=[Depends(current_user)],
    )
    app.include_router(router, prefix="/progress")
    return app


APPS: dict[str, Callable[[Backend], App]] = {
    "bare": _bare,
    "starlette-mounted": _starlette_mounted,
    "starlette-routes": _starlette_routes,
    "fastapi-mounted": _fastapi_mounted,
    "fastapi-router": _fastapi_router,
}


def build(kind: str) -> App:
    """Returns the application, with the tests' own routes in front of it."""
    backend = Backend(prefix_of(kind))
    app = APPS[kind](backend)

    async def in_front(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/test/"):
            await _control(backend, scope["path"].removeprefix("/test/"), receive, send)
        else:
            await app(scope, receive, send)

    return in_front


async def _control(backend: Backend, path: str, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps(await backend.handle(path, json.loads(body or b"{}"))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
