"""A run of events at one position of a log, shared by everybody who stands there.

Each form is made once, when the first subscriber asks, and then shared by all transports' writes.
"""

from __future__ import annotations

from pydantic_core import from_json

from ..events import Event, parse_event
from .cursor import Cursor
from .sse import encode_event

__all__ = ["Batch"]


class Batch:
    """Events `first` … `last` of one epoch.

    Attributes:
        frames: their encodings.
    """

    __slots__ = ("_epoch", "_events", "_sse", "_websocket", "first", "frames", "last")

    def __init__(self, epoch: str, first: int, frames: list[bytes]) -> None:
        self._epoch = epoch
        self.first = first
        self.last = first + len(frames) - 1
        self.frames = frames
        self._websocket: str | None = None
        self._sse: bytes | None = None
        self._events: tuple[Event, ...] | None = None

    @property
    def websocket(self) -> str:
        """One WebSocket text message: a JSON array."""
        if self._websocket is None:
            self._websocket = (b"[" + b",".join(self.frames) + b"]").decode()
        return self._websocket

    @property
    def sse(self) -> bytes:
        """One chunk of server-sent events."""
        if self._sse is None:
            self._sse = b"".join(
                encode_event(frame, str(Cursor(self._epoch, seq)))
                for seq, frame in enumerate(self.frames, self.first)
            )
        return self._sse

    @property
    def events(self) -> tuple[Event, ...]:
        """The decoded events, for subscribers in the same process."""
        if self._events is None:
            self._events = tuple(parse_event(from_json(frame)) for frame in self.frames)
        return self._events
