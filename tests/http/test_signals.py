"""Signals that a server listens for: everybody is told first, then the server, and then nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import pytest

from agentprogress import SessionRegistry
from agentprogress.asgi import ProgressApp
from agentprogress.registry import engine_of
from tests.cli.programs import frames, started
from tests.kit import settle

from .asking import ask

TERM, INT = signal.SIGTERM, signal.SIGINT
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def the_process_gets_its_handlers_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (TERM, INT)}
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(descriptor)


class Server:
    """Listens for SIGTERM as servers do, with an application behind it."""

    def __init__(self, *, chain_signals: bool = True) -> None:
        self.registry = SessionRegistry()
        self.app = ProgressApp(self.registry, chain_signals=chain_signals)
        self.stopped = anyio.Event()
        self.heard: list[tuple[int, bool]] = []
        signal.signal(TERM, self.stop)

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.heard.append((number, self.registry.draining))
        self.stopped.set()

    async def serve(self) -> None:
        """Serves one request, with a session that keeps the registry's host."""
        self.registry.open().__enter__()
        assert (await ask(self.app, "GET", "/health")).status == 200


def raise_signal(number: int = TERM) -> None:
    os.kill(os.getpid(), number)


async def rest(server: Server) -> None:
    """Lets the registry's host end, as it does when nobody needs it."""
    await server.registry.drain()
    engine_of(server.registry).leave_host()
    await settle()


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs a coroutine function in a loop of its own."""
    options: dict[str, Any] = {"use_uvloop": True} if request.param == "uvloop" else {}
    backend = "trio" if request.param == "trio" else "asyncio"
    return partial(anyio.run, backend=backend, backend_options=options)


def test_the_registry_is_drained_before_the_server_hears_of_it(run: Callable[..., Any]) -> None:
    server = Server()

    async def main() -> None:
        await server.serve()
        raise_signal()
        await server.stopped.wait()

    run(main)
    assert server.heard == [(TERM, True)]
    assert signal.getsignal(TERM) == server.stop


def test_a_second_signal_reaches_the_server_at_once(run: Callable[..., Any]) -> None:
    server = Server()

    async def main() -> None:
        await server.serve()
        # Both come before the loop turns: nothing is drained yet.
        raise_signal()
        raise_signal()
        assert server.heard == [(TERM, False)]
        await settle()
        assert server.heard == [(TERM, False), (TERM, True)]

    run(main)


def test_the_handlers_are_given_back_when_the_loop_ends(run: Callable[..., Any]) -> None:
    server = Server()
    for _ in range(3):
        run(server.serve)
        assert signal.getsignal(TERM) == server.stop
        assert signal.set_wakeup_fd(-1) == -1
    signal.raise_signal(TERM)
    assert server.heard == [(TERM, False)]


def test_the_handlers_are_given_back_when_the_registry_has_nothing_to_do_any_more(
    run: Callable[..., Any],
) -> None:
    server = Server()

    async def main() -> None:
        await server.serve()
        assert signal.getsignal(TERM) != server.stop
        await rest(server)
        assert signal.getsignal(TERM) == server.stop

    run(main)


def test_who_does_not_want_it_keeps_the_handlers_as_they_are(run: Callable[..., Any]) -> None:
    server = Server(chain_signals=False)

    async def main() -> None:
        await server.serve()
        assert signal.getsignal(TERM) == server.stop
        raise_signal()
        assert server.heard == [(TERM, False)]

    run(main)


@pytest.mark.parametrize(
    "handler", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler], ids=str
)
@pytest.mark.parametrize("number", [TERM, INT])
def test_what_is_no_servers_handler_is_left_alone(
    run: Callable[..., Any], number: int, handler: Any
) -> None:
    server = Server()
    # With a handler to be chained to for the other one.
    signal.signal(INT if number == TERM else TERM, server.stop)

    async def main() -> None:
        signal.signal(number, handler)
        await server.serve()
        assert signal.getsignal(number) == handler

    run(main)
    assert signal.getsignal(number) in (handler, signal.default_int_handler)


def test_in_another_thread_than_the_main_one_nothing_is_touched(run: Callable[..., Any]) -> None:
    server = Server()
    seen: list[Any] = []

    async def main() -> None:
        await server.serve()
        seen.append(signal.getsignal(TERM))

    thread = threading.Thread(target=run, args=(main,))
    thread.start()
    thread.join()
    assert seen == [server.stop]


class InFront:
    """Somebody who chains in front of whatever is there, as this library does."""

    def __init__(self, log: list[str]) -> None:
        self.previous: Any = signal.getsignal(TERM)
        self._log = log
        signal.signal(TERM, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        self._log.append("in front")
        self.previous(number, frame)


def test_who_chains_in_front_afterwards_hears_first_and_nothing_is_lost(
    run: Callable[..., Any],
) -> None:
    server = Server()
    log: list[str] = []

    async def main() -> None:
        await server.serve()
        front = InFront(log)
        raise_signal()
        await server.stopped.wait()
        assert (log, server.heard) == (["in front"], [(TERM, True)])
        await rest(server)
        assert signal.getsignal(TERM) == front.handle

    run(main)
    # It is still chained to what has no loop any more, which hands the signal on.
    signal.raise_signal(TERM)
    assert (log, len(server.heard)) == (["in front"] * 2, 2)


def test_nothing_is_lost_when_it_is_chained_again_behind_somebody_else(
    run: Callable[..., Any],
) -> None:
    server = Server()
    log: list[str] = []

    async def first() -> None:
        await server.serve()
        InFront(log)

    async def second() -> None:
        server.registry = SessionRegistry()
        await server.serve()
        raise_signal()
        await server.stopped.wait()

    run(first)
    run(server.serve)
    run(second)
    assert log == ["in front"]
    assert len(server.heard) == 1


@pytest.mark.parametrize("same", [True, False], ids=["one registry", "two registries"])
@pytest.mark.parametrize("ends_first", [0, 1])
def test_two_applications_drain_both_and_give_everything_back(
    run: Callable[..., Any], same: bool, ends_first: int
) -> None:
    one, two = Server(), Server()
    if same:
        two.registry = one.registry
    two.app = ProgressApp(two.registry)
    signal.signal(TERM, one.stop)

    async def main() -> None:
        for server in (one, two):
            await server.serve()
        await rest((one, two)[ends_first])
        if same:
            assert signal.getsignal(TERM) == one.stop
        raise_signal()
        await one.stopped.wait()
        await rest((two, one)[ends_first])
        assert signal.getsignal(TERM) == one.stop

    run(main)
    assert [number for number, _ in one.heard] == [TERM]
    assert one.registry.draining
    assert two.registry.draining
    assert signal.getsignal(TERM) == one.stop


# Loops that hear of signals by a descriptor


@pytest.fixture(params=["asyncio", "uvloop"])
def run_asyncio(request: pytest.FixtureRequest) -> Callable[..., Any]:
    options = {"use_uvloop": request.param == "uvloop"}
    return partial(anyio.run, backend="asyncio", backend_options=options)


class Listener(Server):
    """Listens as granian does: by the loop."""

    def listen(self) -> None:
        asyncio.get_running_loop().add_signal_handler(TERM, self.stop, TERM, None)


def test_a_loop_that_listens_itself_hears_after_the_drain(
    run_asyncio: Callable[..., Any],
) -> None:
    server = Listener()

    async def main() -> None:
        server.listen()
        await server.serve()
        raise_signal()
        await server.stopped.wait()

    run_asyncio(main)
    assert server.heard == [(TERM, True)]


def test_a_loop_that_listens_hears_a_second_signal_at_once(
    run_asyncio: Callable[..., Any],
) -> None:
    server = Listener()

    async def main() -> None:
        server.listen()
        await server.serve()
        raise_signal()
        raise_signal()
        await server.stopped.wait()
        await settle()
        assert len(server.heard) == 2

    run_asyncio(main)


def test_other_signals_pass_by(run_asyncio: Callable[..., Any]) -> None:
    server = Listener()
    usr1 = anyio.Event()

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, usr1.set)
        server.listen()
        await server.serve()
        raise_signal(signal.SIGUSR1)
        await usr1.wait()
        assert server.heard == []

    run_asyncio(main)


@pytest.mark.parametrize("apps", [1, 2])
def test_a_loop_still_hears_after_the_registry_has_rested(
    run_asyncio: Callable[..., Any], apps: int
) -> None:
    server = Listener()
    others = [ProgressApp(server.registry) for _ in range(apps - 1)]

    async def main() -> None:
        server.listen()
        for _ in range(2):
            server.registry.open().__enter__()
            for app in (server.app, *others):
                await ask(app, "GET", "/health")
            await rest(server)
            engine_of(server.registry).draining = False
        raise_signal()
        with anyio.fail_after(5):
            await server.stopped.wait()

    run_asyncio(main)
    assert server.heard == [(TERM, False)]


@pytest.mark.parametrize("ends_first", [0, 1])
def test_a_loop_hears_when_one_of_two_registries_has_rested(
    run_asyncio: Callable[..., Any], ends_first: int
) -> None:
    one, two = Listener(), Listener()

    async def main() -> None:
        one.listen()
        for server in (one, two):
            await server.serve()
        await rest((one, two)[ends_first])
        raise_signal()
        with anyio.fail_after(5):
            await one.stopped.wait()

    run_asyncio(main)
    assert [number for number, _ in one.heard] == [TERM]
    assert one.registry.draining
    assert two.registry.draining


PROGRAM = """
import sys
import anyio, uvicorn
from agentprogress import SessionRegistry
from agentprogress.asgi import ProgressApp

