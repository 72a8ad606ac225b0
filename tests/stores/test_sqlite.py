from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from agentprogress.abc import Store
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing import ManualClock, StoreMachine, StoreTests


class TestSQLiteStore(StoreTests):
    @pytest.fixture(autouse=True)
    def on_virtual_time(self, tmp_path: Path) -> None:
        self.clock, self.path = ManualClock(), tmp_path / "progress.db"

    def make_store(self) -> Store:
        return SQLiteStore(self.path, clock=self.clock)

    def connect_again(self, store: Store) -> Store:
        return self.make_store()

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)


class SQLiteMachine(StoreMachine):
    def make_store(self) -> Store:
        self.clock, self.folder = ManualClock(), TemporaryDirectory()
        return self.connect_again(None)

    def connect_again(self, store: Store | None) -> Store:
        path = Path(self.folder.name) / "progress.db"
        return SQLiteStore(path, clock=self.clock)

    def pass_time(self, store: Store, seconds: float) -> None:
        self.clock.jump(seconds)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


@pytest.mark.timeout(360)  # a failure is made smaller first
def test_it_says_what_the_oracle_says() -> None:
    run_state_machine_as_test(
        SQLiteMachine, settings=settings(max_examples=20, stateful_step_count=25)
    )
