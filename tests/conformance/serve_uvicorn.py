"""Serves the application on an inherited listening socket with uvicorn."""

from __future__ import annotations

import socket
import sys

import uvicorn

__all__: list[str] = []


def _main(ws: str, fd: int) -> None:
    config = uvicorn.Config("tests.conformance.target:app", ws=ws, timeout_graceful_shutdown=5)
    # Its own --fd takes every socket for a Unix one, and so leaves Nagle's algorithm on.
    with socket.socket(fileno=fd) as listener:
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
