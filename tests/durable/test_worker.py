from __future__ import annotations

import sys
import threading

import pytest

from agentprogress._clock import SystemClock
from agentprogress._durable.worker import Worker


class Turns:
    """What a worker does: each turn waits until it is let go.

    Attributes:
        threads: who took each turn.
    """

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self._begun = threading.Semaphore(0)
        self._go_on = threading.Semaphore(0)

    def take(self) -> None:
        self.threads.append(threading.current_thread())
        self._begun.release()
        assert self._go_on.acquire(timeout=10)

    def begun(self) -> None:
        assert self._begun.acquire(timeout=10)

    def go_on(self) -> None:
        self._go_on.release()


def test_a_thread_that_outlives_its_stop_takes_no_further_turn() -> None:
    turns = Turns()
    worker = Worker("tested", SystemClock(), turns.take)
    worker.wake()
    turns.begun()
    worker.stop(0)
    turns.go_on()
    turns.threads[0].join(10)
    assert not turns.threads[0].is_alive()
    assert len(turns.threads) == 1


def test_no_thread_begins_beside_one_that_outlives_its_stop() -> None:
    turns = Turns()
    worker = Worker("tested", SystemClock(), turns.take)
    worker.wake()
    turns.begun()
    worker.stop(0)
    worker.wake()
    assert worker.running
    assert [each.name for each in threading.enumerate()].count("tested") == 1
    turns.go_on()
    turns.begun()
    turns.go_on()
    worker.stop(10)
    assert turns.threads == [turns.threads[0]] * 2
    assert not turns.threads[0].is_alive()


def test_after_a_stop_another_thread_begins() -> None:
    turns = Turns()
    worker = Worker("tested", SystemClock(), turns.take)
    for _ in range(2):
        worker.wake()
        turns.begun()
        turns.go_on()
        worker.stop(10)
        assert not worker.running
    first, second = turns.threads
    assert first is not second


def test_a_thread_goes_on_whatever_a_turn_raises(caplog: pytest.LogCaptureFixture) -> None:
    again = threading.Event()

    def turn() -> None:
        if caplog.records:
            again.set()
        else:
            worker.wake()
            sys.exit(3)

    worker = Worker("tested", SystemClock(), turn)
    worker.wake()
    assert again.wait(10)
    worker.stop(10)
    assert "tested failed" in caplog.records[0].getMessage()
