"""Waiting until what a session has emitted is stored, and handed to those who follow it here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from ._backing import Waited
from ._host import Host
from ._record import SessionRecord
from ._wakeup import LoopRef, Wakeup
from .errors import SessionConflict, SessionEnded, StoreUnavailable

if TYPE_CHECKING:
    from ._engine import Engine

__all__ = ["Flushing"]

_logger = logging.getLogger("agentprogress")


class Flushing:
    """See the module.

    Args:
        engine: of the registry.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settings = engine.settings

    async def flush(self, record: SessionRecord) -> None:
        """See `ProgressSession.flush`."""
        seconds = self._settings.store_wait
        waited = await self._engine.backing.wait_stored(record, seconds)
        _refuse_unstored(record, waited, seconds)
        # A producer that flushes now and then lets the loop go on, whether or not anybody follows.
        await anyio.lowlevel.checkpoint()
        host = self._engine.live_host()
        if host is not None and record.subscribers:
            await self._hand_over(host, record)

    async def _hand_over(self, host: Host, record: SessionRecord) -> None:
        wakeup = Wakeup(LoopRef())
        here = host.loop.same(LoopRef.current())
        if here:
            host.publish(record)
            if not record.audience.await_handed(wakeup.set):
                return
        elif not host.loop.call_soon(lambda: _publish_for(host, record, wakeup.set)):
            return
        clock = self._engine.clock
        try:
            await clock.wait(wakeup.event, clock.monotonic() + self._settings.flush_timeout)
        except BaseException:
            # A flush that is given up must not be remembered until the slow have caught up.
            host.loop.call_soon(lambda: record.audience.forget_flush(wakeup.set))
            raise
        if not wakeup.is_set:
            if here:
                record.audience.give_up_on_slow()
            else:
                host.loop.call_soon(record.audience.give_up_on_slow)

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        """See `ProgressSession.flush_sync`."""
        waited = self._engine.backing.wait_stored_sync(record, timeout)
        _refuse_unstored(record, waited, timeout)
        host = self._engine.live_host()
        if host is None or not record.subscribers:
            return
        if host.loop.on_its_thread():
            host.publish(record)
            return
        handed = threading.Event()
        if not host.loop.call_soon(lambda: _publish_for(host, record, handed.set)):
            return
        if not handed.wait(timeout):
            host.loop.call_soon(record.audience.give_up_on_slow)

    async def settle(self, record: SessionRecord) -> None:
        """Waits for a session's end to be stored; one that is not in time is told in the log."""
        seconds = self._settings.close_flush_timeout
        _tell_unstored(record, await self._engine.backing.wait_stored(record, seconds), seconds)

    def settle_sync(self, record: SessionRecord) -> None:
        """The same for code without an event loop."""
        seconds = self._settings.close_flush_timeout
        _tell_unstored(record, self._engine.backing.wait_stored_sync(record, seconds), seconds)


def _refuse_unstored(record: SessionRecord, waited: Waited, seconds: float) -> None:
    if waited is Waited.TAKEN:
        raise SessionConflict(record.id, record.status, "Another owner has taken it.")
    if waited is Waited.ENDED:
        raise SessionEnded(record.id, record.status)
    if waited is Waited.LATE:
        raise StoreUnavailable(f"The store did not take all events within {seconds:g} s.")


def _tell_unstored(record: SessionRecord, waited: Waited, seconds: float) -> None:
    if waited is Waited.LATE:
        _logger.error(
            "session %s: the store did not take its last events within %g s", record.id, seconds
        )


def _publish_for(host: Host, record: SessionRecord, done: Callable[[], object]) -> None:
    """Publishes on the host's thread for a flush that waits elsewhere."""
    host.publish(record)
    if not record.audience.await_handed(done):
        done()
