"""What each request gets: a whole response, or a stream to be driven. Adapters only translate.

Its order is that of trust: path, method, origin, the framework's own check, access; only then a
session is looked at. What is public asks for none of these but path and method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ._core.connection import Transport
from ._core.cursor import Cursor
from ._core.outputs import Refusal
from ._driver import Driver, Farewell, farewell, return_delay
from ._endpoints import Endpoints
from ._engine import Engine
from ._gate import Gate
from ._http import SSE_HEADERS, Header, Request, Response, Target, problem, target
from ._origins import Origins
from ._record import SessionRecord
from ._signals import chain_signals
from .access import Authorize, allow_generated_ids
from .browser._serving import PUBLIC, module, newest_module
from .codes import CODES
from .errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound, ProgressError
from .registry import SessionRegistry, engine_of

__all__ = ["Check", "Service", "Stream", "nothing"]


@dataclass(frozen=True, slots=True)
class Stream:
    """A response that goes on.

    Attributes:
        headers: of the response to a request for server-sent events.
    """

    headers: tuple[Header, ...]
    driver: Driver | Farewell


Check: TypeAlias = Callable[[Request], Awaitable[Response | None]]
"""A framework's own check, between origin and access: raises, or answers in our place."""


async def nothing(request: Request) -> Response | None:
    """The check where there is none."""
    return None


Endpoint: TypeAlias = Callable[[Request, Target], Awaitable[Response | Stream]]


class Service:
    """Serves a registry's sessions, whatever the server.

    Args:
        registry: whose sessions.
        authorize: who may do what; the default lets whoever knows a generated id follow it.
        allowed_origins: which pages may call besides this host's own.
        chain: whether the process's SIGTERM and SIGINT drain the registry first.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        authorize: Authorize | None,
        allowed_origins: Sequence[str],
        *,
        chain: bool,
    ) -> None:
        self._engine: Engine = engine_of(registry)
        self._gate = Gate(self._engine, authorize or allow_generated_ids)
        self._origins = Origins(allowed_origins, self._engine.settings.preflight_max_age)
        self._chains = chain
        endpoints = Endpoints(registry, self._gate)
        self._endpoints: dict[str, Endpoint] = {
            "list": endpoints.list,
            "snapshot": endpoints.snapshot,
            "events": self._events,
            "page": endpoints.page,
            "ws": self._upgrade_required,
            "result": endpoints.result,
            "cancel": endpoints.cancel,
            "answer": endpoints.answer,
            "view": endpoints.view,
            "module": module,
            "newest_module": newest_module,
            "health": endpoints.health,
        }

    @property
    def max_body_bytes(self) -> int:
        """How much of a request's body an adapter reads; one byte more says that it is larger."""
        return self._engine.settings.max_client_frame_bytes

    def begin(self) -> None:
        """Called in the event loop at the server's start, where it tells, and at each request."""
        if self._chains:
            chain_signals(self._engine)

    # Ways in

    def waits(self, request: Request) -> bool:
        """Whether the answer may take so long that the client may be gone before it comes."""
        found = target(request.path)
        return found is not None and found.route.waits and "wait" in request.connection.query

    async def answer(self, request: Request, check: Check = nothing) -> Response | Stream:
        """Answers a request; every error becomes a response."""
        self.begin()
        found = target(request.path)
        public = found is not None and found.route.public
        more = PUBLIC if public else self._origins.headers(request)
        try:
            if found is None:
                raise NotFound
            preflight = self._origins.preflight(request)
            if preflight is not None:
                return preflight
            if request.method not in found.route.methods:
                raise MethodNotAllowed(request.method, found.route.methods)
            answer: Response | Stream | None = None
            if not public:
                request = self._origins.let_in(request)
                answer = await check(request)
            if answer is None:
                answer = await self._endpoints[found.route.name](request, found)
        except ProgressError as error:
            answer = self._problem(error)
        if isinstance(answer, Response):
            return answer.to(request, more)
        return Stream((*answer.headers, *more), answer.driver)

    async def connect(self, request: Request, check: Check = nothing) -> Driver | Farewell:
        """Answers the handshake of a WebSocket.

        A browser cannot read a refused handshake, so nobody is refused before being let in.
        """
        self.begin()
        try:
            found = target(request.path)
            if found is None or found.route.name != "ws":
                raise NotFound("No WebSocket is at this address; /sessions/{id}/ws is one.")
            request = self._origins.let_in(request)
            if await check(request) is not None:
                raise Forbidden
            record, access = await self._gate.enter(request, found.session_id, "follow")
            driver = Driver(self._engine, record, access, Transport.WEBSOCKET, pongs=request.pongs)
            driver.join(request.cursor)
        except ProgressError as error:
            refused = farewell(self._engine, Transport.WEBSOCKET, error, pongs=request.pongs)
            assert isinstance(refused, Farewell)
            return refused
        return driver

    # Streams

    async def _events(self, request: Request, found: Target) -> Response | Stream:
        try:
            record, access = await self._gate.enter(request, found.session_id, "follow")
            if _has_it_all(request, record):
                return Response(204, b"", ())
            if request.method == "HEAD":
                return Response(200, b"", SSE_HEADERS)
            driver = Driver(self._engine, record, access, Transport.SSE)
            driver.join(request.cursor)
        except ProgressError as error:
            refused = farewell(self._engine, Transport.SSE, error)
            if isinstance(refused, Refusal):
                return problem(refused.error, refused.retry_after)
            if request.method == "HEAD":
                return Response(200, b"", SSE_HEADERS)
            return Stream(SSE_HEADERS, refused)
        return Stream(SSE_HEADERS, driver)

    async def _upgrade_required(self, request: Request, found: Target) -> Response:
        raise InvalidRequest("This address takes WebSockets: the handshake's Upgrade is missing.")

    def _problem(self, error: ProgressError) -> Response:
        transient = CODES[error.code].transient
        return problem(error, return_delay(self._engine) if transient else None)


def _has_it_all(request: Request, record: SessionRecord) -> bool:
    """True when an ``EventSource`` comes back with the end: 204 stops it for good."""
    last = request.connection.headers.get("last-event-id")
    return record.ended and last == str(Cursor(record.epoch, record.history.head))
