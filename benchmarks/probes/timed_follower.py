"""A reader of sessions elsewhere that tells how old each event was when it came.

Arguments: the store's URL, the events, the ids of the sessions.
"""

import sys
import time
from dataclasses import asdict

import anyio

from agentprogress import SessionRegistry
from agentprogress.events import LogMessage

from .costs import Timed
from .turns import answer


async def main(url: str, events: int, session_ids: list[str]) -> None:
    ages: list[float] = []
    missing = len(session_ids)
    cpu = 0.0
    async with SessionRegistry(store=url) as registry, anyio.create_task_group() as tasks:

        async def follow(session_id: str) -> None:
            nonlocal missing, cpu
            async with registry.subscribe(session_id) as subscription:
                missing -= 1
                if missing == 0:
                    cpu = time.process_time()
                    answer("ready")
                async for event in subscription.events():
                    if isinstance(event, LogMessage):
                        assert isinstance(event.fields, dict)
                        ages.append((time.monotonic() - event.fields["sent"]) * 1_000)
                    if len(ages) == events:
                        tasks.cancel_scope.cancel()

        for session_id in session_ids:
            tasks.start_soon(follow, session_id)
    answer(asdict(Timed(sorted(ages), time.process_time() - cpu)))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3:])
