"""Moves bytes between a client and a server, by httpx2, and decides nothing.

What goes wrong is told in the words of `_link`, by `_failures`. httpx2 is imported in these only.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Self

import anyio
import anyio.to_thread
import httpx2
import httpx2.websockets
from pydantic_core import from_json
from wsproto.utilities import ProtocolError

from .._core.connection import SUBPROTOCOL
from .._core.jsonable import encode_json, is_object
from ..errors import FollowError
from ..settings import Settings
from ._failures import translated
from ._ladder import Transport
from ._link import QUIET, Closed, Cut, Link, Look, Refused, Reply, Signs
from ._wire import Answer

__all__ = ["Web"]

# How a generator of chunks ends.
_ENDS = (StopAsyncIteration, httpx2.HTTPError, httpx2.StreamError, OSError)
_SECURE = frozenset({"https", "wss"})
_PORTS = {False: 80, True: 443}
_PONG = '{"type":"pong"}'
_PROBLEM = "application/problem+json"
_JSON = "application/json"
_EVENT_STREAM = "text/event-stream"


class Web:
    """Connections to one server.

    Args:
        url: on the server; where a redirect leads elsewhere, nothing secret is sent.
        settings: the bounds.
        headers: sent with every request, besides the token's.
        ssl_context: whom to trust; None for the system's choice.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        headers: Mapping[str, str],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._url = url
        self._settings = settings
        self._headers = headers
        self._ssl_context = ssl_context
        self._client: httpx2.AsyncClient | None = None

    @property
    def http(self) -> httpx2.AsyncClient:
        """The client of httpx2, for who is to look closer than this class does."""
        if self._client is None:
            raise RuntimeError("It is used as `async with Web(…)`.")
        return self._client

    async def __aenter__(self) -> Self:
        # It is needed for plain HTTP as well, which may redirect.
        trust = self._ssl_context
        try:
            if trust is None:
                if not _system_trust.cache_info().currsize:
                    await anyio.to_thread.run_sync(_system_trust)
                trust = _system_trust()
            self._client = self._new_client(trust)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            sentence = (
                "What the environment says of certificates or proxies (SSL_CERT_FILE, HTTP_PROXY) "
                f"cannot be used: {error}."
            )
            raise FollowError("network", sentence, retryable=False) from error
        return self

    def _new_client(self, trust: ssl.SSLContext) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={**self._headers, "Accept-Encoding": "identity", "Cache-Control": "no-store"},
            verify=trust,
            timeout=None,  # the follower has the limits of time
            follow_redirects=True,  # httpx2 itself takes the token out
            event_hooks={"request": [self._guard]},
            limits=httpx2.Limits(max_connections=None),  # who waits for a result holds up nobody
        )

    async def _guard(self, request: httpx2.Request) -> None:
        """Keeps headers that may be secret from where a redirect leads."""
        if not _same_place(request.url, httpx2.URL(self._url)):
            for name in self._headers:
                request.headers.pop(name, None)

    async def __aexit__(self, *exception: Any) -> None:
        # Nothing in it waits for the peer for long, and half of it would leak.
        with anyio.move_on_after(self._settings.close_timeout, shield=True):
            await self.http.aclose()

    @contextlib.asynccontextmanager
    async def open(
        self, transport: Transport, url: str, token: str | None, signs: Signs = QUIET
    ) -> AsyncGenerator[Link]:
        """Opens a connection.

        Args:
            transport: how.
            url: of the transport's route, cursor included.
            token: the bearer.
            signs: called as it goes.

        Raises:
            Unreachable, Refused: it cannot be had.
            Cut: it broke while it was opened or closed; `Link.receive` tells the rest.
        """
        ways = {
            Transport.WEBSOCKET: self._websocket,
            Transport.SSE: self._stream,
            Transport.LONG_POLL: self._page,
        }
        with translated():
            async with ways[transport](url, _bearer(token), signs) as link:
                yield link

    async def ask(
        self, method: str, url: str, token: str | None, body: object = None, *, patience: float
    ) -> Reply:
        """Sends a request, and reads its answer whatever it is.

        Args:
            method: of HTTP.
            url: of a route.
            token: the bearer.
            body: sent as JSON; None for none.
            patience: seconds to wait for each part of the answer.

        Raises:
            Unreachable: nobody was there.
            Cut: no whole answer came.
        """
        headers = _bearer(token)
        content = None
        if body is not None:
            headers["Content-Type"] = _JSON
            content = encode_json(body)
        timeout = httpx2.Timeout(self._settings.connect_timeout, read=patience)
        with translated():
            async with self.http.stream(
                method,
                url,
                headers=headers,
                content=content,
                timeout=timeout,
                follow_redirects=method == "GET",  # a POST would become one, and do nothing
            ) as response:
                most = self._settings.max_result_bytes + self._settings.max_message_bytes
                data = await _read(response, most, self._settings.close_timeout)
                return Reply(_answer(response, data), data)

    @contextlib.asynccontextmanager
    async def look(
        self, method: str, url: str, token: str | None, headers: Mapping[str, str]
    ) -> AsyncGenerator[Look]:
        """Sends a request and shows what comes; a redirect is not followed.

        Raises:
            Unreachable: nobody was there.
            Cut: it broke before there was an answer; `Link.receive` tells the rest.
        """
        headers = {**_bearer(token), **headers}
        with translated():
            async with (
                self.http.stream(method, url, headers=headers, follow_redirects=False) as response,
                _chunks(response, self._settings.close_timeout) as chunks,
            ):
                status, named = response.status_code, dict(response.headers)
                link = _StreamLink(chunks, lambda: None)
                yield Look(status, named, _certificate(response), link)

    @contextlib.asynccontextmanager
    async def _websocket(
        self, url: str, headers: dict[str, str], signs: Signs
    ) -> AsyncGenerator[Link]:
        # Heartbeats of the protocol serve both ends; pings of the library's own would be more.
        settings = self._settings
        connecting = httpx2.websockets.AsyncWebSocketClient(
            self.http,
            max_message_size_bytes=settings.max_message_bytes,
            keepalive_ping_interval_seconds=None,
            session_class=_Session,
        )
        try:
            async with connecting.connect(
                url, subprotocols=[SUBPROTOCOL], headers=headers, extensions=_tracing(signs)
            ) as session:
                session.listen(signs.heard, settings.close_timeout)
                yield _WebSocketLink(session)
        except httpx2.websockets.WebSocketUpgradeError as error:
            raise Refused(_answer(error.response, b"")) from None

    @contextlib.asynccontextmanager
    async def _stream(
        self, url: str, headers: dict[str, str], signs: Signs
    ) -> AsyncGenerator[Link]:
        headers["Accept"] = _EVENT_STREAM
        async with self._get(url, headers, signs) as response:
            await self._expect(response, _EVENT_STREAM)
            async with _chunks(response, self._settings.close_timeout) as chunks:
                yield _StreamLink(chunks, signs.heard)

    @contextlib.asynccontextmanager
    async def _page(self, url: str, headers: dict[str, str], signs: Signs) -> AsyncGenerator[Link]:
        headers["Accept"] = _JSON
        settings = self._settings
        most = settings.max_batch_events * settings.max_event_bytes + settings.max_message_bytes
        async with self._get(url, headers, signs) as response:
            await self._expect(response, _JSON)
            closing = settings.close_timeout
            yield _PageLink(lambda: _read(response, most, closing, signs.heard))

    def _get(
        self, url: str, headers: dict[str, str], signs: Signs
    ) -> contextlib.AbstractAsyncContextManager[httpx2.Response]:
        return self.http.stream("GET", url, headers=headers, extensions=_tracing(signs))

    async def _expect(self, response: httpx2.Response, content_type: str) -> None:
        kind = _content_type(response)
        if response.status_code != 200 or kind.partition(";")[0].strip() != content_type:  # noqa: PLR2004
            most = self._settings.max_message_bytes
            closing = self._settings.close_timeout
            is_problem = kind.startswith(_PROBLEM)
            body = await _read(response, most, closing) if is_problem else b""
            raise Refused(_answer(response, body))


