"""A Redis store on three nodes that share the slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from agentprogress import SessionRegistry
from agentprogress.abc import Append, Appended, Listener, Position, Refusal, Refused, Trim
from agentprogress.errors import InvalidSettings, SessionUnavailable, StoreUnavailable
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import (
    EPOCH,
    LONG,
    append,
    claim,
    events,
    session_lease,
)
from tests.durable.kit import kill
from tests.kit import entered

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
    _require_only_s1_waits(store, [Appended(3, 4)])
    _move_keys(slot, source, target)
    # All keys are there, the slot is not.
    _require_only_s1_waits(store, [Appended(3, 4, repeated=True)])
    _end_move(cluster, slot, target)
    answers = store.append(_appends(2))
    assert {(a.first, a.head) for a in answers if isinstance(a, Appended)} == {(3, 4)}
    assert [head and head.head for head in store.heads(_NAMES)] == [4] * len(_NAMES)


def _require_only_s1_waits(store: RedisStore, others: list[Appended]) -> None:
    answers = store.append(_appends(2))
    assert answers.pop(_NAMES.index("s1")) == Refused(Refusal.UNAVAILABLE)
    assert answers == others * len(answers)
    leases = [session_lease(session_id=name) for name in _NAMES]
    assert store.renew(leases) == [True] * len(_NAMES)
    for ask_for in (store.find, lambda name: store.heads([name]), store.result):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            ask_for("s1")


@pytest.mark.parametrize("moving", ["_"])
def test_while_the_index_moves_sessions_go_on_and_none_begins(
    cluster: Cluster, store: RedisStore, slot: int, source: Engine, target: Engine
) -> None:
    assert store.claim(claim("lapsed", lease=0.0))
    assert all(store.claim(claim(name)) for name in _NAMES)
    _begin_move(slot, source, target)
    _move_keys(slot, source, target)
    answers = store.append(
        [*_appends(1), append(*events(1), session_id="lapsed", lease=LONG), *_appends(2)]
    )
    assert answers == (
        [Appended(1, 2)] * len(_NAMES)
        + [Refused(Refusal.UNAVAILABLE)]
        + [Appended(3, 4)] * len(_NAMES)
    )
    assert store.renew([session_lease(session_id=name) for name in _NAMES]) == [True] * len(_NAMES)
    with pytest.raises(StoreUnavailable):
        store.claim(claim("new"))
    assert store.find("new") is None
    assert store.overdue(9) == []
    assert store.sweep(9) == 0
    _end_move(cluster, slot, target)
    assert [each.session.session_id for each in store.overdue(9)] == ["lapsed"]
    assert store.claim(claim("new"))
    assert len(store.list(owner=None, status=None, limit=99, after=None)) == len(_NAMES) + 2


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
def moving() -> str:
    """The session whose slot moves."""
    return "s1"


@pytest.fixture
def slot(cluster: Cluster, moving: str) -> int:
    """That of what moves."""
    with cluster.client() as client:
        return int(client.keyslot(f"agentprogress:{{{moving}}}:m"))


def test_a_node_that_hangs_keeps_only_its_own_sessions_waiting(
    cluster: Cluster, store: RedisStore
) -> None:
    there = _claimed_by_node(cluster, store)[1]
    short = RedisStore.from_url(f"{cluster.url}?cluster=true&socket_timeout=0.2")
    cluster.nodes[1].pause()
    answers = dict(zip(_NAMES, short.append(_appends(1)), strict=True))
    # Nobody else is asked, so it does not show whether anybody else is there.
    alone = short.append([append(session_id=name) for name in there])
    cluster.nodes[1].resume()
    short.close()
    away = Refused(Refusal.UNAVAILABLE)
    assert {name for name in _NAMES if answers[name] == away} == set(there)
    assert alone == [away] * len(there)
    assert {a.head for a in store.append(_appends(1)) if isinstance(a, Appended)} == {2}


def test_what_is_asked_of_a_node_that_is_gone_concerns_only_its_sessions(
    cluster: Cluster, store: RedisStore
) -> None:
    there = _claimed_by_node(cluster, store)[1]
    others = [name for name in _NAMES if name not in there]
    store.close()
    store = RedisStore.from_url(f"{cluster.url}?cluster=true&socket_timeout=0.2")
    cluster.nodes[1].pause()
    store.connect()
    asked: list[Callable[[], object]] = [
        lambda: store.heads(_NAMES),
        lambda: store.read([Position(name) for name in _NAMES]),
    ]
    for ask_for in asked:
        with pytest.raises(SessionUnavailable) as caught:
            ask_for()
        assert caught.value.session_ids == set(there)
    asked = [
        lambda: store.find(there[0]),
        lambda: store.claim(claim(there[0])),
        lambda: store.trim(Trim(there[0], EPOCH, 1, 1, b"{}")),
        lambda: store.result(there[0]),
        lambda: store.delete(there[0], LONG),
    ]
    for ask_for in asked:
        with pytest.raises(SessionUnavailable) as caught:
            ask_for()
        assert caught.value.session_ids == {there[0]}
    assert None not in store.heads(others)
    for node in (cluster.nodes[0], cluster.nodes[2]):
        node.pause()
    with pytest.raises(StoreUnavailable) as error:
        store.find(there[0])
    assert not isinstance(error.value, SessionUnavailable)
    store.close()


def test_who_produces_or_follows_elsewhere_does_not_notice_that_a_node_is_gone(
    cluster: Cluster,
) -> None:
    _, (lost, *_), (well, *_) = _by_node(cluster, _NAMES)
    registry, gateway = (SessionRegistry(store=f"{cluster.url}?cluster=true") for _ in range(2))
    waits = entered(registry.open(session_id=lost))
    goes_on = entered(registry.open(session_id=well))
    cluster.nodes[1].kill()
    waits.log("waits")
    goes_on.log("goes on")
    goes_on.flush_sync(_PATIENCE)
    with pytest.raises(SessionUnavailable, match=lost):
        gateway.get(lost)
    assert gateway.get(well).status == "running"
    for each in (registry, gateway):
        assert each.stats().store_available
        kill(each)
    assert registry.stats().waiting == 1


def _claimed_by_node(cluster: Cluster, store: RedisStore) -> list[list[str]]:
    assert all(store.claim(claim(name)) for name in _NAMES)
    return _by_node(cluster, _NAMES)


def _by_node(cluster: Cluster, names: Sequence[str]) -> list[list[str]]:
    """Returns for each node which of these sessions it has."""
    with cluster.client() as client:
        slots = client.nodes_manager.slots_cache
        ports = [slots[client.keyslot(f"agentprogress:{{{name}}}:m")][0].port for name in names]
    return [
        [name for name, port in zip(names, ports, strict=True) if port == node.port]
        for node in cluster.nodes
    ]


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
