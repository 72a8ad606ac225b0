"""Serves a store's sessions on an inherited listening socket with uvicorn; it produces nothing."""

from __future__ import annotations

import json
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from agentprogress import SessionRegistry, Settings
from agentprogress.access import allow_anyone
from agentprogress.asgi import ProgressApp

__all__: list[str] = []


def _main(descriptor: int, store: str, settings: str) -> None:
    registry = SessionRegistry(Settings(**json.loads(settings)), store=store)
    routes = [Mount("/progress", ProgressApp(registry, allow_anyone))]
    config = uvicorn.Config(
        Starlette(routes=routes), timeout_graceful_shutdown=5, log_level="warning"
    )
    with socket.socket(fileno=descriptor) as listener:
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
