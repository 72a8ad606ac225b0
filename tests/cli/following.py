"""What `agentprogress follow` is pointed at: a server with its registry, and nobody."""

from __future__ import annotations

import socket

from agentprogress import SessionRegistry

from .programs import CLI

FOLLOW = (*CLI, "follow")


class Server:
    """A server in this process, and the registry behind it."""

    def __init__(self, registry: SessionRegistry, address: str) -> None:
        self.registry = registry
        self.address = address

    def url(self, session_id: str) -> str:
        return f"{self.address}/sessions/{session_id}"


def refused() -> str:
    """Returns the address of a session where no server is."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/sessions/s_x"
