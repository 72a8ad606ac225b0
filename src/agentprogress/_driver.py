"""Drives one connection: from the log through `Connection` to a server, in that server's words.

Adapters subclass `Driver` with how to send and receive; everything else is here, once. A connection
at rest costs no task: the server's own task waits for the client, and a writer lives only while
there is something to write. Nothing of the session ever waits for a writer.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from math import inf
from typing import ClassVar

import anyio

from ._core import frames
from ._core.batch import Batch
from ._core.connection import Close, Connection, Due, Transport, Write
from ._core.cursor import Cursor
from ._core.history import Resume
from ._engine import Engine
from ._http import Endpoints
from ._record import Ended, Moved, Resync, SessionRecord, SubscriberBase
from .access import Access
from .errors import Draining

__all__ = ["Driver", "return_delay"]

# What servers raise when the peer is gone; RuntimeError is their answer to a send after a close.
_GONE = (OSError, RuntimeError)


class Driver(SubscriberBase):
    """One subscriber over the network.

    Args:
        engine: of the registry whose session it follows.
        record: which session.
        access: what it may do, and as whom.
        answers: whether the client offered to answer heartbeats.
    """

    transport: ClassVar[Transport]

    __slots__ = ("_connection", "_engine", "_gone", "_host", "_reading", "_scheduled", "_writer")

    def __init__(
        self,
        engine: Engine,
        record: SessionRecord,
        access: Access,
        *,
        answers: bool = False,
    ) -> None:
        super().__init__(record, access.principal)
        self._engine = engine
        self._host = engine.host()
        settings = engine.settings
        interval = settings.heartbeat_interval
        age = settings.max_connection_age
        self._connection = Connection(
            self.transport,
            settings,
            now=self._host.heartbeats.now(),
            # Spread over half the interval: those who came together are not written together.
            first_heartbeat=random.uniform(interval / 2, interval),
            max_age=None if age is None else random.uniform(age / 2, age),
            answers=answers,
        )
        self._scheduled = inf
        self._gone = False
        self._reading: anyio.CancelScope | None = None
        self._writer: anyio.CancelScope | None = None

    @abstractmethod
    async def open(self) -> None:
        """Accepts the connection; may raise when the peer is gone."""

    @abstractmethod
    async def send(self, step: Write | Close) -> None:
        """Writes in the server's words; may block, may raise when the peer is gone."""

    @abstractmethod
    async def read(self) -> None:
        """Passes what the client sends to `received`, and returns when the client is gone."""

    def join(self, endpoints: Endpoints, cursor: str | None) -> None:
        """Takes its place at a cursor.

        Raises:
            Draining: the process shuts down; what has ended is served to the last.
            ProgressError: the registry cannot serve it.
        """
        if self._engine.draining and not self.record.ended:
            raise Draining
        joined = self._engine.admit(self, cursor)
        answer, epoch = joined.answer, joined.epoch
        held = cursor if answer.resume in (Resume.EXACT, Resume.GAP) and cursor else f"{epoch}-0"
        window = self._engine.retry_window()
        retry = random.uniform(window / 2, window)
        self._connection.welcome(endpoints.welcome(self.record, joined), held, retry)
        if answer.missed is not None:
            self._connection.missed(answer.missed)
        if answer.snapshot and joined.state is not None:
            self._snapshot(answer.position, joined.state, epoch)

    async def run(self) -> None:
        """Serves the connection until either side is done with it."""
        scope = anyio.CancelScope()
        try:
            with scope:
                await self.open()
                self._reading = scope
                self.wake()
                self._schedule()
                await self.read()
        except _GONE:
            return
        finally:
            self._let_go()
            if self._writer is not None:
                self._writer.cancel()

    def received(self, text: str | None) -> None:
        """The client sent a message; None for one that is not text."""
        self._connection.received(text)
        self.wake()

    def wake(self) -> None:
        if self._writer is None and self._reading is not None and not self._gone:
            self._writer = anyio.CancelScope()
            self._host.start_soon(self._write)

    def drain(self) -> None:
        if not self.record.ended:
            self._connection.reconnect(return_delay(self._engine))
            self.wake()

    def on_deadline(self, now: float) -> float | None:
        """Does what time asks for; called by the scheduler."""
        due = self._connection.due(now)
        if due is Due.HEARTBEAT:
            self._connection.heartbeat(self._heartbeat(), now)
        elif due is Due.RECONNECT:
            self._connection.reconnect(0)
        elif due is Due.NO_PONG:
            self._engine.unanswered += 1
            self._connection.refused("no_pong", "A heartbeat was not answered in time.")
        elif due is not None:
            self._engine.detached += due is Due.DETACH
            self._abandon()
            return None
        if due is not None:
            self.wake()
        self._scheduled = self._connection.deadline
        return self._scheduled if self._scheduled < inf else None

    async def _write(self) -> None:
        assert self._writer is not None
        heartbeats = self._host.heartbeats
        try:
            with self._writer:
                while (step := self._next()) is not None:
                    if isinstance(step, Write):
                        self._connection.writing(step, heartbeats.now())
                        self._schedule()
                    try:
                        await self.send(step)
                    except _GONE:
                        self._abandon()
                        return
                    self._connection.wrote(heartbeats.now())
        finally:
            self._writer = None
            self._schedule()

    def _next(self) -> Write | Close | None:
        if self._gone:
            return None
        step = self._connection.next()
        while step is None and self._connection.wants_more and self._take():
            step = self._connection.next()
        return step

    def _take(self) -> bool:
        """Asks the log for more; False when there is nothing now."""
        connection = self._connection
        taken = self.record.take(self)
        if taken is None:
            return False
        if isinstance(taken, Batch):
            connection.batch(taken)
        elif isinstance(taken, Resync):
            connection.missed(taken.missed)
            self._snapshot(taken.seq, taken.state, self.record.epoch)
        elif isinstance(taken, Ended):
            connection.ended(taken.status, taken.head, str(Cursor(self.record.epoch, taken.head)))
        elif isinstance(taken, Moved):
            connection.reconnect(0)
        else:
            connection.refused("session_gone", str(taken.error()))
        return True

    def _snapshot(self, seq: int, state: bytes, epoch: str) -> None:
        self._connection.snapshot(seq, state, str(Cursor(epoch, seq)))

    def _heartbeat(self) -> bytes:
        return frames.heartbeat(
            self.record.history.head,
            self.record.status,
            self._engine.retry_window(),
            self._engine.stamp(),
        )

    def _schedule(self) -> None:
        """Moves the deadline nearer if it has to be; a later one is found when this one comes."""
        opened = self._reading is not None and not self._gone
        if opened and self._connection.deadline < self._scheduled:
            self._scheduled = self._connection.deadline
            self._host.heartbeats.set(self, self._scheduled)
            self._host.wake()

    def _abandon(self) -> None:
        """Touches the connection no more: a blocked socket cannot even be told."""
        self._let_go()
        if self._writer is not None:
            self._writer.cancel()
        if self._reading is not None:
            self._reading.cancel()

    def _let_go(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._engine.dismiss(self)
        self._host.heartbeats.set(self, None)
        self._scheduled = -inf
        # A writer that cannot be cancelled may live on; it must not keep the session.
        del self.record

    def finished(self) -> None:
        """The connection is over and the client need not be heard any more."""
        if self._reading is not None:
            self._reading.cancel()


def return_delay(engine: Engine) -> float:
    """Draws the seconds after which one client may return, so that they make no herd."""
    return random.uniform(0, min(engine.retry_window(), engine.settings.max_drain_window))
