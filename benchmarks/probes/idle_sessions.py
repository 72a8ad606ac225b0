"""The resident memory of one idle session, after a full garbage collection."""

import asyncio
import gc
import os
import sys
from contextlib import ExitStack

from agentprogress import SessionRegistry, Settings

from ..servers import resident_bytes

WARM_UP = 500


async def measure(sessions: int) -> float:
    """Opens idle sessions in this process and returns the memory of one."""
    settings = Settings(max_sessions=sessions + WARM_UP, max_store_bytes=2**30)
    with ExitStack() as opened:
        async with SessionRegistry(settings=settings) as registry:
            for number in range(WARM_UP):
                opened.enter_context(registry.open(title=f"Report {number}"))
            before = collected_bytes()
            for number in range(sessions):
                opened.enter_context(registry.open(title=f"Report {number}"))
            await asyncio.sleep(0)
            cost = (collected_bytes() - before) / sessions
            print(cost, flush=True)
            # Leaving so many sessions one by one takes long and is not what is measured.
            os._exit(0)


def collected_bytes() -> int:
    """Returns the resident memory of this process after a full garbage collection."""
    gc.collect()
    return resident_bytes(os.getpid())


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1])))
