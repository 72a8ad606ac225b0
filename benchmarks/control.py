"""The front door of every measured server: POST /open, /go, /gc and what it asks itself.

It costs each contender one function call for each connection and nothing for each event.
"""

import gc
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def controlled(
    app: ASGIApp,
    *,
    go: Callable[[], object],
    opened: Callable[[], str] = str,
    asked: Mapping[str, Callable[[], Awaitable[str]]] | None = None,
) -> ASGIApp:
    """Puts the control routes in front of an app.

    Args:
        app: The server under test.
        go: Called once, when all subscribers are connected: the producer may begin.
        opened: Called before the first subscriber; returns the path that the streams are below.
        asked: Further control routes by path; each returns its answer.
    """

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body = ""
        if scope["path"] == "/open":
            body = opened()
        elif scope["path"] == "/go":
            go()
        elif scope["path"] == "/gc":
            gc.collect()
        elif asked is not None and scope["path"] in asked:
            body = await asked[scope["path"]]()
        await answer(send, body)

    return front


async def answer(send: Send, body: str) -> None:
    """Sends a whole plain response."""
    length = str(len(body.encode())).encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
