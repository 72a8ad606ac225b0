"""The proof that a client loses and repeats nothing: `python -m benchmarks.cuts [--seed N]`.

10,000 events through 1,000 random cuts, on each transport, with asyncio and trio: each event comes
exactly once, in order and unchanged, and the folded state is that of the server, as an independent
judge has it. Cuts are at random bytes, by FIN, RST, half-close or silence, with slices and delays,
while the job goes on. Exits with 1 when one does not hold.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import anyio

from tests.client.serve import Served
from tests.client.storm import Storm, Weather

LOOPS = ("asyncio", "trio")
TRANSPORTS = ("websocket", "sse", "long-poll")
# Far beyond what it takes, so that what hangs is told.
LONGEST = 900.0


def main() -> int:
    """Prints a line for each transport and loop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuts")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--cuts", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=10_000)
    asked = parser.parse_args()
    # Silence is a hundredth of all cuts: each costs a client a second of waiting.
    weather = Weather(asked.seed, asked.cuts, asked.cuts // 100, asked.events)
    print(f"{asked.events:,} events through {asked.cuts:,} cuts, seed {asked.seed}")
    served = Served()
    try:
        served.begin()
        results = [_prove(served, weather, each, loop) for each in TRANSPORTS for loop in LOOPS]
    finally:
        served.close()
    return 0 if all(results) else 1


def _prove(served: Served, weather: Weather, transport: str, loop: str) -> bool:
    storm = Storm(served.live, weather, transport)
    began = time.perf_counter()
    try:
        anyio.run(_within, storm, backend=loop)
        storm.judge()
    except (AssertionError, TimeoutError) as error:
        print(f"  {transport:9} {loop:7} DOES NOT HOLD: {error}", flush=True)
        return False
    seconds = time.perf_counter() - began
    told = f"{len(storm.items):,} events through {storm.proxy.connections:,} connections"
    print(f"  {transport:9} {loop:7} {told} in {seconds:.0f} s: holds", flush=True)
    return True


async def _within(storm: Storm) -> None:
    with anyio.fail_after(LONGEST):
        await storm.run()


if __name__ == "__main__":
    sys.exit(main())
