from __future__ import annotations

from pathlib import Path

import pytest

from agentprogress import Settings
from agentprogress.abc import Store
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing import ManualClock
from agentprogress.testing._store_tests import StoreTests


class TestSQLiteStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_virtual_time(self, tmp_path: Path) -> None:
        self.clock, self.path = ManualClock(), tmp_path / "progress.db"

    def make_store(self, settings: Settings) -> Store:
        return SQLiteStore(self.path, settings, wall=self.clock.wall)

    def connect_again(self, store: Store) -> Store:
        return self.make_store(Settings())

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)
