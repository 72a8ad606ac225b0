"""The URLs that a client makes of a session's URL. Only the scheme is rewritten, as text.

No sentence repeats any part of a URL but its scheme: the rest may be a secret.
"""

from __future__ import annotations

import dataclasses
import re
from ipaddress import IPv6Address
from typing import Final, NoReturn
from urllib.parse import quote, unquote

from ..errors import InvalidUrl

__all__ = ["SessionUrl", "websocket_url"]

_SECURE: Final = {"http": False, "ws": False, "https": True, "wss": True}
_SCHEMES: Final = "http://, https://, ws:// or wss://"
_MAX_PORT: Final = 65_535

_UNSAFE = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REST = re.compile(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
# Leading zeros of a port are of no harm; more digits are out of range anyway.
_AUTHORITY = re.compile(r"""(\[[^\[\]]*\]|[^\[\]:"%<>^`{|}]*)(?::0*([0-9]*))?""")


def websocket_url(base: str) -> str:
    """Makes a WebSocket's URL of one for HTTP.

    ``http`` becomes ``ws`` and ``https`` becomes ``wss``, in whatever case they are written; ``ws``
    and ``wss`` stay. A fragment is dropped, everything else is kept as it is written.

    Raises:
        InvalidUrl: it has another scheme, no host, user information, white space, control
            characters or backslashes, in a sentence that says which.
    """
    secure, rest = _checked(base)
    return f"{'wss' if secure else 'ws'}://{rest.partition('#')[0]}"


@dataclasses.dataclass(frozen=True, slots=True)
class SessionUrl:
    """The URL that users name a session by, and the URLs of its routes.

    Attributes:
        secure: whether it is reached over TLS.
        authority: host and port, as written.
        path: as written, without a slash at its end.
        query: as written, without its question mark; empty if there is none.
    """

    secure: bool
    authority: str
    path: str
    query: str

    @classmethod
    def parse(cls, text: str) -> SessionUrl:
        """Reads a URL of the form ``https://host/…/sessions/{id}``.

        Raises:
            InvalidUrl: as `websocket_url`, or its path names no session.
        """
        secure, rest = _checked(text)
        match = _REST.fullmatch(rest)
        assert match is not None, "everything in it is optional"
        path = match[2].rstrip("/")
        if not path:
            raise InvalidUrl("The URL names no session: its path must end in the session's id.")
        return cls(secure, match[1], path, match[3] or "")

    @property
    def session_id(self) -> str:
        """The last segment of the path, decoded."""
        return unquote(self.path.rpartition("/")[2])

    def route(self, name: str, after: str | None = None, **query: str) -> str:
        """Returns the URL of a route for HTTP.

        Args:
            name: ``events``, ``inputs/rq_1`` …, percent-encoded where it must be; ``""`` is the
                session itself.
            after: the cursor to continue from.
            **query: more parameters; they and the cursor come after those of the session's URL.
        """
        return self._url("https" if self.secure else "http", name, after, query)

    def websocket(self, after: str | None = None) -> str:
        """Returns the URL of the session's WebSocket, to continue from a cursor."""
        return self._url("wss" if self.secure else "ws", "ws", after, {})

    def _url(self, scheme: str, name: str, after: str | None, more: dict[str, str]) -> str:
        pairs = more if after is None else {"after": after, **more}
        added = [f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs.items()]
        query = "&".join([self.query, *added] if self.query else added)
        path = f"{self.path}/{name}" if name else self.path
        return f"{scheme}://{self.authority}{path}{'?' if query else ''}{query}"


def _checked(text: str) -> tuple[bool, str]:
    """Returns whether a URL is for TLS, and what follows its scheme, if it is a fit one."""
    if _UNSAFE.search(text):
        raise InvalidUrl("The URL may have no white space, control characters or backslashes.")
    match = _SCHEME.match(text)
    if match is None:
        raise InvalidUrl(f"The URL must begin with {_SCHEMES}.")
    scheme = match[1].lower()
    if scheme not in _SECURE:
        raise InvalidUrl(f"The URL must begin with {_SCHEMES}, not with {scheme[:20]}://.")
    rest = text[match.end() :]
    _check_authority(re.split("[/?#]", rest, maxsplit=1)[0])
    return _SECURE[scheme], rest


def _check_authority(authority: str) -> None:
    if "@" in authority:
        raise InvalidUrl(
            "The URL may have no user or password in it, because URLs are logged; pass a token."
        )
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        _refuse_authority(authority)
    host, port = match.groups(default="")
    if not host:
        raise InvalidUrl("The URL has no host.")
    # The length first: Python refuses to convert more than 4,300 digits.
    if len(port) > len(str(_MAX_PORT)) or int(port or 0) > _MAX_PORT:
        raise InvalidUrl(f"The port in the URL is greater than {_MAX_PORT}.")
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            raise InvalidUrl("What stands in brackets in the URL is no IPv6 address.") from None


def _refuse_authority(authority: str) -> NoReturn:
    if "[" in authority or "]" in authority:
        raise InvalidUrl("The host in the URL has a bracket too many or too few.")
    if authority.count(":") > 1:
        raise InvalidUrl("An IPv6 host in the URL must stand in brackets.")
    if not re.search('["%<>^`{|}]', authority.partition(":")[0]):
        raise InvalidUrl("The port in the URL is no number.")
    raise InvalidUrl("The host in the URL has characters that no host has.")
