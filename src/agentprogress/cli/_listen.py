"""The address: a socket to serve on, had before anything is started, and how browsers reach it."""

from __future__ import annotations

import errno
import ipaddress
import socket

from ..errors import InvalidSettings
from ..sockets import tuned_socket

__all__ = ["DEFAULT_PORT", "CannotServe", "is_loopback", "listen", "origin"]

DEFAULT_PORT = 8765


class CannotServe(Exception):
    """Carries the sentence that tells why."""


def listen(host: str, port: int | None) -> socket.socket:
    """Returns a socket that listens; connections wait in it until the server is up.

    Args:
        host: a name or an address of this machine.
        port: 0 is any free one; None the default one, or any free one when it is taken.

    Raises:
        CannotServe: the address cannot be had.
    """
    if port is not None:
        return _bind(host, port)
    try:
        return _bind(host, DEFAULT_PORT)
    except CannotServe as error:
        if not _is_taken(error.__cause__):
            raise
        return _bind(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    try:
        return tuned_socket(host, port)
    except InvalidSettings as error:
        raise CannotServe(str(error)) from error
    except socket.gaierror as error:
        raise CannotServe(f"Cannot listen on {host!r}: {error.strerror}.") from error
    except OSError as error:
        advice = ": another program has it. --port 0 takes any free one" if _is_taken(error) else ""
        reason = advice or f": {error.strerror}"
        raise CannotServe(f"Cannot listen on port {port} of {host}{reason}.") from error


def _is_taken(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def is_loopback(host: str) -> bool:
    """Tells whether only this machine reaches what listens there.

    Raises:
        CannotServe: it is no host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotServe(f"Cannot listen on {host!r}: there is no such host.") from error
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def origin(host: str, listener: socket.socket) -> str:
    """Returns the address by which a browser on this machine reaches a listener on `host`."""
    bound = ipaddress.ip_address(listener.getsockname()[0])
    if bound.is_unspecified:  # it takes all addresses; this one is the machine's own
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
