"""The floor of memory: accepts WebSockets, says welcome once and waits for their end."""

from ..control import Receive, Scope, Send, controlled
from ..payload import WELCOME


async def idle(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves one WebSocket."""
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": WELCOME})
    while (await receive())["type"] != "websocket.disconnect":
        pass


app = controlled(idle, go=bool)
