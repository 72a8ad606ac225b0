"""Drives connections: from the log through `Connection` to a server, in that server's words.

Adapters bring a `Channel`, the words; everything else is here, once. A connection at rest costs no
task: the server's own task waits for the client, and a writer lives only while there is something
to write. Nothing of the session ever waits for a writer.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from math import inf
from typing import Protocol

import anyio

from ._core.batch import Batch
from ._core.connection import Connection, Terms, Transport
from ._core.frames import Tempo
from ._core.outputs import Accept, Close, Due, Output, Refusal, Write
from ._engine import Engine
from ._record import Ended, Moved, Resync, SessionRecord, SubscriberBase
from .access import Access
from .codes import CODES
from .errors import Draining, ProgressError
from .settings import Settings

__all__ = ["Channel", "Driver", "Farewell", "Received", "farewell", "return_delay"]

_logger = logging.getLogger("agentprogress")

# What servers raise when the peer is gone; RuntimeError is their answer to a send after a close.
_GONE = (OSError, RuntimeError)

Received = Callable[[str | bytes], object]


class Channel(Protocol):
    """One connection, in the words of its server."""

    async def send(self, output: Accept | Write | Close) -> None:
        """Carries it out; may block, may raise when the peer is gone."""
        ...

    async def read(self, received: Received) -> None:
        """Passes on what the client sends, and returns when the client is gone."""
        ...

    def abort(self) -> None:
        """Frees the connection at once, where the server allows it."""
        ...


class Farewell:
    """What is said to a client that is not taken in; it has no session and no place in the host."""

    def __init__(self, connection: Connection, first: Accept, settings: Settings) -> None:
        self._connection = connection
        self._first = first
        self._settings = settings

    async def run(self, channel: Channel) -> None:
        """Says it, and gives a WebSocket's peer some time to close."""
        output: Output | None = self._first
        try:
            with anyio.move_on_after(self._settings.write_timeout):
                while output is not None and not isinstance(output, Refusal):
                    await channel.send(output)
                    output = self._connection.next()
                self._connection.wrote(0.0)
            if not self._connection.over:
                with anyio.move_on_after(self._settings.close_timeout):
                    await channel.read(lambda _: None)
        except _GONE:
            return


