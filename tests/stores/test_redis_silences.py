"""Nodes of a Redis Cluster that do not answer, and how often they are asked all the same."""

from __future__ import annotations

import pytest

from agentprogress.stores._redis.cluster import Silences
from agentprogress.testing import ManualClock


class Node:
    """One that answers, or fails after so many seconds."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.fails_after: float | None = None
        self.asked = 0

    def answer(self) -> str:
        self.asked += 1
        if self.fails_after is not None:
            self._clock.jump(self.fails_after)
            raise TimeoutError
        return "here"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def silences(clock: ManualClock) -> Silences:
    return Silences(clock.monotonic)


def test_one_that_hangs_is_left_alone_for_longer_than_it_has_kept_us(
    clock: ManualClock, silences: Silences
) -> None:
    node = Node(clock)
    node.fails_after = 5
    for _ in range(20):
        with pytest.raises(TimeoutError):
            silences.ask("a", node.answer)
        clock.jump(1)
    assert node.asked == 1
    assert silences.ask("b", lambda: "others are asked") == "others are asked"
    node.fails_after = None
    clock.jump(1)
    assert [silences.ask("a", node.answer) for _ in range(2)] == ["here"] * 2


def test_one_that_turns_us_away_at_once_is_asked_each_time(
    clock: ManualClock, silences: Silences
) -> None:
    node = Node(clock)
    node.fails_after = 0
    for _ in range(3):
        with pytest.raises(TimeoutError):
            silences.ask("a", node.answer)
    node.fails_after = None
    assert silences.ask("a", node.answer) == "here"
    assert node.asked == 4
