"""Runs a job as one session, and serves it for as long as somebody may want its story.

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
from ._store import shown, store_of

__all__ = ["Ending", "Job", "ServeOptions", "Watch", "serve"]

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
class ServeOptions:
    """Where and how long to serve.

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
class Ending:
    """How it went.

    Attributes:
        status: of the session.
        signal_number: what interrupted it while it was running, if anything did.
    """

    status: str
    signal_number: int | None


def serve(
    job: Job, options: ServeOptions, about: SessionOptions, watch: Watch | None = None
) -> Ending:
    """Runs a job as a session, serves it, and returns when both are over.

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
    if options.store is not None:
        store, settings = store_of(options.store)
        registry = SessionRegistry(settings, store=store)
        words = f"Session: {{}} in {shown(options.store)}"
        return anyio.run(_produce, job, about, registry, words, watch or _watch_nothing)
    make = new_server()
    with listen(options.host, options.port) as listener:
        run = functools.partial(_serve, job, options, about, listener, make)
        return anyio.run(run, watch or _watch_nothing)


async def _produce(
    job: Job, about: SessionOptions, registry: SessionRegistry, words: str, watch: Watch
) -> Ending:
    """Runs the job as a session of a store."""
    status = "cancelled"
    with anyio.CancelScope() as everything, Interrupts(at_once=everything.cancel) as interrupts:

        def begun(session: ProgressSession) -> None:
            interrupts.before = lambda: session.request_cancel("Interrupted.", by="terminal")
            say(words.format(session.id))
            watching.start_soon(watch, registry, session.id)

        async with registry, anyio.create_task_group() as watching:
            status = await _play(job, registry, about, begun)
    return Ending(status, interrupts.signal_number)


async def _watch_nothing(registry: SessionRegistry, session_id: str) -> None:
    """Who follows does so elsewhere."""


async def _serve(
    job: Job,
    options: ServeOptions,
    about: SessionOptions,
    listener: socket.socket,
    make: NewServer,
    watch: Watch,
) -> Ending:
    registry = SessionRegistry(_SETTINGS)
    site = Site(registry)
    status, ending = "cancelled", None
    with anyio.CancelScope() as everything, Interrupts(at_once=everything.cancel) as interrupts:

        def begun(session: ProgressSession) -> None:
            interrupts.before = lambda: session.request_cancel("Interrupted.", by="terminal")
            site.home = f"{session.handle()['url']}/view"
            _announce(origin(options.host, listener), session)
            watching.start_soon(watch, registry, session.id)

        async with serving(make(site), listener, registry, drain_seconds=_DRAIN_SECONDS):
            async with anyio.create_task_group() as watching:
                status = await _play(job, registry, about, begun)
            ending = Ending(status, interrupts.signal_number)
            linger = options.linger
            if linger is None and not job.worth_staying:
                linger = 0
            async with anyio.create_task_group() as telling:
                if linger is None and not interrupts.asked.is_set():
                    words = f"The session is {status} and stays here until Ctrl-C."
                    telling.start_soon(tell, words)
                with anyio.move_on_after(linger):
                    await interrupts.asked.wait()
                telling.cancel_scope.cancel()
    return ending or Ending("cancelled", interrupts.signal_number)


async def _play(
    job: Job,
    registry: SessionRegistry,
    about: SessionOptions,
    begun: Callable[[ProgressSession], object],
) -> str:
    """Runs the job as a session; what it raises is the session's error, which tells or logs it."""
    with contextlib.ExitStack() as told:
        # The first one out is the session's block, which has told of the error by then.
        told.enter_context(contextlib.suppress(Exception))
        session = told.enter_context(registry.open(**about))
        begun(session)
        session.complete(await job(session))
        session.raise_if_cancelled()
    return session.status


def _announce(origin: str, session: ProgressSession) -> None:
    url = origin + session.handle()["url"]
    say(f"Watch: {url}/view")
    say(f"Events: curl -N {url}/events")
    say(f"Result: curl {url}/result")
