"""Plain clients that share no code with the library: httpx2 and websockets, over TLS."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from tests.conformance.live import Session
from tests.conformance.wire import PATIENCE

from .programs import Proxy

__all__ = ["CutOff", "Frame", "follow_events", "follow_websocket", "get", "open_unread"]

Frame = dict[str, Any]


class CutOff(Exception):
    """A stream has stopped in the middle."""


def get(url: str, tls: ssl.SSLContext, **headers: str) -> httpx2.Response:
    """Gets one answer."""
    with httpx2.Client(verify=tls, timeout=PATIENCE, trust_env=False) as client:
        return client.get(url, headers=headers)


@contextlib.contextmanager
def follow_events(
    proxy: Proxy, session: Session, tls: ssl.SSLContext, after: str | None = None
) -> Iterator[Iterator[Frame]]:
    """Follows by server-sent events; the frames raise `CutOff` when they stop in the middle."""
    url = proxy.url(session) + "/events" + (f"?after={after}" if after else "")
    with (
        httpx2.Client(verify=tls, timeout=PATIENCE, trust_env=False) as client,
        client.sse(url) as source,
    ):
        yield _frames_of(source)


def _frames_of(source: httpx2.EventSource) -> Iterator[Frame]:
    try:
        for message in source:
            frame: Any = message.json()
            yield frame
    except httpx2.RemoteProtocolError as error:
        raise CutOff from error


@contextlib.contextmanager
def follow_websocket(
    proxy: Proxy, session: Session, tls: ssl.SSLContext, after: str | None = None
) -> Iterator[Iterator[Frame]]:
    """Follows by a WebSocket; the frames raise `CutOff` when they stop without a close frame."""
    url = proxy.url(session, "wss") + "/ws" + (f"?after={after}" if after else "")
    # What keeps it open, or not, is between the server and the proxy.
    with connect(url, ssl=tls, open_timeout=PATIENCE, ping_interval=None, proxy=None) as connection:
        yield _frames_from(connection)


def _frames_from(connection: ClientConnection) -> Iterator[Frame]:
    try:
        while True:
            yield from json.loads(connection.recv(timeout=PATIENCE))
    except ConnectionClosedOK:
        return
    except ConnectionClosedError as error:
        if error.rcvd is not None:
            raise
        raise CutOff from error


@contextlib.contextmanager
def open_unread(proxy: Proxy, session: Session, tls: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Asks for server-sent events and reads nothing of the answer."""
    path = session.live.path(f"/sessions/{session.id}/events")
    with (
        socket.create_connection(proxy.place.public, timeout=PATIENCE) as plain,
        tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        # Tickets are read with the first byte that comes.
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        yield connection
