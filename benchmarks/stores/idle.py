"""What sessions cost in which nothing happens: calls, connections, processor time, memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..figures import Figure, Target
from .children import Probe, probe
from .places import Folder, Place, Server

CONNECTIONS = Target(6.0)
CALLS = Target(1.0)


@dataclass(frozen=True)
class Crowd:
    """A process with idle sessions, and one that follows them."""

    follower: Probe
    session_bytes: float
    stored: int
    replica_bytes: float
    connections: int
    """Of the process that follows."""


@dataclass
class Found:
    """Values of a store, one for each round."""

    session: list[float] = field(default_factory=list[float])
    replica: list[float] = field(default_factory=list[float])
    alone: list[float] = field(default_factory=list[float])
    many: list[float] = field(default_factory=list[float])
    calls: list[float] = field(default_factory=list[float])
    calls_of_many: list[float] = field(default_factory=list[float])
    connections: list[float] = field(default_factory=list[float])
    stored: list[float] = field(default_factory=list[float])


def figures(
    server: Server,
    folder: Folder,
    rounds: int,
    sessions: int,
    seconds: float,
    progress: Callable[[str], None],
) -> list[Figure]:
    """Measures both stores in turn."""
    found = {place.name: Found() for place in (server, folder)}
    for number in range(rounds):
        places: tuple[Place, ...] = (server, folder)
        for place in places:
            measure(place, sessions, seconds, found[place.name])
        progress(f"idle {number + 1}: done")
    redis = found[server.name]
    shown = [
        Figure("Redis, calls of an idle process", redis.calls, "/s", CALLS),
        Figure(f"Redis, calls of {sessions:,} followed", redis.calls_of_many, "/s"),
        Figure(f"Redis, connections, {sessions:,} followed", redis.connections, "", CONNECTIONS),
        Figure("Redis, memory of an idle session there", redis.stored, "B"),
    ]
    for name, each in found.items():
        shown += [
            Figure(f"{name}, CPU of an idle process", each.alone, "% core"),
            Figure(f"{name}, CPU of {sessions:,} followed", each.many, "% core"),
            Figure(f"{name}, an idle session", each.session, "B"),
            Figure(f"{name}, a followed replica", each.replica, "B"),
        ]
    return shown


def measure(place: Place, sessions: int, seconds: float, found: Found) -> None:
    """Adds a round of one store."""
    with idle_crowd(place, 1) as crowd:
        # Both processes do the same: one renews, one looks, and both look for the lost.
        calls, cpu = watched(place, crowd, seconds)
        found.calls.append(calls / 2)
        found.alone.append(cpu)
    before = place.memory_bytes() if isinstance(place, Server) else 0
    with idle_crowd(place, sessions) as crowd:
        found.session.append(crowd.session_bytes)
        found.replica.append(crowd.replica_bytes)
        found.connections.append(crowd.connections)
        if isinstance(place, Server):
            found.stored.append((place.memory_bytes() - before) / crowd.stored)
        calls, cpu = watched(place, crowd, seconds)
        found.calls_of_many.append(calls)
        found.many.append(cpu)


@contextmanager
def idle_crowd(place: Place, sessions: int) -> Iterator[Crowd]:
    """Has one process hold idle sessions and another follow them, while the block runs."""
    url = place.fresh()
    with probe("holding", url, sessions) as holder:
        held = holder.answer()
        others = place.connections() if isinstance(place, Server) else 0
        with probe("idle_followers", url, *held["ids"]) as follower:
            replica_bytes = follower.answer()
            there = place.connections() if isinstance(place, Server) else 0
            yield Crowd(follower, held["bytes"], held["stored"], replica_bytes, there - others)


def watched(place: Place, crowd: Crowd, seconds: float) -> tuple[float, float]:
    """Returns both processes' calls a second, and the follower's percentage of a core."""
    before = place.usage() if isinstance(place, Server) else None
    cpu = crowd.follower.cpu_seconds()
    time.sleep(seconds)
    share = (crowd.follower.cpu_seconds() - cpu) / seconds * 100
    if before is None or not isinstance(place, Server):
        return 0.0, share
    return (place.usage().calls - before.calls) / seconds, share
