"""What a hundred subscribers that have stopped reading cost the producer and those who read.

One server process, one session, one subscriber that reads and, in turn, none or a hundred that do
not. The producer logs at a fixed rate in the server's own event loop and times each call. Write
timeouts are long and the server's send buffers small, so that those who stall do so for the whole
measurement; it counts only if each of them stood still in it.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from .client import Transport, connect
from .errors import MeasurementFailed
from .figures import Figure, Target, ratios
from .payload import FILL_EVENTS, TIME_MARK
from .servers import RunningServer, post_request, read_answer, running_server
from .steady import Steady

# What a connection may hold in the kernel on either side, before Linux doubles it.
BUFFER_BYTES = 16 * 1024
RECEIVE_BUFFER_BYTES = 4 * 1024

TIMED = re.compile(re.escape(TIME_MARK) + rb"(\d{20})")
OVERLAP = len(TIME_MARK) + 19
PADDED = b'==="'
"""Ends each line that fills."""

READ_BYTES = 256 * 1024
TIMEOUT = 60.0
KIB = 1024


@dataclass(frozen=True)
class Condition:
    """One measurement, with or without those who stall."""

    emit: float
    """Median microseconds of a call."""
    latency: float
    """Median milliseconds from a call to its event in the reader's hands."""
    cpu: float
    """Microseconds of the server's processor time for each event."""


class Round(NamedTuple):
    """Both conditions, one after the other."""

    alone: Condition
    beside: Condition
    held: float
    """KiB that came with the crowd and what it did not read."""


class Reader:
    """The subscriber that reads; each of its methods takes one kind of event."""

    def __init__(self, server: RunningServer, path: str) -> None:
        self._connection = connect(server, path, "websocket").connection
        self._connection.settimeout(TIMEOUT)
        self._tail = b""

    def latencies(self, events: int) -> list[float]:
        """Reads so many events that tell their time; returns the milliseconds each took."""
        found: list[float] = []
        while len(found) < events:
            data, end = self._more(), 0
            now = time.monotonic_ns()
            for match in TIMED.finditer(data):
                found.append((now - int(match[1])) / 1_000_000)
                end = match.end()
            self._tail = data[end:][-OVERLAP:]
        return found

    def skip(self, events: int) -> None:
        """Reads so many events that fill."""
        while events > 0:
            data = self._more()
            events -= data.count(PADDED)
            self._tail = data[1 - len(PADDED) :]

    def _more(self) -> bytes:
        chunk = self._connection.recv(READ_BYTES)
        if not chunk:
            raise MeasurementFailed("the server closed the connection of the reader")
        return self._tail + chunk

    def close(self) -> None:
        """Leaves."""
        self._connection.close()


