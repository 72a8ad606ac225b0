"""One server-side connection, sans I/O: told what happened, it says what to write, when to close.

A driver writes what `next` returns, one thing at a time, and asks the log for more when it returns
None. It never learns what time it is but by being told, and knows neither sockets nor tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from math import inf

from ..errors import CODES
from ..settings import Settings
from . import frames
from .batch import Batch
from .history import Missed
from .sse import encode_control

__all__ = ["Close", "Connection", "Due", "Transport", "Write"]


class Transport(StrEnum):
    """How frames travel."""

    WEBSOCKET = "websocket"
    SSE = "sse"


class Due(Enum):
    """What a deadline asks of the driver."""

    HEARTBEAT = "heartbeat"
    """Write a heartbeat."""
    RECONNECT = "reconnect"
    """Tell the client to come back: the connection has reached its age."""
    NO_PONG = "no_pong"
    """Close: a heartbeat was not answered."""
    DETACH = "detach"
    """A write is blocked: let the session go and touch the connection no more."""
    ABORT = "abort"
    """The peer does not close: stop waiting for it."""


class _Phase(Enum):
    OPEN = "open"
    CLOSING = "closing"  # the close is queued
    CLOSED = "closed"  # the close has been handed out


@dataclass(frozen=True, slots=True)
class Write:
    """Something to be written in one piece: a text message, or a chunk of a body."""

    data: str | bytes
    timeout: float


@dataclass(frozen=True, slots=True)
class Close:
    """The last thing to do; `code` is a WebSocket's."""

    code: int
    reason: str


class Connection:
    """See the module.

    Args:
        transport: decides how frames are encoded.
        settings: the intervals and timeouts.
        now: all times are in the driver's scheduler's time.
        first_heartbeat: seconds until the first heartbeat, jittered by the driver.
        max_age: seconds after which the client is told to come back; None for never.
        answers: whether the client offered to answer heartbeats.
    """

    __slots__ = (
        "_abort_at",
        "_age_at",
        "_answers",
        "_heartbeat_at",
        "_phase",
        "_pong_by",
        "_queue",
        "_settings",
        "_transport",
        "_write_by",
    )

    def __init__(
        self,
        transport: Transport,
        settings: Settings,
        *,
        now: float,
        first_heartbeat: float,
        max_age: float | None = None,
        answers: bool = False,
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._answers = answers
        self._phase = _Phase.OPEN
        self._queue: list[Write | Close] = []
        self._heartbeat_at = now + first_heartbeat
        self._age_at = inf if max_age is None else now + max_age
        self._pong_by = self._write_by = self._abort_at = inf

    @property
    def closed(self) -> bool:
        """True once the close has been handed out."""
        return self._phase is _Phase.CLOSED

    # What happened

    def welcome(self, frame: bytes, cursor: str, retry: float) -> None:
        """The join was answered; `cursor` is what the client holds now."""
        self._control("welcome", frame, cursor, retry)

    def missed(self, missed: Missed) -> None:
        """Events that will not come."""
        self._control("gap", frames.gap(missed))

    def snapshot(self, seq: int, state: bytes, cursor: str) -> None:
        """The state from which events go on."""
        timeout = self._settings.snapshot_write_timeout
        self._control("snapshot", frames.snapshot(seq, state), cursor, timeout=timeout)

    def batch(self, batch: Batch) -> None:
        """Events."""
        websocket = self._transport is Transport.WEBSOCKET
        data = batch.websocket if websocket else batch.sse
        self._put(Write(data, self._settings.write_timeout))

    def ended(self, status: str, head: int, cursor: str) -> None:
        """There will never be more."""
        self._control("end", frames.end(status, head), cursor)
        self._close(1000, "end")

    def reconnect(self, retry_after: float) -> None:
        """The client has lost nothing, and should come back."""
        retry = retry_after if self._transport is Transport.SSE else None
        self._control("reconnect", frames.reconnect(retry_after), retry=retry)
        self._close(CODES["going_away"].websocket, "going_away")

    def refused(self, code: str, message: str, retry_after: float | None = None) -> None:
        """The client asked for what it cannot have, or did what it may not."""
        self._control("error", frames.error(code, message, retry_after))
        self._close(CODES[code].websocket, code)

    def heartbeat(self, frame: bytes, now: float) -> None:
        """A heartbeat is due."""
        self._control("heartbeat", frame)
        if self._answers and self._pong_by == inf:
            self._pong_by = now + self._settings.pong_timeout

    def received(self, text: str | None) -> None:
        """The client sent a message; None for one that is not text."""
        if self._phase is not _Phase.OPEN:
            return
        if text is not None and len(text.encode()) > self._settings.max_client_frame_bytes:
            self.refused("too_large", "A client's frame may not be that large.")
        elif text is None or not frames.is_pong(text):
            self.refused("bad_request", 'The only frame a client may send is {"type": "pong"}.')
        else:
            self._pong_by = inf

    def writing(self, write: Write, now: float) -> None:
        """A write has begun."""
        self._write_by = now + write.timeout

    def wrote(self, now: float) -> None:
        """The write is done; after a close, the peer has some time to close as well."""
        self._write_by = inf
        if self._phase is _Phase.CLOSED:
            self._abort_at = now + self._settings.close_timeout

    # What to do

    def next(self) -> Write | Close | None:
        """Returns what to do next, or None when the log should be asked for more."""
        if not self._queue:
            return None
        step = self._queue.pop(0)
        if isinstance(step, Close):
            self._phase = _Phase.CLOSED
        return step

    @property
    def wants_more(self) -> bool:
        """True while events of the log may follow."""
        return self._phase is _Phase.OPEN

    @property
    def deadline(self) -> float:
        """When `due` should be asked next."""
        if self._phase is not _Phase.OPEN:
            return min(self._write_by, self._abort_at)
        return min(self._heartbeat_at, self._age_at, self._pong_by, self._write_by)

    def due(self, now: float) -> Due | None:
        """Returns what time asks for, and moves the heartbeat on."""
        if now >= self._write_by:
            return Due.DETACH
        if self._phase is not _Phase.OPEN:
            return Due.ABORT if now >= self._abort_at else None
        for deadline, due in ((self._pong_by, Due.NO_PONG), (self._age_at, Due.RECONNECT)):
            if now >= deadline:
                return due
        if now < self._heartbeat_at:
            return None
        # Counted from the last one, not from now: the cadence does not drift.
        while self._heartbeat_at <= now:
            self._heartbeat_at += self._settings.heartbeat_interval
        return Due.HEARTBEAT

    def _control(
        self,
        name: str,
        frame: bytes,
        cursor: str | None = None,
        retry: float | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        data: str | bytes
        if self._transport is Transport.SSE:
            data = encode_control(name, frame, cursor, retry)
        else:
            data = f"[{frame.decode()}]"
        self._put(Write(data, self._settings.write_timeout if timeout is None else timeout))

    def _put(self, write: Write) -> None:
        if self._phase is _Phase.OPEN:
            self._queue.append(write)

    def _close(self, code: int, reason: str) -> None:
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.CLOSING
            self._queue.append(Close(code, reason))
