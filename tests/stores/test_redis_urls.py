"""What a Redis store's URL and arguments may be; no server is asked."""

from __future__ import annotations

import traceback

import pytest

from agentprogress.errors import InvalidSettings, StoreUnavailable
from agentprogress.stores._redis.fitness import risk_of
from agentprogress.stores._redis.url import Options, options_of, target_of
from agentprogress.stores._redis.wording import is_of_the_script, sentence_of
from agentprogress.stores.redis import RedisStore

_GOOD = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory": 0,
    "maxmemory_policy": "allkeys-lru",
    "cluster_enabled": 0,
}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "localhost:6379"),
        ("redis://cache.example:7000/3", "cache.example:7000"),
        ("rediss://user:p%2Fw@cache.example", "cache.example:6379"),
        ("redis://[::1]:7000", "[::1]:7000"),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock"),
    ],
)
def test_a_server_is_shown_without_credentials(url: str, shown: str) -> None:
    assert target_of(url).shown == shown
    assert repr(RedisStore(url, prefix="app")) == f"RedisStore({shown!r}, prefix='app')"


def test_our_own_parameters_are_taken_off() -> None:
    url = "redis://h/1?prefix=my%3Aapp&socket_timeout=2&cluster=True&allow_eviction=no"
    assert options_of(url) == ("redis://h/1?socket_timeout=2", Options("my:app", cluster=True))
    assert options_of("redis://h") == ("redis://h", Options("agentprogress"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h", "redis://, rediss://, unix://"),
        ("redis://h?retry_on_timeout=true", "'retry_on_timeout' is no parameter"),
        ("redis://h?cluster=perhaps", "cluster must be true or false"),
        ("redis://h?prefix=a{b}", "prefix of keys"),
        ("redis://h?prefix=", "prefix of keys"),
        ("redis://h/name", "database's number"),
        ("redis://h?socket_timeout=soon", "socket_timeout"),
        ("redis://h?ssl_ca_certs=ca.pem", "ssl_ca_certs"),
        ("unix://?db=1", "path of a socket"),
        ("redis://h/2?cluster=true", "no database"),
        ("unix:///run/redis.sock?cluster=true", "host and port"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        RedisStore.from_url(url)


@pytest.mark.parametrize(
    "url", ["redis://:top/secret@h", "redis://u:secret@h?nonsense=1", "redis://:secret@h:port"]
)
def test_a_password_is_in_no_error(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        RedisStore.from_url(url)
    assert "secret" not in str(caught.value)
    assert "top" not in str(caught.value)
    shown = traceback.format_exception(caught.value)
    assert "secret" not in "".join(shown).replace(url, "")


@pytest.mark.parametrize(
    ("info", "error", "words"),
    [
        ({"redis_version": "6.2.14"}, InvalidSettings, "version 6.2.14; the store needs 7"),
        ({"role": "slave"}, StoreUnavailable, "replica"),
        ({"cluster_enabled": 1}, InvalidSettings, "cluster=true"),
        ({"maxmemory": 1}, InvalidSettings, "maxmemory-policy to noeviction"),
    ],
)
def test_a_server_that_does_not_fit_is_refused_in_words(
    info: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        risk_of(_GOOD | info, "h:1", Options())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("MISCONF Redis is configured to save. script: 0f, on @user_script:3.", "cannot save"),
        ("BUSY Redis is busy running a script.", "kept busy by somebody's script"),
    ],
)
def test_what_is_wrong_with_the_server_is_no_damage(text: str, sentence: str) -> None:
    assert sentence in sentence_of("h:1", text)
    assert not is_of_the_script(text)


def test_a_policy_that_evicts_does_not_matter_without_a_limit() -> None:
    assert risk_of(_GOOD, "h:1", Options()) is None
    assert (
        risk_of(_GOOD | {"maxmemory": 1, "maxmemory_policy": "noeviction"}, "h", Options()) is None
    )
