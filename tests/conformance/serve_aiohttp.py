"""Serves progress from an aiohttp application on an inherited listening socket."""

from __future__ import annotations

import json
import socket
import sys

from aiohttp import web

from agentprogress.aiohttp import add_progress_routes

from .backend import ALLOWED_ORIGIN, Backend

__all__: list[str] = []


def _build() -> web.Application:
    backend = Backend("/progress")

    async def control(request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"{}")
        return web.json_response(await backend.handle(request.match_info["path"], body))

    app = web.Application()
    app.router.add_route("*", "/test/{path}", control)
    add_progress_routes(
        app,
        backend.registry,
        prefix="/progress",
        authorize=backend.authorize,
        allowed_origins=(ALLOWED_ORIGIN,),
    )
    return app


def _main(fd: int) -> None:
    with socket.socket(fileno=fd) as listener:
        web.run_app(_build(), sock=listener, shutdown_timeout=5)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
