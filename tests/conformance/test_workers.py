"""`uvicorn --workers 2` on one store: what runs in one worker is followed and steered in the other.

Who comes is taken in by either worker. A case chooses: while one of them is stopped, the other one
takes the connection, and keeps it.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import pytest

from agentprogress import SessionRegistry
from tests.backings import STORE_KINDS, Stores

from .live import Live, Session, Transport
from .oracle import check_history, messages_of
from .servers import Running, Target, start_workers
from .wire import Address, EventStream, WebSocket, dial

pytestmark = pytest.mark.server

WITHIN = 5.0


class Workers(NamedTuple):
    """Two processes behind one address, as whoever is connected to one of them sees it."""

    one: Live
    other: Live
    store_url: str

    def seen_by_other(self, session: Session) -> Session:
        """Returns the same session, reached through the other worker."""
        return replace(session, live=self.other)


class Door:
    """Makes connections that one worker takes, because the other one cannot."""

    def __init__(self, pid: int, other: int) -> None:
        self._pid = pid
        self._other = other

    def __call__(self, address: Address, receive_buffer: int | None) -> socket.socket:
        connection = dial(address, receive_buffer)
        os.kill(self._other, signal.SIGSTOP)
        try:
            asked = http.client.HTTPConnection(*address)
            asked.sock = connection
            asked.request("GET", "/test/pid")
            assert asked.getresponse().read() == b"%d" % self._pid
        finally:
            os.kill(self._other, signal.SIGCONT)
        return connection


@pytest.fixture(scope="module", params=STORE_KINDS)
def workers(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Workers]:
    url = stores.url(request.param)
    running = start_workers(2, url)
    yield both(running, Target("uvicorn", "bare", request.param), url)
    running.stop()


def both(running: Running, target: Target, url: str) -> Workers:
    one, other = map(int, re.findall(r"Started server process \[(\d+)\]", running.text))
    return Workers(
        Live(target, running, connect=Door(one, other)),
        Live(target, running, connect=Door(other, one)),
        url,
    )
