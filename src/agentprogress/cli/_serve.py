"""Serves one session for as long as somebody may want its story: socket, server, signals, ending.

uvicorn is imported in this file only, and not before it is needed.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import anyio

from .._wakeup import LoopRef
from ..asgi import Message, ProgressApp, Receive, Scope, Send
from ..info import SessionInfo
from ..registry import SessionOptions, SessionRegistry
from ..session import ProgressSession
from ..settings import HOUR, KIB, MIB, Settings

__all__ = [
    "DEFAULT_PORT",
    "CannotServe",
    "Ending",
    "Job",
    "ServeOptions",
    "Site",
    "listen",
    "origin",
    "say",
    "serve",
]

DEFAULT_PORT = 8765
MOUNT = "/progress"

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
# Followers have been told by then; what is left are peers that do not read.
_GRACEFUL_SECONDS = 1


class Job(Protocol):
    """What is run as the session."""

    @property
    def worth_staying(self) -> bool:
        """Whether to go on serving when it is over and nobody has said for how long."""
        ...

    def __call__(self, session: ProgressSession) -> Awaitable[object]:
        """Works; what it returns is the result."""
        ...


class CannotServe(Exception):
    """Carries the sentence that tells why."""


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


def say(line: str) -> None:
    """Prints a line at once; a reader that has gone is no error."""
    try:
        print(line, flush=True)
    except OSError:
        # What is still buffered would fail again when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def serve(job: Job, options: ServeOptions, about: SessionOptions) -> Ending:
    """Runs a job as a session, serves it, and returns when both are over.

    The first SIGINT or SIGTERM asks the session to stop and ends the lingering; the second ends
    everything at once.

    Args:
        job: gets the session; what it returns is the result.
        options: where and how long.
        about: the session.

    Raises:
        CannotServe: uvicorn is missing, or the address cannot be had.
    """
    new_server = _uvicorn()
    with listen(options) as listener:
        return anyio.run(_serve, job, options, about, listener, new_server)


async def _serve(
    job: Job,
    options: ServeOptions,
    about: SessionOptions,
    listener: socket.socket,
    new_server: Callable[[Site], Any],
) -> Ending:
    registry = SessionRegistry(_SETTINGS)
    site = Site(registry)
    ending: Ending | None = None
    with anyio.CancelScope() as everything, Interrupts(at_once=everything.cancel) as interrupts:

        def begun(session: ProgressSession) -> None:
            interrupts.before = lambda: session.request_cancel("Interrupted.", by="terminal")
            site.home = f"{session.handle()['url']}/view"
            _announce(origin(options.host, listener), session)

        async with _serving(new_server(site), listener, registry):
            status = await _play(job, registry, about, begun)
            ending = Ending(status, interrupts.signal_number)
            linger = options.linger
            if linger is None and not job.worth_staying:
                linger = 0
            if linger is None and not interrupts.asked.is_set():
                say(f"The session is {status} and stays here until Ctrl-C.")
            with anyio.move_on_after(linger):
                await interrupts.asked.wait()
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
        await registry.drain()
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


class Site:
    """The ASGI application: progress at its mount, and ``/`` leads to the session's page."""

    def __init__(self, registry: SessionRegistry) -> None:
        self.home: str | None = None
        self._progress = ProgressApp(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["path"].startswith(f"{MOUNT}/"):
            await self._progress({**scope, "root_path": MOUNT}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/" and self.home is not None and _names_an_address(scope):
            await _answer(send, 307, b"", (b"location", self.home.encode()))
        else:
            await _answer(send, 404, b"Nothing is here: open the address that was printed.\n")


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    headers = (*headers, (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _names_an_address(scope: Scope) -> bool:
    """False for a host name: a foreign page may have pointed its own at this machine.

    The redirect tells the session's id, and whoever knows that may follow the session.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    try:
        name = urlsplit(b"//" + host).hostname or b""
        return name == b"localhost" or bool(ipaddress.ip_address(name.decode("ascii")))
    except ValueError:
        return False


# The address


def listen(options: ServeOptions) -> socket.socket:
    """Returns a socket that listens; connections wait in it until the server is up.

    Raises:
        CannotServe: the address cannot be had.
    """
    if options.port is not None:
        return _bind(options.host, options.port)
    try:
        return _bind(options.host, DEFAULT_PORT)
    except CannotServe as error:
        if not _is_taken(error.__cause__):
            raise
        return _bind(options.host, 0)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotServe(f"Cannot listen on {host!r}: {error.strerror}.") from error
    try:
        if os.name == "posix":  # elsewhere it would take the port from whoever has it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        advice = ": another program has it. --port 0 takes any free one" if _is_taken(error) else ""
        reason = advice or f": {error.strerror}"
        raise CannotServe(f"Cannot listen on port {port} of {host}{reason}.") from error
    return listener


def _is_taken(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def origin(host: str, listener: socket.socket) -> str:
    """Returns the address by which a browser on this machine reaches a listener on `host`."""
    bound = ipaddress.ip_address(listener.getsockname()[0])
    if bound.is_unspecified:  # it takes all addresses; this one is the machine's own
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


# Signals


class Interrupts:
    """The terminal's Ctrl-C and its kin: the first one asks, the second one is at once.

    Args:
        at_once: what the second one does.

    Attributes:
        before: called when the first one comes.
        asked: set by the first one.
        signal_number: which the first one was.
    """

    def __init__(self, at_once: Callable[[], object]) -> None:
        self.before: Callable[[], object] = lambda: None
        self.asked = anyio.Event()
        self.signal_number: int | None = None
        self._at_once = at_once
        self._loop = LoopRef()
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for number in _signals():
            previous = signal.signal(number, self._handle)
            self._restore.callback(signal.signal, number, previous)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Between any two instructions of the loop's own code: nothing is done here.
        self._loop.call_soon(lambda: self._arrived(number))

    def _arrived(self, number: int) -> None:
        if self.asked.is_set():
            self._at_once()
        else:
            self.signal_number = number
            self.asked.set()
            self.before()


def _signals() -> Iterator[int]:
    yield signal.SIGINT
    yield signal.SIGTERM
    # Closing the terminal; under nohup it is ignored, and stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        yield signal.SIGHUP
