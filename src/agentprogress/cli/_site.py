"""The ASGI application that the command line serves: progress at its mount, and a way there."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from .._asgi import Message, Receive, Scope, Send
from ..access import Authorize
from ..asgi import ProgressApp
from ..registry import SessionRegistry

__all__ = ["MOUNT", "Site"]

MOUNT = "/progress"


class Site:
    """The ASGI application: progress at its mount, and ``/`` leads to the session's page.

    Args:
        registry: whose sessions.
        authorize: who may do what; None for the rule by generated ids.
        allowed_origins: pages of other origins that may call.

    Attributes:
        home: the page that ``/`` leads to, where there is one.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        authorize: Authorize | None = None,
        *,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        self.home: str | None = None
        # The command has handlers of its own, which ask the session to stop first.
        self._progress = ProgressApp(
            registry, authorize, allowed_origins=allowed_origins, chain_signals=False
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["path"].startswith(f"{MOUNT}/"):
            await self._progress({**scope, "root_path": MOUNT}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/" and self.home is not None and _names_an_address(scope):
            await _answer(send, 307, b"", (b"location", self.home.encode()))
        else:
            await _answer(send, 404, b"Nothing is here: open the address that was printed.\n")


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    headers = (*headers, (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _names_an_address(scope: Scope) -> bool:
    """False for a host name: a foreign page may have pointed its own at this machine.

    The redirect tells the session's id, and whoever knows that may follow the session.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    try:
        name = urlsplit(b"//" + host).hostname or b""
        return name == b"localhost" or bool(ipaddress.ip_address(name.decode("ascii")))
    except ValueError:
        return False
