"""How a watcher stands with the server, and how that is said. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ._text import duration, safe_line

__all__ = ["Connection"]

_WORDS = {
    "idle": "not connected yet",
    "connecting": "connecting",
    "replaying": "catching up",
    "live": "live",
    "reconnecting": "reconnecting",
    "ended": "the session has ended",
    "gave_up": "gave up",
}
_TRANSPORTS = {"websocket": "WebSocket", "sse": "SSE", "long-poll": "long polling"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How the watcher stands with the server, apart from the session's own status.

    Attributes:
        state: ``idle``, ``connecting``, ``replaying``, ``live``, ``reconnecting``, ``ended`` or
            ``gave_up``.
        transport: its name, once there is one.
        reason: why it reconnects or gave up, in words.
        retry_in: seconds until the next attempt; None while it is being made.
        advice: what to do about it.
    """

    state: str
    transport: str | None = None
    reason: str | None = None
    retry_in: float | None = None
    advice: str | None = None

    @property
    def words(self) -> str:
        """The state."""
        return _WORDS.get(self.state) or safe_line(self.state) or "?"

    @property
    def circumstance(self) -> str:
        """What follows the state: when, by what, and why; empty when there is nothing to say."""
        text = ""
        if self.state == "reconnecting":
            wait = self.retry_in or 0
            soon = wait <= 0 or not math.isfinite(wait)
            text = " now" if soon else f" in {duration(math.ceil(wait), running=True)}"
        if self.state in ("live", "replaying") and self.transport is not None:
            text = f" by {_TRANSPORTS.get(self.transport, safe_line(self.transport))}"
        if self.reason and self.state not in ("live", "ended"):
            text += f": {safe_line(self.reason)}"
        return text
