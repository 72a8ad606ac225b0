"""Sockets whose peers cannot stall for ever: a listening one for any server, options for any other.

A peer that reads nothing blocks a write, and no ASGI server can be told to cut it: closing waits
until everything is flushed (measured on uvicorn and hypercorn). Only the kernel gives such a
connection up, by ``TCP_USER_TIMEOUT``, which accepted sockets inherit from the listening one.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from typing import Protocol

from .errors import InvalidSettings
from .settings import Settings

__all__ = ["TunableSocket", "tune", "tuned_socket"]

_USER_TIMEOUT = Settings().user_timeout
_MOST_PORT = 2**16 - 1
# The kernel takes milliseconds as a C int.
_MOST_USER_TIMEOUT = (2**31 - 1) // 1000
# Linux: MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL in include/net/tcp.h.
_MOST_KEEPALIVE = 32_767
# After half of the user timeout the peer is asked; when it is over, Linux gives it up.
_KEEPALIVE_RATIO = 0.5


class TunableSocket(Protocol):
    """What `tune` needs of a socket: the standard library's, asyncio's, uvloop's and trio's do."""

    @property
    def family(self) -> int:
        """The address family."""
        ...

    @property
    def type(self) -> int:
        """``SOCK_STREAM`` or another kind."""
        ...

    def setsockopt(self, level: int, optname: int, value: int, /) -> None:
        """Sets an option."""
        ...


def tuned_socket(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    user_timeout: float = _USER_TIMEOUT,
    keepalive: float | None = None,
    backlog: int = socket.SOMAXCONN,
) -> socket.socket:
    """Returns a socket that listens, for a server that takes one.

    Connections wait in it until the server is up. Those that it accepts have ``TCP_USER_TIMEOUT``,
    keepalive and ``TCP_NODELAY``; where the platform has no ``TCP_USER_TIMEOUT`` (macOS, Windows)
    or none of the keepalive options, that one is left out, and a stalled peer holds its connection
    for as long as the kernel likes.

    Args:
        host: a name or an address of this machine, IPv4 or IPv6. ``0.0.0.0`` and ``::`` are all.
        port: 0 is any free one.
        user_timeout: seconds for which sent data may stay unacknowledged, or a peer may have no
            room for more, before the kernel cuts the connection.
        keepalive: seconds of silence after which a peer is asked whether it is there; by default
            half of `user_timeout`, so that a silent peer is given up after the same time.
        backlog: connections that may wait to be accepted; the kernel has its own limit.

    Raises:
        InvalidSettings: an argument is out of its range, or `host` cannot be a name.
        OSError: the name is unknown (``socket.gaierror``), or the address cannot be had.
    """
    _check(user_timeout, keepalive)
    if not 0 <= port <= _MOST_PORT:
        raise InvalidSettings(f"port must be from 0 to {_MOST_PORT}, not {port!r}.")
    if backlog < 1:
        raise InvalidSettings(f"backlog must be at least 1, not {backlog!r}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except UnicodeError:
        raise InvalidSettings(f"{host!r} cannot be the name of a host.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would take the port from whoever has it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_options(listener, user_timeout, keepalive)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def tune(
    connection: TunableSocket,
    user_timeout: float = _USER_TIMEOUT,
    keepalive: float | None = None,
) -> None:
    """Sets the same options on one accepted socket, where the listening one is not ours.

    A socket that is not TCP (a unix one) and one that is closed already are left as they are.

    Args:
        connection: a socket, or what asyncio's ``transport.get_extra_info("socket")`` gives.
        user_timeout: as for `tuned_socket`.
        keepalive: as for `tuned_socket`.

    Raises:
        InvalidSettings: an argument is out of its range.
    """
    _check(user_timeout, keepalive)
    over_ip = connection.family in (socket.AF_INET, socket.AF_INET6)
    if over_ip and connection.type == socket.SOCK_STREAM:
        # A peer that is gone again is no reason to fail: the server finds out by itself.
        with contextlib.suppress(OSError):
            _set_options(connection, user_timeout, keepalive)


def _set_options(target: TunableSocket, user_timeout: float, keepalive: float | None) -> None:
    tcp = socket.IPPROTO_TCP
    silence = user_timeout * _KEEPALIVE_RATIO if keepalive is None else keepalive
    target.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    target.setsockopt(tcp, socket.TCP_NODELAY, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if (option := getattr(socket, name, None)) is not None:
            target.setsockopt(tcp, option, min(math.ceil(silence), _MOST_KEEPALIVE))
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        target.setsockopt(tcp, option, math.ceil(user_timeout * 1000))


def _check(user_timeout: float, keepalive: float | None) -> None:
    given = [("user_timeout", user_timeout, _MOST_USER_TIMEOUT)]
    if keepalive is not None:
        given.append(("keepalive", keepalive, _MOST_KEEPALIVE))
    for name, value, most in given:
        if not 0 < value <= most:
            raise InvalidSettings(
                f"{name} must be seconds greater than 0 and at most {most}, not {value!r}."
            )
