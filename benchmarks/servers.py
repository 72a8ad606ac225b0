"""Starting, asking and stopping a server process, each stopped by its own id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import MeasurementFailed

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
CHILD_TIMEOUT = 300.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class RunningServer:
    """A server process that answers on the loopback interface."""

    pid: int
    port: int

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Opens a connection to the server, with a receive buffer of so many bytes if given."""
        connection = socket.socket()
        connection.settimeout(START_TIMEOUT)
        if receive_buffer is not None:
            # Before connecting: it decides on the window.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        return connection

    def post(self, path: str) -> str:
        """Sends a POST without a body and returns the body of the answer."""
        with self.connect() as connection:
            connection.sendall(post_request(path))
            return read_answer(connection, path)

    def cpu_seconds(self) -> float:
        """Returns the processor time the server has used so far."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Returns the resident memory of the server after a full garbage collection."""
        self.post("/gc")
        return resident_bytes(self.pid)


@contextmanager
def running_server(
    target: str, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Runs `benchmarks.serve` for an app ("benchmarks.apps.bare:app") while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.serve", target],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {}), "PYTHONPATH": python_path()},
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise MeasurementFailed(f"the server {target} did not start")
        server = RunningServer(process.pid, int(port))
        wait_until_it_answers(server, process)
        yield server
    finally:
        stop(process)


def run_child(module: str, *arguments: str) -> str:
    """Runs a measurement in a Python process of its own and returns what it prints."""
    try:
        finished = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdout=subprocess.PIPE,
            timeout=CHILD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise MeasurementFailed(f"{module} took more than {CHILD_TIMEOUT:.0f} s") from expired
    if finished.returncode:
        raise MeasurementFailed(f"{module} ended with status {finished.returncode}")
    return finished.stdout.decode()


def python_path() -> str:
    """Returns the import path of a child: this checkout first, then what the parent was given."""
    return os.pathsep.join(
        [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )


def post_request(path: str) -> bytes:
    """Returns the bytes of a POST without a body, after which the server closes the connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Length: 0\r\n\r\n".encode()


def read_answer(connection: socket.socket, path: str) -> str:
    """Returns the body of the answer to a POST, as far as the server's close of the connection."""
    answer = bytearray()
    while chunk := connection.recv(65536):
        answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise MeasurementFailed(f"POST {path} was answered with {bytes(head[:80])!r}")
    return body.decode()


def cpu_seconds(pid: int) -> float:
    """Returns the processor time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process as the kernel's page tables have it."""
    for entry in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if entry.startswith("Rss:"):
            return int(entry.split()[1]) * 1024
    raise MeasurementFailed(f"the kernel does not say how much memory process {pid} has")


def wait_until_it_answers(server: RunningServer, process: subprocess.Popen[bytes]) -> None:
    """Returns when the server accepts connections."""
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise MeasurementFailed(f"the server on port {server.port} does not answer")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server process, by force when it does not end in time."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
