"""Shortcuts of the tests about access and control: ask an app in process, as somebody."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from agentprogress import ProgressSession
from agentprogress.access import Access, AccessRequest, Authorize
from agentprogress.asgi import ProgressApp
from agentprogress.errors import Unauthorized
from agentprogress.registry import SessionOptions
from tests.kit import entered

from .following import Site, settle
from .peers import App, AsgiPeer, Message

BEARERS = {"token-of-ann": "ann", "token-of-bob": "bob"}
ANN = {"authorization": "Bearer token-of-ann"}
BOB = {"authorization": "Bearer token-of-bob"}


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        code: str = self.json["code"]
        return code


class Door:
    """An `authorize` as applications write it: by bearer and owner. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[AccessRequest] = []
        self.bearers = dict(BEARERS)

    def __call__(self, request: AccessRequest) -> Access | None:
        self.asked.append(request)
        user = self.bearers.get(request.connection.bearer or "")
        if user is None:
            raise Unauthorized("Log in first.")
        if request.action == "list":
            return Access(user, frozenset({"list"}))
        if request.session is None or request.session.owner != user:
            return None
        return Access(user, frozenset({"follow", "control"}))


class Guarded(Site):
    """A site behind an `authorize`, with a session that its running one knows nothing of."""

    def __init__(
        self,
        authorize: Authorize | None = None,
        allowed_origins: Sequence[str] = (),
        /,
        **settings: float,
    ) -> None:
        super().__init__(**settings)
        self.app = ProgressApp(self.registry, authorize, allowed_origins=allowed_origins)

    def opened(self, **options: Any) -> ProgressSession:
        """Opens one more session, which runs until the test is over."""
        known: SessionOptions = options  # type: ignore[assignment]
        return entered(self.registry.open(**known))

    async def ask(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> Answer:
        """Asks once; underscores in the names of headers are hyphens."""
        return await ask(self.app, method, path, body, **headers)

    @asynccontextmanager
    async def stream(
        self, path: str, subprotocols: tuple[str, ...] = (), /, **headers: str
    ) -> AsyncGenerator[AsgiPeer]:
        """Follows by whatever the path serves until the block is left."""
        kind = "websocket" if path.partition("?")[0].endswith("/ws") else "http"
        peer = AsgiPeer(path, kind=kind, subprotocols=subprotocols)
        peer.scope["headers"] = _raw(headers)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.run, self.app)
            await settle()
            yield peer
            tasks.cancel_scope.cancel()


async def ask(app: App, method: str, path: str, body: bytes = b"", /, **headers: str) -> Answer:
    """Sends one request through an app and returns the whole answer."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": _raw(headers),
    }
    unsent = [body]
    sent: list[Message] = []

    async def receive() -> Message:
        if not unsent:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": unsent.pop(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent))


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    found = {"host": "api.example", **headers}
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in found.items()]


def bearer_protocol(token: str) -> str:
    """Returns the subprotocol that carries a token."""
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    return f"agentprogress.bearer.{encoded}"
