"""The index of a Redis store, when who writes it is late or dies; and what a look at it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from agentprogress._core.states import SessionStatus
from agentprogress.abc import Append, Lease
from agentprogress.stores._redis.index import Index
from agentprogress.stores._redis.keys import Command
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import (
    EPOCH,
    LONG,
    NEXT_EPOCH,
    append,
    claim,
    ending,
    event,
    expected,
)

from .engines import Engine

pytestmark = pytest.mark.server

_DUE = "agentprogress:{_}:due"


class Slow:
    """Calls of a process that can be held up before it writes the index."""

    def __init__(self, store: RedisStore) -> None:
        self._server = store._server
        self._left: list[Sequence[Command]] = []
        self.calls = 0
        store._calls = self
        store._index = Index(store._keys, self)
        self.is_slow = False
        self.in_between: Callable[[], object] | None = None

    def run(self, commands: Sequence[Command], *, first: Command | None = None) -> list[Any]:
        self.calls += bool(commands)  # nobody is asked for nothing
        if self.is_slow and [each.script for each in commands] == ["index"]:
            self._left.append(commands)
            return [1]
        if first is not None and self.in_between is not None:
            self._server.run([first])
            self.in_between()
            return self._server.run(commands)
        return self._server.run(commands, first=first)

    def go_on(self) -> None:
        """Writes what was left; who never does has died."""
        for commands in self._left:
            self._server.run(commands)


MakeStore = Callable[[], tuple[RedisStore, Slow]]


@pytest.fixture
def make_store(engine: Engine) -> Iterator[MakeStore]:
    with ExitStack() as stack:

        def make() -> tuple[RedisStore, Slow]:
            store = RedisStore(engine.url)
            stack.callback(store.close)
            return store, Slow(store)

        yield make


def overdue(store: RedisStore) -> list[str]:
    return [each.session.session_id for each in store.overdue(999)]


def last(session_id: str = "s", **lives: Any) -> Append:
    return append(
        event("end"),
        session_id=session_id,
        status=SessionStatus.COMPLETED,
        ending=ending(**lives),
    )


def test_a_renewal_that_is_refused_hides_nobody(make_store: MakeStore) -> None:
    store, _ = make_store()
    assert store.claim(claim(fence=2, lease=0.0))
    assert store.renew([Lease("s", EPOCH, 1, LONG)]) == [False]
    assert overdue(store) == ["s"]


@pytest.mark.parametrize(
    "change", [None, append(event(1), status=SessionStatus.WAITING, lease=0.0), last()]
)
def test_a_change_whose_writer_was_held_up_hides_nobody_who_came_later(
    make_store: MakeStore, change: Append | None
) -> None:
    store, slow = make_store()
    other, _ = make_store()
    slow.is_slow = change is None
    assert store.claim(claim())
    slow.is_slow = True
    if change is not None:
        store.append([change])
    found = other.find("s")
    assert found is not None
    epoch = NEXT_EPOCH if found.status.ended else EPOCH
    assert other.claim(
        claim(expected=expected(found), epoch=epoch, fence=2, lease=0.0, ttl=10 * LONG)
    )
    slow.go_on()
    assert overdue(other) == ["s"]


def test_a_deletion_whose_writer_was_held_up_hides_nobody_who_came_later(
    make_store: MakeStore,
) -> None:
    store, slow = make_store()
    other, _ = make_store()
    assert store.claim(claim())
    store.append([last()])
    slow.is_slow = True
    assert store.delete("s", LONG)
    found = other.find("s")
    assert found is not None
    assert other.claim(claim(expected=expected(found), epoch=NEXT_EPOCH, fence=2, lease=0.0))
    slow.go_on()
    assert overdue(other) == ["s"]


def test_who_came_later_is_not_forgotten_with_an_end_that_was_told_late(
    engine: Engine, make_store: MakeStore
) -> None:
    store, slow = make_store()
    assert store.claim(claim())
    slow.is_slow = True
    store.append([last(result_ttl=1.0)])
    other, _ = make_store()
    found = other.find("s")
    assert found is not None
    assert other.claim(claim(expected=expected(found), epoch=NEXT_EPOCH, fence=2, ttl=LONG))
    slow.go_on()
    with engine.client() as client:
        assert client.pttl(_DUE) > 1_000 * (LONG - 30)


def test_a_look_that_was_held_up_hides_nobody_who_came_later_and_died(
    make_store: MakeStore,
) -> None:
    store, slow = make_store()
    assert store.claim(claim(lease=0.0))
    store.append([last()])
    slow.is_slow = True
    assert overdue(store) == []
    other, dies = make_store()
    dies.is_slow = True
    found = other.find("s")
    assert found is not None
    assert other.claim(claim(expected=expected(found), epoch=NEXT_EPOCH, fence=2, lease=0.0))
    slow.go_on()
    assert overdue(make_store()[0]) == ["s"]


def test_a_look_right_before_a_lease_begins_does_not_hide_its_end(make_store: MakeStore) -> None:
    store, slow = make_store()
    assert store.claim(claim(lease=0.0))
    store.append([append(status=SessionStatus.WAITING, lease=0.0)])
    other, _ = make_store()
    slow.in_between = lambda: overdue(other)
    store.append([append(status=SessionStatus.RUNNING, lease=0.000_001)])
    assert overdue(other) == ["s"]


def test_tombstones_hide_nobody(engine: Engine, make_store: MakeStore) -> None:
    store, _ = make_store()
    for number in range(128):
        assert store.claim(claim(f"gone{number}", lease=0.0))
    at_once = {"history_ttl": 0.0, "result_ttl": 0.0}
    store.append([last(f"gone{number}", **at_once) for number in range(128)])
    assert store.claim(claim("late", lease=0.0))
    assert overdue(store) == ["late"]
    with engine.client() as client:
        assert client.zcard(_DUE) == 1


def test_a_sweep_asks_nothing_of_those_that_live(make_store: MakeStore) -> None:
    store, slow = make_store()
    for number in range(200):
        assert store.claim(claim(f"s{number}", lease=0.0))
    assert len(overdue(store)) == 200
    slow.calls = 0
    assert store.sweep(1) == 0
    assert slow.calls == 1


def test_a_look_at_an_index_where_nothing_is_due_is_one_call(make_store: MakeStore) -> None:
    store, slow = make_store()
    assert store.claim(claim(lease=LONG))
    slow.calls = 0
    assert overdue(store) == []
    assert slow.calls == 1
