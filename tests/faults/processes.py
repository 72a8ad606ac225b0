"""Processes of their own for tests: producers that are told what to do, gateways, small scripts."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conformance.servers import NotServing, Running
from tests.conformance.wire import request

__all__ = ["Gateway", "Peer", "Trouble", "run_script"]

_ROOT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
# What a process may do that was started by root, and must not.
_NOBODY = 65534
# Each waits as long as `request` does; a machine may have more to do than to start a server.
_ASK_AT_MOST = 3


class Trouble(Exception):
    """What a peer raised.

    Attributes:
        kind: the name of its class.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(f"{kind}: {sentence}")
        self.kind = kind


class Peer:
    """A producer without an event loop. Runs in a `with` block.

    Args:
        store: the URL of its store.
        settings: of its registry.
        humble: it has no rights beyond those that files give everybody.
    """

    def __init__(self, store: str, settings: Mapping[str, Any], *, humble: bool = False) -> None:
        user = str(_NOBODY) if humble and os.geteuid() == 0 else ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.peer", store, json.dumps(dict(settings)), user],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        """Has something done and returns the answer.

        Raises:
            Trouble: what was raised there.
        """
        self.tell(what, **arguments)
        return self.answer()

    def tell(self, what: str, **arguments: Any) -> None:
        """Has something done; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Returns the next answer; raises as `ask`."""
        told = json.loads(self.line())
        if "error" in told:
            raise Trouble(told["error"], told["sentence"])
        return told["answer"]

    def line(self) -> str:
        """Returns the next line it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Trouble("EOFError", f"The peer has ended with {self._process.wait()}.")
        return line

    def pause(self) -> None:
        """Stops it in its tracks, as a laptop does that is closed."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._process.send_signal(signal.SIGCONT)

    def limit_files(self, size: int | None) -> None:
        """Lets none of its files grow beyond a size, as a full disk does; None: lets them."""
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        soft = most if size is None else size
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, most))

    def kill(self) -> list[str]:
        """Ends it at once; returns the lines that it had printed."""
        self._process.kill()
        rest, _ = self._process.communicate()
        return rest.splitlines()


class Gateway:
    """A server that only serves. Its port stays its own while it is away.

    Args:
        store: the URL of its store.
        settings: of its registry.
    """

    def __init__(self, store: str, settings: Mapping[str, Any]) -> None:
        self._arguments = [store, json.dumps(dict(settings))]
        # Bound, but not listening: nobody else gets the port, and who connects is refused.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind((_HOST, 0))
        self._process: subprocess.Popen[str] | None = None
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._place.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or would."""
        host, port = self._place.getsockname()
        return host, port

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has printed since it was begun last."""
        return self._running.text if self._running is not None else ""

    def begin(self) -> None:
        """Starts it; it serves when this returns."""
        with socket.create_server(self.address, backlog=1024) as listener:
            command = [sys.executable, "-X", "faulthandler", "-m", "tests.faults.gateway"]
            self._process = subprocess.Popen(
                [*command, str(listener.fileno()), *self._arguments],
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                text=True,
            )
            self._running = Running(self.address, self._process)
        for _ in range(_ASK_AT_MOST):
            # This request waits in the backlog until the server serves, behind who came before.
            with suppress(TimeoutError):
                if request(self.address, "GET", "/progress/health").status in (200, 503):
                    return
        self._process.send_signal(signal.SIGABRT)  # it tells what its threads do
        self._process.wait()
        self._running.stop()
        raise NotServing(self._running.text)

    def kill(self) -> None:
        """Ends it as a lack of memory does: it has no chance to say anything."""
        if self._process is not None:
            self._process.kill()
        if self._running is not None:
            self._running.stop()


def run_script(name: str, url: str, *, code: int = 0) -> None:
    """Runs one of `scripts` in a process of its own to its end, which is to be that code."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.scripts", name, url],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
