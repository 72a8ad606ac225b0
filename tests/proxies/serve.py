"""Serves sessions that a test drives, with the settings that applications have: on a descriptor.

The cases of `tests/conformance` have a heart that beats each second, which no proxy outruns.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from agentprogress import SessionRegistry, Settings
from agentprogress.asgi import ProgressApp
from tests.conformance.backend import Backend
from tests.conformance.servers import Running

__all__ = ["start_server"]

_ROOT = Path(__file__).parents[2]


class _Usual(Backend):
    """Jobs in a registry that is tuned for nothing."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.registry = SessionRegistry(Settings(base_url=prefix))

    async def control(self, request: Request) -> JSONResponse:
        """Answers the tests' own routes."""
        body = json.loads(await request.body() or b"{}")
        return JSONResponse(await self.handle(request.path_params["path"], body))


def start_server() -> Running:
    """Starts it in a process of its own; its socket listens already."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.proxies.serve", str(listener.fileno())],
            cwd=_ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            text=True,
        )
        return Running(listener.getsockname(), process)


def _main(fd: int) -> None:
    backend = _Usual("/progress")
    routes = [
        Route("/test/{path}", backend.control, methods=["GET", "POST"]),
        Mount("/progress", ProgressApp(backend.registry, backend.authorize)),
    ]
    config = uvicorn.Config(Starlette(routes=routes), timeout_graceful_shutdown=5)
    with socket.socket(fileno=fd) as listener:
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    _main(int(sys.argv[1]))
