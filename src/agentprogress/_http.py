"""HTTP as values: requests read, responses made. No framework, no session, no decision."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from pydantic_core import from_json

from ._core.connection import SUBPROTOCOL
from ._core.jsonable import clean_text, encode_json
from .access import ConnectionInfo
from .codes import CODES
from .errors import InvalidRequest, MethodNotAllowed, ProgressError, SessionGone

__all__ = [
    "CUT",
    "JSON",
    "NDJSON",
    "NO_CACHE",
    "ROUTES",
    "SSE_HEADERS",
    "Header",
    "Request",
    "Response",
    "Route",
    "Target",
    "json_response",
    "problem",
    "retry_header",
    "target",
]

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
NDJSON: Final[Header] = (b"content-type", b"application/x-ndjson")
NO_CACHE: Final[Header] = (b"cache-control", b"no-cache")
_PROBLEM: Final[Header] = (b"content-type", b"application/problem+json")
SSE_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx holds a gzipped stream to its end unless it is told not to buffer (measured).
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_BEARER_PROTOCOL = "agentprogress.bearer."
# What has no body, whatever else is said of it (RFC 9110, 8.6).
_BODILESS = frozenset({204, 304})


class Route(NamedTuple):
    """One row of what is served.

    Attributes:
        name: of the endpoint.
        path: relative to the mount; names in braces are one segment each.
        methods: what it answers, besides a browser's preflight.
        waits: whether ``?wait=`` makes it a long poll.
        public: it tells nothing of any session, so that neither the page's origin nor access is
            asked for.
    """

    name: str
    path: str
    methods: tuple[str, ...] = ("GET", "HEAD")
    waits: bool = False
    public: bool = False


ROUTES: Final = (
    Route("list", "/sessions"),
    Route("snapshot", "/sessions/{session_id}"),
    Route("events", "/sessions/{session_id}/events"),
    Route("page", "/sessions/{session_id}/page", waits=True),
    Route("ws", "/sessions/{session_id}/ws"),
    Route("result", "/sessions/{session_id}/result", waits=True),
    Route("cancel", "/sessions/{session_id}/cancel", ("POST",)),
    Route("answer", "/sessions/{session_id}/inputs/{request_id}", ("POST",)),
    Route("view", "/sessions/{session_id}/view"),
    Route("module", "/client/{version}/{file}", public=True),
    Route("newest_module", "/client/{file}", public=True),
    Route("health", "/health"),
)

_PATTERNS = [
    (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path))) for route in ROUTES
]


class Target(NamedTuple):
    """What a request is for."""

    route: Route
    session_id: str = ""
    request_id: str = ""
    version: str = ""
    file: str = ""


def target(path: str) -> Target | None:
    """Finds what a path, relative to the mount, means; None when nothing."""
    for route, pattern in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is not None:
            return Target(route, **match.groupdict())
    return None


@dataclass(frozen=True, slots=True)
class Request:
    """A request as every server can tell it.

    Attributes:
        path: relative to the mount.
        connection: what applications see of it.
        subprotocols: what a WebSocket's client offers.
        body: of a POST; one byte more than the limit stands for anything larger.
    """

    method: str
    path: str
    connection: ConnectionInfo
    subprotocols: tuple[str, ...] = ()
    body: bytes = b""

    @classmethod
    def read(
        cls,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        query: bytes,
        client: str | None,
        state: Mapping[str, Any],
        body: bytes = b"",
    ) -> Request:
        """Reads what ASGI and its like hand over."""
        found: dict[str, str] = {}
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            # HTTP/2 clients may send each cookie in a header of its own (RFC 9113, 8.2.3).
            joint = {"cookie": "; ", "sec-websocket-protocol": ", "}.get(name)
            found[name] = f"{found[name]}{joint}{value}" if joint and name in found else value
        connection = ConnectionInfo(
            headers=found,
            query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)),
            cookies=_cookies(found.get("cookie", "")),
            bearer=_bearer(found),
            client=client,
            state=state,
        )
        return cls(method, path, connection, body=body)

    def offering(self, subprotocols: Sequence[str]) -> Request:
        """Returns the handshake of a WebSocket: a bearer may come among its subprotocols."""
        connection = self.connection
        for name in subprotocols:
            if connection.bearer is None and name.startswith(_BEARER_PROTOCOL):
                bearer = _decoded(name.removeprefix(_BEARER_PROTOCOL))
                connection = replace(connection, bearer=bearer)
        return replace(self, connection=connection, subprotocols=tuple(subprotocols))

    def without_cookies(self) -> Request:
        """Returns the request as if the browser had sent none."""
        headers = {n: value for n, value in self.connection.headers.items() if n != "cookie"}
        return replace(self, connection=replace(self.connection, headers=headers, cookies={}))

    @property
    def pongs(self) -> bool:
        """Whether a WebSocket's client offers to answer heartbeats."""
        return SUBPROTOCOL in self.subprotocols

    @property
    def has_authorization(self) -> bool:
        """Whether a bearer came in the header, which no page can send unasked."""
        return _bearer(self.connection.headers) is not None

    @property
    def cursor(self) -> str | None:
        """Where the client wants to go on: the ``Last-Event-ID`` header wins over ``?after=``."""
        header = self.connection.headers.get("last-event-id")
        return header if header is not None else self.connection.query.get("after")

    def number(self, name: str, default: float, most: float) -> float:
        """Returns a query parameter as a number from 0 to `most`.

        Raises:
            InvalidRequest: it is none.
        """
        text = self.connection.query.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise InvalidRequest(
                f"?{name}= must be a number that is not negative, not {text[:40]!r}."
            )
        return min(float(text), most)

    def fields(self) -> dict[str, Any]:
        """Returns the JSON object in the body; nothing is an empty one.

        Raises:
            InvalidRequest: the body is something else.
        """
        if not self.body.strip():
            return {}
        try:
            value = from_json(self.body, allow_inf_nan=False)  # JSON has neither (RFC 8259, 6)
        except ValueError as error:
            raise InvalidRequest(f"The body is not JSON: {error}.") from error
        if not isinstance(value, dict):
            raise InvalidRequest("The body must be a JSON object.")
        return value  # pyright: ignore[reportUnknownVariableType] - a JSON object's keys are text

    def knows(self, etag: bytes) -> bool:
        """True when ``If-None-Match`` names the present state (RFC 9110, 13.1.2: weakly)."""
        given = self.connection.headers.get("if-none-match", "")
        tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
        return "*" in tags or etag.decode() in tags


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = (JSON, NO_CACHE)

    def to(self, request: Request, more: Iterable[Header]) -> Response:
        """Returns it as this request gets it: with more headers, and no body for ``HEAD``."""
        headers = [*self.headers, *more]
        if self.status not in _BODILESS and SSE_HEADERS[0] not in self.headers:
            headers.append((b"content-length", b"%d" % len(self.body)))
        return Response(self.status, b"" if request.method == "HEAD" else self.body, tuple(headers))


