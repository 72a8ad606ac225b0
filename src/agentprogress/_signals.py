"""Drains when the process is told to stop, before its server closes anything.

A server runs its shutdown hooks only after its streams have ended, and streams do not end by
themselves (measured: uvicorn and granian then wait for ever); WebSockets it cuts at once. So the
handlers of SIGTERM and SIGINT are chained: everybody is told first, then the server does as it
always did.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from ._engine import Engine
from ._wakeup import LoopRef

__all__ = ["chain_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_NO_DESCRIPTOR = -1

# A process has one set of handlers and its main thread one loop: all registries there share this.
_chain: _Chain | None = None


def chain_signals(engine: Engine) -> None:
    """Lets a registry hear of SIGTERM and SIGINT first, for as long as the running loop runs.

    Called on the loop, any number of times. Only the main thread can: elsewhere, and where a signal
    has no handler to be chained to, nothing is done.
    """
    global _chain  # noqa: PLW0603 - handlers are the process's
    host = engine.host_here()
    if host is None or threading.current_thread() is not threading.main_thread():
        return
    if host.chained and _chain is not None:
        _chain.renew()
        return
    host.chained = True
    if _chain is None or _chain.closed or not _chain.loop.same(host.loop):
        _chain = _Chain(host.loop)
    chain = _chain
    chain.engines[engine] = None
    host.at_end.append(lambda: chain.leave(engine))


class _Chain:
    """Stands in front of the handlers that a server has set, for one loop.

    Attributes:
        loop: the one.
        engines: of the registries that hear of a signal first.
        closed: it has given its place back.
    """

    def __init__(self, loop: LoopRef) -> None:
        self.loop = loop
        self.engines: dict[Engine, None] = {}
        self.closed = False
        self._previous: dict[int, Any] = {}
        self._signalled = False
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if _is_a_servers(previous):
                self._previous[number] = previous
                signal.signal(number, self._handle)
        listens = bool(self._previous) and loop.is_asyncio
        self._pipe = _SignalPipe(asyncio.get_running_loop(), self._is_next) if listens else None

    def _is_next(self, number: int) -> bool:
        """Whether a signal comes here first: else nobody would hand on what is held back."""
        return number in self._previous and signal.getsignal(number) == self._handle

    def renew(self) -> None:
        """Takes its place again where the loop has taken it."""
        if self._pipe is not None and not self.closed:
            self._pipe.renew()

    def leave(self, engine: Engine) -> None:
        """Takes a registry off; the last one gives the place back."""
        self.engines.pop(engine, None)
        if self.engines or self.closed or threading.current_thread() is not threading.main_thread():
            return
        self.closed = True
        if self._pipe is not None:
            self._pipe.close()
        for number, previous in self._previous.items():
            # Where somebody has chained in front since, this one goes on handing the signal on.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Between any two instructions of the loop's own code: everything comes soon, in the loop. A
        # second signal is from somebody who does not want to wait.
        first, self._signalled = not self._signalled, True
        untold = set(self.engines) if first else set[Engine]()
        if not untold:
            self._hand_on(number)
        for engine in list(untold):

            def told(engine: Engine = engine) -> None:
                untold.discard(engine)
                if not untold:
                    self._hand_on(number)

            if not engine.shutdown.drain_soon(told):
                told()

    def _hand_on(self, number: int) -> None:
        if self._pipe is not None:
            self._pipe.let_through(number)
        self._previous[number](number, None)


def _is_a_servers(handler: Any) -> bool:
    """False for what kills at once, does nothing, or interrupts the program wherever it is."""
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    # `asyncio.run` takes its own one back at its end, and only if nobody stands in front of it.
    method = getattr(handler, "func", None)
    return not isinstance(getattr(method, "__self__", None), asyncio.Runner)


class _SignalPipe:
    """Holds back signals that a loop hears of by its wake-up descriptor, not by a handler.

    ``loop.add_signal_handler``, by which granian listens, sets a handler that does nothing: what
    counts is the signal's number, which the interpreter writes to a descriptor.

    Args:
        loop: that runs here.
        holds: tells whether a signal is to be held back until `let_through`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, holds: Callable[[int], bool]) -> None:
        self._loop = loop
        self._holds = holds
        # How many of each signal are held back; below zero, how many may pass as they come.
        self._held: Counter[int] = Counter()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._mine = self._writer.fileno()
        self._before = _NO_DESCRIPTOR
        self.renew()
        loop.add_reader(self._reader, self._read)

    def renew(self) -> None:
        """Takes the descriptor's place: uvloop takes it back whenever it is run again."""
        before = signal.set_wakeup_fd(self._mine, warn_on_full_buffer=False)
        if before != self._mine:
            self._before = before

    def _read(self) -> None:
        # Reading is also what lets a loop written in C run the handlers.
        with contextlib.suppress(BlockingIOError, InterruptedError):
            for number in self._reader.recv(4096):
                if not self._holds(number):
                    self._tell(number)
                    continue
                self._held[number] += 1
                if self._held[number] <= 0:
                    self._tell(number)

    def let_through(self, number: int) -> None:
        """Tells the loop of a signal, now or when it comes."""
        self._held[number] -= 1
        if self._held[number] >= 0:
            self._tell(number)

    def _tell(self, number: int) -> None:
        if self._before == _NO_DESCRIPTOR:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=self._before) as before:
            try:
                before.send(bytes([number]))
            finally:
                before.detach()  # it is not ours to close

    def close(self) -> None:
        """Gives the descriptor back."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # the loop may be closed
            self._loop.remove_reader(self._reader)
        current = signal.set_wakeup_fd(_NO_DESCRIPTOR)
        with contextlib.suppress(OSError, ValueError):  # who had it before may be gone
            signal.set_wakeup_fd(self._before if current == self._mine else current)
        self._before = _NO_DESCRIPTOR
        self._reader.close()
        self._writer.close()
