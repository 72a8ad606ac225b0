"""Stores of sessions that outlive a process, each in its own module."""

from __future__ import annotations

from ..abc import Store
from ..errors import InvalidSettings

__all__ = ["open_store"]


def open_store(url: str) -> Store:
    """Returns the store that a URL names; it is reached when it is first used.

    Raises:
        InvalidSettings: the URL names no store, or what the store needs is not installed.
    """
    scheme = url.partition(":")[0].lower() if "://" in url else ""
    if scheme == "sqlite":
        from .sqlite import SQLiteStore

        return SQLiteStore.from_url(url)
    if scheme in ("redis", "rediss", "unix"):
        try:
            from .redis import RedisStore
        except ImportError as error:
            raise InvalidSettings(
                "A Redis store needs the `redis` extra: pip install 'agentprogress[redis]'."
            ) from error
        return RedisStore.from_url(url)
    raise InvalidSettings(
        f"{scheme + '://' if scheme else 'It'} names no store: use sqlite:///file.db, "
        "redis://host, rediss://host or unix:///socket."
    )
