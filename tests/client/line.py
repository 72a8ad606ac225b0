"""A `Follower` with a clock of its own, and the frames of a server to feed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agentprogress.client import FollowState
from agentprogress.client._follower import Follower
from agentprogress.client._ladder import Transport
from agentprogress.client._steps import Dial, FollowerOptions, Over, Rest, Taken
from agentprogress.client._wire import Answer
from agentprogress.errors import FollowError
from agentprogress.settings import Settings

__all__ = [
    "EPOCH",
    "LATER",
    "NOBODY",
    "OTHER",
    "SESSION",
    "SETTINGS",
    "TIME",
    "Line",
    "end",
    "error",
    "event",
    "gap",
    "heartbeat",
    "problem",
    "snapshot",
    "welcome",
]

Json = dict[str, Any]

SESSION = "job-7"
EPOCH, OTHER, LATER = "I9kYN9ZwS0", "Zw9S0I9kYN", "S0I9kYN9Zw"
TIME = "2026-11-22T20:15:40.464Z"
SETTINGS = Settings()
NOBODY = FollowError("network", "Nobody is there.", retryable=True)


def welcome(head: int = 0, resume: str = "fresh", epoch: str = EPOCH, **more: Any) -> Json:
    return {
        "type": "welcome",
        "protocol": 1,
        "session_id": SESSION,
        "epoch": epoch,
        "status": "running",
        "resume": resume,
        "head": head,
        "heartbeat_interval": SETTINGS.heartbeat_interval,
        "retry_window": 1.0,
        "server_time": TIME,
        **more,
    }


def event(seq: int, type_: str = "session.resumed", **fields: Any) -> Json:
    return {"seq": seq, "time": TIME, "type": type_, **fields}


def snapshot(seq: int, epoch: str = EPOCH, **state: Any) -> Json:
    whole = {"session_id": SESSION, "epoch": epoch, "seq": seq, "status": "running", **state}
    return {"type": "snapshot", "seq": seq, "state": whole}


def gap(first: int, last: int, reason: str = "evicted") -> Json:
    return {"type": "gap", "missed_from": first, "missed_to": last, "reason": reason}


def heartbeat(head: int = 0, window: float = 1.0) -> Json:
    return {
        "type": "heartbeat",
        "head": head,
        "producer": "alive",
        "retry_window": window,
        "server_time": TIME,
    }


def error(code: str, *, retryable: bool = False, **more: Any) -> Json:
    return {"type": "error", "code": code, "message": "Why.", "retryable": retryable, **more}


def end(head: int, status: str = "completed") -> Json:
    return {"type": "end", "status": status, "head": head}


def problem(status: int, code: str, **more: Any) -> Answer:
    body = {"type": "about:blank", "status": status, "code": code, **more}
    return Answer(status, body, None, "application/problem+json")


class Line:
    """One follower, and what its driver would do for it.

    Args:
        transport: by which it may follow.
        random: what each delay is drawn by; the middle of its range by default.
        settings: those of the client.
        **options: of the follower.

    Attributes:
        follower: itself.
        now: the time, moved by the test alone.
    """

    def __init__(
        self,
        transport: str = "auto",
        *,
        random: Callable[[], float] = lambda: 0.5,
        settings: Settings = SETTINGS,
        **options: Any,
    ) -> None:
        chosen = FollowerOptions(transport=transport, **options)
        self.follower = Follower(SESSION, chosen, settings, random)
        self.now = 0.0

    def dial(self) -> Dial:
        """Rests as long as is asked for, and dials."""
        step = self.follower.next(self.now)
        if isinstance(step, Rest):
            assert step.until > self.now
            self.now = step.until
            step = self.follower.next(self.now)
        assert isinstance(step, Dial)
        assert self.follower.linked
        return step

    def open(self, *frames: Json) -> Taken:
        """Dials, and opens the connection; with frames, these come at once."""
        self.dial()
        self.follower.reached(self.now)
        self.follower.opened(self.now)
        return self.send(*frames) if frames else Taken([], 0, pong=False)

    def send(self, *frames: Json) -> Taken:
        """Lets frames come, as the transport in use has them."""
        if self.follower.transport is Transport.SSE:
            data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
        elif self.follower.transport is Transport.LONG_POLL:
            data = json.dumps({"frames": frames, "cursor": "", "done": False})
        else:
            data = json.dumps(frames)
        return self.follower.received(data, self.now)

    def close(self, code: int | None = 1006) -> None:
        self.follower.closed(code, self.now)

    def refuse(self, answer: Answer) -> None:
        """Dials, and is refused."""
        self.dial()
        self.follower.reached(self.now)
        self.follower.refused(answer, self.now)

    def fail(self, reason: FollowError = NOBODY) -> None:
        """Dials, and finds nobody."""
        self.dial()
        self.follower.unreachable(reason, self.now)

    def wait_in_vain(self) -> None:
        """Lets the time pass at which it takes the connection for dead."""
        self.now = self.follower.deadline
        assert self.follower.due(self.now)

    @property
    def delay(self) -> float:
        """How long it rests now."""
        step = self.follower.next(self.now)
        assert isinstance(step, Rest)
        return step.until - self.now

    @property
    def outcome(self) -> FollowError | None:
        """Why it is over."""
        step = self.follower.next(self.now)
        assert isinstance(step, Over)
        return step.error

    @property
    def over(self) -> bool:
        return self.follower.state in (FollowState.ENDED, FollowState.GAVE_UP)
