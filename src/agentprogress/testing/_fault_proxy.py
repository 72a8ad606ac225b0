"""A TCP proxy that does to connections what networks do, on purpose and to the byte.

Here connections are accepted and owned; what happens to one is in `_fault_connection`, said by its
`Faults`, and touches no other.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Literal, Self

import anyio
from anyio.abc import TaskGroup

from .._clock import SystemClock
from ..abc import Clock
from ..errors import InvalidSettings
from ._fault_connection import FaultyConnection, reset
from ._faults import Faults, check_choice, check_type, check_whole

__all__ = ["FaultProxy"]

_HOST = "127.0.0.1"
_MOST_PORT = 2**16 - 1
# Clients that all come back at once must find room; the kernel has its own limit.
_BACKLOG = 4096
_HEALTHY = Faults()


class FaultProxy:
    """Stands between clients and a server, listening on a free port of 127.0.0.1.

    ::

        async with FaultProxy("127.0.0.1", port, plan=Faults(cut=Cut(4096, by="rst"))) as proxy:
            await follow_through(proxy.url("/progress/sessions/…"))

    Works on asyncio and trio. A client that does not read stops the reading from the server, and
    the other way round. What the server does to a connection its client sees: an end as an end, a
    reset as a reset, a target that cannot be reached as a reset. Leaving the block resets whatever
    is still open, at once.

    Args:
        host: where the server is; a name or an address.
        port: its port.
        plan: what each connection suffers, or a function that says it, called once for each
            connection when it is accepted, with its number from 0.
        clock: what `Faults.latency` waits by; a `ManualClock` makes it exact.

    Raises:
        InvalidSettings: an argument is not what it should be.
        ExceptionGroup: from the block, which it ends: `plan` raised or returned something else, or
            the process has no room for another socket.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        plan: Faults | Callable[[int], Faults] = _HEALTHY,
        clock: Clock | None = None,
    ) -> None:
        self.target = (host, port)
        self.plan = plan
        self._clock = clock or SystemClock()
        self._accepted = 0
        self._live: set[FaultyConnection] = set()
        self._running: tuple[socket.socket, TaskGroup] | None = None

    @property
    def target(self) -> tuple[str, int]:
        """Host and port that connections accepted from now on are led to; may be set."""
        return self._target

    @target.setter
    def target(self, target: tuple[str, int]) -> None:
        host, port = target
        check_type("host", host, (str,), "a name or an address")
        check_whole("port", port, least=1, most=_MOST_PORT)
        self._target = (host, port)

    @property
    def plan(self) -> Faults | Callable[[int], Faults]:
        """What connections accepted from now on suffer; may be set."""
        return self._plan

    @plan.setter
    def plan(self, plan: Faults | Callable[[int], Faults]) -> None:
        if not isinstance(plan, Faults) and not callable(plan):
            raise InvalidSettings(f"plan must be Faults or a function, not {plan!r}.")
        self._plan = plan

    @property
    def port(self) -> int:
        """Where the proxy listens."""
        if self._running is None:
            raise RuntimeError("A proxy is used as `async with FaultProxy(…) as proxy`.")
        listener, _ = self._running
        port: int = listener.getsockname()[1]
        return port

    def url(self, path: str = "/") -> str:
        """Returns the ``http`` URL of a path on the server, by way of the proxy."""
        return f"http://{_HOST}:{self.port}{path}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._accepted

    @property
    def live(self) -> int:
        """How many connections are not closed yet, black-holed ones included."""
        return len(self._live)

    async def cut_all(self, how: Literal["rst", "fin"] = "rst") -> None:
        """Ends all connections that are open now, on both sides; returns when it is done.

        Args:
            how: as for `Cut`, but at once: ``rst`` loses what the kernel has not sent yet.

        Raises:
            InvalidSettings: `how` is neither.
        """
        check_choice("how", how, ("rst", "fin"))
        connections = list(self._live)
        for connection in connections:
            connection.end(how)
        for connection in connections:
            await (connection.closed if how == "rst" else connection.ended).wait()

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("This proxy is running already.")
        listener = socket.create_server((_HOST, 0), backlog=_BACKLOG)
        listener.setblocking(False)
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        tasks.start_soon(self._accept, listener, tasks)
        self._running = listener, tasks
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._running is None:
            return
        listener, tasks = self._running
        tasks.cancel_scope.cancel()
        try:
            # What the block raises goes its own way: a group around it would only hide it.
            await tasks.__aexit__(None, None, None)
        finally:
            self._running = None
            listener.close()

    async def _accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                client, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            try:
                connection = FaultyConnection(client, self._next_faults(), self._clock)
            except BaseException:
                reset(client)
                raise
            self._live.add(connection)
            tasks.start_soon(self._run, connection)

    def _next_faults(self) -> Faults:
        number = self._accepted
        self._accepted += 1
        faults = self._plan if isinstance(self._plan, Faults) else self._plan(number)
        check_type("What plan returns", faults, (Faults,), "Faults")
        return faults

    async def _run(self, connection: FaultyConnection) -> None:
        try:
            await connection.run(self._target)
        finally:
            self._live.discard(connection)
