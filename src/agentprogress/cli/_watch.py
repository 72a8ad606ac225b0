"""`agentprogress run --watch`: the session that this process serves, in the terminal it runs in."""

from __future__ import annotations

import os
import sys
from datetime import datetime

import anyio

from ..registry import SessionRegistry
from ._output import Pen, Printer
from .terminal._connection import Connection
from .terminal._plain import PlainLines
from .terminal._screen import Screen, Sight, is_terminal
from .terminal._view import View

__all__ = ["watch"]


async def watch(registry: SessionRegistry, session_id: str) -> None:
    """Shows a session until it has ended: in a terminal its tree, else a line for what happens."""
    if is_terminal():
        await _in_terminal(registry, session_id)
    else:
        await _as_lines(registry, session_id)


async def _as_lines(registry: SessionRegistry, session_id: str) -> None:
    plain = PlainLines()
    with Pen(sys.stdout.fileno()) as pen:
        # Where nobody reads any more, the command goes on.
        printer = Printer(sys.stdout, pen, on_broken=lambda: None)
        async with registry.subscribe(session_id) as subscription:
            async for item in subscription:
                await printer.print(plain.lines(item))


async def _in_terminal(registry: SessionRegistry, session_id: str) -> None:
    over = False

    def look(size: os.terminal_size) -> View:
        return View(
            snapshot=registry.snapshot(session_id),
            connection=Connection(state="ended" if over else "live"),
            now=datetime.now().astimezone(),
            width=size.columns,
            height=size.lines,
            name=session_id,
            hint="" if over else "Ctrl-C stops it",
        )

    sight = Sight(look)
    with Screen() as screen:
        async with (
            registry.subscribe(session_id) as subscription,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(sight.keep, screen)
            async for _ in subscription:
                sight.change()
            over = True
            tasks.cancel_scope.cancel()
