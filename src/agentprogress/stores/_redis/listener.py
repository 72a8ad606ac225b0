"""Wake-ups by publish: one connection, one channel for each session that is followed.

Which connection that is comes from outside; nothing here knows the client library.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from ...abc import Listener
from ...errors import StoreUnavailable
from .keys import Keys

__all__ = ["Line", "ListenConnection", "PublishListener"]

# A subscriber's socket is kept small by asking for so many channels at once.
_AT_ONCE = 1_000


class ListenConnection(Protocol):
    """A connection that only listens. Every method raises `StoreUnavailable` when it is broken."""

    def fileno(self) -> int:
        """Returns what becomes readable when something comes."""
        ...

    def send(self, command: str, channels: Collection[str]) -> None:
        """Sends a command."""
        ...

    def receive(self) -> tuple[bytes, bytes, bytes] | None:
        """Returns the next kind, channel and payload; None when nothing has come."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...


class Line:
    """A `ListenConnection` over one of the client library's.

    Args:
        connection: the library's, connected.
        worded: says in our words what goes wrong in a block.
    """

    def __init__(
        self, connection: Any, worded: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._connection = connection
        self._worded = worded
        # redis-py does not tell its socket, and its own PubSub cannot be interrupted.
        self._descriptor: int = connection._sock.fileno()

    def fileno(self) -> int:
        return self._descriptor

    def send(self, command: str, channels: Collection[str]) -> None:
        with self._worded():
            self._connection.send_command(command, *channels)

    def receive(self) -> tuple[bytes, bytes, bytes] | None:
        with self._worded():
            if not self._connection.can_read(timeout=0):
                return None
            kind, channel, payload = self._connection.read_response()
            return kind, channel, payload

    def close(self) -> None:
        self._connection.disconnect()


class PublishListener(Listener):
    """See the module.

    A subscription counts from the server's confirmation, so `follow` waits for that: whoever reads
    the head afterwards misses nothing. On a new connection everything is asked for anew, and `wait`
    says once that something may have been missed.
    """

    def __init__(self, keys: Keys, dial: Callable[[], ListenConnection], patience: float) -> None:
        """Connects to nothing before the first session is followed.

        Args:
            keys: the names of channels.
            dial: makes a connection.
            patience: seconds to wait for a confirmation.
        """
        self._keys = keys
        self._dial = dial
        self._patience = patience
        self._followed: set[str] = set()
        self._woken: dict[str, str] = {}
        self._missed = False
        self._connection: ListenConnection | None = None
        # It outlives connections; epoll and poll have no bound on descriptors.
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def follow(self, session_ids: Collection[str]) -> None:
        if not session_ids:
            return
        self._followed.update(session_ids)
        self._try(lambda connection: self._subscribe(connection, session_ids))

    def unfollow(self, session_ids: Collection[str]) -> None:
        known = self._followed.intersection(session_ids)
        self._followed -= known
        for session_id in known:
            self._woken.pop(session_id, None)
        if not self._followed:
            # Nobody would read from it any more, and `wait` would find it readable for ever.
            self._hang_up()
            self._missed = False
        elif known:
            self._try(lambda connection: connection.send("UNSUBSCRIBE", self._channels(known)))

    def wait(self, timeout: float) -> Mapping[str, str] | None:
        deadline = time.monotonic() + timeout
        while True:
            if self._followed:
                self._try(self._drain)
            if self._missed:
                self._missed = False
                self._woken.clear()
                return None
            if self._woken:
                woken, self._woken = self._woken, {}
                return woken
            left = deadline - time.monotonic()
            if left <= 0 or self._rung(left):
                return {}

    def interrupt(self) -> None:
        # Full: it will be heard anyway. Closed: nobody waits.
        with contextlib.suppress(OSError):
            self._button.send(b"\0")

    def close(self) -> None:
        self._hang_up()
        self._followed.clear()
        self._selector.close()
        self._bell.close()
        self._button.close()

    def _rung(self, timeout: float) -> bool:
        """Waits for news or `interrupt`; returns whether it was that."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._bell:
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4096)
                return True
        return False

    def _try(self, act: Callable[[ListenConnection], None]) -> None:
        """Does something on the connection; when that is broken, a new one takes its place.

        Raises:
            StoreUnavailable: the new one is broken as well; nothing is followed any more.
        """
        try:
            if self._connection is not None:
                act(self._connection)
                return
        except StoreUnavailable:
            self._hang_up()
            self._missed = True
        try:
            connection = self._connected()
            self._subscribe(connection, self._followed)
        except StoreUnavailable:
            self._hang_up()
            self._followed.clear()
            self._woken.clear()
            self._missed = False
            raise

    def _connected(self) -> ListenConnection:
        connection = self._connection = self._dial()
        self._selector.register(connection.fileno(), selectors.EVENT_READ)
        return connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(KeyError, ValueError, StoreUnavailable):
                self._selector.unregister(connection.fileno())
            connection.close()

    def _channels(self, session_ids: Collection[str]) -> list[str]:
        return [self._keys.channel(session_id) for session_id in session_ids]

    def _subscribe(self, connection: ListenConnection, session_ids: Collection[str]) -> None:
        channels = self._channels(session_ids)
        for start in range(0, len(channels), _AT_ONCE):
            some = channels[start : start + _AT_ONCE]
            connection.send("SUBSCRIBE", some)
            self._confirmed(connection, {each.encode() for each in some})

    def _confirmed(self, connection: ListenConnection, channels: set[bytes]) -> None:
        deadline = time.monotonic() + self._patience
        while channels:
            message = connection.receive()
            if message is not None:
                kind, channel, payload = message
                if kind == b"subscribe":
                    channels.discard(channel)
                self._note(kind, channel, payload)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise StoreUnavailable("The store does not confirm what is to be followed.")
            with selectors.DefaultSelector() as selector:
                selector.register(connection.fileno(), selectors.EVENT_READ)
                selector.select(left)

    def _drain(self, connection: ListenConnection) -> None:
        while (message := connection.receive()) is not None:
            self._note(*message)

    def _note(self, kind: bytes, channel: bytes, payload: bytes) -> None:
        if kind != b"message":
            return
        session_id = self._keys.followed(channel)
        if session_id in self._followed:
            # News without a cursor must not hide behind a later cursor.
            known = self._woken.get(session_id)
            self._woken[session_id] = "" if known == "" else payload.decode()
