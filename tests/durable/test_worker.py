from __future__ import annotations

import threading

from agentprogress._clock import SystemClock
from agentprogress._durable.worker import Worker


def test_a_thread_that_outlives_its_stop_takes_no_turn_beside_the_next_one() -> None:
    begun, go_on, again = threading.Event(), threading.Event(), threading.Event()
    turns: list[threading.Thread] = []

    def turn() -> None:
        turns.append(threading.current_thread())
        if len(turns) == 1:
            begun.set()
            assert go_on.wait(10)
        else:
            again.set()

    worker = Worker("tested", SystemClock(), turn)
    worker.wake()
    assert begun.wait(10)
    worker.stop(0)
    worker.wake()
    assert again.wait(10)
    go_on.set()
    turns[0].join(10)
    assert not turns[0].is_alive()
    worker.stop(10)
    assert turns.count(turns[0]) == 1
    assert not turns[-1].is_alive()
