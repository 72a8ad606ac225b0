"""A server under test as a case sees it: sessions to drive on one side, clients on the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pytest

from .servers import TARGETS, Limit, Running, Target
from .wire import Address, Answer, Connect, EventStream, Frame, WebSocket, dial, request

__all__ = ["TRANSPORTS", "Live", "Session", "Transport", "whatever_the_store"]

Transport = Literal["websocket", "sse", "page"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

# For cases that are over before anybody looks at a session: they run once on each server.
whatever_the_store = pytest.mark.parametrize("live", TARGETS, ids=str, indirect=True)


@dataclass(frozen=True)
class Session:
    """A session in the served process, driven from here."""

    live: Live
    id: str
    url: str
    control_token: str | None

    def do(self, *actions: tuple[Any, ...] | str) -> str:
        """Lets the producer act, and returns the cursor after it."""
        listed = [(action,) if isinstance(action, str) else action for action in actions]
        done = self.live.control("do", session_id=self.id, actions=listed)
        return str(done["cursor"])

    def until(self, **wanted: Any) -> None:
        """Waits for a number of subscribers or a status."""
        found = self.live.control("until", session_id=self.id, **wanted)
        assert found | wanted == found, f"wanted {wanted}, found {found}"

    def sse(self, after: str | None = None, **options: Any) -> EventStream:
        """Opens an event stream."""
        return self.live.sse(self.id, after, **options)

    def websocket(self, after: str | None = None, **options: Any) -> WebSocket:
        """Opens a WebSocket."""
        return self.live.websocket(self.id, after, **options)

    def get(self, route: str = "", **headers: str) -> Answer:
        """Gets one of its routes."""
        return self.live.request("GET", f"/sessions/{self.id}{route}", headers)

    def post(self, route: str, body: Any = None, **headers: str) -> Answer:
        """Posts to one of its routes, with the control token unless headers say otherwise."""
        if self.control_token is not None:
            headers.setdefault("Authorization", f"Bearer {self.control_token}")
        headers = {name: value for name, value in headers.items() if value}
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers.setdefault("Content-Type", "application/json")
        return self.live.request("POST", f"/sessions/{self.id}{route}", headers, data)

    def follow(self, transport: Transport, after: str | None = None) -> list[Frame]:
        """Reads everything to the end."""
        if transport == "sse":
            with self.sse(after) as stream:
                assert stream.status == 200
                return list(stream.frames())
        if transport == "websocket":
            with self.websocket(after) as socket:
                return list(socket.frames())
        return self._pages(after)

    def _pages(self, after: str | None) -> list[Frame]:
        found: list[Frame] = []
        done = False
        while not done:
            query = f"&after={after}" if after else ""
            page = self.get(f"/page?limit=20&wait=10{query}").json
            # Each page has its own welcome; the first one answers the cursor that was brought.
            found += page["frames"][1 if found else 0 :]
            after, done = page["cursor"], page["done"]
        return found


# What is asked of the process that serves; everything else is for the one that produces.
_OF_THE_SERVER = ("stats", "until", "until_swept")


@dataclass(frozen=True)
class Live:
    """A running server.

    Attributes:
        producer: the process that has the jobs, where that is another one.
        connect: how connections are made.
    """

    target: Target
    running: Running
    producer: Running | None = None
    connect: Connect = dial

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.running.address

    def cannot(self, limit: Limit) -> bool:
        """Whether this is beyond the server."""
        return limit in self.target.limits

    def path(self, path: str) -> str:
        """Returns the whole path of one below the mount."""
        return self.target.prefix + path

    def control(self, path: str, **body: Any) -> Any:
        """Asks the application behind."""
        asked = self.running if self.producer is None or path in _OF_THE_SERVER else self.producer
        answer = request(
            asked.address,
            "POST",
            f"/test/{path}",
            {"Content-Type": "application/json"},
            json.dumps(body).encode(),
            connect=self.connect,
        )
        assert answer.status == 200, answer.body
        return answer.json

    def session(self, kind: str = "open", **options: Any) -> Session:
        """Makes a session: `open`, `job`, `question` or `reserve`."""
        return Session(self, **self._handle(self.control(kind, **options)))

    def ended(self, lines: int = 3, result: Any = "done", **options: Any) -> Session:
        """Makes a session that has ended."""
        session = self.session(**options)
        session.do(("log", lines), ("complete", result))
        return session

    @staticmethod
    def _handle(handle: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": handle["session_id"],
            "url": handle["url"],
            "control_token": handle["control_token"],
        }

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Sends a request below the mount; `_` in header names stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        path = self.path(path)
        return request(self.address, method, path, named, body, connect=self.connect)

    def sse(
        self,
        session_id: str,
        after: str | None = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> EventStream:
        """Opens an event stream."""
        path = self.path(f"/sessions/{session_id}/events{_query(after, query)}")
        return EventStream(self.address, path, headers, receive_buffer, self.connect)

    def websocket(
        self, session_id: str, after: str | None = None, *, query: str = "", **options: Any
    ) -> WebSocket:
        """Opens a WebSocket."""
        path = self.path(f"/sessions/{session_id}/ws{_query(after, query)}")
        return WebSocket(self.address, path, connect=self.connect, **options)


def _query(after: str | None, more: str) -> str:
    parts = [f"after={after}"] * (after is not None) + [more] * bool(more)
    return f"?{'&'.join(parts)}" if parts else ""
