"""A restart cuts 10,000 clients at once: when do they return? In virtual time, seeded.

    python -m benchmarks.herd

prints the tables of docs/reconnect.md and writes its plot. The delays are drawn by the client's own
`Backoff`, the windows are sized by the server's own `retry_window`. Clients do not depend on each
other, so each is followed to its return before the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

from agentprogress._core.backoff import Backoff
from agentprogress._core.frames import retry_window
from agentprogress.settings import Settings

from .herd_plot import Panel, draw

PLOT = Path(__file__).parent.parent / "docs" / "reconnect.svg"
SETTINGS = Settings()
SEEDS = range(40)
SPAN = 0.1
BOUND = 200


@dataclass(frozen=True)
class Restart:
    """What happens to a server and those who follow it.

    Attributes:
        name: as the table has it.
        clients: how many it had, all of whom knew that.
        down: seconds for which every attempt fails at once.
        drained: whether each was sent a `reconnect` with a `retry_after` of its own; else the
            connections were just cut.
        obeyed: whether that is taken for the delay itself, as `Backoff` does; else for a floor
            under a delay that the client draws as well.
    """

    name: str
    clients: int = 10_000
    down: float = 0.0
    drained: bool = False
    obeyed: bool = True


@dataclass
class Herd:
    """When clients tried to return, in seconds since the cut.

    Attributes:
        failed: the attempts that found no server.
        back: the handshakes that a server took.
    """

    failed: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """The most attempts in any 100 ms, whether they failed or not."""
        return densest([*self.failed, *self.back])

    @property
    def last(self) -> float:
        """When everybody was back."""
        return max(self.back)


def advised(clients: int) -> float:
    """Returns the window that a server with so many subscribers advises."""
    return retry_window(
        clients,
        SETTINGS.max_reconnects_per_second,
        SETTINGS.min_retry_window,
        SETTINGS.max_retry_window,
    )


def told(clients: int, random: Random) -> float:
    """Draws the `retry_after` of one client, as a server that drains does."""
    return round(random.uniform(0, min(advised(clients), SETTINGS.max_drain_window)), 3)


def run(restart: Restart, seed: int) -> Herd:
    """Follows every client from the cut to its return."""
    random, herd = Random(f"{restart.name} {seed}"), Herd()
    for _ in range(restart.clients):
        client = Backoff(SETTINGS, random.random)
        client.advise(advised(restart.clients))
        floor = told(restart.clients, random) if restart.drained else 0.0
        first = client.next_delay(floor, drawn=restart.drained and restart.obeyed)
        follow(client, first, restart.down, herd)
    return herd


def follow(client: Backoff, first: float, down: float, herd: Herd) -> None:
    """Lets one client try until it finds the server up."""
    now = first
    while now < down:
        herd.failed.append(now)
        now += client.next_delay()
    herd.back.append(now)


def run_twice(again_after: float, seed: int, *, new: bool = False) -> Herd:
    """Kills the server, which is up again at once, and kills it again some seconds later.

    Each client was told a window when it joined, in a crowd that was still growing, and perhaps by
    heartbeats since. Returns the second herd.

    Args:
        again_after: seconds between the two.
        seed: of the random numbers.
        new: whether nobody was there before the first kill, so that no client holds a window from
            then; they come over the same time.
    """
    random, clients = Random(f"twice {again_after} {seed}"), 10_000
    arriving: list[tuple[float, Backoff]] = []
    for _ in range(clients):
        before = Backoff(SETTINGS, random.random)
        before.advise(advised(clients))
        at = before.next_delay()
        arriving.append((at, Backoff(SETTINGS, random.random) if new else before))
    arriving.sort(key=lambda pair: pair[0])
    joined = [at for at, _ in arriving if at <= again_after]
    herd = Herd()
    for count, (at, client) in enumerate(arriving[: len(joined)], 1):
        client.welcome(advised(count))
        heard = last_heard(at, again_after, random)
        if heard is not None:
            client.advise(advised(bisect_right(joined, heard)))
        if again_after - at >= SETTINGS.stable_timeout:
            client.reset()
        follow(client, client.next_delay(), 0.0, herd)
    return herd


def last_heard(joined: float, until: float, random: Random) -> float | None:
    """Returns when a client's last heartbeat was; None if it had none yet."""
    interval = SETTINGS.heartbeat_interval
    first = joined + random.uniform(interval / 2, interval)
    if first > until:
        return None
    return first + (until - first) // interval * interval


def densest(times: Iterable[float], span: float = SPAN) -> int:
    """Returns the most times within any span, wherever it begins."""
    ordered, most, start = sorted(times), 0, 0
    for end, time in enumerate(ordered):
        while ordered[start] <= time - span:
            start += 1
        most = max(most, end - start + 1)
    return most


# The tables

CASES = [
    Restart(f"{clients:,} {how}, down for {down} s", clients, down, how == "drained")
    for clients in (10_000, 10)
    for how in ("killed", "drained")
    for down in (0, 1, 5)
]
LIMITS = [
    Restart("killed, down for 9 s", down=9),
    Restart("`retry_after` of `reconnect` only a floor", drained=True, obeyed=False),
    Restart("20,000 killed", clients=20_000),
    Restart("20,000 drained", clients=20_000, drained=True),
]
AGAIN = (10.0, 15.0, 25.0)


def row(name: str, herds: Sequence[Herd]) -> str:
    """Returns a line of a table: the peak and the times of return, over all seeds."""
    peaks = [herd.peak for herd in herds]
    half = median(median(herd.back) for herd in herds)
    last = max(herd.last for herd in herds)
    failed = median(len(herd.failed) for herd in herds)
    mark = "" if max(peaks) < BOUND else " **over**"
    return (
        f"| {name} | {median(peaks):.0f} | {max(peaks)}{mark} | {failed:,.0f} "
        f"| {half:.2f} s | {last:.2f} s |"
    )


def table() -> Iterable[str]:
    """Yields the lines of both tables."""
    head = "| case | peak, median | peak, highest | failed | half back | all back |"
    yield from (head, "|---|---|---|---|---|---|")
    for case in CASES:
        yield row(case.name, [run(case, seed) for seed in SEEDS])
    yield from ("", head, "|---|---|---|---|---|---|")
    for case in LIMITS:
        yield row(case.name, [run(case, seed) for seed in SEEDS])
    for again in AGAIN:
        name = f"killed, and again {again:.0f} s later"
        yield row(name, [run_twice(again, seed) for seed in SEEDS])
    for after in AGAIN:
        name = f"new within 10 s, killed {after:.0f} s after the first"
        yield row(name, [run_twice(after, seed, new=True) for seed in SEEDS])


def panels() -> list[Panel]:
    """Returns what the plot shows: one run of each case with 10,000 clients."""
    herds = [(case, run(case, 0)) for case in CASES if case.clients == 10_000]
    return [Panel(case.name, case.down, herd.back, herd.failed) for case, herd in herds]


def main() -> None:
    """Prints the tables and writes the plot."""
    for line in table():
        print(line, flush=True)
    PLOT.write_text(draw(panels(), BOUND), encoding="utf-8")
    print(f"\nOver {len(SEEDS)} seeds. The plot is in {PLOT.name}.")


if __name__ == "__main__":
    main()
