"""How long a Redis store's keys live, and what its index does about sessions that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from agentprogress._core.states import SessionStatus
from agentprogress.abc import Append, Appended, Lease, Refused
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import EPOCH, LONG, append, claim, ending, event, expected

from .engines import Engine, ask, until

pytestmark = pytest.mark.server

_INDEX = "agentprogress:{_}:"


@pytest.fixture
def store(engine: Engine) -> Iterator[RedisStore]:
    store = RedisStore(engine.url)
    yield store
    store.close()


@pytest.fixture
def client(engine: Engine) -> Iterator[redis.Redis]:
    with engine.client() as client:
        yield client


def last(session_id: str = "s", **lives: Any) -> Append:
    return append(
        event("end"),
        session_id=session_id,
        status=SessionStatus.COMPLETED,
        ending=ending(**lives),
    )


def lives(client: redis.Redis, key: str) -> float:
    """Returns the seconds that a key will live; it must not live for ever."""
    left: Any = client.pttl(key)
    assert left > 0, key
    return float(left) / 1_000


def test_every_key_of_a_running_session_goes_by_itself(
    store: RedisStore, client: redis.Redis
) -> None:
    assert store.claim(claim(ttl=50, lease=20, owner="me", base_seq=3, base=b"base"))
    store.append([append(event(1), once="key", lease=30.0)])
    keys = [f"agentprogress:{{s}}:{each}" for each in "mebd"]
    assert set(names(client)) == {
        *keys,
        *(_INDEX + each for each in ("due", "entries", "lives", "order")),
    }
    for key in keys:
        assert 45 < lives(client, key) <= 50
    for key in names(client, _INDEX + "*"):
        assert 45 < lives(client, key) <= 51


def test_after_an_end_every_key_has_its_own_time(store: RedisStore, client: redis.Redis) -> None:
    assert store.claim(claim(ttl=LONG))
    store.append([last(history_ttl=20.0, result_ttl=40.0, tombstone_ttl=30.0)])
    times = {key.rpartition(":")[2]: lives(client, key) for key in names(client)}
    planned = {"e": 20, "d": 40, "s": 40, "r": 40, "m": 70}
    # What had the longest life before has none now: the index goes with it.
    planned |= dict.fromkeys(("due", "entries", "lives", "order"), 41)
    assert {name: round(time) for name, time in times.items()} == planned


def test_after_the_last_time_nothing_is_left_although_nobody_sweeps(
    store: RedisStore, client: redis.Redis
) -> None:
    assert store.claim(claim("running", ttl=0.3, lease=0.1))
    assert store.claim(claim("ended", owner="me"))
    store.append([last("ended", history_ttl=0.1, result_ttl=0.2, tombstone_ttl=0.2)])
    assert store.claim(claim("deleted", owner="me"))
    store.append([last("deleted")])
    assert store.delete("deleted", 0.2)
    store.close()
    until(lambda: client.dbsize() == 0)


@pytest.mark.parametrize("keeps", ["append", "renew", "claim"])
def test_what_goes_on_is_kept_and_so_is_its_place_in_the_list(
    store: RedisStore, client: redis.Redis, keeps: str
) -> None:
    assert store.claim(claim(ttl=LONG))
    for key in names(client):
        client.pexpire(key, 5_000)
    again = RedisStore(client_url(client))
    if keeps == "append":
        again.append([append(event(1))])
    elif keeps == "renew":
        assert again.renew([Lease("s", EPOCH, 1, 10)]) == [True]
    else:
        found = again.find("s")
        assert found is not None
        assert again.claim(claim(expected=expected(found), fence=2))
    again.close()
    for key in names(client):
        assert lives(client, key) > LONG - 30


@pytest.mark.parametrize("again", ["refused", "repeated"])
def test_what_changes_nothing_keeps_no_index(
    store: RedisStore, client: redis.Redis, again: str
) -> None:
    assert store.claim(claim(ttl=LONG))
    first = append(event(1), producer_id="p", producer_seq=1)
    store.append([first])
    store.append([last(result_ttl=20.0)])
    wanted = first if again == "repeated" else append(event("late"))
    other = RedisStore(client_url(client))
    [answer] = other.append([wanted])
    other.close()
    assert answer == Appended(1, 2, repeated=True) or isinstance(answer, Refused)
    for key in names(client, _INDEX + "*"):
        assert lives(client, key) <= 21


def test_an_append_whose_call_to_the_index_failed_is_told_of_with_the_next_one(
    store: RedisStore, client: redis.Redis
) -> None:
    assert store.claim(claim(ttl=LONG))
    other = RedisStore(client_url(client))
    for key in names(client, _INDEX + "*"):
        client.pexpire(key, 5_000)
    client.rename(_INDEX + "entries", "kept")
    client.set(_INDEX + "entries", "a stranger", px=5_000)
    other.append([append(event(1))])
    client.rename("kept", _INDEX + "entries")
    other.append([append(event(2))])
    other.close()
    for key in names(client, _INDEX + "*"):
        assert lives(client, key) > LONG - 30


def names(client: redis.Redis, pattern: str = "*") -> list[str]:
    found: list[bytes] = ask(client, "KEYS", pattern)
    return [key.decode() for key in found]


def client_url(client: redis.Redis) -> str:
    told = client.connection_pool.connection_kwargs
    return f"redis://{told['host']}:{told['port']}/0"


def test_sessions_that_vanished_leave_the_index_when_they_are_met(
    store: RedisStore, client: redis.Redis
) -> None:
    for name in "abc":
        assert store.claim(claim(name, owner="me", lease=0.0))
    client.delete(*(f"agentprogress:{{{name}}}:m" for name in "ab"))
    assert [each.session.session_id for each in store.overdue(9)] == ["c"]
    assert client.zcard(_INDEX + "due") == 1
    assert client.hlen(_INDEX + "entries") == 1
    assert client.zcard(_INDEX + "order") == 2
    client.delete("agentprogress:{c}:m")
    client.zadd(_INDEX + "lives", {"c": 1.0})  # as when its time has come
    assert store.sweep(9) == 1
    assert names(client, _INDEX + "*") == []


def test_an_index_that_was_lost_is_written_again(store: RedisStore, client: redis.Redis) -> None:
    assert store.claim(claim(owner="me", lease=None))
    client.delete(*names(client, _INDEX + "*"))
    assert store.list(owner="me", status=None, limit=9, after=None) == []
    # A renewal gives only a time to look; who looks then finds that it is not listed.
    assert store.renew([Lease("s", EPOCH, 1, 0)]) == [True]
    assert [each.session.session_id for each in store.overdue(9)] == ["s"]
    for owner in ("me", None):
        assert len(store.list(owner=owner, status=None, limit=9, after=None)) == 1


def test_a_claim_that_died_in_the_middle_is_looked_after(
    store: RedisStore, client: redis.Redis
) -> None:
    assert store.claim(claim(lease=0.0))
    # As it is when the process dies before the second call: the time to look stands, no more.
    client.delete(_INDEX + "entries", _INDEX + "order", _INDEX + "lives")
    assert [each.session.session_id for each in store.overdue(9)] == ["s"]
    assert len(store.list(owner=None, status=None, limit=9, after=None)) == 1


def test_hints_that_come_too_early_are_put_right(store: RedisStore, client: redis.Redis) -> None:
    ids = [f"s{number}" for number in range(300)]
    for name in ids:
        assert store.claim(claim(name, ttl=LONG, lease=0.0 if name == "s299" else LONG))
    client.zadd(_INDEX + "due", dict.fromkeys(ids, 1.0))
    assert [each.session.session_id for each in store.overdue(9)] == ["s299"]
    # All but the one that is due were moved to when they are.
    assert client.zcount(_INDEX + "due", 0, 1) == 1


def test_pages_of_a_long_list_join(store: RedisStore) -> None:
    ids = [f"s{number:03}" for number in range(300)]
    for number, name in enumerate(ids):
        owner = "me" if number % 2 else "you"
        assert store.claim(claim(name, owner=owner, created=1_000.0 + number // 2))
    listed = store.list(owner=None, status=None, limit=1_000, after=None)
    assert [each.session_id for each in listed] == ids
    listed = store.list(owner="me", status="running", limit=140, after="s010")
    assert [each.session_id for each in listed] == ids[11::2][:140]


@pytest.mark.parametrize("owner", ["", "a\0b", "ü {x}", "a", "ab"])
def test_owners_are_told_apart_whatever_they_are_called(store: RedisStore, owner: str) -> None:
    others = [each for each in ("", "a\0b", "ü {x}", "a", "ab", "a\1") if each != owner]
    for number, each in enumerate([owner, *others]):
        assert store.claim(claim(f"s{number}", owner=each))
    listed = store.list(owner=owner, status=None, limit=9, after=None)
    assert [(each.session_id, each.owner) for each in listed] == [("s0", owner)]
