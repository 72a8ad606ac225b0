"""A process that follows idle sessions of another one, each by one subscriber.

Arguments: the store's URL, the ids. It tells the memory of one, with its subscriber.
"""

import os
import sys
from contextlib import AsyncExitStack

import anyio
import anyio.to_thread

from agentprogress import SessionRegistry

from .idle_sessions import collected_bytes
from .turns import answer, wait

WARM_UP = 100


async def main(url: str, session_ids: list[str]) -> None:
    warm_up = min(WARM_UP, len(session_ids) // 2)
    async with SessionRegistry(store=url) as registry, AsyncExitStack() as followed:

        async def follow(ids: list[str]) -> None:
            for session_id in ids:
                await followed.enter_async_context(registry.subscribe(session_id))

        await follow(session_ids[:warm_up])
        before = collected_bytes()
        await follow(session_ids[warm_up:])
        answer((collected_bytes() - before) / (len(session_ids) - warm_up))
        await anyio.to_thread.run_sync(wait)
        os._exit(0)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2:])
