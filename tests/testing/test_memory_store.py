"""How the memory store breaks on demand, and how registries of one process share it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from agentprogress._core.states import SessionStatus
from agentprogress.abc import (
    Append,
    Appended,
    Claim,
    Ending,
    Lease,
    Listener,
    Position,
    Refusal,
    Refused,
    Store,
    Trim,
)
from agentprogress.errors import StoreUnavailable
from agentprogress.stores.memory import MemoryStore
from agentprogress.testing import ManualClock

RUNNING = SessionStatus.RUNNING
CLAIM = Claim("s", None, "Epoch00001", RUNNING, 1, 1, None, 1.0, b"{}", ttl=600, lease=30)
APPEND = Append("s", "Epoch00001", (b"{}", b"{}"), producer_id="p", producer_seq=1)
END = replace(
    APPEND,
    producer_seq=2,
    status=SessionStatus.COMPLETED,
    ending=Ending("2025-06-15T15:06:41.000Z", b"{}", b"1", 600, 600, 600),
)

CALLS: list[Callable[[Store], object]] = [
    lambda store: store.connect(),
    lambda store: store.find("s"),
    lambda store: store.claim(CLAIM),
    lambda store: store.append([APPEND]),
    lambda store: store.append([]),
    lambda store: store.read([Position("s")]),
    lambda store: store.heads(["s"]),
    lambda store: store.trim(Trim("s", "Epoch00001", 1, 1, b"")),
    lambda store: store.renew([Lease("s", "Epoch00001", 1, 30)]),
    lambda store: store.overdue(9),
    lambda store: store.result("s"),
    lambda store: store.delete("s", 1),
    lambda store: store.list(owner=None, status=None, limit=9, after=None),
    lambda store: store.sweep(9),
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    store = MemoryStore(clock=clock)
    assert store.claim(CLAIM)
    return store


@pytest.fixture
def listener(store: MemoryStore) -> Listener:
    listener = store.listen()
    listener.follow(["s"])
    return listener


@pytest.mark.parametrize("call", CALLS)
def test_nothing_can_be_asked_of_a_store_that_is_away(
    store: MemoryStore, call: Callable[[Store], object]
) -> None:
    store.available = False
    with pytest.raises(StoreUnavailable):
        call(store)
    store.available = True
    call(store)


def test_what_is_in_a_store_that_was_away_is_there_again(store: MemoryStore) -> None:
    store.append([APPEND])
    store.available = False
    with pytest.raises(StoreUnavailable):
        store.append([replace(APPEND, producer_seq=2)])
    store.available = True
    assert store.append([APPEND]) == [Appended(1, 2, repeated=True)]


def test_what_was_asked_is_done_though_the_answer_is_lost(store: MemoryStore) -> None:
    store.answering = False
    with pytest.raises(StoreUnavailable):
        store.append([APPEND])
    store.answering = True
    assert store.append([APPEND]) == [Appended(1, 2, repeated=True)]


@pytest.mark.parametrize(
    "call",
    [
        lambda listener: listener.wait(0),
        lambda listener: listener.follow(["t"]),
        lambda listener: listener.unfollow(["s"]),
    ],
)
def test_a_listener_fails_while_the_store_is_away(
    store: MemoryStore, listener: Listener, call: Callable[[Listener], object]
) -> None:
    store.available = False
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            call(listener)


def test_a_listener_forgets_whom_it_follows_and_says_so_once(
    store: MemoryStore, listener: Listener
) -> None:
    store.append([APPEND])
    store.available = False
    store.available = True
    with pytest.raises(StoreUnavailable):
        listener.wait(0)
    store.append([replace(APPEND, producer_seq=2)])
    assert listener.wait(0) == {}
    listener.follow(["s"])
    store.append([replace(APPEND, producer_seq=3)])
    assert listener.wait(0) == {"s": "Epoch00001-6"}


def test_an_outage_ends_a_wait(store: MemoryStore, listener: Listener, clock: ManualClock) -> None:
    failed: list[StoreUnavailable] = []
    begun = threading.Event()

    def wait() -> None:
        with clock.at_work():
            begun.set()
            try:
                listener.wait(600)
            except StoreUnavailable as error:
                failed.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert begun.wait(10)
    clock.advance_sync(599)
    assert thread.is_alive()
    store.available = False
    thread.join(10)
    assert len(failed) == 1


def test_a_wait_ends_by_virtual_time(listener: Listener, clock: ManualClock) -> None:
    woken: list[object] = []
    begun = threading.Event()

    def wait() -> None:
        with clock.at_work():
            begun.set()
            woken.append(listener.wait(15))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert begun.wait(10)
    clock.advance_sync(14)
    assert woken == []
    clock.advance_sync(1)
    assert woken == [{}]
    thread.join(10)


def test_a_silent_store_wakes_nobody(store: MemoryStore, listener: Listener) -> None:
    store.silent = True
    store.append([APPEND])
    store.silent = False
    assert listener.wait(0) == {}
    store.append([replace(APPEND, producer_seq=2)])
    assert listener.wait(0) == {"s": "Epoch00001-4"}


def test_what_is_lost_is_the_tail_and_what_came_with_it(store: MemoryStore) -> None:
    store.append([APPEND, replace(APPEND, producer_seq=2, once="key", mark="lost")])
    store.lose("s", 2)
    [log] = store.read([Position("s")])
    assert log is not None
    assert (log.session.head, len(log.entries)) == (2, 2)
    [behind] = store.append([replace(APPEND, producer_seq=3, known_head=4)])
    assert isinstance(behind, Refused)
    assert behind.why is Refusal.BEHIND
    assert store.append([replace(APPEND, producer_seq=4, once="key", mark="new")]) == [
        Appended(3, 4, mark="new")
    ]


def test_an_end_may_be_lost(store: MemoryStore) -> None:
    store.append([APPEND, END])
    store.lose("s", 1)
    found = store.find("s")
    assert found is not None
    assert (found.status, found.head, found.ended_at) == (RUNNING, 3, None)
    assert store.result("s") is None
    store.lose("s", 99)
    found = store.find("s")
    assert found is not None
    assert (found.head, found.oldest) == (0, 1)
    store.lose("s", 1)
    assert store.find("s") == found


def test_a_store_may_be_wiped(store: MemoryStore, listener: Listener) -> None:
    store.append([APPEND])
    assert listener.wait(0) == {"s": "Epoch00001-2"}
    store.wipe()
    assert store.find("s") is None
    assert store.list(owner=None, status=None, limit=9, after=None) == []
    assert store.append([APPEND]) == [Refused(Refusal.UNKNOWN)]
    assert listener.wait(0) == {}


def test_a_closed_listener_is_told_nothing(store: MemoryStore, listener: Listener) -> None:
    listener.close()
    store.append([APPEND])
    store.available = False
    store.available = True
    assert listener.wait(0) == {}
