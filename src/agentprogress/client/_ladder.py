"""Which transport to take: WebSocket first, then server-sent events, then long polls. Pure.

Every step down has a reason in words, with what to change in the proxy that is the usual cause.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

from ..settings import Settings

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
        "Connection $connection_upgrade;` with the map of docs/servers.md"
    )
    SHORT = (
        "its connections were cut at once, several times in a row. Look at the time limits and "
        "the log of the proxy in between"
    )
    HELD_BACK = (
        "nothing came through an open event stream. A proxy collects it: in nginx "
        "`proxy_buffering off;` for this location, and no gzip of text/event-stream"
    )
    SWALLOWED = (
        "nothing came back through a WebSocket. A proxy in between takes it and passes nothing on"
    )


class Ladder:
    """The transport in use.

    Args:
        mode: ``auto``, or the one transport to use.
        settings: how short is short, and for how long a doubt is believed.

    Attributes:
        transport: the one in use.
        notice: a sentence about the last step down that has not been told yet.

    Raises:
        ValueError: there is no such transport.
    """

    def __init__(self, mode: str, settings: Settings) -> None:
        try:
            self._rungs = list(Transport) if mode == AUTO else [Transport(mode)]
        except ValueError:
            known = ", ".join([AUTO, *Transport])
            raise ValueError(f"There is no transport {mode!r}; there are {known}.") from None
        self.notice: str | None = None
        self._settings = settings
        self._at = 0
        self._ruled_out: set[Transport] = set()
        self._patience = settings.transport_retry_interval
        self._doubted_at = 0.0
        self._told: set[str] = set()
        self._worked: set[Transport] = set()
        self._short = 0

    @property
    def transport(self) -> Transport:
        return self._rungs[self._at]

    @property
    def has_worked(self) -> bool:
        """True once the transport in use has brought something: the way does take it."""
        return self.transport in self._worked

    def worked(self) -> None:
        """The transport in use has brought something."""
        self._worked.add(self.transport)
        self._ruled_out.discard(self.transport)

    def lasted(self) -> None:
        """A connection was not short."""
        self._short = 0

    def cut_short(self, advice: Advice, now: float) -> bool:
        """A connection was short; returns True when that made it the next transport's turn."""
        self._short += 1
        enough = self._short >= self._settings.max_short_streams
        return enough and self.step_down(advice, now, sure=False)

    def step_down(self, advice: Advice, now: float, *, sure: bool) -> bool:
        """Takes the next transport; returns False when there is none.

        Args:
            advice: why.
            now: when.
            sure: whether the way is known not to take the transport. Else it may have been the
                server, in the middle of a restart, and the transport is tried again later.
        """
        below = self._next_rung(self._at + 1)
        if below is None:
            return False
        left = self.transport
        if sure:
            self._ruled_out.add(left)
        else:
            self._doubted_at = now
        self._at = below
        self._short = 0
        told = f"Following by {self.transport} instead of {left}: {advice.value}."
        if told not in self._told:
            self._told.add(told)
            self.notice = told
        return True

    def climb(self, now: float) -> bool:
        """Takes the best transport that is not ruled out, if it was doubted long enough ago.

        Each time it is in vain, the next one comes after twice the time.
        """
        best = self._next_rung(0)
        if best is None or best >= self._at or now - self._doubted_at < self._patience:
            return False
        self._at = best
        self._doubted_at = now
        self._patience *= 2
        return True

    def _next_rung(self, start: int) -> int | None:
        for at in range(start, len(self._rungs)):
            if self._rungs[at] not in self._ruled_out:
                return at
        return None
