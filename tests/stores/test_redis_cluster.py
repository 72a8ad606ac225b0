"""A Redis store on three nodes that share the slots."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentprogress.abc import Append, Appended, Listener
from agentprogress.errors import InvalidSettings, StoreUnavailable
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import EPOCH, append, claim, events

from .cluster import Cluster
from .engines import Engine, ask, until

pytestmark = pytest.mark.server

_NAMES = [f"s{number}" for number in range(12)]
_PATIENCE = 10.0


@pytest.fixture
def store(cluster: Cluster) -> Iterator[RedisStore]:
    store = RedisStore.from_url(f"{cluster.url}?cluster=true&socket_timeout=10")
    store.connect()
    yield store
    store.close()


def _appends(number: int) -> list[Append]:
    return [
        append(*events(2), session_id=name, producer_id="p", producer_seq=number) for name in _NAMES
    ]


def test_sessions_are_on_all_nodes_and_one_call_reaches_them(
    cluster: Cluster, store: RedisStore
) -> None:
    assert all(store.claim(claim(name)) for name in _NAMES)
    assert store.append([*_appends(1), *_appends(2)]) == (
        [Appended(1, 2)] * len(_NAMES) + [Appended(3, 4)] * len(_NAMES)
    )
    assert [head and head.head for head in store.heads(_NAMES)] == [4] * len(_NAMES)
    for node in cluster.nodes:
        with node.client() as client:
            assert client.keys("agentprogress:{s*}:m")


def test_a_publication_on_any_node_wakes(store: RedisStore) -> None:
    assert all(store.claim(claim(name)) for name in _NAMES)
    listener = store.listen()
    listener.follow(_NAMES)
    store.append(_appends(1))
    woken: dict[str, str] = {}
    while len(woken) < len(_NAMES):
        woken |= _news(listener)
    # What the nodes tell each other takes its time: a claim from before may have come as well.
    assert set(woken.values()) <= {f"{EPOCH}-2", ""}
    listener.close()


def _news(listener: Listener) -> dict[str, str]:
    news = listener.wait(_PATIENCE)
    assert news
    return dict(news)


def test_a_slot_that_moves_takes_its_sessions_along(
    cluster: Cluster, store: RedisStore, slot: int, source: Engine, target: Engine
) -> None:
    assert all(store.claim(claim(name)) for name in _NAMES)
    store.append(_appends(1))
    _begin_move(slot, source, target)
    _move_keys(slot, source, target)
    # All keys are there, the slot is not; the sessions of all others are written meanwhile.
    with pytest.raises(StoreUnavailable):
        store.append(_appends(2))
    _end_move(cluster, slot, target)
    answers = store.append(_appends(2))
    assert {(a.first, a.head) for a in answers if isinstance(a, Appended)} == {(3, 4)}
    assert [head and head.head for head in store.heads(_NAMES)] == [4] * len(_NAMES)


@pytest.fixture
def source(cluster: Cluster, slot: int) -> Iterator[Engine]:
    """Who has the slot; after the test it has it again."""
    source = _owner(cluster, slot)
    yield source
    holder = _owner(cluster, slot)
    for node in cluster.nodes:
        with node.client() as client:
            client.flushall()
            ask(client, "CLUSTER SETSLOT", slot, "STABLE")
    if holder is not source:
        _end_move(cluster, slot, source)


@pytest.fixture
def target(cluster: Cluster, source: Engine) -> Engine:
    return next(node for node in cluster.nodes if node is not source)


@pytest.fixture
def slot(cluster: Cluster) -> int:
    """That of the session ``s1``."""
    with cluster.client() as client:
        return int(client.keyslot("agentprogress:{s1}:m"))


def test_a_node_that_is_gone_is_unavailable(cluster: Cluster, store: RedisStore) -> None:
    assert all(store.claim(claim(name)) for name in _NAMES)
    cluster.nodes[1].pause()
    short = RedisStore.from_url(f"{cluster.url}?cluster=true&socket_timeout=0.2")
    with pytest.raises(StoreUnavailable):
        short.append(_appends(1))
    cluster.nodes[1].resume()
    short.close()
    assert {a.head for a in store.append(_appends(1)) if isinstance(a, Appended)} == {2}


def test_a_cluster_has_to_be_named_and_nothing_else_may(cluster: Cluster, engine: Engine) -> None:
    with pytest.raises(InvalidSettings, match="cluster=true"):
        RedisStore.from_url(cluster.url).connect()
    with pytest.raises(InvalidSettings, match="is no Cluster"):
        RedisStore.from_url(f"{engine.url}?cluster=true").connect()


def _owner(cluster: Cluster, slot: int) -> Engine:
    with cluster.client() as client:
        port = client.nodes_manager.get_node_from_slot(slot).port
    [owner] = [node for node in cluster.nodes if node.port == port]
    return owner


def _id(node: Engine) -> str:
    with node.client() as client:
        name = ask(client, "CLUSTER MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


def _begin_move(slot: int, source: Engine, target: Engine) -> None:
    with source.client() as old, target.client() as new:
        ask(new, "CLUSTER SETSLOT", slot, "IMPORTING", _id(source))
        ask(old, "CLUSTER SETSLOT", slot, "MIGRATING", _id(target))


def _move_keys(slot: int, source: Engine, target: Engine) -> None:
    with source.client() as old:
        keys = ask(old, "CLUSTER GETKEYSINSLOT", slot, 100)
        ask(old, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)


def _end_move(cluster: Cluster, slot: int, target: Engine) -> None:
    for node in [target, *(each for each in cluster.nodes if each is not target)]:
        with node.client() as client:
            ask(client, "CLUSTER SETSLOT", slot, "NODE", _id(target))
    until(lambda: _owner(cluster, slot) is target)
