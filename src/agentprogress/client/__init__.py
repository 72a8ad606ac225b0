"""Following a session from another program.

    async with follow("https://host/progress/sessions/s_…") as feed:
        async for event in feed.events():
            print(event)
        report = await feed.result(Report)

What is here survives every cut and says in which state it is; nothing is lost or repeated.
"""

from __future__ import annotations

try:
    from ._feed import Feed, FollowOptions, follow
    from ._ladder import Transport
    from ._states import FollowState
    from ._sync import SyncFeed, follow_sync
    from ._urls import websocket_url
except ImportError as error:
    if (error.name or "").partition(".")[0] not in ("httpx2", "wsproto"):
        raise
    raise ImportError(
        "agentprogress.client needs httpx2 with WebSockets, which is not installed: "
        "pip install 'agentprogress[client]'",
        name=error.name,
    ) from error

__all__ = [
    "Feed",
    "FollowOptions",
    "FollowState",
    "SyncFeed",
    "Transport",
    "follow",
    "follow_sync",
    "websocket_url",
]
