"""What each route answers, without any framework: requests in, responses out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import anyio

from ._core import frames
from ._core.cursor import Cursor
from ._core.jsonable import encode_json
from ._engine import Engine
from ._following import Joined, Page, SubscriberBase
from ._record import SessionRecord
from .access import Access, AccessRequest, Authorize, ConnectionInfo, ask
from .errors import CODES, ProgressError, SessionGone
from .info import SessionInfo
from .view import VIEW

__all__ = ["Endpoints", "Request", "Response", "Route", "problem", "route"]

Header = tuple[bytes, bytes]

_JSON = (b"content-type", b"application/json")
_NO_CACHE = (b"cache-control", b"no-cache")
SSE_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx holds a gzipped stream to its end unless it is told not to buffer (measured).
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Route(NamedTuple):
    """What a path means: the endpoint's name, and the session's id where there is one."""

    name: str
    session_id: str


_ROUTES = re.compile(
    r"/sessions/(?P<id>[^/]+)(?:/(?P<name>events|page|ws|result|view))?|/(?P<top>health)"
)


def route(path: str) -> Route | None:
    """Finds what a path, relative to the mount, means; None when nothing."""
    match = _ROUTES.fullmatch(path)
    if match is None:
        return None
    return Route(match["top"] or match["name"] or "snapshot", match["id"] or "")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as every server can tell it."""

    method: str
    path: str
    connection: ConnectionInfo

    @classmethod
    def read(
        cls,
        method: str,
        path: str,
        raw_headers: Iterable[tuple[bytes, bytes]],
        query_string: bytes,
        client: str | None,
    ) -> Request:
        """Reads what ASGI and its like hand over."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            # HTTP/2 clients may send each cookie in a header of its own (RFC 9113, 8.2.3).
            split = name == "cookie" and name in headers
            headers[name] = f"{headers[name]}; {value}" if split else value
        scheme, _, token = headers.get("authorization", "").partition(" ")
        connection = ConnectionInfo(
            headers=headers,
            query=dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)),
            cookies=_cookies(headers.get("cookie", "")),
            bearer=token.strip() if scheme.lower() == "bearer" else None,
            client=client,
        )
        return cls(method, path, connection)

    @property
    def cursor(self) -> str | None:
        """Where the client wants to go on: the ``Last-Event-ID`` header wins over ``?after=``."""
        header = self.connection.headers.get("last-event-id")
        return header if header is not None else self.connection.query.get("after")

    def number(self, name: str, default: float, most: float) -> float:
        """Returns a query parameter as a number from 0 to `most`.

        Raises:
            BadRequest: it is none.
        """
        text = self.connection.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0:
            raise BadRequest(f"?{name}= must be a number that is not negative, not {text[:40]!r}.")
        return min(value, most)


class BadRequest(ProgressError):
    """A request that cannot be understood."""

    code = "bad_request"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    status: int
    body: bytes = b""
    headers: list[Header] = field(default_factory=lambda: [_JSON, _NO_CACHE])


def json_response(status: int, value: Any, *headers: Header) -> Response:
    """Returns a JSON response."""
    return Response(status, encode_json(value), [_JSON, _NO_CACHE, *headers])


def problem(error: ProgressError, **more: Any) -> Response:
    """Returns an error as RFC 9457 problem details; `more` are extension members."""
    code = CODES[error.code]
    status = code.http or 500
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": code.sentence,
        "status": status,
        "detail": str(error),
        "code": code.name,
        "retryable": code.retryable,
        **more,
    }
    if isinstance(error, SessionGone):
        body["session"] = {"status": error.status, "ended_at": error.ended_at}
    headers = [(b"content-type", b"application/problem+json"), _NO_CACHE]
    if code.retry in ("retry_after", "yes"):
        headers.append((b"retry-after", b"1"))
    return Response(status, encode_json(body), headers)


NOT_FOUND = Response(
    404,
    encode_json({"type": "about:blank", "title": "There is no such page.", "status": 404}),
    [(b"content-type", b"application/problem+json")],
)
METHOD_NOT_ALLOWED = Response(
    405,
    encode_json(
        {"type": "about:blank", "title": "Only GET and HEAD are answered here.", "status": 405}
    ),
    [(b"content-type", b"application/problem+json"), (b"allow", b"GET, HEAD")],
)


class _Waiter(SubscriberBase):
    """A long poll: woken by the next publication."""

    __slots__ = ("event",)

    def __init__(self, record: SessionRecord, principal: str | None) -> None:
        super().__init__(record, principal)
        self.event = anyio.Event()

    def wake(self) -> None:
        self.event.set()

    def drain(self) -> None:
        self.event.set()


class Endpoints:
    """The routes that answer with one whole response, and what the streaming ones need."""

    def __init__(self, engine: Engine, authorize: Authorize) -> None:
        self._engine = engine
        self._authorize = authorize

    async def authorized(self, request: Request, session_id: str) -> tuple[SessionRecord, Access]:
        """Asks for access before anything of the session is revealed, then finds it.

        Raises:
            ProgressError: no access, or no session.
        """
        try:
            info = SessionInfo.of(self._engine.record(session_id))
        except ProgressError:
            info = None
        question = AccessRequest("follow", session_id, info, request.connection)
        access = await ask(self._authorize, question, self._engine.clock.wall())
        return self._engine.record(session_id), access

    def has_it_all(self, request: Request, record: SessionRecord) -> bool:
        """True when an ``EventSource`` comes back with the end: 204 stops it for good."""
        last = request.connection.headers.get("last-event-id")
        return record.ended and last == str(Cursor(record.epoch, record.history.head))

    async def answer(self, request: Request, found: Route) -> Response:
        """Answers a route; errors become problems."""
        if found.name == "health":
            return self._health()
        if found.name == "view":
            return Response(200, VIEW.body, VIEW.headers)
        record, access = await self.authorized(request, found.session_id)
        if found.name == "page":
            return await self._page(request, record, access)
        if found.name == "result":
            return await self._result(request, record, access)
        return self._snapshot(request, record)

    def _health(self) -> Response:
        if self._engine.draining:
            return json_response(503, {"status": "draining"})
        return json_response(200, {"status": "ok"})

    def _snapshot(self, request: Request, record: SessionRecord) -> Response:
        def read(history: Any) -> tuple[str, bytes]:
            return str(Cursor(history.epoch, history.head)), history.head_json()

        cursor, state = record.locked(read)
        etag = f'"{cursor}"'.encode()
        headers = [_JSON, _NO_CACHE, (b"etag", etag)]
        if request.connection.headers.get("if-none-match", "").encode() == etag:
            return Response(304, b"", headers)
        return Response(200, state, headers)

    async def _page(self, request: Request, record: SessionRecord, access: Access) -> Response:
        settings = self._engine.settings
        most = settings.max_page_events
        limit = max(1, int(request.number("limit", most, most)))
        wait = request.number("wait", 0, settings.max_wait)
        page = record.read(request.cursor, limit)
        if wait and not page.frames and not page.done:
            await self._wait(record, access, wait)
            page = record.read(request.cursor, limit)
        found = self._page_frames(record, page)
        if request.connection.query.get("format") == "ndjson":
            body = b"".join(frame + b"\n" for frame in found)
            return Response(200, body, [(b"content-type", b"application/x-ndjson"), _NO_CACHE])
        body = b'{"frames":[%b],"cursor":"%b","done":%b}' % (
            b",".join(found),
            str(Cursor(page.joined.epoch, page.position)).encode(),
            b"true" if page.done else b"false",
        )
        return Response(200, body)

    def _page_frames(self, record: SessionRecord, page: Page) -> list[bytes]:
        answer = page.joined.answer
        found = [self.welcome(record, page.joined)]
        if answer.missed is not None:
            found.append(frames.gap(answer.missed))
        if answer.snapshot and page.joined.state is not None:
            found.append(frames.snapshot(answer.position, page.joined.state))
        found += page.frames
        if page.done:
            found.append(frames.end(page.joined.status, page.joined.head))
        return found

    async def _result(self, request: Request, record: SessionRecord, access: Access) -> Response:
        wait = request.number("wait", 0, self._engine.settings.max_wait)
        until = self._engine.clock.monotonic() + wait
        while wait > 0 and not record.ended and not self._engine.draining:
            await self._wait(record, access, wait)
            wait = until - self._engine.clock.monotonic()
        if record.life.result is not None:
            return Response(200, record.life.result)
        if not record.ended:
            return json_response(202, {"status": record.status}, (b"retry-after", b"1"))
        error = _NoResult(f"The session is {record.status}: it has no result.")
        return problem(error, session={"status": record.status, "error": record.life.error})

    async def _wait(self, record: SessionRecord, access: Access, seconds: float) -> None:
        """Waits for something new in the log, the end, or a drain."""
        head = record.history.head
        waiter = _Waiter(record, access.principal)
        joined = self._engine.admit(waiter, None)
        waiter.position = joined.head
        try:
            if joined.head == head and not joined.status.ended and not self._engine.draining:
                deadline = self._engine.clock.monotonic() + seconds
                await self._engine.clock.wait(waiter.event, deadline)
        finally:
            self._engine.dismiss(waiter)

    def welcome(self, record: SessionRecord, joined: Joined) -> bytes:
        """Returns the first frame for a join."""
        return frames.welcome(
            session_id=record.id,
            epoch=joined.epoch,
            status=joined.status,
            join=joined.answer,
            head=joined.head,
            timing={
                "heartbeat_interval": self._engine.settings.heartbeat_interval,
                "retry_window": self._engine.retry_window(),
                "server_time": self._engine.stamp(),
            },
        )


class _NoResult(ProgressError):
    code = "conflict"


def _cookies(header: str) -> Mapping[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
