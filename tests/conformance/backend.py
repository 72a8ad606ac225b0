"""What stands behind the library in the served process: jobs that a test drives over `/test/…`.

It knows no framework: a path and a JSON body in, a JSON body out.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from inspect import isawaitable
from typing import Any

import anyio
from pydantic import BaseModel

from agentprogress import (
    CustomEvent,
    ProgressSession,
    PublicError,
    SessionHandle,
    SessionRegistry,
    Settings,
)
from agentprogress.access import Access, AccessRequest, allow_generated_ids

__all__ = ["ALLOWED_ORIGIN", "Backend", "Decision", "prefix_of"]

ALLOWED_ORIGIN = "https://app.example"

# Small, so that a test reaches them: the history is trimmed, the heart beats, writes time out.
SETTINGS = Settings(
    max_history_events=50,
    min_history_bytes=1024,
    heartbeat_interval=1,
    pong_timeout=1.5,
    write_timeout=1,
    snapshot_write_timeout=1,
    close_timeout=1,
    max_session_subscribers=3,
)

# There is no event for "nobody follows any more": it is asked for so often, and so long.
_ASK_EVERY = 0.01
_ASK_FOR = 15.0


def prefix_of(kind: str) -> str:
    """Returns where an application of that kind serves progress."""
    return "" if kind == "bare" else "/progress"


class Decision(BaseModel):
    """What the question asks for."""

    approve: bool
    note: str = ""


class Filler(CustomEvent, name="filler"):
    """An event as large as wanted."""

    text: str


class Backend:
    """A registry and its jobs."""

    def __init__(self, prefix: str) -> None:
        self._store = os.environ.get("AGENTPROGRESS_STORE") or None
        settings = replace(SETTINGS, base_url=prefix)
        self.registry = SessionRegistry(settings, store=self._store)
        self._sessions: dict[str, ProgressSession] = {}
        self._finish: dict[str, Callable[[], object]] = {}
        self._endings: dict[str, Callable[[BaseException | None], None]] = {}

    @staticmethod
    def authorize(request: AccessRequest) -> Access:
        """The default rule; `?as=` names a principal, whose subscribers are counted."""
        access = allow_generated_ids(request)
        return replace(access, principal=request.connection.query.get("as"))

    async def handle(self, path: str, body: dict[str, Any]) -> Any:
        """Answers `/test/{path}`."""
        answer: Any = getattr(self, f"on_{path}")(**body)
        return await answer if isawaitable(answer) else answer

    def on_stats(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "rss_bytes": _rss_bytes(), **asdict(self.registry.stats())}

    async def on_job(self, **options: Any) -> SessionHandle:
        return await self._handed_out(self.registry.start(_job, **options))

    async def on_question(self, **options: Any) -> SessionHandle:
        finish = anyio.Event()
        session = self.registry.start(_question, finish, **options)
        self._finish[session.id] = finish.set
        return await self._handed_out(session)

    async def on_reserve(self, **options: Any) -> SessionHandle:
        return await self.registry.reserve(**options)

    async def on_open(self, **options: Any) -> SessionHandle:
        block = self.registry.open(**options)
        # The control request's own context must not become a session's.
        context = contextvars.copy_context()
        session = context.run(block.__enter__)

        def end(error: BaseException | None) -> None:
            context.run(block.__exit__, None if error is None else type(error), error, None)

        self._endings[session.id] = end
        return await self._handed_out(session)

    async def _handed_out(self, session: ProgressSession) -> SessionHandle:
        self._sessions[session.id] = session
        await self._stored(session)
        return session.handle()

    async def _stored(self, session: ProgressSession) -> None:
        """Returns when other processes can see what has happened so far, if there are any."""
        if self._store is not None:
            await session.flush()

    async def on_do(self, session_id: str, actions: list[list[Any]]) -> dict[str, Any]:
        session = self._sessions[session_id]
        for name, *arguments in actions:
            if name == "flush":
                await session.flush()
            elif name == "finish":
                self._finish.pop(session.id)()
            else:
                getattr(self, f"_{name}")(session, *arguments)
        await self._stored(session)
        return {"cursor": session.cursor}

    def _log(self, session: ProgressSession, count: int, start: int = 0) -> None:
        for number in range(start, start + count):
            session.log(f"line {number}")

    def _fill(self, session: ProgressSession, count: int, size: int) -> None:
        for _ in range(count):
            session.emit(Filler(text="x" * size))

    def _text(self, session: ProgressSession, *deltas: str) -> None:
        with session.text() as text:
            for delta in deltas:
                text.write(delta)

    def _complete(self, session: ProgressSession, result: Any) -> None:
        session.complete(result)
        self._endings.pop(session.id)(None)

    def _fail(self, session: ProgressSession, message: str) -> None:
        end = self._endings.pop(session.id)
        try:
            raise PublicError(message, "broken")
        except PublicError as error:
            end(error)

    def _delete(self, session: ProgressSession) -> None:
        self.registry.delete(session.id)

    async def on_until_swept(self, session_id: str) -> None:
        """Returns once the history of an ended session is gone."""
        await _ask_until(lambda: self._is_swept(session_id))

    async def _is_swept(self, session_id: str) -> bool:
        async with self.registry.subscribe(session_id) as subscription:
            return subscription.resume == "snapshot"

    async def on_until(
        self, session_id: str, subscribers: int | None = None, status: str | None = None
    ) -> dict[str, Any]:
        """Returns once a session has so many subscribers, or is in that state."""

        async def reached() -> bool:
            info = self.registry.get(session_id)
            return (subscribers in (None, info.subscribers)) and (status in (None, info.status))

        await _ask_until(reached)
        info = self.registry.get(session_id)
        return {"subscribers": info.subscribers, "status": info.status}


async def _ask_until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.move_on_after(_ASK_FOR):
        while not await condition():  # noqa: ASYNC110
            await anyio.sleep(_ASK_EVERY)


async def _job(session: ProgressSession) -> None:
    """Runs until it is cancelled."""
    session.log("working")
    await anyio.sleep_forever()


async def _question(session: ProgressSession, finish: anyio.Event) -> dict[str, Any]:
    decision = await session.request_input("Publish it?", schema=Decision)
    # The question is settled, the session goes on: both can be looked at.
    await finish.wait()
    return decision.model_dump()


def _rss_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
