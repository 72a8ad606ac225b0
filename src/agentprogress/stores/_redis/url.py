"""Which Redis server a store's URL names, and how it is to be used.

The client library reads the address; what is left out, what is ours and what must not be set is
decided here. No sentence quotes a URL: it may hold a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ...errors import InvalidSettings

__all__ = ["DEFAULT_PREFIX", "Options", "Target", "options_of", "target_of"]

DEFAULT_PREFIX = "agentprogress"

_PORT = 6379
_SCHEMES = ("redis", "rediss", "unix")
_OURS = ("prefix", "cluster", "allow_eviction")
# What a user may tell the client library. The rest would undo what the store relies on, such as
# that nothing is repeated behind its back.
_THEIRS = frozenset(
    {
        "client_name",
        "db",
        "password",
        "socket_connect_timeout",
        "socket_timeout",
        "username",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
        "ssl_validate_ocsp",
        "ssl_validate_ocsp_stapled",
    }
)
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Options:
    """How the server is used.

    Attributes:
        prefix: how every key and channel begins.
        cluster: it is a Redis Cluster, and the address is that of one of its nodes.
        allow_eviction: it may throw keys away when memory is short.
    """

    prefix: str = DEFAULT_PREFIX
    cluster: bool = False
    allow_eviction: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is.

    Attributes:
        url: for the client library.
        shown: for people; without credentials.
    """

    url: str
    shown: str


def options_of(url: str) -> tuple[str, Options]:
    """Takes our own parameters off a URL; returns it without them, and them.

    Raises:
        InvalidSettings: one of them makes no sense.
    """
    parts = _split(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in given if name in _OURS}
    rest = urlencode([(name, value) for name, value in given if name not in _OURS])
    options = Options(
        prefix=ours.get("prefix", DEFAULT_PREFIX),
        cluster=_truth("cluster", ours.get("cluster", "false")),
        allow_eviction=_truth("allow_eviction", ours.get("allow_eviction", "false")),
    )
    address = url.partition("#")[0].partition("?")[0]
    return f"{address}?{rest}" if rest else address, options


def target_of(url: str, *, cluster: bool = False) -> Target:
    """Checks what the client library is to be told.

    Args:
        url: without our own parameters.
        cluster: it names a node of a Cluster.

    Raises:
        InvalidSettings: it is no address of a Redis server, or has a parameter that is not known.
    """
    parts = _split(url)
    if parts.scheme not in _SCHEMES:
        raise InvalidSettings(
            f"The URL of a Redis store begins with {', '.join(f'{s}://' for s in _SCHEMES)}, not "
            f"with {parts.scheme!r}."
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _THEIRS:
            raise InvalidSettings(
                f"{name!r} is no parameter of a Redis store's URL. Known are "
                f"{', '.join(sorted((*_OURS, *_THEIRS)))}."
            )
    if parts.scheme == "unix":
        if not parts.path:
            raise InvalidSettings("A unix:// URL has the path of a socket: unix:///run/redis.sock.")
        if cluster:
            raise InvalidSettings("A Cluster is reached by host and port, not by a socket's path.")
        return Target(url, unquote(parts.path))
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        raise InvalidSettings(f"The path of a Redis URL is a database's number, not {database!r}.")
    if cluster and int(database or 0):
        raise InvalidSettings("A Cluster has no database but 0.")
    host = parts.hostname or "localhost"
    port = parts.port or _PORT
    return Target(url, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _split(url: str) -> SplitResult:
    """Takes a URL apart; what is not one raises, without a cause that would quote it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidSettings(
            "The URL of the Redis store cannot be read. In a password, the characters / # ? @ : "
            "are written as %2F %23 %3F %40 %3A."
        ) from None
    return parts


def _truth(name: str, text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise InvalidSettings(f"{name} must be true or false, not {text!r}.") from None
