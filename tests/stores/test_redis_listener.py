"""Wake-ups over a connection that is cut, is lost, or comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentprogress.abc import Listener
from agentprogress.errors import StoreUnavailable
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import EPOCH, append, claim, ending, event, session_lease

from .conftest import StartEngine
from .engines import Engine, ask, until

pytestmark = pytest.mark.server

_PATIENCE = 10.0


@pytest.fixture
def store(engine: Engine) -> Iterator[RedisStore]:
    store = RedisStore(engine.url)
    assert store.claim(claim("a"))
    yield store
    store.close()


@pytest.fixture
def listener(store: RedisStore) -> Iterator[Listener]:
    listener = store.listen()
    listener.follow(["a"])
    yield listener
    listener.close()


def kill_listeners(engine: Engine) -> None:
    with engine.client() as client:
        assert ask(client, "CLIENT", "KILL", "TYPE", "pubsub") > 0


def add(store: RedisStore, session_id: str = "a") -> None:
    store.append([append(event(1), session_id=session_id)])


def test_a_wake_up_brings_the_cursor_of_the_head(store: RedisStore, listener: Listener) -> None:
    add(store)
    add(store)
    woken: dict[str, str] = {}
    while woken.get("a") != f"{EPOCH}-2":
        woken |= listener.wait(_PATIENCE) or {}


def test_what_is_no_event_hides_behind_no_cursor(store: RedisStore, listener: Listener) -> None:
    assert store.renew([session_lease(session_id="a", stalled="stuck")]) == [True]
    add(store)
    # Both have come before the wait: one answer tells of both, so it has no cursor.
    with_news = [head for head in store.heads(["a"]) if head is not None and head.head == 1]
    assert len(with_news) == 1
    assert listener.wait(_PATIENCE) == {"a": ""}


def test_a_renewal_wakes_only_when_it_tells_something_new(
    store: RedisStore, listener: Listener
) -> None:
    for stalled, woken in (("", {}), ("stuck", {"a": ""}), ("stuck", {}), ("", {"a": ""})):
        assert store.renew([session_lease(session_id="a", stalled=stalled)]) == [True]
        assert listener.wait(_PATIENCE if woken else 0.05) == woken


def test_after_a_cut_all_may_have_news_and_all_are_followed_again(
    engine: Engine, store: RedisStore, listener: Listener
) -> None:
    listener.follow(["b"])
    kill_listeners(engine)
    assert listener.wait(_PATIENCE) is None
    assert listener.wait(0.05) == {}
    add(store)
    assert listener.wait(_PATIENCE) == {"a": f"{EPOCH}-1"}
    assert store.claim(claim("b"))
    assert listener.wait(_PATIENCE) == {"b": ""}


def test_a_cut_during_a_wait_ends_it(engine: Engine, listener: Listener) -> None:
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(listener.wait(60)), daemon=True)
    thread.start()
    kill_listeners(engine)
    thread.join(_PATIENCE)
    assert told == [None]


def test_a_cut_that_follow_finds_is_told_by_the_next_wait(
    engine: Engine, store: RedisStore, listener: Listener
) -> None:
    kill_listeners(engine)
    listener.follow(["b"])
    assert listener.wait(_PATIENCE) is None
    add(store)
    assert listener.wait(_PATIENCE) == {"a": f"{EPOCH}-1"}


def test_when_nobody_is_there_nothing_is_followed_any_more(start_engine: StartEngine) -> None:
    engine = start_engine()
    store = RedisStore(engine.url)
    listener = store.listen()
    listener.follow(["a"])
    engine.stop()
    with pytest.raises(StoreUnavailable, match=str(engine.port)):
        listener.wait(_PATIENCE)
    assert listener.wait(0.01) == {}
    engine.start()
    listener.follow(["b"])
    for name in "ab":
        assert store.claim(claim(name))
    assert listener.wait(_PATIENCE) == {"b": ""}
    listener.close()
    store.close()


def test_what_is_followed_no_more_is_not_followed_on_a_new_connection(
    engine: Engine, store: RedisStore, listener: Listener
) -> None:
    listener.follow(["b", "c"])
    listener.unfollow(["a", "b"])
    kill_listeners(engine)
    assert listener.wait(_PATIENCE) is None
    with engine.client() as client:
        channels = ask(client, "PUBSUB", "CHANNELS")
    assert channels == [b"agentprogress:wake:c"]


def test_a_listener_that_follows_nothing_has_no_connection_to_hear_of(
    engine: Engine, store: RedisStore, listener: Listener
) -> None:
    listener.follow(["b"])
    listener.unfollow(["a", "c"])
    listener.unfollow(["b"])
    listener.follow([])
    store.close()
    with engine.client() as client:
        until(lambda: [each["name"] for each in client.client_list()] == [""])
    assert listener.wait(0.01) == {}
    listener.follow(["a"])
    add(store)
    assert listener.wait(_PATIENCE) == {"a": f"{EPOCH}-1"}


def test_the_end_of_a_listener_is_the_end_of_its_connection(
    engine: Engine, store: RedisStore
) -> None:
    listener = store.listen()
    listener.follow(["a"])
    listener.close()
    listener.interrupt()
    with engine.client() as client:
        until(lambda: ask(client, "PUBSUB", "NUMSUB", "agentprogress:wake:a")[1] == 0)


def test_many_interrupts_are_one(listener: Listener) -> None:
    for _ in range(100_000):
        listener.interrupt()
    told = [listener.wait(0.01) for _ in range(100)]
    assert not any(told)


def test_a_child_listens_for_itself(store: RedisStore, listener: Listener) -> None:
    child = os.fork()
    if child == 0:
        own = store.listen()
        own.follow(["a"])
        add(store)
        os._exit(0 if own.wait(_PATIENCE) == {"a": f"{EPOCH}-1"} else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert listener.wait(_PATIENCE) == {"a": f"{EPOCH}-1"}
    store.append([append(event("end"), session_id="a", status="completed", ending=ending())])
    assert listener.wait(_PATIENCE) == {"a": f"{EPOCH}-2"}