@functools.cache
def _system_trust() -> ssl.SSLContext:
    """Reading the authorities' certificates takes tens of milliseconds: once is enough."""
    return httpx2.create_ssl_context()


def _same_place(url: httpx2.URL, known: httpx2.URL) -> bool:
    """Returns whether a URL is of the same server; httpx2 keeps the token by the same rule."""
    secure, was_secure = url.scheme in _SECURE, known.scheme in _SECURE
    port, known_port = url.port or _PORTS[secure], known.port or _PORTS[was_secure]
    if secure == was_secure:
        return (url.host, port) == (known.host, known_port)
    # From HTTP to HTTPS, and never back.
    upgraded = secure and (port, known_port) == (_PORTS[True], _PORTS[False])
    return upgraded and url.host == known.host


def _tracing(signs: Signs) -> dict[str, Any]:
    async def trace(event: str, info: object) -> None:
        if event == "http11.send_request_headers.complete":
            signs.reached()

    return {"trace": trace}


class _Watched:
    """A connection's stream that tells when bytes come, also those of an unfinished message."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.heard: Callable[[], None] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpx2's
        data: bytes = await self._stream.read(max_bytes, timeout)
        if self.heard is not None:
            self.heard()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Session(httpx2.websockets.AsyncWebSocketSession):
    def __init__(self, stream: Any, **options: Any) -> None:
        self._watched = _Watched(stream)
        self._close_timeout: float | None = None
        super().__init__(self._watched, **options)  # type: ignore[arg-type]  # it has all that a stream has

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        # It says goodbye under a shield, and a peer that reads nothing would never be left.
        with anyio.move_on_after(self._close_timeout):
            await super().close(code, reason)
            return
        await self.stream.aclose()

    def listen(self, heard: Callable[[], None], close_timeout: float) -> None:
        self._watched.heard = heard
        self._close_timeout = close_timeout


class _WebSocketLink(Link):
    def __init__(self, session: _Session) -> None:
        self._session = session
        self.subprotocol = session.subprotocol

    async def receive(self) -> str | bytes | Closed:
        try:
            event = await self._session.receive()
        except httpx2.websockets.WebSocketDisconnect as error:
            return Closed(error.code)
        except (httpx2.websockets.HTTPXWSException, anyio.EndOfStream):
            return Closed()
        data: str | bytes = getattr(event, "data", b"")
        return data

    async def pong(self) -> None:
        if self._session.subprotocol == SUBPROTOCOL:
            # That it broke is what the next `receive` tells.
            with contextlib.suppress(httpx2.websockets.HTTPXWSException, ProtocolError):
                await self._session.send_text(_PONG)


class _StreamLink(Link):
    def __init__(self, chunks: AsyncIterator[bytes], heard: Callable[[], None]) -> None:
        self._chunks = chunks
        self._heard = heard

    async def receive(self) -> str | bytes | Closed:
        try:
            data = await anext(self._chunks)
        except _ENDS:
            return Closed()
        self._heard()
        return data


class _PageLink(Link):
    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read

    async def receive(self) -> str | bytes | Closed:
        try:
            return await self._read()
        except (httpx2.HTTPError, OSError):
            return Closed()


@contextlib.asynccontextmanager
async def _chunks(
    response: httpx2.Response, close_timeout: float
) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Reads a body that may be left in the middle."""
    chunks = response.aiter_bytes()
    try:
        yield chunks
    finally:
        # httpx2 reads by generators within generators, and trio complains of each that is left
        # suspended: once the connection is closed, all of them run out.
        with anyio.move_on_after(close_timeout, shield=True), contextlib.suppress(*_ENDS):
            await response.aclose()
            while True:
                await anext(chunks)


async def _read(
    response: httpx2.Response,
    max_bytes: int,
    close_timeout: float,
    heard: Callable[[], None] | None = None,
) -> bytes:
    body = bytearray()
    async with _chunks(response, close_timeout) as chunks:
        async for chunk in chunks:
            body += chunk
            if heard is not None:
                heard()
            if len(body) > max_bytes:
                sentence = f"An answer is larger than {max_bytes} bytes."
                raise Cut(FollowError("protocol", sentence, retryable=True))
    return bytes(body)


def _certificate(response: httpx2.Response) -> Mapping[str, Any] | None:
    tls: object = response.extensions["network_stream"].get_extra_info("ssl_object")
    return tls.getpeercert() if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _content_type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.lower()


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    kind = _content_type(response)
    problem: object = None
    if kind.startswith(_PROBLEM):
        with contextlib.suppress(ValueError):
            problem = from_json(body)
    return Answer(
        response.status_code,
        problem if is_object(problem) else None,
        _seconds(response.headers.get("retry-after")),
        kind,
    )


def _seconds(text: str | None) -> float | None:
    """Reads `Retry-After`; the form that is a date is not worth a clock."""
    return float(text) if text is not None and text.isdecimal() and text.isascii() else None
