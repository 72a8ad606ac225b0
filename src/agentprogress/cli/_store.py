"""The store that a command was given: reached before anything else is done."""

from __future__ import annotations

import os
import random
import sys
import time
from urllib.parse import urlsplit

from ..abc import Store
from ..errors import InvalidSettings, StoreUnavailable
from ..settings import Settings
from ..stores import open_store
from ._listen import CannotServe

__all__ = ["shown", "store_of"]


def store_of(url: str) -> tuple[Store, Settings]:
    """Opens a store and waits until it answers, at most `Settings.store_wait`.

    Settings come from the environment, as `SessionRegistry.from_env` reads them.

    Raises:
        CannotServe: the URL or a setting is wrong, or the store does not answer, or must not be
            used.
    """
    try:
        settings = Settings.from_env(os.environ)
        store = open_store(url, settings)
        _wait_for(store, settings)
    except InvalidSettings as error:
        raise CannotServe(str(error)) from error
    return store, settings


def _wait_for(store: Store, settings: Settings) -> None:
    until = time.monotonic() + settings.store_wait
    waiting = False
    while True:
        try:
            store.connect()
            return
        except StoreUnavailable as error:
            left = until - time.monotonic()
            if left <= 0:
                raise CannotServe(
                    f"{error} It was waited for {settings.store_wait:g} s."
                ) from error
            if not waiting:
                words = f"agentprogress: {error} Waiting for it, at most {left:.0f} s."
                print(words, file=sys.stderr, flush=True)
                waiting = True
        delay = random.uniform(settings.min_store_delay, settings.max_store_delay)
        time.sleep(min(left, delay))


def shown(url: str) -> str:
    """Returns a store's URL without what may be a secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
