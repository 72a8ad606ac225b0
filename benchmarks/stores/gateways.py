"""What processes that follow one session through Redis hand out together, without a network.

As many as there may be: more processes than cores tell how they share, not how they scale.
"""

from collections.abc import Callable
from contextlib import ExitStack

from ..figures import Figure
from .children import probe
from .places import Server

PROCESSES = (1, 2, 4)
RATE = 1_000


def figures(
    server: Server, rounds: int, subscribers: int, seconds: float, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures each number of processes once in each round."""
    handed: dict[int, list[float]] = {count: [] for count in PROCESSES}
    spent: dict[int, list[float]] = {count: [] for count in PROCESSES}
    for number in range(rounds):
        for count in PROCESSES:
            rate, cost = handed_out(server, count, subscribers, int(RATE * seconds))
            handed[count].append(rate)
            spent[count].append(cost)
        progress(f"gateways {number + 1}: " + ", ".join(f"{v[-1]:,.0f}" for v in handed.values()))
    found: list[Figure] = []
    for count in PROCESSES:
        name = f"{count} x {subscribers} subscribers"
        found.append(Figure(f"deliveries, {name}", handed[count], "/s"))
        found.append(Figure(f"CPU of a delivery, {name}", spent[count], "us"))
    return found


def handed_out(server: Server, count: int, subscribers: int, events: int) -> tuple[float, float]:
    """Returns the deliveries a second of all, and the processor time of one in microseconds."""
    url = server.fresh()
    with probe("paced", url, 1, events, RATE) as producer, ExitStack() as running:
        (session_id,) = producer.answer()
        crowds = [
            running.enter_context(probe("crowd", url, session_id, subscribers))
            for _ in range(count)
        ]
        for crowd in crowds:
            crowd.answer()
        producer.go()
        producer.answer()
        producer.go()  # its session ends, and with it all who follow
        results = [crowd.answer() for crowd in crowds]
    deliveries = sum(result[0] for result in results)
    seconds = max(result[2] for result in results) - min(result[1] for result in results)
    cpu = sum(result[3] for result in results)
    return deliveries / seconds, cpu / deliveries * 1_000_000
