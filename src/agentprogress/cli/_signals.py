"""The signals that end a command: what the first one asks for, the second one gets at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Self

import anyio

from .._wakeup import LoopRef

__all__ = ["Interrupts"]


class Interrupts:
    """A block that the terminal's Ctrl-C and its kin end: the second one cancels it.

    Attributes:
        before: called when the first one comes.
        asked: set by the first one.
        signal_number: which the first one was.
        scope: the block's; `cancelled_caught` tells whether it was cut short.
    """

    def __init__(self) -> None:
        self.before: Callable[[], object] = lambda: None
        self.asked = anyio.Event()
        self.signal_number: int | None = None
        self.scope = anyio.CancelScope()
        self._loop = LoopRef()
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.scope.__enter__()
        for number in _signals():
            previous = signal.signal(number, self._handle)
            self._restore.callback(signal.signal, number, previous)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._restore.close()
        return bool(self.scope.__exit__(exc_type, exc, traceback))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Between any two instructions of the loop's own code: nothing is done here.
        self._loop.call_soon(lambda: self._arrived(number))

    def _arrived(self, number: int) -> None:
        if self.asked.is_set():
            self.scope.cancel()
        else:
            self.signal_number = number
            self.asked.set()
            self.before()


def _signals() -> Iterator[int]:
    yield signal.SIGINT
    yield signal.SIGTERM
    # Closing the terminal; under nohup it is ignored, and stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        yield signal.SIGHUP
