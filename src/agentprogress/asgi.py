"""Progress as an ASGI application, for any server."""

from __future__ import annotations

from collections.abc import Sequence

from ._asgi import Receive, Scope, Send, serve
from ._service import Service
from .access import Authorize
from .registry import SessionRegistry

__all__ = ["ProgressApp"]


class ProgressApp:
    """The routes of a registry, mountable anywhere; needs no lifespan, and uses one where it is.

    Args:
        registry: whose sessions are served.
        authorize: who may follow, control and list what; the default lets whoever knows a generated
            id follow it, and whoever has its control token control it.
        allowed_origins: pages of other origins that may call, as ``https://app.example``; ``"*"``
            is any. With it the application answers CORS itself.
        chain_signals: whether SIGTERM and SIGINT drain the registry before the server handles them.

    Raises:
        InvalidSettings: one of `allowed_origins` is no origin.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        authorize: Authorize | None = None,
        *,
        allowed_origins: Sequence[str] = (),
        chain_signals: bool = True,
    ) -> None:
        self._registry = registry
        self._service = Service(registry, authorize, allowed_origins, chain=chain_signals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await serve(self._service, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """The application is the server's own: the registry lives as long as it serves."""
        await receive()  # lifespan.startup
        async with self._registry:
            self._service.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})
