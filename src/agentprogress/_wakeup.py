"""The one seam between threads and an event loop: wake a task from anywhere, never raising."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import anyio
from anyio.lowlevel import current_token

__all__ = ["LoopRef", "Wakeup"]


class LoopRef:
    """The running event loop, as other threads may know it."""

    __slots__ = ("_native", "_over", "_pid", "_thread_id")

    def __init__(self) -> None:
        """Refers to the loop that runs in the calling thread.

        Raises:
            RuntimeError: none does.
        """
        self._thread_id = threading.get_ident()
        self._native: Any = current_token().native_token
        # A fork copies the loop's object, but nothing runs it there.
        self._pid = os.getpid()
        self._over = False

    @classmethod
    def current(cls) -> LoopRef | None:
        """Returns the running loop of this thread, or None in code without one."""
        try:
            return cls()
        except RuntimeError:
            return None

    def same(self, other: LoopRef | None) -> bool:
        """True when both refer to one loop."""
        return other is not None and self._native is other._native

    @property
    def is_asyncio(self) -> bool:
        """False for trio's."""
        return isinstance(self._native, asyncio.AbstractEventLoop)

    def is_running(self) -> bool:
        """False once the loop has stopped, for now or for good."""
        if self.is_over():
            return False
        # Trio has no such question, but its runs never pause.
        return not isinstance(self._native, asyncio.AbstractEventLoop) or self._native.is_running()

    def is_over(self) -> bool:
        """True once the loop has stopped for good."""
        if not self._over:
            self._over = self._pid != os.getpid() or (
                isinstance(self._native, asyncio.AbstractEventLoop) and self._native.is_closed()
            )
        return self._over

    def on_its_thread(self) -> bool:
        """True in the thread that the loop runs in."""
        return threading.get_ident() == self._thread_id

    def in_its_task(self) -> bool:
        """True in code that a task of the loop runs.

        Only then is it sure to look for work before it sleeps: a signal handler runs on its thread
        too, while it sleeps.
        """
        if threading.get_ident() != self._thread_id:
            return False
        if isinstance(self._native, asyncio.AbstractEventLoop):
            return asyncio.current_task(self._native) is not None
        import trio

        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            return False
        return True

    def call_soon(self, callback: Callable[[], object]) -> bool:
        """Calls back in the loop's thread, soon; returns False when the loop is over."""
        if self.is_over():
            return False
        try:
            if isinstance(self._native, asyncio.AbstractEventLoop):
                self._native.call_soon_threadsafe(callback)
            else:
                self._native.run_sync_soon(callback)
        except RuntimeError:  # asyncio's closed loop, and trio's RunFinishedError
            self._over = True
            return False
        return True


class Wakeup:
    """An event that a task waits for and any thread may set.

    At most one callback is under way to the loop, however often it is set.
    """

    __slots__ = ("_event", "_loop", "_under_way")

    def __init__(self, loop: LoopRef) -> None:
        self._loop = loop
        self._event = anyio.Event()
        self._under_way = False

    @property
    def event(self) -> anyio.Event:
        """What the task waits for; replaced by `clear`."""
        return self._event

    @property
    def is_set(self) -> bool:
        """True after `set` has arrived."""
        return self._event.is_set()

    def set(self) -> None:
        """Wakes the task; callable from any thread and from signal handlers."""
        if self._under_way or self._event.is_set():
            return
        if self._loop.in_its_task():
            self._event.set()
        else:
            self._under_way = True
            if not self._loop.call_soon(self._arrive):
                self._under_way = False

    def clear(self) -> None:
        """Forgets earlier calls of `set`; call it before looking for work, not after."""
        if self._event.is_set():
            self._event = anyio.Event()

    def _arrive(self) -> None:
        self._under_way = False
        self._event.set()
