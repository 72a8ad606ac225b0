from __future__ import annotations

import time

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from agentprogress.abc import Store
from agentprogress.stores.redis import RedisStore
from agentprogress.testing import StoreMachine, StoreTests

from .engines import Engine


class TestRedisStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_an_engine(self, engine: Engine) -> None:
        self.engine = engine

    def make_store(self) -> Store:
        return RedisStore(self.engine.url)

    def connect_again(self, store: Store) -> Store:
        return self.make_store()

    def pass_time(self, store: Store, seconds: float) -> None:
        time.sleep(seconds)  # the engine's own time


class RedisMachine(StoreMachine):
    engine: Engine
    moves_time = False

    def make_store(self) -> Store:
        self.engine.refresh()
        return RedisStore(self.engine.url)

    def connect_again(self, store: Store) -> Store:
        return RedisStore(self.engine.url)

    def pass_time(self, store: Store, seconds: float) -> None:
        time.sleep(seconds)


@pytest.mark.timeout(360)  # a failure is made smaller first
def test_it_says_what_the_oracle_says(engine: Engine) -> None:
    class Machine(RedisMachine):
        pass

    Machine.engine = engine
    run_state_machine_as_test(Machine, settings=settings(max_examples=10, stateful_step_count=20))
