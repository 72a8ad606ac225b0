"""Runs a job as one session: served here for as long as somebody may want its story, or stored.

With a store nothing is served: the session is there for whoever serves the store.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from ..registry import SessionOptions, SessionRegistry
from ..session import ProgressSession
from ..settings import HOUR, KIB, MIB, Settings
from ._listen import listen, origin
from ._output import say, tell
from ._server import NewServer, new_server, serving
from ._signals import Interrupts
from ._site import MOUNT, Site
from ._store import registry_of, shown

__all__ = ["Job", "JobOptions", "Outcome", "Watch", "run_job"]

# A process that is there for one session can keep all of it, and for as long as it lives.
_WEEK = 7 * 24 * HOUR
_SETTINGS = Settings(
    base_url=MOUNT,
    max_history_events=20_000,
    max_history_bytes=16 * MIB,
    # A line of 8 KiB that is not UTF-8 is three times as long when it has been decoded.
    max_field_bytes=32 * KIB,
    history_ttl=_WEEK,
    result_ttl=_WEEK,
)
# Whoever reads has been told long before; this and what the server adds are how long peers that do
# not may hold up the exit.
_DRAIN_SECONDS = 0.7


Watch = Callable[[SessionRegistry, str], Coroutine[Any, Any, None]]
"""Shows the session with an id until it has ended."""


class Job(Protocol):
    """What is run as the session."""

    @property
    def worth_staying(self) -> bool:
        """Whether to go on serving when it is over and nobody has said for how long."""
        ...

    def __call__(self, session: ProgressSession) -> Awaitable[object]:
        """Works; what it returns is the result."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """Where the session goes, and how long it stays there.

    Attributes:
        host: a name or an address of this machine.
        port: 0 is any free one; None the default one, or any free one when it is taken.
        linger: seconds to go on serving after the session's end; None is until a signal if there is
            something to see.
        store: URL of the store that the session goes to, which others serve; None: it is served
            here.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    linger: float | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job went.

    Attributes:
        status: of the session.
        signal_number: what interrupted it while it was running, if anything did.
    """

    status: str
    signal_number: int | None


def run_job(
    job: Job, options: JobOptions, about: SessionOptions, watch: Watch | None = None
) -> Outcome:
    """Runs a job as a session, and returns when nobody needs this process for it any more.

    The first SIGINT or SIGTERM asks the session to stop and ends the lingering; the second ends
    everything at once.

    Args:
        job: gets the session; what it returns is the result.
        options: where and how long.
        about: the session.
        watch: shows it here; None for nothing.

    Raises:
        CannotServe: uvicorn is missing, the address cannot be had, or the store not be used.
    """
    play = functools.partial(_play, job, about, watch)
    if options.store is not None:
        return anyio.run(_store, play, registry_of(options.store), shown(options.store))
    make = new_server()
    with listen(options.host, options.port) as listener:
        address = origin(options.host, listener)
        linger = functools.partial(_linger, job, options.linger)
        return anyio.run(_serve, play, linger, address, listener, make)


_Play = Callable[
    [SessionRegistry, Interrupts, Callable[[ProgressSession], object]],
    Coroutine[Any, Any, Outcome],
]
_Linger = Callable[[Interrupts, str], Coroutine[Any, Any, None]]


async def _store(play: _Play, registry: SessionRegistry, where: str) -> Outcome:
    """Has the session in a store, and returns when all of it is there."""
    outcome = None
    with Interrupts() as interrupts:
        async with registry:
            outcome = await play(
                registry, interrupts, lambda session: say(f"Session: {session.id} in {where}")
            )
    return outcome or Outcome("cancelled", interrupts.signal_number)


async def _serve(
    play: _Play, linger: _Linger, address: str, listener: socket.socket, make: NewServer
) -> Outcome:
    """Has the session in this process and serves it, beyond its end where somebody may come."""
    registry = SessionRegistry(_SETTINGS)
    site = Site(registry)

    def announce(session: ProgressSession) -> None:
        path = session.handle()["url"]
        site.home = f"{path}/view"
        say(f"Watch: {address}{path}/view")
        say(f"Events: curl -N {address}{path}/events")
        say(f"Result: curl {address}{path}/result")

    outcome = None
    with Interrupts() as interrupts:
        async with serving(make(site), listener, registry, drain_seconds=_DRAIN_SECONDS):
            outcome = await play(registry, interrupts, announce)
            await linger(interrupts, outcome.status)
    return outcome or Outcome("cancelled", interrupts.signal_number)


async def _play(
    job: Job,
    about: SessionOptions,
    watch: Watch | None,
    registry: SessionRegistry,
    interrupts: Interrupts,
    announce: Callable[[ProgressSession], object],
) -> Outcome:
    """Runs the job as a session; what it raises is the session's error, which tells or logs it."""
    status = "cancelled"
    async with anyio.create_task_group() as watching:
        with contextlib.ExitStack() as told:
            # The first one out is the session's block, which has told of the error by then.
            told.enter_context(contextlib.suppress(Exception))
            session = told.enter_context(registry.open(**about))
            interrupts.before = lambda: session.request_cancel("Interrupted.", by="terminal")
            announce(session)
            if watch is not None:
                watching.start_soon(watch, registry, session.id)
            session.complete(await job(session))
            session.raise_if_cancelled()
        status = session.status
    return Outcome(status, interrupts.signal_number)


async def _linger(job: Job, seconds: float | None, interrupts: Interrupts, status: str) -> None:
    """Waits for a signal, at most so many seconds; None: without end, if there is much to see."""
    if seconds is None and not job.worth_staying:
        seconds = 0
    async with anyio.create_task_group() as telling:
        if seconds is None and not interrupts.asked.is_set():
            telling.start_soon(tell, f"The session is {status} and stays here until Ctrl-C.")
        with anyio.move_on_after(seconds):
            await interrupts.asked.wait()
        telling.cancel_scope.cancel()