registry = SessionRegistry()
session = registry.open().__enter__()
print(session.id, flush=True)
uvicorn.run(ProgressApp(registry), port=0, log_level="info", lifespan=sys.argv[1], loop=sys.argv[2])
"""


@pytest.mark.anyio
@pytest.mark.server
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [TERM, INT])
async def test_a_server_in_a_process_of_its_own_ends_its_streams_and_then_itself(
    loop: str, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", PROGRAM, "on", loop]
    async with started(["sh", "-c", 'exec "$@" 2>&1', "sh", *command], cwd=ROOT) as program:
        session_id = (await program.line()).strip()
        told = (await program.lines_until("INFO:     Uvicorn running on "))[-1]
        types: list[str] = []
        async for _, frame in frames(f"{told.split()[4]}/sessions/{session_id}"):
            types.append(frame["type"])
            if len(types) == 1:
                program.interrupt(number)
        assert types[-2:] == ["session.failed", "end"]
        # uvicorn raises the signal again once it has shut down well.
        assert await program.exit_status() in (0, -number, 128 + number)


def test_a_handler_that_is_set_later_by_the_loop_loses_no_signal() -> None:
    server = Server()

    async def main() -> None:
        await server.serve()
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(TERM, heard.set)
        # Another request: what the loop has taken is taken back.
        assert (await ask(server.app, "GET", "/health")).status == 200
        raise_signal()
        await heard.wait()

    anyio.run(main)


def test_asyncio_takes_its_own_handler_back_when_it_ends() -> None:
    signal.signal(INT, signal.default_int_handler)
    server = Server()

    async def main() -> None:
        # anyio's own runner sets none.
        await server.serve()

    asyncio.run(main())
    assert signal.getsignal(INT) is signal.default_int_handler
