"""Drains when the process is told to stop, before its server closes anything.

A server runs its shutdown hooks only after its streams have ended, and streams do not end by
themselves (measured: uvicorn and granian then wait for ever). So the handlers of SIGTERM and SIGINT
are chained: the registry hears of the signal first, then the server does as it always did.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ._engine import Engine

__all__ = ["ShutdownSignals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ShutdownSignals:
    """Stands in front of the handlers that a server has set, for as long as its loop runs.

    Args:
        engine: of the registry that is drained.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host: object = None
        self._previous: dict[int, Any] = {}
        self._handling = False

    def chain(self) -> None:
        """Takes its place in front; called on the loop, and done once for each loop.

        Only the main thread may: elsewhere, and where a signal has no handler to be chained to,
        nothing is done.
        """
        host = self._engine.host_here()
        if host is None or host is self._host:
            return
        self._host = host
        if threading.current_thread() is not threading.main_thread():
            return
        host.at_end.append(self._unchain)
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            # SIG_DFL would kill at once, and SIG_IGN do nothing: neither is a server's shutdown.
            if callable(previous) and previous != self._handle:
                self._previous[number] = previous
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Between any two instructions of the loop's own code: the drain itself comes soon.
        self._engine.drain_soon()
        previous = self._previous.get(number)
        # Somebody who chained in front of this one may be what this one is chained to by now.
        if callable(previous) and not self._handling:
            self._handling = True
            try:
                previous(number, frame)
            finally:
                self._handling = False

    def _unchain(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in list(self._previous.items()):
            # Where somebody has chained in front since, this one goes on handing the signal on.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)
                del self._previous[number]