class Driver(SubscriberBase):
    """One subscriber over the network.

    Args:
        engine: of the registry whose session it follows.
        record: which session.
        access: what it may do, and as whom.
        transport: decides how frames are encoded.
        pongs: whether the client offered to answer heartbeats.
    """

    remote = True

    __slots__ = (
        "_channel",
        "_close",
        "_connection",
        "_engine",
        "_gone",
        "_host",
        "_reading",
        "_scheduled",
        "_writer",
    )

    def __init__(
        self,
        engine: Engine,
        record: SessionRecord,
        access: Access,
        transport: Transport,
        *,
        pongs: bool = False,
    ) -> None:
        super().__init__(record, access.principal)
        self._engine = engine
        self._host = engine.host()
        settings = engine.settings
        interval = settings.heartbeat_interval
        age = settings.max_connection_age
        terms = Terms(
            now=self._host.heartbeats.now(),
            # Spread over half the interval: those who came together are not written together.
            first_heartbeat=random.uniform(interval / 2, interval),
            max_age=None if age is None else random.uniform(age / 2, age),
            expires_in=access.seconds_left(engine.clock.wall()),
            pongs=pongs,
        )
        self._connection = Connection(transport, settings, terms)
        self._scheduled = inf
        self._gone = False
        self._channel: Channel | None = None
        self._close: Close | None = None
        self._reading: anyio.CancelScope | None = None
        self._writer: anyio.CancelScope | None = None

    def join(self, cursor: str | None) -> None:
        """Takes its place at a cursor.

        Raises:
            Draining: the process shuts down; what has ended is served to the last.
            ProgressError: the registry cannot serve it.
        """
        if self._engine.draining and not self.record.ended:
            raise Draining
        joined = self._engine.admit(self, cursor)
        tempo = self._tempo()
        retry = random.uniform(tempo.retry_window / 2, tempo.retry_window)
        self._connection.joined(self.record.id, joined, cursor, tempo._replace(retry=retry))

    async def run(self, channel: Channel) -> None:
        """Serves the connection until either side is done with it."""
        try:
            with anyio.CancelScope() as reading:
                self._reading = reading
                await self._accept(channel)
                # From here on others may write.
                self._channel = channel
                self.wake()
                await channel.read(self.received)
            # A client that is gone may be neither written to nor read any more.
            if self._close is not None and reading.cancelled_caught and not self._gone:
                with anyio.CancelScope() as self._reading:
                    await self._finish(channel, self._close)
        except _GONE:
            return
        finally:
            self._let_go()
            if self._writer is not None:
                # What is being sent now may be the last that a client waits for.
                settings = self._engine.settings
                self._writer.deadline = anyio.current_time() + settings.close_timeout

    async def _accept(self, channel: Channel) -> None:
        accept = self._connection.next()
        assert isinstance(accept, Accept)
        self._connection.writing(accept, self._host.heartbeats.now())
        self._schedule()
        await channel.send(accept)
        self._connection.wrote(self._host.heartbeats.now())

    async def _finish(self, channel: Channel, close: Close) -> None:
        """Closes, and waits for the peer to close as well.

        Not by the writer: granian sends no close while somebody waits for the client (measured).
        """
        self._connection.writing(close, self._host.heartbeats.now())
        self._schedule()
        # The session is done with it; a drain is not: only the peer's close proves that it heard.
        self.record.leave(self)
        await channel.send(close)
        if self._gone:  # given up while the send could not be cancelled
            return
        self._connection.wrote(self._host.heartbeats.now())
        self._schedule()
        if not self._connection.over:
            await channel.read(self.received)

    def received(self, data: str | bytes) -> None:
        """The client sent a message; one that is not text comes as bytes."""
        self._connection.received(data)
        self.wake()

    def wake(self) -> None:
        if self._writer is None and self._channel is not None and not self._gone:
            self._writer = anyio.CancelScope()
            self._host.start_soon(self._write)

    def drain(self) -> None:
        if not self.record.ended:
            self._connection.returned(return_delay(self._engine))
            self.wake()

    def on_deadline(self, now: float) -> float | None:
        """Does what time asks for; called by the scheduler."""
        due = self._connection.due(now)
        self._engine.unanswered += due is Due.NO_PONG
        self._engine.detached += due is Due.DETACH
        if due in (Due.DETACH, Due.ABORT):
            self._abandon()
            return None
        if due is Due.HEARTBEAT:
            record = self.record
            self._connection.heartbeat(record.history.head, record.producer_state, self._tempo())
        if due is not None:
            self.wake()
        self._scheduled = self._connection.deadline
        return self._scheduled if self._scheduled < inf else None

    async def _write(self) -> None:
        assert self._writer is not None
        assert self._channel is not None
        heartbeats = self._host.heartbeats
        try:
            with self._writer:
                while (output := self._next()) is not None:
                    if isinstance(output, Close):
                        self._close = output
                        self._stop_reading()
                        return
                    assert isinstance(output, Write)
                    self._connection.writing(output, heartbeats.now())
                    self._schedule()
                    try:
                        await self._channel.send(output)
                    except Exception as error:  # noqa: BLE001 - a server's own
                        if not isinstance(error, _GONE):
                            _logger.warning("a follower is let go: its server failed: %r", error)
                        self._abandon()
                        return
                    self._connection.wrote(heartbeats.now())
        finally:
            self._writer = None
            self._schedule()

    def _next(self) -> Output | None:
        if self._gone:
            return None
        output = self._connection.next()
        while output is None and self._connection.wants_more and self._take():
            output = self._connection.next()
        return output

    def _take(self) -> bool:
        """Asks the log for more; False when there is nothing now."""
        connection, epoch = self._connection, self.record.epoch
        taken = self.record.take(self)
        if taken is None:
            return False
        if isinstance(taken, Batch):
            connection.events(taken)
        elif isinstance(taken, Resync):
            connection.missed(taken.missed)
            connection.snapshot(taken.seq, taken.state, epoch)
        elif isinstance(taken, Ended):
            connection.ended(taken.status, taken.head, epoch)
        elif isinstance(taken, Moved):
            connection.returned(0.0)
        else:
            connection.refused(taken.error())
        return True

    def _tempo(self) -> Tempo:
        return Tempo(self._engine.stamp(), self._engine.retry_window())

    def _schedule(self) -> None:
        """Moves the deadline nearer if it has to be; a later one is found when this one comes."""
        if not self._gone and self._connection.deadline < self._scheduled:
            self._scheduled = self._connection.deadline
            self._host.heartbeats.set(self, self._scheduled)
            self._host.wake()

    def _abandon(self) -> None:
        """Touches the connection no more: a blocked socket cannot even be told."""
        self._let_go()
        if self._writer is not None:
            self._writer.cancel()
        self._stop_reading()
        if self._channel is not None:
            self._channel.abort()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    def _let_go(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._connection.left()
        self._engine.dismiss(self)
        self._host.heartbeats.set(self, None)
        self._scheduled = -inf
        # A writer that cannot be cancelled may live on; it must not keep the session.
        del self.record


def return_delay(engine: Engine) -> float:
    """Draws the seconds after which one client may return, so that they make no herd."""
    return random.uniform(0, min(engine.retry_window(), engine.settings.max_drain_window))


def farewell(
    engine: Engine, transport: Transport, error: ProgressError, *, pongs: bool = False
) -> Farewell | Refusal:
    """Returns how a client is told that it is not taken in."""
    connection = Connection(transport, engine.settings, Terms(pongs=pongs))
    connection.refused(error, return_delay(engine) if CODES[error.code].transient else None)
    first = connection.next()
    if isinstance(first, Refusal):
        return first
    assert isinstance(first, Accept)
    return Farewell(connection, first, engine.settings)
