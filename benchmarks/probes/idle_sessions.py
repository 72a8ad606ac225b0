"""The resident memory of one idle session, after a full garbage collection."""

import asyncio
import gc
import os
import sys
from contextlib import ExitStack

from agentprogress import SessionRegistry, Settings

from ..servers import resident_bytes

WARM_UP = 500
TURN = 0.5


async def measure(sessions: int) -> None:
    """Opens idle sessions, prints the memory of one, and ends the process."""
    settings = Settings(max_sessions=sessions + WARM_UP, max_store_bytes=2**30)
    async with SessionRegistry(settings=settings) as registry:
        opened = ExitStack()

        def open_sessions(count: int) -> None:
            for number in range(count):
                opened.enter_context(registry.open(title=f"Report {number}"))

        open_sessions(WARM_UP)
        before = collected_bytes()
        open_sessions(sessions)
        # The loop gets its turn, so that what it keeps for each session is counted too.
        await asyncio.sleep(TURN)
        print((collected_bytes() - before) / sessions, flush=True)
        # Leaving so many sessions one by one takes long and is not what is measured.
        os._exit(0)


def collected_bytes() -> int:
    """Returns the resident memory of this process after a full garbage collection."""
    gc.collect()
    return resident_bytes(os.getpid())


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1])))
