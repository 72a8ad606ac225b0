"""What has come and is not yet taken: bounded, so that a slow user slows the server down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import anyio

from ..settings import Settings
from ._reader import Delivery

__all__ = ["Inbox"]


class Inbox:
    """Deliveries from one task to another, in order."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_buffered_events
        self._most_bytes = settings.max_buffered_bytes
        self._waiting: deque[tuple[Delivery, int]] = deque()
        self._bytes = 0
        self._changed = anyio.Event()
        self._outcome: Exception | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """True when nothing more should be read from the server."""
        return len(self._waiting) >= self._most or self._bytes >= self._most_bytes

    async def room(self) -> None:
        """Waits until it is not full."""
        while self.full:
            await self._change()

    def put(self, deliveries: Sequence[Delivery], size_bytes: int) -> None:
        """Adds what one message has brought."""
        share = size_bytes // max(1, len(deliveries))
        self._waiting.extend((delivery, share) for delivery in deliveries)
        self._bytes += share * len(deliveries)
        self._tell()

    def close(self, outcome: Exception | None) -> None:
        """Nothing more will come; `outcome` is raised to whoever has taken all, if it is one."""
        if not self._closed:
            self._outcome = outcome
            self._closed = True
            self._tell()

    async def take(self) -> Delivery:
        """Waits for the next one.

        Raises:
            StopAsyncIteration: nothing more will come.
            FollowError: nor more could come.
        """
        while not self._waiting:
            if self._closed:
                if self._outcome is not None:
                    raise self._outcome
                raise StopAsyncIteration
            await self._change()
        return self._pop()

    async def take_all(self) -> list[Delivery]:
        """Waits for the next ones and returns all there are; none when no more will come.

        Raises:
            FollowError: no more could come.
        """
        try:
            taken = [await self.take()]
        except StopAsyncIteration:
            return []
        while self._waiting:
            taken.append(self._pop())
        return taken

    def _pop(self) -> Delivery:
        was_full = self.full
        delivery, share = self._waiting.popleft()
        self._bytes -= share
        if was_full and not self.full:
            self._tell()
        return delivery

    def _tell(self) -> None:
        self._changed.set()

    async def _change(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
