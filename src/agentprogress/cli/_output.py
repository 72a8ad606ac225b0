"""Standard output and standard error, whose readers may stop or go at any time."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self, TextIO

import anyio

from .._wakeup import LoopRef, Wakeup

__all__ = ["Pen", "Printer", "forget_output", "have_streams", "say", "tell", "until_unread"]

# What may not wait and cannot be written yet is kept up to here; older lines go.
_MAX_ADDED: Final = 100


def have_streams() -> None:
    """Opens to nowhere what this process was started without, as services sometimes are."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def say(line: str) -> None:
    """Prints a line at once; a reader that has gone is no error."""
    try:
        print(line, flush=True)
    except OSError:
        forget_output()


def forget_output() -> None:
    """Sends to nowhere what is still buffered: it would fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def tell(line: str) -> None:
    """Prints a line as soon as there is room; a reader that has gone is no error."""
    with Pen(sys.stdout.fileno()) as pen:
        await Printer(sys.stdout, pen, on_broken=lambda: None).print([line])


async def until_unread(descriptor: int) -> None:
    """Waits until the reader of a pipe has gone; for ever where that cannot be seen.

    Else only who writes learns of it, and there may be nothing to write for long.
    """
    if not hasattr(select, "poll"):  # Windows
        await anyio.sleep_forever()
    gone = Wakeup(LoopRef())
    over, end = os.pipe()

    def watch() -> None:
        watched = select.poll()
        watched.register(descriptor, 0)  # errors are told in any case
        watched.register(over, 0)  # and hang-ups: `end` is closed
        watched.poll()
        os.close(over)
        gone.set()

    threading.Thread(target=watch, name="agentprogress reader", daemon=True).start()
    try:
        await gone.event.wait()
    finally:
        os.close(end)


class _Order:
    """Bytes to be written, and how that went."""

    def __init__(self, data: bytes, loop: LoopRef) -> None:
        self.data = data
        self.done = Wakeup(loop)
        self.error: OSError | None = None


class Pen:
    """Writes to a descriptor, and lets nobody wait for its reader but who writes.

    By a daemon thread of its own: when the interpreter exits it waits for all others, those of
    anyio's too, and so for a reader that may never go on. And past Python's buffer, whose lock the
    interpreter wants at its end.

    Args:
        descriptor: blocking or not makes no difference to the event loop.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = LoopRef()
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()

    def __enter__(self) -> Self:
        threading.Thread(target=self._work, name="agentprogress output", daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._orders.put(None)

    async def write(self, data: bytes) -> None:
        """Returns when all of it is written, after what was to be written before.

        Raises:
            OSError: it cannot be.
        """
        order = _Order(data, self._loop)
        self._orders.put(order)
        await order.done.event.wait()
        if order.error is not None:
            raise order.error

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                rest = memoryview(order.data)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                order.error = error
            order.done.set()


class Printer:
    """Lines for a reader that may stop or go.

    Args:
        stream: standard output or standard error.
        pen: writes to it.
        on_broken: called when it cannot be written to any more.

    Attributes:
        broken: why it cannot be.
    """

    def __init__(self, stream: TextIO, pen: Pen, on_broken: Callable[[], object]) -> None:
        self.broken: OSError | None = None
        self._encoding = stream.encoding
        self._pen = pen
        self._on_broken = on_broken
        self._added: deque[str] = deque(maxlen=_MAX_ADDED)
        self._is_added = anyio.Event()

    def add(self, line: str) -> None:
        """Takes a line from code that may not wait."""
        self._added.append(line)
        self._is_added.set()

    async def print(self, lines: Sequence[str] = ()) -> None:
        """Writes what was added, and then these lines; waits for the reader."""
        told = [*self._added, *lines]
        self._added.clear()
        if not told or self.broken is not None:
            return
        text = "".join(f"{line}\n" for line in told)
        try:
            await self._pen.write(text.encode(self._encoding, "backslashreplace"))
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """Writes nothing more."""
        if self.broken is None:
            self.broken = error
            self._on_broken()

    async def keep(self) -> None:
        """Writes what is added, as soon as it is, until it is cancelled."""
        while True:
            await self._is_added.wait()
            self._is_added = anyio.Event()
            await self.print()
