"""Who takes part in the burst: both our transports, and what people would use instead."""

from dataclasses import dataclass

from .client import Transport


@dataclass(frozen=True)
class Contender:
    """A server that takes part, and how long its burst is.

    A slow one gets a shorter burst, so that the run ends in minutes: its rate is the same at any
    length, which `--full` shows.
    """

    name: str
    app: str
    leaf: str
    transport: Transport
    events: int


FULL_EVENTS = 10_000
OURS_WEBSOCKET = "agentprogress, WebSocket"
OURS_SSE = "agentprogress, SSE"
LITESTAR = "Litestar channels"
BARE = "bare ASGI loop"
SSE_STARLETTE = "sse-starlette, queues"

CONTENDERS = (
    Contender(OURS_WEBSOCKET, "ours", "/ws", "websocket", FULL_EVENTS),
    Contender(LITESTAR, "litestar_channels", "/ws", "websocket", 4_000),
    Contender(BARE, "bare", "/ws", "websocket", 4_000),
    Contender(OURS_SSE, "ours", "/events", "sse", FULL_EVENTS),
    Contender(SSE_STARLETTE, "sse_queues", "/events", "sse", 2_000),
)
