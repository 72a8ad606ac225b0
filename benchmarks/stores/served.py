"""Gateways with their network: WebSockets of sessions that run elsewhere, through Redis.

At a steady rate, so that a delivery is what it mostly is: one of a few events in a write, as the
delivery interval gathers them. Many sessions with few events each are the dear case, one that is
busy the cheap one.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..client import Crowd, connect
from ..figures import Figure
from ..servers import running_server
from .children import probe
from .places import Server, Usage

GATEWAYS = (1, 2, 4)
PATIENCE = 60.0
MICRO = 1_000_000


@dataclass(frozen=True)
class Load:
    """What is emitted, in all, and among how many sessions."""

    name: str
    sessions: int
    rate: int


# So many that the client of four gateways keeps up with them beside everybody else on two cores.
LOADS = (Load("1 session, 200 events/s", 1, 200), Load("20 sessions, 10 events/s", 20, 200))


@dataclass
class Found:
    """Values of one load on so many gateways, one for each round."""

    costs: list[float] = field(default_factory=list[float])
    shares: list[float] = field(default_factory=list[float])
    usages: list[Usage] = field(default_factory=list[Usage])


def figures(
    server: Server, rounds: int, subscribers: int, seconds: float, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures each load on each number of gateways once in each round."""
    found = {(load, count): Found() for load in LOADS for count in GATEWAYS}
    for number in range(rounds):
        for (load, count), each in found.items():
            serve(server, load, count, subscribers, int(load.rate * seconds), each)
        costs = ", ".join(f"{each.costs[-1]:.1f} us" for each in found.values())
        progress(f"served {number + 1}: {costs}")
    shown: list[Figure] = []
    for (load, count), each in found.items():
        name = f"{load.name}, {count} x {subscribers}"
        shown += [
            Figure(f"CPU of a delivery, {name}", each.costs, "us"),
            Figure(f"CPU of a gateway, {name}", each.shares, "% core"),
            Figure(f"Redis calls, {name}", [one.calls for one in each.usages], "/event"),
            Figure(f"Redis out, {name}", [one.sent_bytes for one in each.usages], "B/event"),
            Figure(
                f"CPU of Redis, {name}", [u.cpu_seconds * MICRO for u in each.usages], "us/event"
            ),
        ]
    return shown


def serve(
    server: Server, load: Load, count: int, subscribers: int, events: int, found: Found
) -> None:
    """Adds a round."""
    url = server.fresh()
    with ExitStack() as running:
        producer = running.enter_context(probe("paced", url, load.sessions, events, load.rate))
        paths = [f"/sessions/{session_id}/ws" for session_id in producer.answer()]
        gateways = [
            running.enter_context(
                running_server("benchmarks.apps.gateway:app", {"BENCHMARK_STORE": url})
            )
            for _ in range(count)
        ]
        crowd = Crowd(
            [
                connect(gateway, paths[number % len(paths)], "websocket")
                for gateway in gateways
                for number in range(subscribers)
            ]
        )
        running.callback(crowd.close)
        crowd.wait_for_welcome(PATIENCE)
        before = server.usage()
        spent = sum(gateway.cpu_seconds() for gateway in gateways)
        producer.go()
        crowd.wait_for_events(events // load.sessions, events / load.rate + PATIENCE)
        spent = sum(gateway.cpu_seconds() for gateway in gateways) - spent
        found.usages.append(server.usage().since(before, events))
        produced = producer.answer()
    deliveries = len(crowd.followers) * (events // load.sessions)
    found.costs.append(spent / deliveries * MICRO)
    found.shares.append(spent / count / produced["seconds"] * 100)
