"""When the index of a Redis store is told that sessions live on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from agentprogress._core.states import SessionStatus
from agentprogress.stores._redis.index import Index
from agentprogress.stores._redis.keys import Command, Keys
from agentprogress.testing import ManualClock
from agentprogress.testing._store_case import append, claim, ending, event

SESSIONS = tuple("abcde")


class Told:
    """Stands in the place of a server, which `test_redis_lives.py` has.

    Attributes:
        times: of the calls in which something was told, by session.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.calls = 0
        self.times: dict[str, list[float]] = {}

    def run(self, commands: Sequence[Command], *, first: Command | None = None) -> list[Any]:
        self.calls += 1
        for command in commands:
            for word, session_id in pairwise(command.arguments):
                if word == "live":
                    self.times.setdefault(str(session_id), []).append(self._clock.monotonic())
        return [1] * len(commands)


class Writer:
    """A process that owns some sessions and appends to them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told = Told(self.clock)
        self._index = Index(Keys("test"), self.told, self.clock.monotonic)
        for each in SESSIONS:
            self._index.write([self._index.put(claim(each))])
            self.clock.jump(0.09)
        self.told.calls = 0

    def append(self, *session_ids: str, **options: Any) -> None:
        options.setdefault("fence", 1)
        appends = [append(event(1), session_id=each, **options) for each in session_ids]
        self._index.write(self._index.after(appends))


def test_sessions_that_are_written_all_the_time_are_told_of_together_and_within_a_second() -> None:
    writer = Writer()
    begun = writer.clock.monotonic()
    for number in range(100):
        writer.append(SESSIONS[number % len(SESSIONS)])
        writer.clock.jump(0.1)
    assert writer.told.calls <= 20
    for each in SESSIONS:
        times = [begun, *writer.told.times[each]]
        # An append that comes just too late for one call is in the next one.
        assert max(after - before for before, after in pairwise(times)) <= 1.0


def test_of_a_session_that_has_ended_nothing_is_told_that_it_lives() -> None:
    writer = Writer()
    writer.append("a")
    writer.append("a", status=SessionStatus.COMPLETED, ending=ending())
    writer.clock.jump(5)
    writer.append("b")
    assert set(writer.told.times) == {"b"}


def test_what_somebody_else_writes_is_told_at_once() -> None:
    writer = Writer()
    writer.clock.jump(0.5)
    writer.append("a")
    writer.append("b", fence=None)
    assert set(writer.told.times) == {"a", "b"}
