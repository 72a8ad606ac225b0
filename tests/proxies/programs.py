"""nginx and HAProxy as processes of a test: started, told to cut what runs, stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.live import Session
from tests.conformance.servers import NotServing, Running
from tests.conformance.wire import Address

from .configs import HaproxyKind, NginxKind, Place, haproxy_config, nginx_config

__all__ = ["Proxy", "reserved", "run_haproxy", "run_nginx"]

# Debian has them where only root's PATH looks.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
_MISSING = "These tests need {program}: `make test` installs it, or says what to install."

_LISTENS_WITHIN = 20.0
_ASK_EVERY = 0.01


@dataclass(frozen=True)
class Proxy(ABC):
    """A proxy that runs."""

    place: Place
    process: subprocess.Popen[str]
    running: Running

    @property
    def text(self) -> str:
        """Everything it has printed."""
        return self.running.text

    def url(self, session: Session, scheme: str = "https") -> str:
        """Returns the address of a session, as those outside see it."""
        host, port = self.place.public
        path = session.live.path(f"/sessions/{session.id}")
        return f"{scheme}://{host}:{port}{path}"

    @abstractmethod
    def cut_all(self) -> None:
        """Cuts all streams that run, now or a moment later."""


class Nginx(Proxy):
    """An nginx that runs."""

    def cut_all(self) -> None:
        """Reads the configuration anew, as `nginx -s reload` does: the old worker cuts and goes."""
        self.process.send_signal(signal.SIGHUP)


class Haproxy(Proxy):
    """A HAProxy that runs."""

    def cut_all(self) -> None:
        """Cuts by its admin socket, at once."""
        with socket.create_connection(self.place.inner) as admin:
            admin.sendall(b"shutdown sessions server app/app1\n")
            answer = b"".join(iter(lambda: admin.recv(4096), b"")).decode().strip()
        assert not answer, answer


@contextlib.contextmanager
def run_nginx(kind: NginxKind, place: Place) -> Iterator[Nginx]:
    """Runs nginx in a folder of its own; it listens when this yields."""
    config = place.folder / "nginx.conf"
    config.write_text(nginx_config(kind, place), encoding="utf-8")
    command = [_found("nginx"), "-e", "stderr", "-p", str(place.folder), "-c", str(config)]
    with _running(command, place) as (process, running):
        yield Nginx(place, process, running)


@contextlib.contextmanager
def run_haproxy(kind: HaproxyKind, place: Place) -> Iterator[Haproxy]:
    """Runs HAProxy in a folder of its own; it listens when this yields."""
    config = place.folder / "haproxy.cfg"
    config.write_text(haproxy_config(kind, place), encoding="utf-8")
    with _running([_found("haproxy"), "-db", "-f", str(config)], place) as (process, running):
        yield Haproxy(place, process, running)


@contextlib.contextmanager
def reserved(count: int) -> Iterator[list[Address]]:
    """Yields addresses that nobody else gets: bound, and free for one who shares the port.

    A socket that is bound and does not listen is given no connection.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname() for each in sockets]


def _found(program: str) -> str:
    path = shutil.which(program, path=_PATH)
    assert path, _MISSING.format(program=program)
    return path


@contextlib.contextmanager
def _running(command: list[str], place: Place) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    process = subprocess.Popen(
        command,
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(place.public, process)
    try:
        _await_listener(place.public, process, running)
        yield process, running
    finally:
        running.stop()


def _await_listener(address: Address, process: subprocess.Popen[str], running: Running) -> None:
    """Returns once it listens; HAProxy prints nothing by which that could be known."""
    until = time.monotonic() + _LISTENS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
            return
        time.sleep(_ASK_EVERY)
    process.kill()
    process.wait()
    raise NotServing(running.text)
