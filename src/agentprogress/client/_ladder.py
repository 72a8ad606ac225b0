"""Which transport to take: WebSocket first, then server-sent events, then long polls. Pure.

Every step down has a reason in words, with what to change in the proxy that is the usual cause.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

__all__ = ["AUTO", "Advice", "Ladder", "Transport"]

AUTO: Final = "auto"


class Transport(StrEnum):
    """How frames come. Upper and lower case and the hyphen do not matter."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    LONG_POLL = "long-poll"

    @classmethod
    def _missing_(cls, value: object) -> Transport | None:
        spelled = str(value).lower().replace("-", "").replace("_", "")
        return next((each for each in cls if each.value.replace("-", "") == spelled), None)


class Advice(Enum):
    """Why the next transport is taken, and what would make the better one work."""

    NO_UPGRADE = (
        "the WebSocket handshake was refused. A proxy has to pass it on: in nginx "
        "`proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
        'Connection "upgrade";`'
    )
    SHORT = (
        "its connections were cut at once, several times in a row. Look at the time limits and "
        "the log of the proxy in between"
    )
    HELD_BACK = (
        "nothing came through an open event stream. A proxy collects it: in nginx "
        "`proxy_buffering off; gzip off;` for this location"
    )
    SWALLOWED = (
        "nothing came back through a WebSocket. A proxy in between takes it and passes nothing on"
    )


class Ladder:
    """The transport in use.

    Args:
        mode: ``auto``, or the one transport to use.
        max_short: short connections in a row after which the next transport is taken.

    Attributes:
        transport: the one in use.
        notice: a sentence about the last step down that has not been told yet.

    Raises:
        ValueError: there is no such transport.
    """

    def __init__(self, mode: str, max_short: int) -> None:
        try:
            rungs = list(Transport) if mode == AUTO else [Transport(mode)]
        except ValueError:
            known = ", ".join([AUTO, *Transport])
            raise ValueError(f"There is no transport {mode!r}; there are {known}.") from None
        self.transport = rungs.pop(0)
        self.notice: str | None = None
        self._below = rungs
        self._max_short = max_short
        self._short = 0

    def lasted(self) -> None:
        """A connection was not short."""
        self._short = 0

    def cut_short(self, advice: Advice = Advice.SHORT) -> bool:
        """A connection was short; returns True when that made it the next transport's turn."""
        self._short += 1
        return self._short >= self._max_short and self.step_down(advice)

    def step_down(self, advice: Advice) -> bool:
        """Takes the next transport; returns False when there is none."""
        if not self._below:
            return False
        left, self.transport = self.transport, self._below.pop(0)
        self._short = 0
        self.notice = f"Following by {self.transport} instead of {left}: {advice.value}."
        return True
