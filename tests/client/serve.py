"""The served process: sessions on a real uvicorn that tests drive, let nobody in to, and kill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.access import Access, AccessRequest, allow_anyone, allow_generated_ids
from agentprogress.asgi import ProgressApp
from agentprogress.errors import TokenExpired, Unauthorized
from tests.conformance.backend import Backend
from tests.conformance.live import Live
from tests.conformance.servers import NotServing, Running, Target
from tests.conformance.wire import request as ask

from .material import cargo, deltas

__all__ = ["AMPLE", "Served"]

_ROOT = Path(__file__).parents[2]
# Where `Live` looks for it, too.
_MOUNTED = Target("uvicorn", "starlette-mounted")

# Nothing is ever evicted, the heart beats as often as it may, and live events come at once.
AMPLE: Mapping[str, Any] = {
    "max_history_events": 50_000,
    "max_history_bytes": 64 * 2**20,
    "heartbeat_interval": 1,
    "delivery_interval": 0.002,
    "min_retry_window": 0.001,
}


class Served:
    """A server in a process of its own. Its port stays its own while it is away.

    Args:
        settings: of its registry.
    """

    def __init__(self, settings: Mapping[str, Any] = AMPLE) -> None:
        self._settings = json.dumps(dict(settings))
        # Bound, but not listening: nobody else gets the port, and who connects is refused.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self._process: subprocess.Popen[str] | None = None
        self._running: Running | None = None

    @property
    def live(self) -> Live:
        """The server as a test drives it."""
        assert self._running is not None
        return Live(_MOUNTED, self._running)

    @property
    def text(self) -> str:
        """Everything that it has printed since it was begun last."""
        return self._running.text if self._running is not None else ""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or would."""
        host, port = self._place.getsockname()
        return host, port

    def begin(self) -> Live:
        """Starts it; it answers when this returns."""
        with socket.create_server(self.address, backlog=1024) as listener:
            descriptor = str(listener.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.client.serve", descriptor, self._settings],
                cwd=_ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                text=True,
            )
            self._running = Running(self.address, self._process)
        # This request waits in the backlog until the server serves.
        if ask(self.address, "GET", "/test/stats").status != 200:
            raise NotServing(self._running.text)
        return self.live

    def kill(self) -> None:
        """Ends it as a lack of memory does: it has no chance to say anything."""
        assert self._process is not None
        self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Ends it as an operator does: it drains."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._place.close()


# In the served process ----------------------------------------------------------------------------


class _Door:
    """Who gets in to one session: tokens, each with the seconds for which it is good."""

    def __init__(self, good: Mapping[str, float | None], expired: list[str]) -> None:
        now = time.time()
        self._good = {
            token: None if seconds is None else now + seconds for token, seconds in good.items()
        }
        self._expired = expired

    def admit(self, token: str | None) -> Access:
        if token in self._expired:
            raise TokenExpired
        if token is None or token not in self._good:
            raise Unauthorized("This token opens nothing.")
        until = self._good[token]
        if until is not None and until <= time.time():
            raise TokenExpired
        return Access(actions=frozenset({"follow", "control"}), expires_at=until)


class _Backend(Backend):
    """Jobs whose events can be checked, and sessions that not everybody may follow."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(_MOUNTED.prefix)
        self.registry = SessionRegistry(Settings(base_url=_MOUNTED.prefix, **settings))
        self._doors: dict[str, _Door] = {}
        self._asked: list[dict[str, Any]] = []

    def admit(self, request: AccessRequest) -> Access:
        """Goes by the door where there is one, else by the id."""
        connection, session_id = request.connection, request.session_id
        asked = {"query": dict(connection.query), "bearer": connection.bearer}
        self._asked.append({"session_id": session_id, "headers": dict(connection.headers), **asked})
        door = self._doors.get(session_id)
        if door is not None:
            return door.admit(connection.bearer)
        return (allow_generated_ids if session_id.startswith("s_") else allow_anyone)(request)

    def on_door(
        self, session_id: str, good: Mapping[str, float | None], expired: list[str]
    ) -> None:
        self._doors[session_id] = _Door(good, expired)

    def on_asked(self, session_id: str) -> list[dict[str, Any]]:
        return [asked for asked in self._asked if asked["session_id"] == session_id]

    def _cargo(self, session: ProgressSession, seed: int, first: int, count: int) -> None:
        for number in range(first, first + count):
            session.emit(cargo(seed, number))

    def _prose(self, session: ProgressSession, seed: int, number: int) -> None:
        with session.text(message_id=f"text-{number}") as text:
            for delta in deltas(seed, number):
                text.write(delta)

    def _end(self, session: ProgressSession, status: str) -> None:
        """Ends it otherwise than by success."""
        if status == "cancelled":
            session.request_cancel()
        else:
            self._fail(session, "It broke.")

    async def control(self, request: Request) -> JSONResponse:
        """Answers the tests' own routes."""
        body = json.loads(await request.body() or b"{}")
        return JSONResponse(await self.handle(request.path_params["path"], body))


def _main(descriptor: int, settings: str) -> None:
    backend = _Backend(json.loads(settings))
    routes = [
        Route("/test/{path}", backend.control, methods=["GET", "POST"]),
        Mount(_MOUNTED.prefix, ProgressApp(backend.registry, backend.admit)),
    ]
    config = uvicorn.Config(Starlette(routes=routes), timeout_graceful_shutdown=5)
    with socket.socket(fileno=descriptor) as listener:
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2])
