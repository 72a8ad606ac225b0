"""The HTTP server of the command line, for as long as a block lasts.

uvicorn is imported in this file only, and not before it is needed.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import Any

import anyio

from ..registry import SessionRegistry
from ._listen import CannotServe
from ._site import Site

__all__ = ["NewServer", "new_server", "serving"]

# uvicorn's, in whole seconds: how long peers that do not read may hold up the exit once everybody
# who reads has been told.
_GRACEFUL_SECONDS = 1

NewServer = Callable[[Site], Any]


@contextlib.asynccontextmanager
async def serving(
    server: Any, listener: socket.socket, registry: SessionRegistry, *, drain_seconds: float | None
) -> AsyncGenerator[None]:
    """Serves until the block is left, then tells those who follow and ends.

    Args:
        server: what `new_server` made.
        listener: where it is reached.
        registry: drained before the server ends.
        drain_seconds: at most so long; None for as long as the registry takes.
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        yield
        # uvicorn waits for streams to end and tells nobody to end one: that is done first.
        with anyio.move_on_after(drain_seconds):
            await registry.drain()
        # From here on it could only complain about peers that do not read.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True


def new_server() -> NewServer:
    """Returns how to make a server.

    Raises:
        CannotServe: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise CannotServe(
            "This command needs uvicorn, which is not installed: pip install 'agentprogress[cli]'"
        ) from error

    class Server(uvicorn.Server):
        """Leaves the signals to `Interrupts`."""

        def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
            return contextlib.nullcontext()

    def made(site: Site) -> Server:
        config = uvicorn.Config(
            site,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        return Server(config)

    return made
