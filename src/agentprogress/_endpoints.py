"""The routes that answer with one whole response: the state, the log in pages, control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from ._core.connection import Connection, Terms, Transport
from ._core.cursor import Cursor
from ._core.frames import Tempo
from ._core.outputs import Write
from ._engine import Engine
from ._gate import Gate
from ._http import (
    JSON,
    NDJSON,
    NO_CACHE,
    Request,
    Response,
    Target,
    json_response,
    problem,
    retry_header,
)
from ._record import SessionRecord, SubscriberBase
from .access import Access
from .errors import Forbidden, InvalidRequest, ProgressError, RequestTooLarge
from .info import SessionInfo
from .registry import SessionRegistry, engine_of
from .view import VIEW

__all__ = ["Endpoints"]


class _Waiter(SubscriberBase):
    """A long poll: woken by the next publication."""

    remote = True

    __slots__ = ("event",)

    def __init__(self, record: SessionRecord, principal: str | None) -> None:
        super().__init__(record, principal)
        self.event = anyio.Event()

    def wake(self) -> None:
        self.event.set()

    def drain(self) -> None:
        self.event.set()


class Endpoints:
    """A method for each route, by its name.

    Args:
        registry: whose sessions.
        gate: how they are reached.
    """

    def __init__(self, registry: SessionRegistry, gate: Gate) -> None:
        self._registry = registry
        self._engine: Engine = engine_of(registry)
        self._gate = gate

    # The state and the log

    async def health(self, request: Request, found: Target) -> Response:
        """Whether the process takes anybody in."""
        if self._engine.draining:
            return json_response(503, {"status": "draining"})
        if not self._engine.backing.available:
            return json_response(503, {"status": "store_unavailable"})
        return json_response(200, {"status": "ok"})

    async def view(self, request: Request, found: Target) -> Response:
        """A page that shows the session; it asks for access itself."""
        body = VIEW.readonly_body if self._gate.wants_control_tokens else VIEW.body
        return Response(200, body, tuple(VIEW.headers))

    async def list(self, request: Request, found: Target) -> Response:
        """The caller's sessions."""
        access = await self._gate.list(request)
        query = request.connection.query
        owner = query.get("owner", access.principal)
        if access.principal is not None and owner != access.principal:
            raise Forbidden("You may list your own sessions only.")
        most = self._engine.settings.max_listed_sessions
        limit = max(1, int(request.number("limit", most, most)))
        status, after = query.get("status"), query.get("after")
        known = after is None or await self._goes_on_after(after, owner)
        sessions = await self._engine.listed(owner, status, limit, after) if known else []
        full = len(sessions) == limit
        return json_response(
            200,
            {
                "sessions": [_listed(info) for info in sessions],
                "next": sessions[-1].id if full else None,
            },
        )

    async def _goes_on_after(self, after: str, owner: str | None) -> bool:
        """False for what is not theirs: else one could ask which ids exist."""
        try:
            return owner is None or (await self._engine.find(after)).life.owner == owner
        except ProgressError:
            return False

    async def snapshot(self, request: Request, found: Target) -> Response:
        """The state, now."""
        record, _ = await self._gate.enter(request, found.session_id, "follow", fresh=True)

        def read(history: Any) -> tuple[str, bytes]:
            return str(Cursor(history.epoch, history.head)), history.head_json()

        cursor, state = record.locked(read)
        etag = f'"{cursor}"'.encode()
        headers = (JSON, NO_CACHE, (b"etag", etag))
        if request.knows(etag):
            return Response(304, b"", headers)
        return Response(200, state, headers)

    async def page(self, request: Request, found: Target) -> Response:
        """Frames, as many as fit in a page; with ``?wait=`` a long poll."""
        record, access = await self._gate.enter(request, found.session_id, "follow")
        settings = self._engine.settings
        most = settings.max_page_events
        limit = max(1, int(request.number("limit", most, most)))
        wait = self._patience(request, access)
        page = self._read(record, request.cursor, limit)
        if wait and not page.events and not page.done:
            await self._wait(record, access, wait)
            page = self._read(record, request.cursor, limit)
        if request.connection.query.get("format") == "ndjson":
            body = b"".join(frame + b"\n" for frame in page.frames)
            return Response(200, body, (NDJSON, NO_CACHE))
        body = b'{"frames":[%b],"cursor":"%b","done":%b}' % (
            b",".join(page.frames),
            page.cursor.encode(),
            b"true" if page.done else b"false",
        )
        return Response(200, body)

    def _read(self, record: SessionRecord, cursor: str | None, limit: int) -> _Page:
        """Reads one page through the same machine that serves streams."""
        connection = Connection(Transport.PAGE, self._engine.settings, Terms())
        joined, batch = record.read(cursor, limit)
        done = joined.status.ended and batch.last >= joined.head
        tempo = Tempo(self._engine.stamp(), self._engine.retry_window())
        connection.joined(record.id, joined, cursor, tempo)
        if batch.frames:
            connection.events(batch)
        if done:
            connection.ended(joined.status, joined.head, joined.epoch)
        else:
            connection.paused()
        frames: list[bytes] = []
        while (step := connection.next()) is not None:
            if isinstance(step, Write) and isinstance(step.data, bytes):
                frames.append(step.data)
        return _Page(frames, len(batch.frames), str(Cursor(joined.epoch, batch.last)), done)

    async def result(self, request: Request, found: Target) -> Response:
        """The result, once there is one."""
        record, access = await self._gate.enter(request, found.session_id, "follow", fresh=True)
        wait = self._patience(request, access)
        until = self._engine.clock.monotonic() + wait
        while wait > 0 and not record.ended and not self._engine.draining:
            await self._wait(record, access, wait)
            wait = until - self._engine.clock.monotonic()
        result = await self._engine.result(record)
        if result is not None:
            return Response(200, result)
        if not record.ended:
            again = retry_header(self._engine.retry_window())
            return json_response(202, {"status": record.status}, again)
        error = _NoResult(f"The session is {record.status}: it has no result.")
        return problem(error, session={"status": record.status, "error": record.life.error})

    def _patience(self, request: Request, access: Access) -> float:
        """Returns the seconds for which a client waits, which end with its access."""
        wait = request.number("wait", 0, self._engine.settings.max_wait)
        left = access.seconds_left(self._engine.clock.wall())
        return wait if left is None else max(0.0, min(wait, left))

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

    # Control

    async def cancel(self, request: Request, found: Target) -> Response:
        """Asks the session to stop; any number of times."""
        record, access = await self._gate.enter(request, found.session_id, "control")
        reason = self._fields(request).get("reason")
        if reason is not None and not isinstance(reason, str):
            raise InvalidRequest("reason must be a text.")
        ended = record.ended
        await self._engine.cancel(record, reason, access.principal)
        told = {
            "session_id": record.id,
            "status": record.status,
            "cancel_requested": record.cancel_requested,
        }
        return json_response(200 if ended else 202, told)

    async def answer(self, request: Request, found: Target) -> Response:
        """Answers a question; the first answer wins."""
        record, access = await self._gate.enter(request, found.session_id, "control")
        fields = self._fields(request)
        if "value" not in fields:
            raise InvalidRequest('The body must be a JSON object with the answer: {"value": …}.')
        await self._engine.answer(record, found.request_id, fields["value"], access.principal)
        told = {"session_id": record.id, "request_id": found.request_id, "outcome": "answered"}
        return json_response(202, told)

    def _fields(self, request: Request) -> dict[str, Any]:
        most = self._engine.settings.max_client_frame_bytes
        if len(request.body) > most:
            raise RequestTooLarge(most)
        return request.fields()


@dataclass(frozen=True, slots=True)
class _Page:
    frames: list[bytes]
    events: int
    cursor: str
    done: bool


class _NoResult(ProgressError):
    code = "conflict"


def _listed(info: SessionInfo) -> dict[str, Any]:
    return {
        "session_id": info.id,
        "status": info.status,
        "attempt": info.attempt,
        "title": info.title,
        "head": info.head,
        "epoch": info.epoch,
        "created_at": info.created_at,
        "started_at": info.started_at,
        "ended_at": info.ended_at,
    }
