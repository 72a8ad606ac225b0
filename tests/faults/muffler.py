"""Stands between a client and a Redis and, when it is told to, keeps what is published to itself.

So a network device behaves that forgot a quiet connection: nothing comes, and nobody is told.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

__all__ = ["Muffler"]

_HOST = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024


class Muffler:
    """Runs in a `with` block.

    Attributes:
        muffled: set while nothing goes to those who subscribe.
        kept: set once something was kept from them.
    """

    def __init__(self, port: int) -> None:
        self.muffled = threading.Event()
        self.kept = threading.Event()
        self._target = (_HOST, port)
        self._listener = socket.create_server((_HOST, 0))
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Where clients come in; a store's URL as well."""
        return f"redis://{_HOST}:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for end in self._ends:
            _end(end)
        for thread in self._threads[1:]:
            thread.join()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._ends += [client, server]
            subscribed = threading.Event()
            for act, given in ((self._ask, (client, server)), (self._tell, (server, client))):
                thread = threading.Thread(target=act, args=(*given, subscribed))
                self._threads.append(thread)
                thread.start()

    def _ask(self, client: socket.socket, server: socket.socket, told: threading.Event) -> None:
        while chunk := _received(client):
            if b"SUBSCRIBE" in chunk:
                told.set()
            server.sendall(chunk)
        _end(server)

    def _tell(self, server: socket.socket, client: socket.socket, told: threading.Event) -> None:
        while chunk := _received(server):
            if self.muffled.is_set() and told.is_set():
                self.kept.set()
            else:
                client.sendall(chunk)
        _end(client)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
