"""A gateway without a network: many subscribers of one session that runs elsewhere.

Arguments: the store's URL, the session's id, the subscribers. It tells when it is there, and then
its deliveries, when the first and the last one came, and its processor time.
"""

import sys
import time

import anyio

from agentprogress import SessionRegistry

from .turns import answer


async def main(url: str, session_id: str, subscribers: int) -> None:
    deliveries = there = 0
    began = ended = cpu = 0.0
    async with SessionRegistry(store=url) as registry, anyio.create_task_group() as tasks:

        async def follow() -> None:
            nonlocal deliveries, there, began, ended, cpu
            async with registry.subscribe(session_id) as subscription:
                there += 1
                if there == subscribers:
                    cpu = time.process_time()
                    answer("ready")
                async for _ in subscription.events():
                    deliveries += 1
                    ended = time.monotonic()
                    began = began or ended

        for _ in range(subscribers):
            tasks.start_soon(follow)
    answer([deliveries, began, ended, time.process_time() - cpu])


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
