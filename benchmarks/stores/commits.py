"""Committed events per second: groups of one and of two producers, and each alone."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from ..errors import MeasurementFailed
from ..figures import Figure, Target, ratios
from ..probes.costs import Commits
from .children import Probe, probe
from .places import Folder, Place, Server, require_stored

SESSIONS = 8
PRODUCERS = (1, 2)
PIPELINED = 256
# A commit alone takes so much longer that a part of the events tells it.
ALONE = 20
TARGET = Target(20_000.0, at_least=True)


def figures(
    server: Server, folder: Folder, rounds: int, events: int, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures each way once in each round."""
    ways: dict[str, Callable[[], float]] = {}
    places: tuple[Place, ...] = (folder, server)
    for place in places:
        for producers in PRODUCERS:
            ways[_name(place, producers)] = partial(committed, place, producers, events)
    ways |= {
        "one SQLite commit for each event": lambda: alone(folder, events // ALONE),
        "one XADD for each event": lambda: alone(server, events // ALONE),
        f"XADD, {PIPELINED} in a pipeline": lambda: alone(server, events, PIPELINED),
    }
    values: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for turn in range(len(names)):
            name = names[(turn + number) % len(names)]
            values[name].append(ways[name]())
        progress(f"commits {number + 1}: " + ", ".join(f"{v[-1]:,.0f}" for v in values.values()))
    measured = [
        Figure(name, each, "/s", TARGET if name.endswith("1 process") else None)
        for name, each in values.items()
    ]
    return [*measured, *_ratios(values, folder, server)]


def _name(place: Place, producers: int) -> str:
    return f"committed, {place.name}, {producers} process{'es' if producers > 1 else ''}"


def _ratios(values: dict[str, list[float]], folder: Folder, server: Server) -> list[Figure]:
    ours, bare = values[_name(folder, 1)], values["one SQLite commit for each event"]
    theirs, one = values[_name(server, 1)], values["one XADD for each event"]
    return [
        Figure("SQLite, in groups / one by one", ratios(ours, bare), "x"),
        Figure("Redis, in groups / one by one", ratios(theirs, one), "x"),
    ]


def committed(place: Place, producers: int, events: int) -> float:
    """Returns the events a second that producers together have stored."""
    url = place.fresh()
    share = events // producers
    with ExitStack() as running:
        probes: list[Probe] = [
            running.enter_context(probe("commits", url, share, SESSIONS)) for _ in range(producers)
        ]
        for each in probes:
            each.answer()
        for each in probes:
            each.go()
        results = [Commits(**each.answer()) for each in probes]
        if any(result.dropped for result in results):
            raise MeasurementFailed(f"{place.name}: events were dropped")
        require_stored(url, share * producers)
    seconds = max(each.stored for each in results) - min(each.began for each in results)
    return share * producers / seconds


def alone(place: Place, events: int, at_once: int = 1) -> float:
    """Returns the events a second that a client library stores without us."""
    url = place.fresh()
    kind, target = (
        ("sqlite", url.removeprefix("sqlite:///"))
        if isinstance(place, Folder)
        else (
            "redis",
            url,
        )
    )
    with probe("bare_commits", kind, target, events, at_once) as bare:
        rate: float = bare.answer()
        return rate
