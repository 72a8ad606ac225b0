"""The store that a command was given: reached before anything else is done."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ..errors import InvalidSettings, StoreUnavailable
from ..registry import SessionRegistry, engine_of
from ..settings import Settings
from ._listen import CannotServe

__all__ = ["registry_of", "shown"]


def registry_of(url: str) -> SessionRegistry:
    """Returns a registry on a store that answers; it is waited for, at most `store_wait`.

    Settings come from the environment, as `SessionRegistry.from_env` reads them.

    Raises:
        CannotServe: the URL or a setting is wrong, or the store does not answer, or must not be
            used.
    """
    try:
        registry = SessionRegistry(Settings.from_env(os.environ), store=url)
        engine_of(registry).backing.connect()
    except (InvalidSettings, StoreUnavailable) as error:
        raise CannotServe(str(error)) from error
    return registry


def shown(url: str) -> str:
    """Returns a store's URL without what may be a secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
