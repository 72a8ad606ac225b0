"""The contract of a store as tests, for every store there is."""

from __future__ import annotations

from ._store_appends import AppendTests, RefusalTests
from ._store_expiry import ExpiryTests
from ._store_listening import ListenTests
from ._store_lives import ClaimTests, LeaseTests
from ._store_reads import ListTests, ReadTests, TrimTests
from ._store_repeats import RepeatTests

__all__ = ["StoreTests"]


class StoreTests(
    AppendTests,
    RefusalTests,
    RepeatTests,
    ClaimTests,
    LeaseTests,
    ReadTests,
    TrimTests,
    ListTests,
    ExpiryTests,
    ListenTests,
):
    """What `agentprogress.abc.Store` promises, sentence by sentence. Needs pytest.

    A store's test file says how one is made and how its time passes::

        class TestMyStore(StoreTests):
            def make_store(self):
                return MyStore(clock=self.clock)

            def pass_time(self, store, seconds):
                self.clock.jump(seconds)

    A store that other processes reach too also says in `connect_again` how they do.
    """
