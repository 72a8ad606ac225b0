"""A session followed through a storm: a job that emits, a proxy that cuts, a client, a judge."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import anyio.to_thread

from agentprogress import Gap, SessionSnapshot, Settings, Snapshot
from agentprogress.client import Feed, FollowOptions, follow
from agentprogress.events import Event, TextDelta
from agentprogress.testing import Cut, FaultProxy, Faults
from tests.conformance.live import Live, Session
from tests.conformance.oracle import Faulty, check_items

from .material import Cargo, cargo, deltas

__all__ = ["EAGER", "Storm", "Weather", "as_items", "everything", "state_of", "url_of"]

# A client that is back in no time: what its rests are otherwise is proven elsewhere.
EAGER = Settings(
    connect_timeout=0.5,
    heartbeat_interval=1,
    silence_timeout=0.2,
    max_wait=0.5,
    initial_retry_window=0.001,
    min_retry_window=0.001,
    min_retry_delay=0.0005,
    max_retry_delay=0.004,
)

_KINDS: tuple[Literal["fin", "rst", "half_close"], ...] = (
    *("fin", "fin", "fin", "fin"),
    *("rst", "rst", "rst", "rst"),
    "half_close",
)

# Less than any request's head, so that a cut of it always comes.
_IN_REQUEST_BYTES = 150
# About a handshake with its welcome; some hundred events; more than the largest event.
_IN_WELCOME_BYTES, _SOME_BYTES, _MANY_BYTES = 600, 10_000, 140_000
_LARGE_BYTES = 70_000


@dataclass(frozen=True)
class Weather:
    """How bad it gets.

    Attributes:
        seed: of all that is random.
        cuts: connections that are cut before one lasts.
        blackholes: how many of them by silence, which takes a client a second to find out.
        events: at least so many are emitted.
    """

    seed: int
    cuts: int
    blackholes: int
    events: int

    def __call__(self, number: int) -> Faults:
        """Says what a connection suffers: a plan for a `FaultProxy`."""
        if number >= self.cuts:
            return Faults()
        chance = random.Random(f"{self.seed}/cut/{number}")
        silent = number in random.Random(self.seed).sample(range(self.cuts), self.blackholes)
        by = "blackhole" if silent else chance.choice(_KINDS)
        if chance.random() < 0.08:
            return Faults(cut=Cut(chance.randrange(_IN_REQUEST_BYTES), by, "to_server"))
        after_bytes = chance.choices(
            (
                chance.randrange(_IN_WELCOME_BYTES),
                chance.randrange(_IN_WELCOME_BYTES, _SOME_BYTES),
                chance.randrange(_LARGE_BYTES, _MANY_BYTES),
            ),
            (15, 80, 5),
        )[0]
        return Faults(cut=Cut(after_bytes, by), **self._drip(chance, after_bytes))

    @staticmethod
    def _drip(chance: random.Random, after_bytes: int) -> dict[str, Any]:
        # At most some hundred slices: more would only take longer.
        least = 1 + after_bytes // 500
        kind = chance.random()
        if kind < 0.2:
            return {"slice_bytes": chance.randrange(least, least + 1_000)}
        if kind < 0.3:
            return {"latency": chance.uniform(0, 0.003), "slice_bytes": 100 * least}
        return {}


class Storm:
    """One session, followed from its first event to its end.

    Attributes:
        proxy: what the client goes through.
        items: what it handed out.
    """

    def __init__(self, live: Live, weather: Weather, transport: str) -> None:
        self.proxy = FaultProxy(*live.address, plan=weather)
        self.items: list[Event | Snapshot | Gap] = []
        self._weather = weather
        self._transport = transport
        self._session = live.session()
        self._emitted = 0
        self._texts = 0
        self._received = 0
        self._moved = anyio.Event()
        self._head = ""
        self._snapshot: SessionSnapshot | None = None

    async def run(self) -> None:
        """Emits and follows, to the end."""
        async with self.proxy as proxy, anyio.create_task_group() as tasks:
            tasks.start_soon(self._emit)
            options = FollowOptions(settings=EAGER)
            url = proxy.url(self._session.url)
            async with follow(url, transport=self._transport, options=options) as feed:
                async for item in feed:
                    self.items.append(item)
                    self._received += isinstance(item, Cargo)
                    self._moved.set()
                    self._moved = anyio.Event()
                self._snapshot = feed.snapshot

    async def received(self, number: int) -> None:
        """Waits until the client has handed out so many."""
        while self._received < number:
            await self._moved.wait()

    def judge(self) -> None:
        """Holds what came against what was emitted.

        Raises:
            AssertionError: something is missing, came twice, out of order or changed.
        """
        check_items(as_items(self.items), self._head)
        cargoes = [item for item in self.items if isinstance(item, Cargo)]
        for number, item in enumerate(cargoes):
            sent = cargo(self._weather.seed, number)
            if (item.number, item.text) != (number, sent.text):
                raise Faulty("corruption", f"in the place of {number} came {item!r:.200}")
        assert len(cargoes) == self._emitted >= self._weather.events
        for number in range(self._texts):
            assert self._text(f"text-{number}") == "".join(deltas(self._weather.seed, number))
        assert self._snapshot == state_of(self._session)

    def _text(self, message_id: str) -> str:
        mine = (item for item in self.items if isinstance(item, TextDelta))
        return "".join(item.delta for item in mine if item.message_id == message_id)

    async def _emit(self) -> None:
        """Keeps now a little and now a lot ahead of the client, so that it is cut live and not."""
        chance = random.Random(self._weather.seed)
        while not self._is_enough:
            burst = chance.randrange(1, 12)
            actions: list[tuple[Any, ...]] = [("cargo", self._weather.seed, self._emitted, burst)]
            self._emitted += burst
            if chance.random() < 0.02:
                actions.append(("prose", self._weather.seed, self._texts))
                self._texts += 1
            await self._do(*actions)
            await self.received(self._emitted - chance.choice((0, 0, 5, 20)))
        await self._do(("complete", {"emitted": self._emitted}))

    @property
    def _is_enough(self) -> bool:
        many = self._emitted >= self._weather.events
        return many and self.proxy.connections > self._weather.cuts

    async def _do(self, *actions: tuple[Any, ...]) -> None:
        # In a thread: the client and the proxy go on meanwhile.
        self._head = await anyio.to_thread.run_sync(self._session.do, *actions)


def url_of(session: Session) -> str:
    """Returns where a session is followed."""
    host, port = session.live.address
    return f"http://{host}:{port}{session.url}"


def state_of(session: Session) -> SessionSnapshot:
    """Returns the state as the server has it."""
    return SessionSnapshot.model_validate(session.get().json)


async def everything(feed: Feed) -> list[Event | Snapshot | Gap]:
    """Returns all that a feed hands out to its end."""
    return [item async for item in feed]


def as_items(items: Iterable[Event | Snapshot | Gap]) -> list[dict[str, Any]]:
    """Returns what a feed handed out as the judge wants it."""
    return [_as_item(item) for item in items]


def _as_item(item: Event | Snapshot | Gap) -> dict[str, Any]:
    if isinstance(item, Gap):
        return {"type": "gap", "missed_from": item.missed_from, "missed_to": item.missed_to}
    if isinstance(item, Snapshot):
        about = {"epoch": item.state.epoch, "seq": item.seq, "reset": item.reset}
        return {"type": "snapshot", **about}
    carried = {"text": item.text, "digest": item.digest} if isinstance(item, Cargo) else {}
    return {"type": item.type, "seq": item.seq, **carried}
