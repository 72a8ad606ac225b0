"""Litestar channels as documented: memory backend with history, one subscription a WebSocket.

The backlog of a subscriber is unbounded, which is the library's default, so nothing is dropped.
The producer lets the subscribers catch up every 250 events; publishing without any pause was
measured and is not faster.
"""

import asyncio
from typing import Any, cast

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin, Subscriber
from litestar.channels.backends.memory import MemoryChannelsBackend

from ..control import ASGIApp, controlled
from ..payload import EVENTS, FLOW_EVENTS, HISTORY_EVENTS, WELCOME, event_text

CATCH_UP_INTERVAL = 0.001

texts = [event_text(number, number + 1) for number in range(EVENTS)]
plugin = ChannelsPlugin(backend=MemoryChannelsBackend(history=HISTORY_EVENTS), channels=["run"])
subscribers: set[Subscriber] = set()
producers: set[asyncio.Task[None]] = set()


@websocket("/ws")
async def follow(socket: WebSocket[Any, Any, Any], channels: ChannelsPlugin) -> None:
    """Serves one WebSocket."""
    await socket.accept()
    async with channels.start_subscription("run", history=HISTORY_EVENTS) as subscriber:
        subscribers.add(subscriber)
        await socket.send_text(WELCOME)
        async with subscriber.run_in_background(socket.send_text, join=False):
            while (await socket.receive())["type"] != "websocket.disconnect":
                continue


async def produce() -> None:
    """Publishes every event."""
    for number, text in enumerate(texts, 1):
        await plugin.wait_published(text, "run")
        if number % FLOW_EVENTS == 0:
            # The library has no event for it.
            while any(subscriber.qsize for subscriber in subscribers):  # noqa: ASYNC110
                await asyncio.sleep(CATCH_UP_INTERVAL)


def go() -> None:
    """Starts the producer."""
    producers.add(asyncio.create_task(produce()))


litestar = Litestar([follow], plugins=[plugin], openapi_config=None)
app = controlled(cast(ASGIApp, litestar), go=go)