# For a client that is gone: nobody reads it, but middleware must be given something.
CUT = Response(400, b"", ())


def json_response(status: int, value: Any, *headers: Header) -> Response:
    """Returns a JSON response."""
    return Response(status, encode_json(value), (JSON, NO_CACHE, *headers))


def retry_header(seconds: float) -> Header:
    """Returns when to ask again, in whole seconds (RFC 9110, 10.2.3), never too early."""
    return b"retry-after", b"%d" % math.ceil(seconds)


def problem(error: ProgressError, retry_after: float | None = None, **more: Any) -> Response:
    """Returns an error as RFC 9457 problem details; `more` are extension members."""
    code = CODES[error.code]
    status = code.http or CODES["internal"].http or 0
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": code.sentence,
        "status": status,
        "detail": clean_text(str(error)),
        "code": code.name,
        "retryable": code.retryable,
        **more,
    }
    headers: list[Header] = [_PROBLEM, NO_CACHE]
    if retry_after is not None:
        body["retry_after"] = round(retry_after, 3)
        headers.append(retry_header(retry_after))
    if isinstance(error, SessionGone):
        body["session"] = error.session
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if code.http == CODES["unauthorized"].http:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110, 11.6.1: a 401 must say how
    return Response(status, encode_json(body), tuple(headers))


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookies(header: str) -> Mapping[str, str]:
    """Reads cookies one by one: `http.cookies` gives up all of them for one that is odd."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, separator, value = pair.partition("=")
        if separator:
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def _decoded(token: str) -> str | None:
    """Reads base64url without padding; what is none is no token."""
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
