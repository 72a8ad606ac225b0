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
from types import FrameType
from typing import Any

from ._engine import Engine
from ._wakeup import LoopRef

__all__ = ["ShutdownSignals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_NO_DESCRIPTOR = -1


class ShutdownSignals:
    """Stands in front of the handlers that a server has set, for as long as its loop runs.

    Args:
        engine: of the registry that is drained.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host: object = None
        # What it is chained to; more than one where somebody in front is now also behind.
        self._previous: dict[int, list[Any]] = {}
        self._pipe: _SignalPipe | None = None
        self._signalled = False
        self._depth = 0

    def chain(self) -> None:
        """Takes its place in front; called on the loop, and done once for each loop.

        Only the main thread may: elsewhere, and where a signal has no handler to be chained to,
        nothing is done.
        """
        host = self._engine.host_here()
        if host is None or host is self._host:
            return
        self._host = host
        self._signalled = False
        if threading.current_thread() is not threading.main_thread():
            return
        # What came last is in front, and goes first.
        host.at_end.insert(0, self._unchain)
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            # These kill at once, do nothing, and raise KeyboardInterrupt wherever the program is:
            # none of them is a server's shutdown.
            if callable(previous) and previous not in (signal.default_int_handler, self._handle):
                self._previous.setdefault(number, []).append(previous)
                signal.signal(number, self._handle)
        if self._previous and LoopRef().is_asyncio:
            self._pipe = _SignalPipe(asyncio.get_running_loop(), set(self._previous))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Between any two instructions of the loop's own code: everything comes soon, in the loop. A
        # second signal is from somebody who does not want to wait.
        first, self._signalled = not self._signalled, True
        if not first or not self._engine.drain_soon(lambda: self._hand_on(number)):
            self._hand_on(number)

    def _hand_on(self, number: int) -> None:
        if self._pipe is not None:
            self._pipe.let_through(number)
        chained = self._previous.get(number, ())
        # Somebody who chained in front of this one may be what this one is chained to by now, and
        # then comes back for what is behind both.
        if self._depth < len(chained):
            self._depth += 1
            try:
                chained[-self._depth](number, None)
            finally:
                self._depth -= 1

    def _unchain(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in list(self._previous):
            self._step_out(number)
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _step_out(self, number: int) -> None:
        """Takes itself out of the chain, where only others of its kind are in front."""
        chained = self._previous[number]
        handler: Any = signal.getsignal(number)
        if handler == self._handle:
            signal.signal(number, chained.pop())
        while isinstance(front := getattr(handler, "__self__", None), ShutdownSignals):
            theirs = front._previous.get(number)
            if front is self or not theirs:
                break
            if self._pipe is not None and front._pipe is not None:
                front._pipe.step_over(self._pipe)
            handler = theirs[-1]
            if handler == self._handle:
                theirs[-1] = chained.pop()
        # Where somebody else has chained in front since, this one goes on handing the signal on.
        if not chained:
            del self._previous[number]


class _SignalPipe:
    """Holds back signals that a loop hears of by its wake-up descriptor, not by a handler.

    ``loop.add_signal_handler``, by which granian and aiohttp listen, sets a handler that does
    nothing: what counts is the signal's number, which the interpreter writes to a descriptor.

    Args:
        loop: that runs here.
        held: the signals to be held back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, held: set[int]) -> None:
        self._loop = loop
        self._held = held
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._mine = self._writer.fileno()
        self._before = signal.set_wakeup_fd(self._mine, warn_on_full_buffer=False)
        if self._before == _NO_DESCRIPTOR:  # nobody listens that way
            self.close()
        else:
            loop.add_reader(self._reader, self._read)

    def _read(self) -> None:
        # Reading is also what lets a loop written in C run the handlers.
        with contextlib.suppress(BlockingIOError, InterruptedError):
            for number in self._reader.recv(4096):
                if number not in self._held:
                    self.let_through(number)

    def let_through(self, number: int) -> None:
        """Tells the loop of a signal."""
        if self._before == _NO_DESCRIPTOR:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=self._before) as before:
            try:
                before.send(bytes([number]))
            finally:
                before.detach()  # it is not ours to close

    def step_over(self, behind: _SignalPipe) -> None:
        """Tells the loop itself where another pipe, which is to be closed, has told it so far."""
        if self._before == behind._mine:
            self._before = behind._before

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
