"""Whether a Redis server may keep sessions, by what it says of itself in INFO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidSettings, StoreUnavailable
from .url import Options

__all__ = ["SECTIONS", "risk_of"]

SECTIONS = ("server", "memory", "replication", "cluster")

# Scripts with flags, PEXPIRE … GT.
_LEAST_VERSION = 7


def risk_of(info: Mapping[str, Any], shown: str, options: Options) -> str | None:
    """Returns what is to be warned of, if anything.

    Args:
        info: the fields of `SECTIONS`. Valkey tells the Redis version that it is compatible with.
        shown: where the server is.
        options: how it is to be used.

    Raises:
        StoreUnavailable: it takes no writes.
        InvalidSettings: it must not be used as it is.
    """
    version = str(info["redis_version"])
    if int(version.partition(".")[0]) < _LEAST_VERSION:
        raise InvalidSettings(
            f"Redis at {shown} is version {version}; the store needs {_LEAST_VERSION} or later, or "
            f"Valkey."
        )
    if info["cluster_enabled"] and not options.cluster:
        raise InvalidSettings(
            f"Redis at {shown} is a node of a Cluster: add ?cluster=true to the URL."
        )
    if info.get("role") == "slave":
        raise StoreUnavailable(
            f"Redis at {shown} is a replica, which takes no writes; the store needs its primary."
        )
    return _eviction(info, shown, options)


def _eviction(info: Mapping[str, Any], shown: str, options: Options) -> str | None:
    policy = info["maxmemory_policy"]
    if not info["maxmemory"] or policy == "noeviction":
        return None
    sentence = (
        f"Redis at {shown} throws keys away when memory is short (maxmemory-policy {policy}), and "
        f"sessions would vanish while they run. Set maxmemory-policy to noeviction, or use another "
        f"server for sessions"
    )
    if not options.allow_eviction:
        raise InvalidSettings(f"{sentence}; ?allow_eviction=true takes the risk.")
    return f"{sentence}."