@dataclass(frozen=True)
class Stage:
    """A running server with a session that one subscriber reads."""

    server: RunningServer
    reader: Reader
    path: str
    events: int

    def round(self, stalled: int, *, crowd_first: bool) -> Round:
        """Measures both conditions once."""
        if crowd_first:
            beside, held = self.beside(stalled)
            return Round(self.alone(), beside, held)
        alone = self.alone()
        return Round(alone, *self.beside(stalled))

    def alone(self) -> Condition:
        """Measures with nobody but the reader; it begins as the other condition does."""
        self.fill()
        return self.measure(0)

    def beside(self, stalled: int) -> tuple[Condition, float]:
        """Measures beside a crowd; returns also the KiB of memory that came with the crowd."""
        before = self.server.resident_bytes()
        with self.crowd(stalled):
            self.fill()
            held = (self.server.resident_bytes() - before) / KIB
            return self.measure(stalled), held

    @contextmanager
    def crowd(self, stalled: int) -> Iterator[None]:
        """Has so many follow who read nothing, half over each transport."""
        sockets: list[socket.socket] = []
        try:
            for number in range(stalled):
                transport: Transport = "websocket" if number % 2 else "sse"
                leaf = "/ws" if number % 2 else "/events"
                follower = connect(
                    self.server,
                    self.path + leaf,
                    transport,
                    receive_buffer=RECEIVE_BUFFER_BYTES,
                )
                sockets.append(follower.connection)
            yield
        finally:
            for connection in sockets:
                connection.close()

    def fill(self) -> None:
        """Sends more than the buffers of a connection hold."""
        with self.server.connect() as trigger:
            trigger.sendall(post_request("/fill"))
            self.reader.skip(FILL_EVENTS)
            read_answer(trigger, "/fill")

    def measure(self, stalled: int) -> Condition:
        """Takes one measurement; those who should stall have to have done so in all of it."""
        cpu = self.server.cpu_seconds()
        with self.server.connect() as trigger:
            trigger.sendall(post_request("/steady"))
            latencies = self.reader.latencies(self.events)
            answer = Steady(**json.loads(read_answer(trigger, "/steady")))
        cpu = self.server.cpu_seconds() - cpu
        if (answer.subscribers, answer.unmoved, answer.detached) != (stalled + 1, stalled, 0):
            raise MeasurementFailed(
                f"{stalled} of {stalled + 1} subscribers should stand still: {answer.unmoved} of "
                f"{answer.subscribers} did, {answer.detached} were detached"
            )
        return Condition(
            emit=median(answer.nanoseconds) / 1_000,
            latency=median(latencies),
            cpu=cpu / self.events * 1_000_000,
        )


def figures(
    rounds: int, stalled: int, events: int, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures both conditions `rounds` times, another one first each time."""
    rows: list[Round] = []
    environment = {"BENCHMARK_EVENTS": str(events), "BENCHMARK_SEND_BUFFER": str(BUFFER_BYTES)}
    with running_server("benchmarks.apps.steady:app", environment) as server:
        path = server.post("/open")
        stage = Stage(server, Reader(server, f"{path}/ws"), path, events)
        try:
            # Two are not compared: history is full afterwards, and memory has been taken twice.
            first = stage.round(stalled, crowd_first=False)
            stage.round(stalled, crowd_first=True)
            before = server.resident_bytes()
            for number in range(rounds):
                rows.append(stage.round(stalled, crowd_first=number % 2 == 0))
                progress(
                    f"stalled {number + 1}: log {rows[-1].alone.emit:.2f} us alone, "
                    f"{rows[-1].beside.emit:.2f} us beside {stalled}"
                )
            kept = (server.resident_bytes() - before) / KIB
        finally:
            stage.reader.close()
    return as_figures(stalled, rows, first.held / stalled, kept)


def as_figures(stalled: int, rows: list[Round], each: float, kept: float) -> list[Figure]:
    """Returns what is judged, beside what it is made of."""
    alone, beside = [row.alone for row in rows], [row.beside for row in rows]
    who = f"{stalled} stalled"
    emit = [c.emit for c in alone], [c.emit for c in beside]
    latency = [c.latency for c in alone], [c.latency for c in beside]
    cpu = [c.cpu for c in alone], [c.cpu for c in beside]
    return [
        Figure("log(line), none stalled", emit[0], "us"),
        Figure(f"log(line), {who}", emit[1], "us"),
        Figure(f"log(line), {who} / none", ratios(emit[1], emit[0]), "x", Target(1.1)),
        Figure("delivery to a reader, none stalled", latency[0], "ms"),
        Figure(f"delivery to a reader, {who}", latency[1], "ms"),
        Figure(
            f"delivery to a reader, {who} / none",
            ratios(latency[1], latency[0]),
            "x",
            Target(1.1),
        ),
        Figure("server CPU for an event, none stalled", cpu[0], "us"),
        Figure(f"server CPU for an event, {who}", cpu[1], "us"),
        Figure("a stalled subscriber, server's buffers included", [each], "KiB"),
        Figure(f"memory kept after {len(rows)} more crowds", [kept], "KiB"),
    ]
