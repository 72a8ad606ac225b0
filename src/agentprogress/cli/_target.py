"""What `agentprogress follow` follows, how it stands with that, and how it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass

import anyio

from .._core.states import TERMINAL_EVENTS
from ..client import Feed, FollowOptions, FollowState, follow
from ..errors import FollowError, NoResult
from ..events import Event, SessionCompleted
from ..settings import KIB, MIB, Settings
from ..snapshot import Gap, Snapshot
from .terminal._connection import Connection
from .terminal._text import pretty

__all__ = [
    "COULD_NOT_FOLLOW",
    "Ending",
    "Target",
    "bounded",
    "connection_of",
    "fetch_result",
    "notices",
]

COULD_NOT_FOLLOW = 3
_STATUSES = {"completed": 0, "failed": 1, "cancelled": 2, "lost": 2}

# One viewer has room for more of the tree than a server has for each of its sessions.
_SETTINGS = Settings(max_steps=2_000, max_record_bytes=MIB)

# So much of a result is shown; nobody reads more of it in a terminal.
_MAX_RESULT_CHARS = 64 * KIB
_WIDTH = 100

_ADVICE = {
    "network": "Is the server running, and is this its address?",
    "timeout": "The server, or a proxy before it, does not answer in time.",
    "unauthorized": "Pass a token: --token-file FILE, or the variable AGENTPROGRESS_TOKEN.",
    "forbidden": "Ask for a token that may follow this session.",
    "unknown_session": "Is the address right? A server without a durable store forgets its "
    "sessions when it is restarted.",
    "gone": "Its record has expired.",
    "overloaded": "Come back later.",
    "server": "The server's log has the details.",
    "protocol": "Is this the address of a session?",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is followed, and how.

    Attributes:
        url: of the session.
        after: a cursor to go on from.
        transport: ``auto`` or the name of one.
        token: the bearer, or a function that makes it.
        ssl_context: whom to trust; None for the system's choice.
        max_attempts: attempts in a row that bring nothing, after which it gives up.
    """

    url: str
    after: str | None = None
    transport: str = "auto"
    token: str | Callable[[], str] | None = None
    ssl_context: ssl.SSLContext | None = None
    max_attempts: int | None = None

    def feed(self, on_state: Callable[[FollowState], object]) -> Feed:
        """Returns a feed that tells each new state.

        Raises:
            InvalidUrl: it is no URL of a session.
        """
        return follow(
            self.url,
            self.after,
            transport=self.transport,
            token=self.token,
            max_attempts=self.max_attempts,
            on_state=on_state,
            options=FollowOptions(ssl_context=self.ssl_context, settings=_SETTINGS),
        )


class Ending:
    """Learns from the items how the session ended.

    Attributes:
        status: None as long as no item has told.
        announced_bytes: the size of a result that came in no item; None when there is none such.
    """

    def __init__(self) -> None:
        self.status: str | None = None
        self.announced_bytes: int | None = None

    def take(self, item: Event | Snapshot | Gap) -> None:
        """Learns from one item."""
        if isinstance(item, Snapshot):
            self.status = item.state.status
            self._announced(item.state.result, item.state.result_bytes)
        elif (status := TERMINAL_EVENTS.get(item.type)) is not None:
            self.status = status.value
            if isinstance(item, SessionCompleted):
                self._announced(item.result, item.result_bytes)

    def _announced(self, result: object, result_bytes: int | None) -> None:
        self.announced_bytes = result_bytes if result is None else None

    def exit_status(self, feed: Feed) -> int:
        """Returns the exit status; a cursor at the head brings no item that would tell."""
        known = feed.snapshot.status if feed.snapshot is not None else self.status
        return _STATUSES.get(known or "", COULD_NOT_FOLLOW)


async def fetch_result(feed: Feed) -> str | None:
    """Asks for a result that was only announced.

    Returns:
        It as it is shown, cut where it is long; None when it could not be had.
    """
    with anyio.move_on_after(_SETTINGS.control_timeout), contextlib.suppress(FollowError, NoResult):
        return bounded(await feed.result())
    return None


def bounded(result: object) -> str:
    """Returns a result as text, cut where it is longer than anybody reads."""
    if isinstance(result, str):
        text = result[: _MAX_RESULT_CHARS + 1]
    else:
        text, pieces = "", json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(result)
        for piece in pieces:  # only as many are made as are taken
            text += piece
            if len(text) > _MAX_RESULT_CHARS:
                break
        else:
            text = pretty(result, _WIDTH)
    return text if len(text) <= _MAX_RESULT_CHARS else f"{text[:_MAX_RESULT_CHARS]}…"


def connection_of(feed: Feed) -> Connection:
    """Returns how a feed stands with the server."""
    error = feed.error
    gave_up = feed.state is FollowState.GAVE_UP
    return Connection(
        state=feed.state.value,
        transport=feed.transport.value,
        reason=None if error is None else str(error),
        retry_in=feed.retry_in,
        advice=_ADVICE.get(error.kind) if error is not None and gave_up else None,
    )


class _Notices(logging.Handler):
    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


@contextlib.contextmanager
def notices(tell: Callable[[str], object]) -> Generator[None]:
    """Passes on what the client logs, which would be written into the frame otherwise."""
    logger = logging.getLogger("agentprogress.client")
    handler = _Notices(tell)
    passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = passed_on
