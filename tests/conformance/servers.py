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

from .backend import prefix_of
from .wire import Address, request

__all__ = ["TARGETS", "Limit", "NotServing", "Running", "Target", "start"]

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


@dataclass(frozen=True)
class Target:
    """A server with an application on it."""

    server: str
    app: str

    @property
    def prefix(self) -> str:
        """Where progress is served."""
        return "/progress" if self.server == "aiohttp" else prefix_of(self.app)

    @property
    def limits(self) -> frozenset[Limit]:
        """What it cannot do."""
        return LIMITS.get(self.server, frozenset()) | LIMITS.get(self.app, frozenset())

    def __str__(self) -> str:
        return f"{self.server}-{self.app}"


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

    def wait_for_line(self, part: str, timeout: float = 30.0) -> None:
        """Returns once it has printed a line with that in it."""
        with self._printed:
            told = self._printed.wait_for(lambda: part in self.text or self._read_all, timeout)
        if not told or part not in self.text:
            self.stop()
            raise NotServing(self.text)

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


def start(target: Target) -> Running:
    """Starts a server; it answers when this returns."""
    takes_descriptor = target.server in _ON_DESCRIPTOR
    running = (_start_on_descriptor if takes_descriptor else _start_on_port)(target)
    try:
        # The socket listens already: this request waits in its backlog until the server serves.
        status = request(running.address, "GET", "/test/stats").status
    except OSError:
        status = 0
    if status != 200:
        running.stop()
        raise NotServing(running.text)
    return running


def _start_on_descriptor(target: Target) -> Running:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.set_inheritable(True)
        command = _ON_DESCRIPTOR[target.server](listener.fileno())
        process = _spawn(command, target, listener.fileno())
        return Running(listener.getsockname(), process)


def _start_on_port(target: Target) -> Running:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    running = Running(address, _spawn(_granian(address[1]), target))
    running.wait_for_line("Started worker-1")
    _await_listener(address)
    return running


def _await_listener(address: Address) -> None:
    """Returns once something listens; granian prints nothing by which that could be known."""
    until = time.monotonic() + _LISTEN_WITHIN
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
            return
        time.sleep(_ASK_EVERY)


def _spawn(command: tuple[str, ...], target: Target, *descriptors: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env=os.environ | {"CONFORMANCE_APP": target.app, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=descriptors,
        text=True,
    )
