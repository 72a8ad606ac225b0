"""Burst fan-out: one producer, many subscribers, every event to each of them, as fast as it goes.

The clock starts when the client says go, with all subscribers connected and welcomed, and stops
when the last subscriber has its last event. Each contender gets a fresh server process for each
round.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .client import Crowd, connect
from .contenders import (
    BARE,
    LITESTAR,
    OURS_SSE,
    OURS_WEBSOCKET,
    SSE_STARLETTE,
    Contender,
)
from .errors import MeasurementFailed
from .figures import Figure, Target, ratios
from .servers import RunningServer, post_request, running_server
from .transcript import check

# The ratio of delivered events per second that agentprogress has to reach.
TARGETS = (
    (OURS_WEBSOCKET, LITESTAR, Target(15.0, at_least=True)),
    (OURS_WEBSOCKET, BARE, Target(7.0, at_least=True)),
    (OURS_SSE, SSE_STARLETTE, Target(20.0, at_least=True)),
)

WELCOME_TIMEOUT = 30.0
BURST_TIMEOUT = 120.0


@dataclass(frozen=True)
class Burst:
    """What one round of one contender came to."""

    contender: str
    subscribers: int
    events: int
    seconds: float
    bytes_per_event: float
    client_cpu_share: float
    server_cpu_share: float

    @property
    def rate(self) -> float:
        """Delivered events per second, summed over the subscribers."""
        return self.subscribers * self.events / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Delivered events per second of the server's processor time."""
        return self.rate / self.server_cpu_share if self.server_cpu_share else 0.0


def run_rounds(
    contenders: Sequence[Contender], rounds: int, subscribers: int, progress: Callable[[str], None]
) -> list[list[Burst]]:
    """Measures every contender once in each round, in an order that rotates.

    A warm-up round comes first and is not returned. It also decodes what one subscriber of each
    contender received, and checks it event by event.
    """
    measured = []
    for number in range(rounds + 1):
        bursts = []
        for contender in rotated(contenders, number):
            burst = run_burst(contender, subscribers, checked=number == 0)
            bursts.append(burst)
            progress(f"burst {number or 'warm-up'}: {burst.contender} {burst.rate:,.0f}/s")
        if number:
            measured.append(bursts)
    return measured


def rotated(contenders: Sequence[Contender], by: int) -> Iterator[Contender]:
    """Yields the contenders, another one first each time."""
    for place in range(len(contenders)):
        yield contenders[(place + by) % len(contenders)]


def run_burst(contender: Contender, subscribers: int, *, checked: bool = False) -> Burst:
    """Measures one contender once, on a server of its own."""
    with running_server(
        f"benchmarks.apps.{contender.app}:app", {"BENCHMARK_EVENTS": str(contender.events)}
    ) as server:
        path = server.post("/open") + contender.leaf
        crowd = Crowd(
            [
                connect(server, path, contender.transport, transcript=checked and number == 0)
                for number in range(subscribers)
            ]
        )
        try:
            crowd.wait_for_welcome(WELCOME_TIMEOUT)
            burst = time_burst(contender, server, crowd)
            if checked:
                crowd.wait_for_silence(contender.events)
        except (MeasurementFailed, OSError) as error:
            raise MeasurementFailed(f"{contender.name}: {error}") from error
        finally:
            crowd.close()
    for follower in crowd.followers:
        if follower.transcript is not None:
            check(b"".join(follower.transcript), contender.transport, contender.events)
    return burst


def time_burst(contender: Contender, server: RunningServer, crowd: Crowd) -> Burst:
    """Says go, and waits until everything is delivered."""
    with server.connect() as trigger:
        received = sum(follower.received_bytes for follower in crowd.followers)
        server_cpu, client_cpu, start = (
            server.cpu_seconds(),
            time.process_time(),
            time.perf_counter(),
        )
        trigger.sendall(post_request("/go"))
        crowd.wait_for_events(contender.events, BURST_TIMEOUT)
        seconds = time.perf_counter() - start
        client_cpu, server_cpu = time.process_time() - client_cpu, server.cpu_seconds() - server_cpu
    received = sum(follower.received_bytes for follower in crowd.followers) - received
    deliveries = len(crowd.followers) * contender.events
    return Burst(
        contender=contender.name,
        subscribers=len(crowd.followers),
        events=contender.events,
        seconds=seconds,
        bytes_per_event=received / deliveries,
        client_cpu_share=client_cpu / seconds,
        server_cpu_share=server_cpu / seconds,
    )


def figures(rounds: Sequence[Sequence[Burst]]) -> list[Figure]:
    """Returns the ratios that are judged: of two contenders in the same round."""
    rates = {
        name: [burst.rate for bursts in rounds for burst in bursts if burst.contender == name]
        for name in {burst.contender for burst in rounds[0]}
    }
    return [
        Figure(f"burst: {ours} / {peer}", ratios(rates[ours], rates[peer]), "x", target)
        for ours, peer, target in TARGETS
    ]
