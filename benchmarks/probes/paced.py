"""A producer that logs at a fixed rate, in turns among its sessions; each line tells its time.

Arguments: the store's URL, the sessions, the events, how many of them a second.
"""

import sys
import time
from contextlib import ExitStack

from agentprogress import SessionRegistry, Settings

from ..payload import line
from .turns import answer, wait

PATIENCE = 30.0


def main(url: str, sessions: int, events: int, rate: float) -> None:
    lines = [line(number) for number in range(events)]
    settings = Settings(max_sessions=max(sessions, Settings().max_sessions))
    with SessionRegistry(settings, store=url) as registry, ExitStack() as opened:
        running = [opened.enter_context(registry.open()) for _ in range(sessions)]
        for session in running:
            session.flush_sync(PATIENCE)
        answer([session.id for session in running])
        wait()
        cpu, began = time.process_time(), time.monotonic()
        for number, text in enumerate(lines):
            early = began + number / rate - time.monotonic()
            if early > 0:
                time.sleep(early)
            running[number % sessions].log(text, sent=time.monotonic())
        seconds = time.monotonic() - began
        for session in running:
            session.flush_sync(PATIENCE)
        answer({"seconds": seconds, "cpu_seconds": time.process_time() - cpu})
        # Whoever follows wants to have everything before the sessions end.
        wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
