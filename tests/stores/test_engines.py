"""What tests rely on: engines come, go, forget, follow and agree as real ones do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.conformance.servers import NotServing
from tests.proxies.certificates import make_certificates

from .cluster import Cluster
from .conftest import StartEngine
from .engines import ONCE, Engine, Kind, Options

pytestmark = pytest.mark.server


def get(engine: Engine, key: str) -> object:
    with engine.client() as client:
        return client.get(key)


def put(engine: Engine, key: str, value: str) -> None:
    with engine.client() as client:
        client.set(key, value)


def test_an_engine_is_the_one_that_was_asked_for(engine: Engine) -> None:
    with engine.client() as client:
        info = client.info("server")
    assert isinstance(info, dict)
    names = {Kind.VALKEY: "valkey_version", Kind.REDIS: "redis_version"}
    assert info[names[engine.kind]]
    assert ("valkey_version" in info) == (engine.kind is Kind.VALKEY)


@pytest.mark.parametrize("key", ["a", "b"])
def test_each_test_finds_an_empty_engine(engine: Engine, key: str) -> None:
    with engine.client() as client:
        assert client.keys("*") == []
    put(engine, key, "of this test")


@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_finds_an_engine_that_runs(engine: Engine, _time: int) -> None:
    put(engine, "key", "value")
    engine.kill()
    with engine.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()


@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_finds_an_engine_that_answers(engine: Engine, _time: int) -> None:
    engine.pause()
    with engine.client(socket_timeout=0.05) as client, pytest.raises(redis.TimeoutError):
        client.ping()


def test_an_engine_that_was_paused_goes_on(engine: Engine) -> None:
    put(engine, "key", "value")
    engine.pause()
    engine.resume()
    assert get(engine, "key") == b"value"


def test_a_restart_without_data_is_on_the_same_port(engine: Engine) -> None:
    put(engine, "key", "value")
    url = engine.url
    engine.restart(keep_data=False)
    assert (engine.url, get(engine, "key")) == (url, None)


def test_an_engine_comes_back_with_its_data(start_engine: StartEngine) -> None:
    engine = start_engine(append_only=True)
    put(engine, "key", "value")
    engine.restart(keep_data=True)
    assert get(engine, "key") == b"value"
    engine.restart(keep_data=False)
    assert get(engine, "key") is None


def test_what_was_answered_survives_a_kill(start_engine: StartEngine) -> None:
    engine = start_engine(append_only=True)
    put(engine, "key", "value")
    engine.kill()
    engine.start()
    assert get(engine, "key") == b"value"


def test_a_password_is_needed(start_engine: StartEngine) -> None:
    engine = start_engine(password="p@ss/word")
    put(engine, "key", "value")
    with (
        redis.Redis(port=engine.port, retry=ONCE) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_memory_has_a_bound_and_a_policy(start_engine: StartEngine) -> None:
    with start_engine(maxmemory="10mb", policy="allkeys-lru").client() as client:
        settings = client.config_get("maxmemory*")
    assert isinstance(settings, dict)
    assert settings["maxmemory"] == str(10 * 1024 * 1024)
    assert settings["maxmemory-policy"] == "allkeys-lru"


def test_redis_speaks_tls(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with Engine(Kind.REDIS, Options(certificate=made.server, ca=made.ca)) as engine:
        put(engine, "key", "value")
        assert engine.url.startswith("rediss://")
        with (
            redis.Redis(port=engine.port, retry=ONCE) as plain,
            pytest.raises(redis.ConnectionError),
        ):
            plain.ping()


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_replica_that_is_promoted_has_what_it_had(
    start_engine: StartEngine, password: str | None
) -> None:
    primary = start_engine(password=password)
    url = primary.url
    put(primary, "key", "early")
    with primary.replica() as replica:
        assert get(replica, "key") == b"early"
        with replica.client() as client, pytest.raises(redis.ReadOnlyError):
            client.set("key", "no")
        replica.promote()
        put(primary, "key", "the tail that is lost")
        primary.kill()
        replica.take_place_of(primary)
        assert (replica.url, get(replica, "key")) == (url, b"early")
        assert primary.url != url
        put(replica, "key", "late")
        primary.start()
        assert (get(primary, "key"), get(replica, "key")) == (None, b"late")


def test_a_cluster_has_all_slots(cluster: Cluster) -> None:
    with cluster.client() as client:
        for number in range(50):
            assert client.set(f"key-{number}", number)
    sizes: list[int] = []
    for node in cluster.nodes:
        with node.client() as own:
            sizes.append(len(own.keys("*")))
    assert sum(sizes) == 50
    assert all(sizes)


@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_finds_a_cluster_that_is_whole(cluster: Cluster, _time: int) -> None:
    with cluster.client() as client:
        assert client.set("key", "value")
    cluster.nodes[1].kill()


def test_an_engine_that_cannot_start_says_why(kind: Kind) -> None:
    with pytest.raises(NotServing, match="policy"), Engine(kind, Options(policy="nonsense")):
        pass


STARTS_AND_WAITS = """
import sys
from tests.stores.engines import Engine, Kind

engine = Engine(Kind(sys.argv[1])).__enter__()
engine.pause()  # so that nothing less than a kill can end it
print(engine.port, flush=True)
sys.stdin.read()
"""


def test_an_engine_dies_with_the_tests_however_they_end(kind: Kind, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, kind]
    pipe = subprocess.PIPE
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as tests:
        assert tests.stdout is not None
        port = int(tests.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            tests.kill()
            # It had not accepted the connection yet; its end resets that.
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        # The guard has the same standard output, and goes when all is done.
        assert tests.stdout.read() == ""
    assert list(tmp_path.iterdir()) == []
