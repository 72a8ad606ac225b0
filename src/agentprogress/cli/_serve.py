"""Serves one session for as long as somebody may want its story: server, session, ending.

uvicorn is imported in this file only, and not before it is needed.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from ..info import SessionInfo
from ..registry import SessionOptions, SessionRegistry
from ..session import ProgressSession
from ..settings import HOUR, KIB, MIB, Settings
from ._listen import CannotServe, listen, origin
from ._output import say, tell
from ._signals import Interrupts
from ._site import MOUNT, Site

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
# Whoever reads has been told long before; together they are how long peers that do not may hold up
# the exit. The second one is uvicorn's, in whole seconds.
_DRAIN_SECONDS = 0.7
_GRACEFUL_SECONDS = 1


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
    """

    host: str = "127.0.0.1"
    port: int | None = None
    linger: float | None = None


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
        CannotServe: uvicorn is missing, or the address cannot be had.
    """
    new_server = _uvicorn()
    with listen(options.host, options.port) as listener:
        run = functools.partial(_serve, job, options, about, listener, new_server)
        return anyio.run(run, watch or _watch_nothing)


async def _watch_nothing(registry: SessionRegistry, session_id: str) -> None:
    """Who follows does so elsewhere."""


async def _serve(
    job: Job,
    options: ServeOptions,
    about: SessionOptions,
    listener: socket.socket,
    new_server: Callable[[Site], Any],
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

        async with _serving(new_server(site), listener, registry):
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
    ended: list[str] = []

    def over(info: SessionInfo) -> None:
        ended.append(info.status)

    registry.on_end(over)
    with contextlib.suppress(Exception), registry.open(**about) as session:
        begun(session)
        session.complete(await job(session))
        session.raise_if_cancelled()
    return ended[0]


@contextlib.asynccontextmanager
async def _serving(
    server: Any, listener: socket.socket, registry: SessionRegistry
) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        yield
        # uvicorn waits for streams to end and tells nobody to end one: that is done first.
        with anyio.move_on_after(_DRAIN_SECONDS):
            await registry.drain()
        # From here on it could only complain about peers that do not read.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True


def _announce(origin: str, session: ProgressSession) -> None:
    url = origin + session.handle()["url"]
    say(f"Watch: {url}/view")
    say(f"Events: curl -N {url}/events")
    say(f"Result: curl {url}/result")


# The server


def _uvicorn() -> Callable[[Site], Any]:
    """Returns how to make a server.

    Raises:
        CannotServe: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise CannotServe(
            "This command needs uvicorn, which is not installed: pip install 'agentprogress[cli]'"
        ) from error

    class Server(uvicorn.Server):
        """Leaves the signals to `Interrupts`."""

        def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
            return contextlib.nullcontext()

    def new_server(site: Site) -> Server:
        config = uvicorn.Config(
            site,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        return Server(config)

    return new_server
