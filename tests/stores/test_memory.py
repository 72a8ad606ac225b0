from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from agentprogress.abc import Store
from agentprogress.stores.memory import MemoryStore
from agentprogress.testing import ManualClock, StoreMachine, StoreTests


class TestMemoryStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_virtual_time(self) -> None:
        self.clock = ManualClock()

    def make_store(self) -> Store:
        return MemoryStore(clock=self.clock)

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)


class MemoryMachine(StoreMachine):
    def make_store(self) -> Store:
        self.clock = ManualClock()
        return MemoryStore(clock=self.clock)

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)


@pytest.mark.timeout(360)  # a failure is made smaller first
def test_it_says_what_the_oracle_says() -> None:
    run_state_machine_as_test(
        MemoryMachine, settings=settings(max_examples=60, stateful_step_count=30)
    )
