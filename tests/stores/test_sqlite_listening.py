"""Wake-ups across connections: whose they are, how often is looked, and what trouble does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprogress.abc import Listener
from agentprogress.errors import StoreUnavailable
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing._store_case import EPOCH, append, claim, event, session_lease

_WITHIN = 30.0
_FOR_EVER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "p.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, poll_interval=0.001)
    for session_id in "ab":
        assert store.claim(claim(session_id))
    yield store
    store.close()


@pytest.fixture
def other(path: Path, store: SQLiteStore) -> Iterator[SQLiteStore]:
    """Another connection, as another process would have it."""
    other = SQLiteStore(path)
    yield other
    other.close()


@pytest.fixture
def listener(store: SQLiteStore) -> Iterator[Listener]:
    listener = store.listen()
    yield listener
    listener.close()


def test_only_the_followed_sessions_are_told_with_their_heads(
    listener: Listener, other: SQLiteStore
) -> None:
    listener.follow(["a"])
    other.append([append(event(1), session_id="b")])
    other.append([append(event(1), event(2), session_id="a")])
    assert listener.wait(_WITHIN) == {"a": f"{EPOCH}-2"}
    listener.follow(["b"])
    listener.unfollow(["a", "unknown"])
    other.append([append(event(1), session_id=each) for each in "ab"])
    assert listener.wait(_WITHIN) == {"b": f"{EPOCH}-2"}


def test_what_came_before_it_was_followed_wakes_nobody(
    store: SQLiteStore, listener: Listener, other: SQLiteStore
) -> None:
    other.append([append(event(1), session_id="a")])
    listener.follow(["a"])
    assert listener.wait(0) == {}


def test_a_renewal_wakes_only_where_what_is_wrong_has_changed(
    listener: Listener, other: SQLiteStore
) -> None:
    listener.follow(["a", "b"])
    assert other.renew([session_lease(session_id="a")]) == [True]
    assert other.renew([session_lease(session_id="b", stalled="blocked")]) == [True]
    assert listener.wait(_WITHIN) == {"b": ""}


def test_a_session_that_vanishes_hides_no_news_of_others(
    listener: Listener, other: SQLiteStore, path: Path
) -> None:
    listener.follow(["a"])
    assert other.claim(claim("c", ttl=0.0))
    assert listener.wait(0) == {}
    assert other.sweep(10)
    other.append([append(event(1), session_id="a")])
    assert listener.wait(_WITHIN) == {"a": f"{EPOCH}-1"}


def test_it_looks_no_more_often_than_it_should(path: Path, other: SQLiteStore) -> None:
    store = SQLiteStore(path, poll_interval=_FOR_EVER)
    listener = store.listen()
    listener.follow(["a"])
    assert listener.wait(0) == {}
    other.append([append(event(1), session_id="a")])
    assert listener.wait(0) == {}
    listener.close()
    store.close()


def test_an_interrupt_ends_a_wait_and_is_not_lost_before_one(listener: Listener) -> None:
    listener.follow(["a"])
    for wait_first in (True, False):
        thread = threading.Timer(0, listener.interrupt)
        thread.start()
        if not wait_first:
            thread.join()
        assert listener.wait(_FOR_EVER) == {}
        thread.join()


def test_another_file_in_the_place_of_the_first_is_news_of_all(
    listener: Listener, path: Path, other: SQLiteStore
) -> None:
    listener.follow(["a"])
    assert listener.wait(0) == {}
    for each in path.parent.iterdir():
        each.unlink()
    assert other.claim(claim("a"))
    assert listener.wait(_WITHIN) is None
    other.append([append(event(1), session_id="a")])
    assert listener.wait(_WITHIN) == {"a": f"{EPOCH}-1"}


def test_after_trouble_nothing_is_followed_until_it_is_asked_for_again(
    listener: Listener, path: Path, other: SQLiteStore
) -> None:
    listener.follow(["a"])
    shutil.rmtree(path.parent)
    with pytest.raises(StoreUnavailable, match="folder"):
        listener.wait(_WITHIN)
    assert listener.wait(0) == {}
    with pytest.raises(StoreUnavailable):
        listener.follow(["a"])
    path.parent.mkdir()
    listener.follow(["a"])
    assert other.claim(claim("a"))
    assert listener.wait(_WITHIN) == {"a": ""}
