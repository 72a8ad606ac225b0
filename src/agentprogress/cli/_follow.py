"""`agentprogress follow`: a session on another server, in a terminal, as lines, or as JSON."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import ssl
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio

from .._core.states import TERMINAL_EVENTS
from ..client import Feed, FollowOptions, FollowState, follow
from ..errors import FollowError
from ..events import Event
from ..settings import MIB, Settings
from ..snapshot import Gap, Snapshot
from ._output import forget_output
from ._signals import Interrupts
from .terminal._connection import Connection
from .terminal._plain import PlainLines, connection_line, note
from .terminal._screen import Screen, Sight, is_terminal
from .terminal._text import safe_line
from .terminal._view import View
from .terminal._wire import json_line

__all__ = ["COULD_NOT_FOLLOW", "Target", "follow_session", "session_url"]

COULD_NOT_FOLLOW = 3
_STATUSES = {"completed": 0, "failed": 1, "cancelled": 2, "lost": 2}
_BY_SIGNAL = 128
_BROKEN_PIPE = 13

# One viewer has room for more of the tree than a server has for each of its sessions.
_SETTINGS = Settings(max_steps=2_000, max_record_bytes=MIB)

# What `run` and `demo` print besides the session's own address.
_ROUTE = re.compile(r"(/sessions/[^/?#]+)/(?:view|events|ws|page|result)/?(?=$|[?#])")

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


def session_url(address: str) -> str:
    """Returns the session's URL, also of the address of its page or one of its routes."""
    return _ROUTE.sub(r"\1", address)


def follow_session(target: Target, *, as_json: bool = False) -> int:
    """Follows a session to its end and returns the exit status.

    Raises:
        InvalidUrl: it is no URL of a session.
        OSError: standard output cannot be written to.
        KeyboardInterrupt: Ctrl-C, where no terminal is drawn in.
    """
    if as_json:
        output: _Output = _Json()
    elif is_terminal():
        return anyio.run(_in_terminal, target)
    else:
        output = _Plain()
    try:
        return anyio.run(_as_lines, target, output)
    except BrokenPipeError:
        forget_output()  # whoever read has what it wanted
        return _BY_SIGNAL + _BROKEN_PIPE


class _Ending:
    """Learns from the items how the session ended."""

    def __init__(self) -> None:
        self.status: str | None = None

    def take(self, item: Event | Snapshot | Gap) -> None:
        if isinstance(item, Snapshot):
            self.status = item.state.status
        elif (status := TERMINAL_EVENTS.get(item.type)) is not None:
            self.status = status.value

    def exit_status(self, feed: Feed) -> int:
        """Returns the exit status; a cursor at the head brings no item that would tell."""
        known = feed.snapshot.status if feed.snapshot is not None else self.status
        return _STATUSES.get(known or "", COULD_NOT_FOLLOW)


# Lines


class _Output(Protocol):
    def item(self, item: Event | Snapshot | Gap) -> None: ...
    def connection(self, connection: Connection) -> None: ...


class _Json:
    """One line of JSON for each item, and nothing else."""

    def item(self, item: Event | Snapshot | Gap) -> None:
        print(json_line(item), flush=True)

    def connection(self, connection: Connection) -> None:
        """Changes nothing in what comes."""


class _Plain:
    """Lines for people and records."""

    def __init__(self) -> None:
        self._lines = PlainLines()
        self._told = ""

    def item(self, item: Event | Snapshot | Gap) -> None:
        if lines := self._lines.lines(item):
            print("\n".join(lines), flush=True)

    def connection(self, connection: Connection) -> None:
        line = connection_line(connection)
        if connection.state in ("live", "reconnecting") and line != self._told:
            self._told = line
            print(line, flush=True)


async def _as_lines(target: Target, output: _Output) -> int:
    broken: list[OSError] = []

    def on_state(_: FollowState) -> None:
        try:
            output.connection(_connection(feed))
        except OSError as error:  # not to be raised here, but where items are taken
            broken.append(error)

    feed = target.feed(on_state)
    ending = _Ending()
    with _notices(lambda text: print(note(text), file=sys.stderr, flush=True)):
        try:
            async with feed:
                async for item in feed:
                    if broken:
                        raise broken[0]
                    output.item(item)
                    ending.take(item)
            if broken:
                raise broken[0]
        except FollowError:
            connection = _connection(feed)
            words = f"{connection.words}{connection.circumstance} {connection.advice or ''}"
            print(f"agentprogress: {safe_line(words)}", file=sys.stderr, flush=True)
            return COULD_NOT_FOLLOW
    return ending.exit_status(feed)


# In a terminal


async def _in_terminal(target: Target) -> int:
    feed = target.feed(lambda _: sight.change())
    ending = _Ending()

    def look(size: os.terminal_size) -> View:
        over = feed.state in (FollowState.ENDED, FollowState.GAVE_UP)
        return View(
            snapshot=feed.snapshot,
            connection=_connection(feed),
            now=datetime.now().astimezone(),
            width=size.columns,
            height=size.lines,
            name=target.url,
            hint="" if over else "Ctrl-C leaves",
            stalled=feed.producer == "stalled",
        )

    sight = Sight(look)
    with (
        anyio.CancelScope() as everything,
        Interrupts(at_once=everything.cancel) as interrupts,
        Screen() as screen,
        _notices(lambda text: screen.say(note(text))),
    ):
        interrupts.before = everything.cancel
        async with feed, anyio.create_task_group() as tasks:
            tasks.start_soon(sight.keep, screen)
            with contextlib.suppress(FollowError):  # the last frame tells it
                async for item in feed:
                    ending.take(item)
                    sight.change()
            tasks.cancel_scope.cancel()
    if interrupts.signal_number is not None:
        return _BY_SIGNAL + interrupts.signal_number
    return COULD_NOT_FOLLOW if feed.state is FollowState.GAVE_UP else ending.exit_status(feed)


# The connection


def _connection(feed: Feed) -> Connection:
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
        with contextlib.suppress(OSError):  # nobody reads it
            self._tell(record.getMessage())


@contextlib.contextmanager
def _notices(tell: Callable[[str], object]) -> Generator[None]:
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
