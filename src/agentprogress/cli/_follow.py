"""`agentprogress follow`: a session on another server, in a terminal, as lines, or as JSON."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio

from ..client import Feed, FollowState
from ..client._urls import SessionUrl
from ..errors import FollowError
from ..events import Event
from ..snapshot import Gap, Snapshot
from ._output import Pen, Printer, until_unread
from ._signals import Interrupts
from ._target import COULD_NOT_FOLLOW, Ending, Target, connection_of, fetch_result, notices
from .terminal._connection import Connection
from .terminal._plain import PlainLines, connection_line, fetched_lines, note
from .terminal._screen import Screen, Sight, is_terminal
from .terminal._text import safe_line
from .terminal._view import View
from .terminal._wire import json_line

__all__ = ["follow_session"]

_BY_SIGNAL = 128
_BROKEN_PIPE = 13


def follow_session(target: Target, *, as_json: bool = False) -> int:
    """Follows a session to its end and returns the exit status.

    Raises:
        InvalidUrl: it is no URL of a session.
        OSError: standard output cannot be written to.
        KeyboardInterrupt: Ctrl-C, where no terminal is drawn in.
    """
    if not as_json and is_terminal():
        return anyio.run(_in_terminal, target)
    output: _Output = _Json() if as_json else _Plain(target.url)
    try:
        return anyio.run(_as_lines, target, output)
    except BrokenPipeError:  # whoever read has what it wanted
        return _BY_SIGNAL + _BROKEN_PIPE


# Lines


class _Output(Protocol):
    def lines(self, item: Event | Snapshot | Gap) -> Sequence[str]: ...
    def connection(self, connection: Connection) -> str | None: ...
    async def result(self, feed: Feed, size_bytes: int) -> Sequence[str]: ...


class _Json:
    """One line of JSON for each item, and nothing else."""

    def lines(self, item: Event | Snapshot | Gap) -> Sequence[str]:
        return [json_line(item)]

    def connection(self, connection: Connection) -> None:
        """Changes nothing in what comes."""

    async def result(self, feed: Feed, size_bytes: int) -> Sequence[str]:
        """Is on the wire by its size only."""
        return []


class _Plain:
    """Lines for people and records.

    Args:
        url: of the session.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lines = PlainLines(fetches=True)
        self._told = ""

    def lines(self, item: Event | Snapshot | Gap) -> Sequence[str]:
        return self._lines.lines(item)

    def connection(self, connection: Connection) -> str | None:
        line = connection_line(connection)
        if connection.state not in ("live", "reconnecting") or line == self._told:
            return None
        self._told = line
        return line

    async def result(self, feed: Feed, size_bytes: int) -> Sequence[str]:
        where = SessionUrl.parse(self._url).route("result")
        return fetched_lines(await fetch_result(feed), size_bytes, where)


@dataclass(frozen=True, slots=True)
class _Streams:
    """Where lines go."""

    out: Printer
    errors: Printer


async def _as_lines(target: Target, output: _Output) -> int:
    """Follows until the end, or until nobody reads any more.

    Raises:
        InvalidUrl: it is no URL of a session.
        OSError: standard output cannot be written to.
    """

    def on_state(_: FollowState) -> None:
        line = output.connection(connection_of(feed))
        if line is not None:
            streams.out.add(line)

    feed = target.feed(on_state)
    everything = anyio.CancelScope()
    out, errors = Pen(sys.stdout.fileno()), Pen(sys.stderr.fileno())
    streams = _Streams(
        Printer(sys.stdout, out, everything.cancel),
        Printer(sys.stderr, errors, lambda: None),
    )
    status = COULD_NOT_FOLLOW
    with out, errors, notices(lambda text: streams.errors.add(note(text))), everything:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams.out.keep)
            tasks.start_soon(streams.errors.keep)
            tasks.start_soon(_end_unread, streams.out)
            status = await _print_all(feed, output, streams)
            tasks.cancel_scope.cancel()
    if streams.out.broken is not None:
        raise streams.out.broken
    return status


async def _end_unread(out: Printer) -> None:
    await until_unread(sys.stdout.fileno())
    out.give_up(BrokenPipeError())


async def _print_all(feed: Feed, output: _Output, streams: _Streams) -> int:
    ending = Ending()
    try:
        async with feed:
            async for item in feed:
                ending.take(item)
                await streams.out.print(output.lines(item))
            if ending.announced_bytes is not None:
                lines = await output.result(feed, ending.announced_bytes)
                await streams.out.print(lines)
    except FollowError:
        await streams.out.print()
        told = connection_of(feed)
        words = f"{told.words}{told.circumstance} {told.advice or ''}"
        await streams.errors.print([f"agentprogress: {safe_line(words)}"])
        return COULD_NOT_FOLLOW
    await streams.out.print()
    await streams.errors.print()
    return ending.exit_status(feed)


# In a terminal


async def _in_terminal(target: Target) -> int:
    feed = target.feed(lambda _: sight.change())
    ending = Ending()
    fetched: str | None = None

    def look(size: os.terminal_size) -> View:
        over = feed.state in (FollowState.ENDED, FollowState.GAVE_UP)
        snapshot = feed.snapshot
        if snapshot is not None and fetched is not None:
            snapshot = snapshot.model_copy(update={"result": fetched})
        return View(
            snapshot=snapshot,
            connection=connection_of(feed),
            now=datetime.now().astimezone(),
            width=size.columns,
            height=size.lines,
            name=target.url,
            hint="" if over else "Ctrl-C leaves",
            stalled=feed.producer == "stalled",
        )

    sight = Sight(look)
    with (
        Interrupts() as interrupts,
        Screen() as screen,
        notices(lambda text: screen.say(note(text))),
    ):
        interrupts.before = interrupts.scope.cancel
        async with feed, anyio.create_task_group() as tasks:
            tasks.start_soon(sight.keep, screen)
            with contextlib.suppress(FollowError):  # the last frame tells it
                async for item in feed:
                    ending.take(item)
                    sight.change()
                if ending.announced_bytes is not None:
                    fetched = await fetch_result(feed)
            tasks.cancel_scope.cancel()
    if interrupts.signal_number is not None:
        return _BY_SIGNAL + interrupts.signal_number
    return COULD_NOT_FOLLOW if feed.state is FollowState.GAVE_UP else ending.exit_status(feed)
