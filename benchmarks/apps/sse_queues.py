"""sse-starlette as documented: one bounded queue for each client, filled by the producer.

The awaited `put` is the flow control. Each event is made once and shared by the queues; the
library encodes it for each client.
"""

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from ..control import controlled
from ..payload import EVENTS, FLOW_EVENTS, WELCOME, event_text

texts = [event_text(number, number + 1) for number in range(EVENTS)]
queues: set[asyncio.Queue[ServerSentEvent]] = set()
producers: set[asyncio.Task[None]] = set()


async def follow(queue: asyncio.Queue[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    """Yields what the producer puts into a client's queue."""
    queues.add(queue)
    try:
        yield ServerSentEvent(data=WELCOME)
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def events(request: Request) -> EventSourceResponse:
    """The stream of one client."""
    return EventSourceResponse(follow(asyncio.Queue(FLOW_EVENTS)))


async def produce() -> None:
    """Puts every event into every queue."""
    for number, text in enumerate(texts):
        event = ServerSentEvent(data=text, id=f"Xk3v9QpLm2-{number + 1}")
        for queue in queues:
            await queue.put(event)


def go() -> None:
    """Starts the producer."""
    producers.add(asyncio.create_task(produce()))


app = controlled(Starlette(routes=[Route("/events", events)]), go=go)
