"""From `log` in one process to the event in the hands of a reader in another, at a fixed rate.

Both clocks are the machine's one monotonic clock. What the events cost everybody is taken in the
same runs, because at a fixed rate it does not depend on how many fit into a commit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..figures import Figure, Target
from ..probes.costs import Timed
from .children import probe
from .places import Folder, Place, Server, Usage

RATE = 1_000
SESSIONS = (1, 100)
TARGETS = {"Redis": Target(5.0), "SQLite": Target(75.0)}
MICRO = 1_000_000


@dataclass
class Way:
    """One store and number of sessions, with a value for each round."""

    place: Place
    sessions: int
    medians: list[float] = field(default_factory=list[float])
    slowest: list[float] = field(default_factory=list[float])
    producer: list[float] = field(default_factory=list[float])
    follower: list[float] = field(default_factory=list[float])
    usages: list[Usage] = field(default_factory=list[Usage])

    @property
    def name(self) -> str:
        """How its figures begin."""
        return f"{self.place.name}, {self.sessions} session{'s' if self.sessions > 1 else ''}"

    def figures(self) -> list[Figure]:
        """What was measured, and for a server what it had to do."""
        found = [
            Figure(f"latency, {self.name}, p50", self.medians, "ms", TARGETS[self.place.name]),
            Figure(f"latency, {self.name}, p99", self.slowest, "ms"),
            Figure(f"CPU of the producer, {self.name}", self.producer, "us/event"),
            Figure(f"CPU of the follower, {self.name}", self.follower, "us/event"),
        ]
        if self.usages:
            found += [
                Figure(f"{self.name}, calls", [u.calls for u in self.usages], "/event"),
                Figure(f"{self.name}, commands", [u.commands for u in self.usages], "/event"),
                Figure(f"{self.name}, in", [u.received_bytes for u in self.usages], "B/event"),
                Figure(f"{self.name}, out", [u.sent_bytes for u in self.usages], "B/event"),
                Figure(
                    f"{self.name}, the server's CPU",
                    [u.cpu_seconds * MICRO for u in self.usages],
                    "us/event",
                ),
            ]
        return found


def figures(
    server: Server, folder: Folder, rounds: int, seconds: float, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures each way once in each round."""
    places: tuple[Place, ...] = (server, folder)
    ways = [Way(place, sessions) for place in places for sessions in SESSIONS]
    for number in range(rounds):
        for place in range(len(ways)):
            measure(ways[(place + number) % len(ways)], int(RATE * seconds))
        progress(f"latency {number + 1}: " + ", ".join(f"{w.medians[-1]:.1f} ms" for w in ways))
    return [figure for way in ways for figure in way.figures()]


def measure(way: Way, events: int) -> None:
    """Adds a round."""
    url = way.place.fresh()
    with probe("paced", url, way.sessions, events, RATE) as producer:
        session_ids = producer.answer()
        with probe("timed_follower", url, events, *session_ids) as follower:
            follower.answer()
            before = way.place.usage() if isinstance(way.place, Server) else None
            producer.go()
            produced = producer.answer()
            timed = Timed(**follower.answer())
            if before is not None and isinstance(way.place, Server):
                way.usages.append(way.place.usage().since(before, events))
    ages = timed.milliseconds
    way.medians.append(ages[len(ages) // 2])
    way.slowest.append(ages[len(ages) * 99 // 100])
    way.producer.append(produced["cpu_seconds"] / events * MICRO)
    way.follower.append(timed.cpu_seconds / events * MICRO)
