"""A real server behind real proxies with TLS; the proxies start anew for each test, in no time."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conformance.live import Live
from tests.conformance.servers import Target, start

from .certificates import Certificates, make_certificates
from .configs import HaproxyKind, NginxKind, Place
from .programs import Proxy, reserved, run_haproxy, run_nginx
from .serve import start_server

Start = Callable[..., Proxy]

# Long before the first heartbeat, and longer than a busy machine takes to answer.
IDLE_TIMEOUT = "1s"

# Where docs/servers.md has the application.
MOUNTED = Target("uvicorn", "starlette-mounted")


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """A uvicorn with the settings of every application."""
    running = start_server()
    yield Live(MOUNTED, running)
    running.stop()


@pytest.fixture
def beating() -> Iterator[Live]:
    """A uvicorn that sends a heartbeat each second."""
    running = start(MOUNTED)
    yield Live(MOUNTED, running)
    running.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def ca_file(certificates: Certificates) -> Path:
    """What clients trust."""
    return certificates.ca


@pytest.fixture(scope="session")
def tls(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


class Proxies:
    """Starts proxies, each in a folder of its own, and stops them."""

    def __init__(self, certificates: Certificates, folder: Path) -> None:
        self._certificates = certificates
        self._folder = folder
        self._started: list[Proxy] = []
        self._stack = contextlib.ExitStack()

    def start(
        self, run: Callable[[Place], AbstractContextManager[Proxy]], app: Live, idle_timeout: str
    ) -> Proxy:
        folder = self._folder / f"proxy-{len(self._started)}"
        folder.mkdir()
        public, inner = self._stack.enter_context(reserved(2))
        place = Place(folder, public, inner, app.address, self._certificates, idle_timeout)
        proxy = self._stack.enter_context(run(place))
        self._started.append(proxy)
        return proxy

    def stop(self) -> str:
        """Ends them all; returns what they have printed."""
        self._stack.close()
        return "".join(proxy.text for proxy in self._started)


@pytest.fixture
def proxies(
    certificates: Certificates, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Proxies]:
    started = Proxies(certificates, tmp_path)
    yield started
    request.node.add_report_section("teardown", "proxies", started.stop())


@pytest.fixture
def nginx(proxies: Proxies, live: Live) -> Start:
    """Starts an nginx of a kind; it is stopped after the test."""

    def run(kind: NginxKind, app: Live = live, idle_timeout: str = IDLE_TIMEOUT) -> Proxy:
        return proxies.start(functools.partial(run_nginx, kind), app, idle_timeout)

    return run


@pytest.fixture
def haproxy(proxies: Proxies, live: Live) -> Start:
    """Starts a HAProxy of a kind; it is stopped after the test."""

    def run(kind: HaproxyKind, app: Live = live, idle_timeout: str = IDLE_TIMEOUT) -> Proxy:
        return proxies.start(functools.partial(run_haproxy, kind), app, idle_timeout)

    return run


@pytest.fixture(params=["nginx", "haproxy"])
def either(request: pytest.FixtureRequest) -> Start:
    """Starts either proxy, of a kind that both have."""
    run: Start = request.getfixturevalue(request.param)
    return run
