"""A producer that logs as fast as it can and waits until everything is stored.

Arguments: the store's URL, the events, the sessions among which they take turns.
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import asdict

from agentprogress import SessionRegistry

from ..payload import line
from .costs import Commits
from .turns import answer, wait

PATIENCE = 120.0


def main(url: str, events: int, sessions: int) -> None:
    lines = [line(number) for number in range(events)]
    with SessionRegistry(store=url) as registry, ExitStack() as opened:
        running = [opened.enter_context(registry.open()) for _ in range(sessions)]
        for session in running:
            session.flush_sync(PATIENCE)
        answer("ready")
        wait()
        cpu, began = time.process_time(), time.monotonic()
        for number, text in enumerate(lines):
            running[number % sessions].log(text)
        emitted = time.monotonic()
        for session in running:
            session.flush_sync(PATIENCE)
        stored = time.monotonic()
        cpu = time.process_time() - cpu
        dropped = sum(session.dropped for session in running)
        answer(asdict(Commits(events, began, emitted, stored, cpu, dropped)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
