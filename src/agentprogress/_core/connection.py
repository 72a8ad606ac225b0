"""One server-side connection, sans I/O: told what happened, it says what to do next.

WebSocket, server-sent events and the page route are this one machine. A driver carries out what
`next` returns, one thing at a time, and asks the log for more when it returns None. Nothing here
knows what time it is but by being told, and nothing here knows sockets, tasks or the log.

What may happen when is a table, in `phases`.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import NamedTuple

from ..codes import CODES
from ..errors import ProgressError, SessionGone
from ..settings import Settings
from . import frames
from .batch import Batch
from .history import Joined, Missed, Resume
from .outputs import Accept, Close, Due, Output, Refusal, Write
from .phases import Input, Phase, next_phase
from .sse import encode_control

__all__ = ["SUBPROTOCOL", "Connection", "Terms", "Transport"]


class Transport(StrEnum):
    """How frames travel."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    PAGE = "page"


# Who comes too early is told when to return; everybody else is told why they cannot.
_COME_BACK = frozenset({"draining", "going_away"})
# An EventSource never comes back after an error status (measured), so it is let in to hear this.
_OVERLOAD = _COME_BACK | {"rate_limited", "store_unavailable"}

SUBPROTOCOL = "agentprogress.v1"


class Terms(NamedTuple):
    """What a driver has settled about a connection before it begins.

    Attributes:
        now: in the driver's scheduler's time, like all times here.
        first_heartbeat: seconds until the first heartbeat, jittered by the driver.
        max_age: seconds after which the client is told to come back; None for never.
        expires_in: seconds for which the client may follow; None for ever.
        pongs: whether the client offered to answer heartbeats.
    """

    now: float = 0.0
    first_heartbeat: float = inf
    max_age: float | None = None
    expires_in: float | None = None
    pongs: bool = False


