"""A producer with idle sessions in a store.

Arguments: the store's URL, the sessions. It tells their ids, the memory of one, and how many there
are in all.
"""

import os
import sys
import time
from contextlib import ExitStack

from agentprogress import ProgressSession, SessionRegistry, Settings

from .idle_sessions import collected_bytes
from .turns import answer, wait

WARM_UP = 200
PATIENCE = 60.0
TURN = 0.5


def main(url: str, sessions: int) -> None:
    settings = Settings(max_sessions=sessions + WARM_UP + 1, max_store_bytes=2**30)
    registry = SessionRegistry(settings, store=url)
    opened = ExitStack()

    def open_sessions(count: int) -> list[ProgressSession]:
        made = [
            opened.enter_context(registry.open(title=f"Report {number}")) for number in range(count)
        ]
        for session in made:
            session.flush_sync(PATIENCE)
        time.sleep(TURN)
        return made

    # One alone is no measurement of memory, but of what it costs to be there.
    warm_up = WARM_UP if sessions > 1 else 0
    open_sessions(warm_up)
    before = collected_bytes()
    ids = [session.id for session in open_sessions(sessions)]
    one = (collected_bytes() - before) / sessions
    answer({"ids": ids, "bytes": one, "stored": warm_up + sessions})
    wait()
    # Leaving so many sessions one by one takes long and is not what is measured.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
