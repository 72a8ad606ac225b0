from __future__ import annotations

import pytest

from agentprogress import Settings
from agentprogress.abc import Store
from agentprogress.stores.memory import MemoryStore
from agentprogress.testing import ManualClock
from agentprogress.testing._store_tests import StoreTests


class TestMemoryStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_virtual_time(self) -> None:
        self.clock = ManualClock()

    def make_store(self, settings: Settings) -> MemoryStore:
        return MemoryStore(settings, clock=self.clock)

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)
