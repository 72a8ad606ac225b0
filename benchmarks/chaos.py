"""The proof that kills lose and repeat nothing: `python -m benchmarks.chaos [--seconds N]`.

Producers, gateways and subscribers are processes around one real store that keeps its data. While
events flow, all but the subscribers are killed at random, the store too, and connections are cut.
In the end each subscriber has the exact history, as a judge has it that shares no code with the
library, nothing that a producer was told is stored is missing, and after their time no key is left.
Before it, the writer of a SQLite file is killed again and again. Exits with 1 when one does not
hold.

`--seconds 10 --subscribers 40 --kills 3` shows within a minute that it works.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anyio
import anyio.to_thread

from agentprogress.testing import Cut, FaultProxy, Faults
from benchmarks.chaos_processes import FAST, Producer, Subscribers
from tests.conformance.oracle import Faulty, check_items
from tests.faults.kit import KEPT, QUICK, found_in, lapsed_in, numbers_in, until
from tests.faults.processes import Gateway, Peer
from tests.stores.engines import HOST, Engine, Kind, Options, ask

# Far beyond what it takes, so that what hangs is told.
_LONGEST = 240.0
_SESSIONS_EACH = 5
_MOST_PAUSE = 1.5
_CLIENT_PROCESSES = 2
_ENDS: tuple[Literal["fin", "rst"], ...] = ("fin", "rst")
_DIRECTIONS: tuple[Literal["to_client", "to_server"], ...] = ("to_client", "to_server")


class Weather:
    """What happens to a connection: to the store, or of a client to whichever gateway is there."""

    def __init__(self, seed: str, often: float, gateways: Sequence[Gateway] = ()) -> None:
        self._chance = random.Random(seed)
        self._often = often
        self._gateways = gateways
        self.proxy: FaultProxy | None = None

    def __call__(self, _: int) -> Faults:
        """Says what a connection suffers: a plan for a `FaultProxy`."""
        there = [gateway.address for gateway in self._gateways if gateway.runs]
        if there and self.proxy is not None:
            self.proxy.target = self._chance.choice(there)
        if self._chance.random() >= self._often:
            return Faults()
        by, direction = self._chance.choice(_ENDS), self._chance.choice(_DIRECTIONS)
        return Faults(cut=Cut(self._chance.randrange(60_000), by, direction))


class Chaos:
    """One run; see the module."""

    def __init__(self, asked: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self._asked = asked
        self._folder = folder
        self._stack = stack
        self._chance = random.Random(asked.seed)
        self._engine = stack.enter_context(Engine(Kind(asked.kind), Options(append_only=True)))
        self._ids: list[list[str]] = [
            [f"run-{producer}-{number}" for number in range(_SESSIONS_EACH)]
            for producer in range(asked.producers)
        ]
        self.done: Counter[str] = Counter()
        self._gateways: list[Gateway] = []
        self._coming_back: set[Gateway] = set()
        self._producers: list[Producer] = []
        # By session: the last number that is known to be stored, and the cursor at its end.
        self._told: dict[str, int] = {}
        self._heads: dict[str, str] = {}

    async def run(self) -> bool:
        """Lets everything run, kills, and judges."""
        to_store = Weather(f"{self._asked.seed}/store", 0.3)
        async with FaultProxy(HOST, self._engine.port, plan=to_store) as self._line:
            url = f"redis://{HOST}:{self._line.port}/0"
            await self._begin(url)
            to_gateways = Weather(f"{self._asked.seed}/clients", 0.3, self._gateways)
            first = self._gateways[0].address
            async with FaultProxy(*first, plan=to_gateways) as self._front:
                to_gateways.proxy = self._front
                subscribers = self._subscribe()
                await self._storm()
                await _in_thread(self._calm_down)
                items = await self._collect(subscribers)
            good = self._judge(items)
            return await _in_thread(self._is_emptied) and good

    async def _begin(self, url: str) -> None:
        for _ in range(self._asked.gateways):
            gateway = await _in_thread(lambda: self._stack.enter_context(Gateway(url, FAST)))
            self._gateways.append(gateway)
        for ids in self._ids:
            producer = self._stack.enter_context(Producer(url, ids, self._asked.seed))
            self._producers.append(producer)
            await _in_thread(producer.begin)
        for producer in self._producers:
            await _in_thread(producer.wait)

    def _subscribe(self) -> list[Subscribers]:
        ids = [session_id for each in self._ids for session_id in each]
        each = self._asked.subscribers // _CLIENT_PROCESSES
        return [
            self._stack.enter_context(
                Subscribers(
                    self._front.url("/progress/sessions/"),
                    ids,
                    each,
                    self._asked.seconds / 2,
                    self._folder / f"items-{number}.jsonl",
                )
            )
            for number in range(_CLIENT_PROCESSES)
        ]

    # What goes wrong

    async def _storm(self) -> None:
        """Until the time is over, one fault after another, each kind in every round."""
        faults: list[Callable[[], Awaitable[None]]] = [
            self._kill_producer,
            self._kill_gateway,
            self._restart_store,
            self._cut_store,
            self._cut_clients,
        ]
        end = time.monotonic() + self._asked.seconds
        to_come: list[Callable[[], Awaitable[None]]] = []
        async with anyio.create_task_group() as self._tasks:
            while time.monotonic() < end:
                to_come = to_come or self._chance.sample(faults, len(faults))
                await anyio.sleep(self._chance.uniform(0.1, _MOST_PAUSE))
                await to_come.pop()()

    async def _kill_producer(self) -> None:
        producer = self._chance.choice(self._producers)
        await _in_thread(producer.kill)
        await _in_thread(producer.begin)
        self.done["producers killed"] += 1

    async def _kill_gateway(self) -> None:
        there = [one for one in self._gateways if one not in self._coming_back]
        if not there:
            return
        gateway = self._chance.choice(there)
        await _in_thread(gateway.kill)
        self.done["gateways killed"] += 1
        # The others go on meanwhile, and so does what happens to them.
        self._coming_back.add(gateway)
        self._tasks.start_soon(self._bring_back, gateway)

    async def _bring_back(self, gateway: Gateway) -> None:
        await _in_thread(gateway.begin)
        self._coming_back.discard(gateway)

    async def _restart_store(self) -> None:
        await _in_thread(self._engine.kill)
        await anyio.sleep(self._chance.uniform(0, 0.5))
        await _in_thread(self._engine.start)
        self.done["stores killed"] += 1

    async def _cut_store(self) -> None:
        await self._line.cut_all(self._chance.choice(_ENDS))
        self.done["times the store was cut off"] += 1

    async def _cut_clients(self) -> None:
        await self._front.cut_all(self._chance.choice(_ENDS))
        self.done["times all clients were cut off"] += 1

    # The end

    def _calm_down(self) -> None:
        """Lets every producer end its sessions."""
        for producer in self._producers:
            producer.end()
        for producer in self._producers:
            for session_id, number in producer.told.items():
                self._told[session_id] = number
                found = found_in(self._engine.url, session_id)
                assert found is not None, f"{session_id} is not there"
                self._heads[session_id] = f"{found.epoch}-{found.head}"

    async def _collect(self, subscribers: Sequence[Subscribers]) -> list[dict[str, Any]]:
        with anyio.fail_after(_LONGEST):
            for each in subscribers:
                await _in_thread(each.wait)
        return [one for each in subscribers for one in each.found()]

    def _judge(self, found: Sequence[dict[str, Any]]) -> bool:
        for what, times in sorted(self.done.items()):
            print(f"  {times} {what}")
        print(f"  {self._line.connections:,} connections to the store, ", end="")
        print(f"{self._front.connections:,} to gateways")
        wrong: list[str] = []
        logs: dict[str, list[Any]] = {}
        for one in found:
            session_id = one["session_id"]
            try:
                _check(one, self._heads[session_id], self._told[session_id])
                if logs.setdefault(session_id, one["items"]) != one["items"]:
                    raise Faulty("corruption", "two subscribers have two histories")
            except AssertionError as error:
                wrong.append(f"{session_id}: {error}")
        events = sum(len(one.get("items", ())) for one in found)
        good = not wrong and len(found) == self._asked.subscribers // 2 * 2
        print(
            f"  {len(found)} subscribers have {events:,} events of {len(logs)} sessions, ", end=""
        )
        print(f"{sum(map(len, logs.values())):,} were stored: {_word(good)}")
        for sentence in wrong[:10]:
            print(f"    {sentence}")
        return good

    def _is_emptied(self) -> bool:
        """Waits until the time of all keys is over."""
        left = -1
        with self._engine.client() as client:
            end = time.monotonic() + 3 * (FAST["result_ttl"] + FAST["tombstone_ttl"])
            while left and time.monotonic() < end:
                left = ask(client, "DBSIZE")
                time.sleep(0.1)
            names = [name.decode() for name in client.scan_iter()]
        print(f"  {left} keys are left {names[:5] or ''}: {_word(not left)}")
        return not left


def _check(one: dict[str, Any], head: str, told: int) -> None:
    """Holds what a subscriber has against what it should have."""
    if "failure" in one:
        raise Faulty("truncation", one["failure"])
    items = one["items"]
    check_items(items, head)
    numbers = [item["number"] for item in items if "number" in item]
    if numbers != list(range(1, len(numbers) + 1)):
        raise Faulty("gap", "the numbers have a hole, or one came twice")
    if len(numbers) < told:
        raise Faulty("truncation", f"{told} were stored, and {len(numbers)} came")
    if [item["type"] for item in items if item["type"].startswith("session.")][-1:] != [
        "session.completed"
    ]:
        raise Faulty("truncation", "it did not complete")


def kill_writers(kills: int, seed: int) -> bool:
    """Kills the writer of one SQLite file so often, each time in the middle of its work."""
    chance = random.Random(seed)
    stored: list[int] = []
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/progress.db"
        for _ in range(kills):
            told = _kill_once(url, stored, chance)
            stored = numbers_in(url, "survivor")
            if stored != list(range(1, len(stored) + 1)) or len(stored) < told:
                print(f"  SQLite: {told} were flushed, {stored[-1:]} is there: DOES NOT HOLD")
                return False
            until(lambda: lapsed_in(url, "survivor"))
    seconds = time.monotonic() - began
    print(
        f"SQLite: {kills} kills among {len(stored):,} events in {seconds:.0f} s: holds", flush=True
    )
    return True


def _kill_once(url: str, stored: Sequence[int], chance: random.Random) -> int:
    """Returns the last number that the writer was told is stored."""
    with Peer(url, {**QUICK, **KEPT, "lease_ttl": 0.2}) as writer:
        writer.ask("open", session_id="survivor", existing="resume")
        writer.tell("endless", first=len(stored) + 1)
        told = 0
        for _ in range(chance.randrange(1, 40)):
            told = int(writer.line())
        return max([told, *(int(line) for line in writer.kill() if line.strip())])


def _word(good: bool) -> str:
    return "holds" if good else "DOES NOT HOLD"


async def _in_thread(act: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(act)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--gateways", type=int, default=4)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100, help="of the writer of a SQLite file")
    parser.add_argument("--kind", choices=[str(kind) for kind in Kind], default="valkey")
    asked = parser.parse_args()
    results = [kill_writers(asked.kills, asked.seed)] if asked.kills else []
    print(
        f"{asked.producers} producers, {asked.gateways} gateways, {asked.subscribers} subscribers, "
        f"{asked.seconds:g} s on {asked.kind}, seed {asked.seed}",
        flush=True,
    )
    with TemporaryDirectory() as folder, ExitStack() as stack:
        results.append(anyio.run(Chaos(asked, Path(folder), stack).run))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
