"""The processes of `chaos`: producers that go on where they were killed, and many subscribers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from agentprogress import Gap, ProgressSession, SessionRegistry, Settings, Snapshot
from agentprogress.client import FollowOptions, follow
from agentprogress.errors import FollowError, SessionConflict
from agentprogress.events import Event
from tests.client.material import Cargo, cargo
from tests.client.storm import as_items
from tests.faults.kit import QUICK

__all__ = ["FAST", "Producer", "Subscribers"]

# A lease is over soon, and so is what is kept after the end.
FAST: Mapping[str, Any] = {
    **QUICK,
    "lease_ttl": 1.0,
    "lost_after": 60.0,
    "delivery_interval": 0.04,
    "news_interval": 2.0,
    "min_retry_window": 0.05,
    "max_retry_window": 0.5,
    "history_ttl": 15.0,
    "result_ttl": 16.0,
    "tombstone_ttl": 2.0,
}

# Clients that are patient with a machine that has much to do, and back soon.
_PATIENT = Settings(
    connect_timeout=5.0,
    heartbeat_interval=1.0,
    silence_timeout=8.0,
    max_wait=2.0,
    initial_retry_window=0.05,
    min_retry_window=0.05,
    max_retry_window=0.5,
    min_retry_delay=0.02,
    max_retry_delay=0.5,
)
_TRANSPORTS = ("websocket", "sse", "long-poll")
_PACE = 0.1
_STORE_WITHIN = 30.0
_TRY_AGAIN_AFTER = 0.05


class Producer:
    """A process that emits into its sessions. Runs in a `with` block.

    Attributes:
        told: by session the last number that it was told is stored.
    """

    def __init__(self, url: str, ids: Sequence[str], seed: int) -> None:
        self._command = [*_command("produce"), url, json.dumps(list(ids)), str(seed)]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.told: dict[str, int] = {}
        self._most = len(ids)
        self._under_way = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def wait(self) -> None:
        """Returns once it has begun all its sessions."""
        if not self._under_way.wait(_STORE_WITHIN):
            raise RuntimeError("A producer does not begin its sessions.")

    def begin(self) -> None:
        """Starts it, or starts it again: it goes on where it was."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                session_id, number = line.split()
                self.told[session_id] = int(number)
                if len(self.told) == self._most:
                    self._under_way.set()

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._over()

    def end(self) -> None:
        """Lets it complete its sessions; returns when it has ended.

        Raises:
            RuntimeError: it had ended before, in some other way.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait()
        self._over()
        if code:
            raise RuntimeError(f"A producer has ended with {code}.")

    def _over(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Subscribers:
    """A process with many subscribers. Runs in a `with` block.

    Args:
        base: the URL of all sessions.
        ids: of the sessions, followed in turn.
        count: how many subscribers.
        spread: seconds over which they come.
        path: where what they have received is written.
    """

    def __init__(
        self, base: str, ids: Sequence[str], count: int, spread: float, path: Path
    ) -> None:
        given = [base, json.dumps(list(ids)), str(count), str(spread), str(path)]
        self._path = path
        self._process = subprocess.Popen([*_command("subscribe"), *given])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        """Returns when all have everything, or one has given up."""
        self._process.wait(200)

    def found(self) -> list[dict[str, Any]]:
        """Returns what each has received."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


def _command(what: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.chaos_processes", what]


# In the processes themselves -------------------------------------------------------------------


def _produce(url: str, ids: Sequence[str], seed: int) -> None:
    over = threading.Event()
    threading.Thread(target=_read_out, args=(over,), daemon=True).start()
    chance = random.Random()
    with SessionRegistry(Settings(**FAST), store=url) as registry, ExitStack() as stack:
        sessions = [_begun(registry, session_id, stack) for session_id in ids]
        numbers = [_last_number(session) for session in sessions]
        while not over.wait(_PACE):
            for index, session in enumerate(sessions):
                for _ in range(chance.choice((0, 0, 1, 2, 5))):
                    numbers[index] += 1
                    session.emit(cargo(seed, numbers[index]))
            for session, number in zip(sessions, numbers, strict=True):
                session.flush_sync(_STORE_WITHIN)
                sys.stdout.write(f"{session.id} {number}\n")
            sys.stdout.flush()


def _read_out(over: threading.Event) -> None:
    """Waits until whoever started this process closes its input."""
    sys.stdin.read()
    over.set()


def _begun(registry: SessionRegistry, session_id: str, stack: ExitStack) -> ProgressSession:
    """Begins a session, or takes it over once the one who was killed is seen to be gone."""
    while True:
        try:
            return stack.enter_context(registry.open(session_id=session_id, existing="resume"))
        except SessionConflict:
            time.sleep(_TRY_AGAIN_AFTER)


def _last_number(session: ProgressSession) -> int:
    state = session.snapshot().custom.get("cargo")
    return 0 if state is None else int(state["number"])


async def _subscribe(base: str, ids: Sequence[str], count: int, spread: float, path: Path) -> None:
    with path.open("w") as file:

        async def one(number: int) -> None:
            await anyio.sleep(spread * (number // len(ids)) * len(ids) / count)
            session_id = ids[number % len(ids)]
            transport = _TRANSPORTS[number % len(_TRANSPORTS)]
            options = FollowOptions(settings=_PATIENT)
            found: dict[str, Any] = {"session_id": session_id}
            async with follow(base + session_id, transport=transport, options=options) as feed:
                try:
                    items = [item async for item in feed]
                    found["items"] = _numbered(items)
                except FollowError as error:
                    found["failure"] = f"{error.kind}: {error}"
            file.write(json.dumps(found) + "\n")

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(one, number)


def _numbered(items: Sequence[Event | Snapshot | Gap]) -> list[dict[str, Any]]:
    told = as_items(items)
    for item, wire in zip(items, told, strict=True):
        if isinstance(item, Cargo):
            wire["number"] = item.number
    return told


def _main(what: str, *given: str) -> None:
    if what == "produce":
        url, ids, seed = given
        _produce(url, json.loads(ids), int(seed))
    else:
        base, ids, count, spread, path = given
        anyio.run(_subscribe, base, json.loads(ids), int(count), float(spread), Path(path))


if __name__ == "__main__":
    _main(*sys.argv[1:])
