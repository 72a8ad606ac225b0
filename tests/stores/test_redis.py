from __future__ import annotations

import time

import pytest

from agentprogress import Settings
from agentprogress.abc import Store
from agentprogress.stores.redis import RedisStore
from agentprogress.testing import StoreTests

from .engines import Engine


class TestRedisStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_an_engine(self, engine: Engine) -> None:
        self.engine = engine

    def make_store(self, settings: Settings) -> Store:
        return RedisStore(self.engine.url, settings)

    def connect_again(self, store: Store) -> Store:
        return self.make_store(Settings())

    def pass_time(self, store: Store, seconds: float) -> None:
        time.sleep(seconds)  # the engine's own time
