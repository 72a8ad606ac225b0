"""What the tests of a store share: how one is made, and short ways to say what is asked of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from .._core.states import SessionStatus
from ..abc import (
    Append,
    Appended,
    Claim,
    Ending,
    Expected,
    Lease,
    Log,
    Position,
    Refused,
    Store,
    Stored,
)

__all__ = [
    "EPOCH",
    "LONG",
    "NEXT_EPOCH",
    "PAST_SOON",
    "SOON",
    "StoreCase",
    "append",
    "at_once",
    "claim",
    "ending",
    "event",
    "events",
    "seen",
    "session_lease",
]

T = TypeVar("T")

EPOCH = "Epoch00001"
NEXT_EPOCH = "Epoch00002"

# What is to run out runs out soon, and what is to stay stays for longer than any test takes: a
# store whose time cannot be moved by hand is waited for.
SOON = 0.2
PAST_SOON = 0.3
LONG = 600.0

# Seconds within which threads are done, unless they are stuck.
_WITHIN = 30.0


class StoreCase:
    """What a store's test file provides; see `StoreTests`."""

    def make_store(self) -> Store:
        """Returns a new store that has nothing in it; it is closed after the test."""
        raise NotImplementedError("A store's tests say how to make one.")

    def pass_time(self, store: Store, seconds: float) -> None:
        """Lets time pass on the store's clock: moves it, or waits where it cannot be moved."""
        raise NotImplementedError("A store's tests say how its time passes.")

    def connect_again(self, store: Store) -> Store:
        """Returns what another process would use to reach the same sessions; closed as well.

        A store that lives in one process returns itself.
        """
        return store

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """A connected store that is closed after the test."""
        store = self.make_store()
        store.connect()
        yield store
        store.close()

    @contextmanager
    def second(self, store: Store) -> Generator[Store]:
        """A second connection to the same sessions."""
        again = self.connect_again(store)
        again.connect()
        try:
            yield again
        finally:
            if again is not store:
                again.close()

    # Short ways to ask

    def begin(self, store: Store, session_id: str = "s", **claimed: Any) -> None:
        """Claims a session that is granted."""
        assert store.claim(claim(session_id, **claimed))

    def add(self, store: Store, wanted: Append) -> Appended:
        """Appends what is not refused."""
        [answer] = store.append([wanted])
        assert isinstance(answer, Appended), answer
        return answer

    def refused(self, store: Store, wanted: Append) -> Refused:
        """Appends what is refused, and sees to it that nothing has changed by that."""
        before = seen(store, wanted.session_id)
        [answer] = store.append([wanted])
        assert isinstance(answer, Refused), answer
        assert seen(store, wanted.session_id) == before
        return answer

    def found(self, store: Store, session_id: str = "s") -> Stored:
        """Finds what is there."""
        found = store.find(session_id)
        assert found is not None
        return found

    def log(self, store: Store, epoch: str | None = None, seq: int = 0) -> Log:
        """Reads what is there."""
        [log] = store.read([Position("s", epoch, seq)])
        assert log is not None
        return log

    def end(self, store: Store, session_id: str = "s", **lives: Any) -> Appended:
        """Appends a terminal event."""
        last = append(
            event("end"),
            session_id=session_id,
            status=SessionStatus.COMPLETED,
            ending=ending(**lives),
        )
        return self.add(store, last)


def event(name: object) -> bytes:
    """Returns an entry."""
    return b'{"time":"2025-06-15T15:06:40.000Z","type":"log.message","message":"%s"}' % (
        str(name).encode()
    )


def events(count: int) -> list[bytes]:
    """Returns entries that differ."""
    return [event(number) for number in range(count)]


def claim(session_id: str = "s", **claimed: Any) -> Claim:
    """Returns the claim of a new running session, but for what is said."""
    first = Claim(
        session_id,
        expected=None,
        epoch=EPOCH,
        status=SessionStatus.RUNNING,
        attempt=1,
        fence=1,
        owner=None,
        created=1_750_000_000.25,
        details=b'{"title":"a"}',
        ttl=LONG,
        lease=LONG,
    )
    return replace(first, **claimed)


def append(*entries: bytes, session_id: str = "s", epoch: str = EPOCH, **more: Any) -> Append:
    """Returns an append."""
    return Append(session_id, epoch, entries, **more)


def ending(**lives: Any) -> Ending:
    """Returns an ending that is kept for long, but for what is said."""
    end = Ending("2025-06-15T15:06:41.000Z", b'{"state":1}', b'{"result":1}', LONG, LONG, LONG)
    return replace(end, **lives)


def session_lease(ttl: float = LONG, **more: Any) -> Lease:
    """Returns a renewal."""
    return replace(Lease("s", EPOCH, 1, ttl), **more)


def expected(stored: Stored, *, lapsed: bool = False) -> Expected:
    """Returns the expectation of what was found."""
    return Expected(stored.epoch, stored.fence, stored.status, lapsed)


def seen(store: Store, session_id: str = "s") -> tuple[object, ...]:
    """Returns all that can be seen of a session and does not change by itself."""
    found = store.find(session_id)
    [log] = store.read([Position(session_id)])
    return (
        None if found is None else replace(found, lease_left=None),
        None if found is None else found.lease_left is None,
        None if log is None else (log.first, tuple(log.entries), log.base),
        store.result(session_id),
    )


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Runs each job in a thread, all from one moment; returns what they return, in their order.

    Raises what the first of them raises.
    """
    start = threading.Barrier(len(jobs))
    done: dict[int, T] = {}
    failed: list[BaseException] = []

    def run(number: int, job: Callable[[], T]) -> None:
        try:
            start.wait(_WITHIN)
            done[number] = job()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            failed.append(error)

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(jobs)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(_WITHIN)
    if failed:
        raise failed[0]
    assert len(done) == len(jobs), "A job does not come to an end."
    return [done[number] for number in range(len(jobs))]
