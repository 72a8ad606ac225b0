"""The real servers: how each is started and stopped, and what each cannot do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal, get_args

from .backend import prefix_of
from .wire import Address, request

__all__ = [
    "GATEWAYS",
    "ON_STORES",
    "TARGETS",
    "Limit",
    "NotServing",
    "Running",
    "StoreKind",
    "Target",
    "start",
    "start_workers",
]

_ROOT = Path(__file__).parents[2]
_PYTHON = (sys.executable, "-m")
_APP = "tests.conformance.target:app"

# Seconds until a server that was told to stop is killed.
_STOP_WITHIN = 10.0
_LISTEN_WITHIN = 20.0
_ASK_EVERY = 0.02


class Limit(Enum):
    """What a server cannot do: the cases assert what it does instead, docs/servers.md tells it."""

    BUFFERS_WITHOUT_BOUND = "a send never waits: what a client does not read fills the memory"
    NO_CLOSE_REASON = "the close frame has the code alone"
    FRAMEWORK_ANSWERS_PATHS = "an unknown path is the framework's to answer"
    FRAMEWORK_ANSWERS_METHODS = "a wrong method is the framework's to answer"


# By the name of the server or of the kind of application.
LIMITS: dict[str, frozenset[Limit]] = {
    "daphne": frozenset({Limit.BUFFERS_WITHOUT_BOUND, Limit.NO_CLOSE_REASON}),
    "starlette-routes": frozenset({Limit.FRAMEWORK_ANSWERS_PATHS}),
    "fastapi-router": frozenset({Limit.FRAMEWORK_ANSWERS_PATHS, Limit.FRAMEWORK_ANSWERS_METHODS}),
}


StoreKind = Literal["sqlite", "redis"]


@dataclass(frozen=True)
class Target:
    """A server with an application on it.

    Attributes:
        store: where the sessions live; None: in the server's process.
        gateway: it only serves; what produces is another server, on the same store.
    """

    server: str
    app: str
    store: StoreKind | None = None
    gateway: bool = False

    @property
    def prefix(self) -> str:
        """Where progress is served."""
        return "/progress" if self.server == "aiohttp" else prefix_of(self.app)

    @property
    def limits(self) -> frozenset[Limit]:
        """What it cannot do."""
        return LIMITS.get(self.server, frozenset()) | LIMITS.get(self.app, frozenset())

    def __str__(self) -> str:
        store = f"-{self.store}" if self.store else ""
        return f"{self.server}-{self.app}{store}" + "-gateway" * self.gateway


def _hypercorn(worker: str) -> Callable[[int], tuple[str, ...]]:
    return lambda fd: (*_PYTHON, "hypercorn", "-k", worker, "-b", f"fd://{fd}", _APP)


def _uvicorn(ws: str) -> Callable[[int], tuple[str, ...]]:
    return lambda fd: (*_PYTHON, "tests.conformance.serve_uvicorn", ws, str(fd))


# The command lines, given the descriptor of a socket that listens already.
_ON_DESCRIPTOR: dict[str, Callable[[int], tuple[str, ...]]] = {
    "uvicorn": _uvicorn("websockets-sansio"),
    "uvicorn-wsproto": _uvicorn("wsproto"),
    "hypercorn": _hypercorn("asyncio"),
    "hypercorn-trio": _hypercorn("trio"),
    "daphne": lambda fd: (*_PYTHON, "daphne", "--fd", str(fd), _APP),
    "aiohttp": lambda fd: (*_PYTHON, "tests.conformance.serve_aiohttp", str(fd)),
}


def _granian(port: int) -> tuple[str, ...]:
    options = ("--interface", "asgi", "--workers-kill-timeout", "5", "--port", str(port))
    return (*_PYTHON, "granian", *options, _APP)


# Every server with the bare application, and every kind of application on the commonest server.
TARGETS = (
    *(Target(server, "bare") for server in (*_ON_DESCRIPTOR, "granian")),
    *(
        Target("uvicorn", app)
        for app in ("starlette-mounted", "starlette-routes", "fastapi-mounted", "fastapi-router")
    ),
)

# What a store changes, it changes behind the servers: on trio, and on asyncio where the producer is
# another process.
ON_STORES = tuple(
    target
    for store in get_args(StoreKind)
    for target in (
        Target("hypercorn-trio", "bare", store),
        Target("uvicorn", "bare", store, gateway=True),
    )
)
GATEWAYS = tuple(target for target in ON_STORES if target.gateway)


class NotServing(Exception):
    """A server that does not; with what it printed."""


class Running:
    """A server in a process of its own.

    Attributes:
        address: where it listens.
        output: the lines it has printed.
    """

    def __init__(self, address: Address, process: subprocess.Popen[str]) -> None:
        self.address = address
        self.output: list[str] = []
        self._process = process
        self._read_all = False
        self._printed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printed:
                self.output.append(line)
                self._printed.notify_all()
        with self._printed:
            self._read_all = True
            self._printed.notify_all()

    @property
    def text(self) -> str:
        """Everything it has printed."""
        return "".join(self.output)

    def wait_for_line(self, part: str, timeout: float = 30.0, *, times: int = 1) -> None:
        """Returns once it has printed so many lines with that in it."""
        with self._printed:
            self._printed.wait_for(lambda: self._has(part, times) or self._read_all, timeout)
        if not self._has(part, times):
            self.stop()
            raise NotServing(self.text)

    def _has(self, part: str, times: int) -> bool:
        return sum(part in line for line in self.output) >= times

    def terminate(self, within: float) -> float | None:
        """Tells it to stop; returns the seconds it took, or None when they were not enough."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - began

    def stop(self) -> None:
        """Ends it the way an operator does, and kills it if that does not help."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_STOP_WITHIN)
        assert self._process.stdout is not None
        self._process.stdout.close()


def start(target: Target, store_url: str = "") -> Running:
    """Starts a server; it answers when this returns."""
    takes_descriptor = target.server in _ON_DESCRIPTOR
    running = (_start_on_descriptor if takes_descriptor else _start_on_port)(target, store_url)
    try:
        # The socket listens already: this request waits in its backlog until the server serves.
        status = request(running.address, "GET", "/test/stats").status
    except OSError:
        status = 0
    if status != 200:
        running.stop()
        raise NotServing(running.text)
    return running


def start_workers(count: int, store_url: str) -> Running:
    """Starts uvicorn with several processes; each of them answers when this returns."""
    address = _free_address()
    options = ("--workers", str(count), "--port", str(address[1]), "--timeout-keep-alive", "60")
    command = (*_PYTHON, "uvicorn", *options, "--timeout-graceful-shutdown", "5", _APP)
    running = Running(address, _spawn(command, "bare", store_url))
    running.wait_for_line("Application startup complete", times=count)
    return running


def _start_on_descriptor(target: Target, store_url: str) -> Running:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.set_inheritable(True)
        command = _ON_DESCRIPTOR[target.server](listener.fileno())
        process = _spawn(command, target.app, store_url, listener.fileno())
        return Running(listener.getsockname(), process)


def _start_on_port(target: Target, store_url: str) -> Running:
    address = _free_address()
    running = Running(address, _spawn(_granian(address[1]), target.app, store_url))
    running.wait_for_line("Started worker-1")
    _await_listener(address)
    return running


def _free_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: Address = free.getsockname()
    return address


def _await_listener(address: Address) -> None:
    """Returns once something listens; granian prints nothing by which that could be known."""
    until = time.monotonic() + _LISTEN_WITHIN
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
            return
        time.sleep(_ASK_EVERY)


def _spawn(
    command: tuple[str, ...], app: str, store_url: str, *descriptors: int
) -> subprocess.Popen[str]:
    told = {"CONFORMANCE_APP": app, "AGENTPROGRESS_STORE": store_url, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=descriptors,
        text=True,
    )
