"""Which pages may call: the check of ``Origin``, and the answers to a browser's CORS questions.

A browser sends cookies, and reaches private networks, for any page that asks; only ``Origin`` tells
whose page it was. The one thing that it sends for no foreign page without asking first is an
``Authorization`` header; a bearer among a WebSocket's subprotocols may be any page's invention.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from ._http import Header, Request, Response
from .errors import Forbidden, InvalidSettings

__all__ = ["Origins"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ANY = "*"
# What a page without an origin of its own sends: a file, or a sandboxed frame.
_OPAQUE = "null"

_VARY: Header = (b"vary", b"origin")
_EXPOSED: Header = (b"access-control-expose-headers", b"etag, retry-after")
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, if-none-match, last-event-id",
    ),
)


class Origins:
    """The origins that may call besides the server's own.

    Args:
        allowed: as browsers write them, such as ``https://app.example``; ``"*"`` is any, ``"null"``
            a page without one.
        max_age: seconds for which a browser may remember the answer to a preflight.

    Raises:
        InvalidSettings: one of them is no origin.
    """

    def __init__(self, allowed: Iterable[str], max_age: float) -> None:
        if isinstance(allowed, str):
            raise InvalidSettings(f'allowed_origins is a sequence: ("{allowed}",)')
        self._allowed = frozenset(_checked(origin) for origin in allowed)
        self._max_age: Header = (b"access-control-max-age", b"%d" % max_age)

    def let_in(self, request: Request) -> Request:
        """Returns a request as far as it is to be trusted.

        A page of another origin is refused, unless it is allowed or sent ``Authorization``. Where
        any page is, it is let in without the cookies of whoever looks at it.

        Raises:
            Forbidden: in a sentence that names both hosts and the setting.
        """
        headers = request.connection.headers
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is None or request.has_authorization or self._names(origin):
            return request
        if _same(origin, host):
            return request
        if _ANY in self._allowed:
            return request.without_cookies()
        raise Forbidden(
            f"This page is from {origin[:100]!r} and this server is {host[:100]!r}. To let it in, "
            f'pass allowed_origins=("{origin[:100]}",) to the app that serves progress; behind a '
            "proxy, let it pass the Host header on."
        )

    def _names(self, origin: str) -> bool:
        return origin.lower() in self._allowed

    def _allows(self, origin: str) -> bool:
        return _ANY in self._allowed or self._names(origin)

    def headers(self, request: Request) -> tuple[Header, ...]:
        """Returns what lets the browser hand a response to the page; nothing without a setting."""
        if not self._allowed:
            return ()
        origin = request.connection.headers.get("origin")
        if origin is None or not self._allows(origin):
            return (_VARY,)
        return (*self._told(origin), _EXPOSED)

    def _told(self, origin: str) -> tuple[Header, ...]:
        if not self._names(origin):
            # Any page may read, but not with the cookies of whoever looks at it.
            return (_VARY, (b"access-control-allow-origin", b"*"))
        return (
            _VARY,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
        )

    def preflight(self, request: Request) -> Response | None:
        """Answers a browser that asks before it calls; None when that is not what it is."""
        asks = "access-control-request-method" in request.connection.headers
        if request.method != "OPTIONS" or not asks or not self._allowed:
            return None
        origin = request.connection.headers.get("origin", "")
        if not self._allows(origin):
            return Response(204, b"", (_VARY,))
        return Response(204, b"", (*self._told(origin), *_PREFLIGHT, self._max_age))


def _checked(origin: str) -> str:
    if origin in (_ANY, _OPAQUE):
        return origin
    parts = _split(origin)
    whole = parts is not None and origin.lower() == f"{parts.scheme}://{parts.netloc}".lower()
    if not whole or not parts or not parts.hostname or set(parts.netloc) & set("@*"):
        raise InvalidSettings(
            f"{origin!r} is no origin. One is a scheme, a host and perhaps a port: "
            '"https://app.example".'
        )
    return origin.lower()


def _same(origin: str, host: str) -> bool:
    """True when a page's origin and a server's host are the same, or both on this machine."""
    page, server = _split(origin), _split(f"//{host}")
    if page is None or server is None or not page.hostname or not server.hostname:
        return False
    if _is_loopback(page.hostname) and _is_loopback(server.hostname):
        return True
    default = _PORTS.get(page.scheme)
    # Behind a proxy the server does not know by what scheme it was called: the page does.
    return (page.hostname, page.port or default) == (server.hostname, server.port or default)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