class Connection:
    """See the module.

    Attributes:
        phase: how far it is.
    """

    __slots__ = (
        "_abort_at",
        "_age_at",
        "_beat",
        "_expires_at",
        "_heartbeat_at",
        "_pong_by",
        "_pongs",
        "_queue",
        "_settings",
        "_transport",
        "_write_by",
        "_writing",
        "phase",
    )

    def __init__(self, transport: Transport, settings: Settings, terms: Terms) -> None:
        self.phase = Phase.JOINING
        self._transport = transport
        self._settings = settings
        self._pongs = terms.pongs
        self._queue: list[Output] = []
        # A heartbeat that is still to be written, and what is being written.
        self._beat: Output | None = None
        self._writing: Output | None = None
        self._heartbeat_at = terms.now + terms.first_heartbeat
        self._age_at = inf if terms.max_age is None else terms.now + terms.max_age
        self._expires_at = inf if terms.expires_in is None else terms.now + terms.expires_in
        self._pong_by = self._write_by = self._abort_at = inf

    # What the log says

    def joined(
        self, session_id: str, joined: Joined, cursor: str | None, tempo: frames.Tempo
    ) -> None:
        """The session was joined at a cursor of the client's.

        Args:
            session_id: whose events follow.
            joined: the log's answer.
            cursor: as the client sent it.
            tempo: what the client is told about time.
        """
        self._enter(Input.JOINED)
        answer = joined.answer
        self._accept()
        frame = frames.welcome(session_id, joined, self._settings.heartbeat_interval, tempo)
        keeps = cursor is not None and answer.resume in (Resume.EXACT, Resume.GAP)
        held = cursor if keeps else f"{joined.epoch}-0"
        self._control("welcome", frame, held, tempo.retry)
        if answer.missed is not None:
            self._control("gap", frames.gap(answer.missed))
        if answer.snapshot and joined.state is not None:
            self._snapshot(answer.position, joined.state, joined.epoch)

    def events(self, batch: Batch) -> None:
        """Events follow."""
        self._enter(Input.EVENTS)
        if self._transport is Transport.PAGE:
            self._queue += [self._write(frame) for frame in batch.frames]
        else:
            websocket = self._transport is Transport.WEBSOCKET
            self._queue.append(self._write(batch.websocket if websocket else batch.sse))

    def missed(self, missed: Missed) -> None:
        """Events will not come."""
        self._enter(Input.MISSED)
        self._control("gap", frames.gap(missed))

    def snapshot(self, seq: int, state: bytes, epoch: str) -> None:
        """Events go on from a state."""
        self._enter(Input.SNAPSHOT)
        self._snapshot(seq, state, epoch)

    def ended(self, status: str, head: int, epoch: str) -> None:
        """There will never be more."""
        self._enter(Input.ENDED)
        self._control("end", frames.end(status, head), f"{epoch}-{head}")
        self._close(1000, "end")

    def paused(self) -> None:
        """There is nothing more for now, or no room for it: the client asks again when it likes."""
        self._enter(Input.PAUSED)
        self._close(1000, "pause")

    # What others say

    def returned(self, retry_after: float) -> None:
        """The client should come back; it has lost nothing."""
        if self._enter(Input.RETURNED):
            self._come_back(retry_after)

    def refused(self, error: ProgressError, retry_after: float | None = None) -> None:
        """The client asked for what it cannot have, or did what it may not."""
        joining = self.phase is Phase.JOINING
        if not self._enter(Input.REFUSED):
            return
        overload = error.code in _OVERLOAD
        if joining and (
            self._transport is Transport.PAGE or (self._transport is Transport.SSE and not overload)
        ):
            self._queue.append(Refusal(error, retry_after))
            return
        if joining:
            self._accept()
        come_back = error.code in _COME_BACK or (overload and self._transport is Transport.SSE)
        if come_back:
            self._come_back(retry_after or 0.0)
        else:
            gone = error.session if isinstance(error, SessionGone) else None
            self._tell(error.code, str(error), retry_after, gone)

    def received(self, data: str | bytes) -> None:
        """The client sent a message; one that is not text comes as bytes."""
        if not self._enter(Input.FRAME):
            return
        most = self._settings.max_client_frame_bytes
        size = len(data if isinstance(data, bytes) else data.encode(errors="surrogatepass"))
        if size > most:
            self._reject("too_large", f"A client's frame may have at most {most} bytes.")
        elif isinstance(data, bytes) or not frames.is_pong(data):
            self._reject(
                "bad_request",
                'The only frame that a client sends is {"type": "pong"}; to cancel or to answer is '
                "a POST.",
            )
        else:
            self._pong_by = inf

    def heartbeat(self, head: int, producer: frames.ProducerState, tempo: frames.Tempo) -> None:
        """A heartbeat is due, and this is what it says."""
        # Behind a blocked write one is enough.
        if not self._enter(Input.HEARTBEAT) or self._beat is not None:
            return
        self._control("heartbeat", frames.heartbeat(head, producer, tempo))
        self._beat = self._queue[-1]

    # What the driver does

    def next(self) -> Output | None:
        """Returns what to do next, or None when the log should be asked for more."""
        if not self._queue:
            return None
        output = self._queue.pop(0)
        if isinstance(output, Close):
            self._enter(Input.TAKEN)
        return output

    def writing(self, output: Accept | Write | Close, now: float) -> None:
        """An output is being carried out."""
        self._enter(Input.WRITING)
        self._writing = output
        self._write_by = now + output.timeout

    def wrote(self, now: float) -> None:
        """It is done; after a close, a WebSocket's peer has some time to close as well."""
        if not self._enter(Input.WROTE):
            return
        self._write_by = inf
        if self._beat is not None and self._writing is self._beat:
            self._beat = None
            # Only what has been sent can be answered.
            if self._pongs and self._pong_by == inf:
                self._pong_by = now + self._settings.pong_timeout
        self._writing = None
        if self.phase is Phase.CLOSED:
            if self._transport is Transport.WEBSOCKET:
                self._abort_at = now + self._settings.close_timeout
            else:
                self._enter(Input.LEFT)

    def left(self) -> None:
        """The peer is gone, or has been given up."""
        self._enter(Input.LEFT)
        self._queue.clear()

    @property
    def wants_more(self) -> bool:
        """True while events of the log may follow."""
        return self.phase is Phase.OPEN

    @property
    def over(self) -> bool:
        """True once nothing may be written or read any more."""
        return self.phase is Phase.GONE

    # Time

    @property
    def deadline(self) -> float:
        """When `due` should be asked next."""
        if self.phase is Phase.OPEN:
            return min(
                self._heartbeat_at, self._age_at, self._expires_at, self._pong_by, self._write_by
            )
        return inf if self.phase is Phase.GONE else min(self._write_by, self._abort_at)

    def due(self, now: float) -> Due | None:
        """Returns what time asks for; what has to be said is queued already."""
        if not self._enter(Input.TIME):
            return None
        if now >= self._write_by:
            return Due.DETACH
        if self.phase is not Phase.OPEN:
            return Due.ABORT if now >= self._abort_at else None
        over = self._over(now)
        if over is not None:
            return over
        if now < self._heartbeat_at:
            return None
        # Counted from the last one, not from now: the cadence does not drift.
        while self._heartbeat_at <= now:
            self._heartbeat_at += self._settings.heartbeat_interval
        return Due.HEARTBEAT

    def _over(self, now: float) -> Due | None:
        """Returns why an open connection closes now, if it does."""
        for deadline, due in (
            (self._pong_by, Due.NO_PONG),
            (self._expires_at, Due.EXPIRED),
            (self._age_at, Due.RECONNECT),
        ):
            if now >= deadline:
                if due is Due.RECONNECT:
                    self.returned(0.0)
                else:
                    code = "no_pong" if due is Due.NO_PONG else "token_expired"
                    self._reject(code, CODES[code].sentence)
                return due
        return None

    # Inside

    def _enter(self, what: Input) -> bool:
        """Moves on; False for what comes too late to matter."""
        phase = next_phase(self.phase, what)
        if phase is None:
            return False
        self.phase = phase
        return True

    def _accept(self) -> None:
        subprotocol = SUBPROTOCOL if self._pongs else None
        self._queue.append(Accept(subprotocol, self._settings.write_timeout))

    def _come_back(self, retry_after: float) -> None:
        # An EventSource told 0 would not wait at all (measured); it keeps what its welcome said.
        self._control("reconnect", frames.reconnect(retry_after), retry=retry_after or None)
        self._close(CODES["going_away"].websocket, "going_away")

    def _reject(self, code: str, message: str) -> None:
        self._enter(Input.REFUSED)
        self._tell(code, message)

    def _tell(
        self,
        code: str,
        message: str,
        retry_after: float | None = None,
        gone: dict[str, str] | None = None,
    ) -> None:
        self._control("error", frames.error(code, message, retry_after, gone))
        self._close(CODES[code].websocket, code)

    def _snapshot(self, seq: int, state: bytes, epoch: str) -> None:
        frame = frames.snapshot(seq, state)
        timeout = self._settings.snapshot_write_timeout
        self._control("snapshot", frame, f"{epoch}-{seq}", timeout=timeout)

    def _control(
        self,
        name: str,
        frame: bytes,
        cursor: str | None = None,
        retry: float | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        data: str | bytes = frame
        if self._transport is Transport.SSE:
            data = encode_control(name, frame, cursor, retry)
        elif self._transport is Transport.WEBSOCKET:
            data = f"[{frame.decode()}]"
        self._queue.append(self._write(data, timeout))

    def _write(self, data: str | bytes, timeout: float | None = None) -> Write:
        return Write(data, self._settings.write_timeout if timeout is None else timeout)

    def _close(self, code: int, reason: str) -> None:
        self._queue.append(Close(code, reason, self._settings.write_timeout))
