"""Shutting down: what runs here ends, or is left to others, and those who follow are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from ._block import SHUTDOWN
from ._host import Host
from ._record import SessionRecord
from ._wakeup import LoopRef, Wakeup

if TYPE_CHECKING:
    from ._describing import SessionOptions
    from ._engine import Engine
    from ._producer import Producer

__all__ = ["Shutdown"]


class Shutdown:
    """See the module.

    Args:
        engine: of the registry.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settings = engine.settings
        self._clock = engine.clock
        self._entered = 0
        self._entering = threading.Lock()

    @property
    def detaches(self) -> bool:
        """Whether what runs here is left to others."""
        return self._engine.on_shutdown == "detach" and self._engine.backing.durable

    def drain_soon(self, then: Callable[[], object]) -> bool:
        """Drains in the loop, then calls back there.

        Callable from any thread and from a signal handler. False when no loop is there to do it.
        """
        host = self._engine.live_host()
        if host is None:
            return False

        def start() -> None:
            if host.alive:
                host.start_soon(self._drain_and, host, then, abandon=then)
            else:
                then()

        return host.loop.call_soon(start)

    async def _drain_and(self, host: Host, then: Callable[[], object]) -> None:
        try:
            await self._part()
        finally:
            # Not from this task: what comes now may raise what ends the process.
            host.loop.call_soon(then)

    def _part_sync(self) -> None:
        """Ends what runs here, or leaves it to others."""
        engine = self._engine
        engine.draining = True
        engine.backing.part(detach=self.detaches)
        engine.cancel_jobs()

    # The registry as a block, which may be entered by several

    def enter(self) -> None:
        """Somebody enters the registry: it takes what is new."""
        with self._entering:
            self._engine.draining = False
            self._entered += 1

    async def leave(self) -> None:
        """The last one who leaves ends everything, the threads too."""
        if self._is_last():
            with anyio.CancelScope(shield=True):
                await self.drain()
                await self._engine.backing.run(self._stop)
            self._engine.leave_host()

    def leave_sync(self) -> None:
        """The same for code without an event loop."""
        if self._is_last():
            self._part_sync()
            self._stop()

    def _is_last(self) -> bool:
        with self._entering:
            self._entered -= 1
            return self._entered == 0

    def _stop(self) -> None:
        self._engine.backing.stop(self._settings.close_flush_timeout)

    # Ending what runs here

    def turn_away(self, options: SessionOptions, producer: Producer) -> None:
        """Ends a session that has begun and whose code will never run, or leaves it to others.

        Args:
            options: what it was begun with.
            producer: nobody's.
        """
        engine = self._engine
        if engine.draining:
            others = self.detaches
            wire = SHUTDOWN
        else:  # who began it was cancelled meanwhile
            others = options.get("existing") == "resume"
            wire = {"type": "session.cancelled"}
        # A generated id is known to nobody.
        if others and options.get("session_id") is not None:
            engine.backing.leave(producer)
        else:
            producer.close(wire)

    async def drain(self) -> None:
        """See `SessionRegistry.drain`."""
        await self._part()
        host = self._engine.live_host()
        if host is not None and host.loop.same(LoopRef.current()):
            await self._engine.until_jobless(self._settings.close_flush_timeout)

    async def _part(self) -> None:
        """Ends what runs here, and gives those who follow the time to hear of it."""
        engine = self._engine
        engine.draining = True  # at once, and not when a thread is free
        records = engine.backing.records()
        await engine.backing.run(self._part_sync)
        host = engine.live_host()
        if host is None:
            return
        if host.loop.same(LoopRef.current()):
            await self._tell_followers(host, records)
            return
        told = Wakeup(LoopRef())

        async def tell() -> None:
            await self._tell_followers(host, records)
            told.set()

        if host.loop.call_soon(lambda: host.start_soon(tell, abandon=told.set)):
            deadline = self._clock.monotonic() + self._settings.flush_timeout
            await self._clock.wait(told.event, deadline)

    async def _tell_followers(self, host: Host, records: Sequence[SessionRecord]) -> None:
        for record in records:
            if record.subscribers:
                host.publish(record)
        for member in list(host.members):
            member.drain()
        await host.until_parted(self._settings.flush_timeout)
