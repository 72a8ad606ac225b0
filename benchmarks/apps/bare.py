"""The floor: an ASGI loop that sends ready-made strings, one for each event and subscriber."""

import asyncio

from ..control import Receive, Scope, Send, controlled
from ..payload import EVENTS, WELCOME, event_text

texts = [event_text(number, number + 1) for number in range(EVENTS)]
started = asyncio.Event()


async def burst(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves one WebSocket."""
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": WELCOME})
    await started.wait()
    for text in texts:
        await send({"type": "websocket.send", "text": text})
    while (await receive())["type"] != "websocket.disconnect":
        pass


app = controlled(burst, go=started.set)
