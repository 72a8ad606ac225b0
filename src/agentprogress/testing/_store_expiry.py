"""What is kept for how long, and what remains then."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..abc import Position, Refusal, Store, Trim
from ._store_case import (
    EPOCH,
    LONG,
    NEXT_EPOCH,
    PAST_SOON,
    SOON,
    StoreCase,
    append,
    claim,
    event,
    events,
    expected,
    session_lease,
)

__all__ = ["ExpiryTests"]

# Long enough that a busy machine is not late with a refresh.
_WHILE = 1.5
_PART = 0.9


class ExpiryTests(StoreCase):
    """Time to live, stage by stage, and deletion."""

    def gone(self, store: Store, session_id: str = "s") -> bool:
        """Returns whether nothing at all is left to be seen."""
        found = [
            store.find(session_id),
            *store.read([Position(session_id), Position(session_id, EPOCH, 1)]),
            *store.heads([session_id]),
            store.result(session_id),
            *[each for each in self.listed(store) if each == session_id],
        ]
        return all(each is None for each in found)

    def listed(self, store: Store) -> list[str]:
        """Returns the ids that are listed."""
        found = store.list(owner=None, status=None, limit=99, after=None)
        return [each.session_id for each in found]

    def test_a_session_that_nobody_refreshes_vanishes(self, store: Store) -> None:
        for session_id, ttl in (("soon", SOON), ("s", LONG)):
            self.begin(store, session_id, ttl=ttl, owner="me", lease=SOON)
            self.add(store, append(*events(2), session_id=session_id))
        self.pass_time(store, PAST_SOON)
        assert self.gone(store, "soon")
        assert not self.gone(store, "s")
        assert [each.session.session_id for each in store.overdue(9)] == ["s"]
        late = append(event(3), session_id="soon")
        assert self.refused(store, late).why is Refusal.UNKNOWN
        assert not store.delete("soon", LONG)
        self.begin(store, "soon")
        assert (self.found(store, "soon").head, self.found(store, "soon").oldest) == (0, 1)
        assert self.add(store, late).first == 1

    def test_claims_appends_and_renewals_refresh_it_and_what_is_not_done_does_not(
        self, store: Store
    ) -> None:
        refreshed = ("claimed", "appended", "renewed", "cut")
        left = ("none", "repeated", "refused", "not renewed", "not claimed")
        counted: dict[str, Any] = {"producer_id": "p", "producer_seq": 1}
        for session_id in refreshed + left:
            self.begin(store, session_id, ttl=_WHILE)
            self.add(store, append(*events(2), session_id=session_id, **counted))
        self.pass_time(store, _PART)
        assert self.add(store, append(session_id="repeated", **counted)).repeated
        self.refused(store, append(event(3), session_id="refused", at_head=7))
        assert store.renew([session_lease(session_id="not renewed", fence=2)]) == [False]
        assert not store.claim(claim("not claimed", ttl=_WHILE))
        there = expected(self.found(store, "claimed"))
        self.begin(store, "claimed", expected=there, fence=2, ttl=_WHILE)
        self.add(store, append(session_id="appended", once="key"))
        assert store.renew([session_lease(session_id="renewed")]) == [True]
        assert store.trim(Trim("cut", EPOCH, 1, 1, b"base"))
        self.add(store, append(event(3), session_id="cut"))
        self.pass_time(store, _PART)
        for session_id in refreshed:
            [log] = store.read([Position(session_id)])
            assert log is not None
            assert log.session.details
            assert len(log.entries) == 2
            assert log.base == (b"base" if session_id == "cut" else None)
        assert [each for each in left if not self.gone(store, each)] == []

    def test_a_claim_sets_how_long_it_lives(self, store: Store) -> None:
        for session_id, before, since in (("longer", SOON, LONG), ("shorter", LONG, SOON)):
            self.begin(store, session_id, ttl=before)
            there = expected(self.found(store, session_id))
            self.begin(store, session_id, expected=there, fence=2, ttl=since)
        self.pass_time(store, PAST_SOON)
        assert not self.gone(store, "longer")
        assert self.gone(store, "shorter")

    def test_first_the_history_goes(self, store: Store) -> None:
        self.begin(store, details=b"details")
        self.add(store, append(*events(3)))
        assert store.trim(Trim("s", EPOCH, 1, 1, b"base"))
        self.end(store, history_ttl=SOON, state=b"final state", result=b"result")
        self.pass_time(store, PAST_SOON)
        log = self.log(store)
        assert (log.first, list(log.entries), log.base) == (5, [], b"final state")
        assert self.log(store, EPOCH, 2).base == b"final state"
        assert self.log(store, EPOCH, 4).base is None
        found = self.found(store)
        assert (found.head, found.oldest, found.details, found.gone) == (4, 5, b"details", False)
        assert store.result("s") == b"result"
        assert self.listed(store) == ["s"]
        assert self.refused(store, append(event(1))).why is Refusal.ENDED
        assert not store.trim(Trim("s", EPOCH, 1, 3, b"no"))

    def test_then_the_state_and_the_result_go(self, store: Store) -> None:
        self.begin(store, fence=3, attempt=2, owner="me")
        self.add(store, append(*events(3)))
        self.end(store, history_ttl=SOON, result_ttl=SOON)
        self.pass_time(store, PAST_SOON)
        self.check_tombstone(store)

    def check_tombstone(self, store: Store) -> None:
        """Sees to it that there is only the tombstone of a session at fence 3 and head 4."""
        found = self.found(store)
        assert (found.gone, found.epoch, found.status.value) == (True, EPOCH, "completed")
        assert (found.head, found.oldest, found.fence, found.attempt) == (4, 5, 3, 2)
        assert (found.ended_at, found.owner) == ("2025-06-15T15:06:41.000Z", "me")
        assert (found.details, found.lease_left) == (b"", None)
        assert store.heads(["s"]) == [found]
        log = self.log(store)
        assert (log.session, list(log.entries)) == (found, [])
        assert store.result("s") is None
        assert self.listed(store) == []
        assert self.refused(store, append(event(1))).why is Refusal.UNKNOWN
        assert not store.trim(Trim("s", EPOCH, 3, 4, b"no"))
        assert store.renew([session_lease(fence=3)]) == [False]
        assert not store.delete("s", LONG)

    def test_then_the_tombstone_goes(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(3)))
        self.end(store, history_ttl=SOON / 2, result_ttl=SOON / 2, tombstone_ttl=SOON / 2)
        self.pass_time(store, PAST_SOON)
        assert self.gone(store)
        self.begin(store)
        assert self.found(store).head == 0

    def test_history_is_not_kept_longer_than_the_rest(self, store: Store) -> None:
        self.begin(store, fence=3, attempt=2, owner="me")
        self.add(store, append(*events(3)))
        self.end(store, history_ttl=LONG, result_ttl=SOON)
        self.pass_time(store, PAST_SOON)
        self.check_tombstone(store)

    def test_what_is_kept_lives_from_the_end_not_from_the_start(self, store: Store) -> None:
        self.begin(store, ttl=_WHILE)
        self.end(store, tombstone_ttl=SOON)
        self.pass_time(store, _WHILE + PAST_SOON)
        assert len(self.log(store).entries) == 1
        assert store.result("s") is not None

    def test_a_new_epoch_is_free_of_the_old_ones_end(self, store: Store) -> None:
        self.begin(store)
        self.end(store, history_ttl=SOON, result_ttl=SOON, tombstone_ttl=SOON)
        self.begin(store, expected=expected(self.found(store)), epoch=NEXT_EPOCH, fence=2)
        self.add(store, append(event(1), epoch=NEXT_EPOCH))
        self.pass_time(store, 3 * SOON)
        assert list(self.log(store).entries) == [event(1)]
        assert self.found(store).details

    def test_an_ended_session_may_be_deleted_at_once(self, store: Store) -> None:
        self.begin(store, fence=3, attempt=2, owner="me")
        self.add(store, append(*events(3)))
        assert not store.delete("s", LONG)
        assert len(self.log(store).entries) == 3
        self.end(store)
        assert store.delete("s", LONG)
        self.check_tombstone(store)

    def test_what_never_was_cannot_be_deleted(self, store: Store) -> None:
        assert not store.delete("s", LONG)
        assert store.find("s") is None

    def test_a_deleted_ones_tombstone_goes_too(self, store: Store) -> None:
        self.begin(store)
        self.end(store)
        assert store.delete("s", SOON)
        assert not self.gone(store)
        self.pass_time(store, PAST_SOON)
        assert self.gone(store)

    @pytest.mark.parametrize("most", [1, 3, 100])
    def test_a_sweep_takes_no_more_than_it_may_and_comes_to_an_end(
        self, store: Store, most: int
    ) -> None:
        assert store.sweep(most) == 0
        for number in range(4):
            self.begin(store, f"live{number}", ttl=SOON, owner="me")
            self.add(store, append(*events(2), session_id=f"live{number}"))
            self.begin(store, f"ended{number}")
            self.end(store, f"ended{number}", history_ttl=0.1, result_ttl=0.1, tombstone_ttl=0.1)
        self.begin(store, "stays", lease=SOON)
        self.add(store, append(*events(2), session_id="stays"))
        self.pass_time(store, PAST_SOON)
        self.drain(lambda: store.sweep(most), most)
        assert self.listed(store) == ["stays"]
        [log] = store.read([Position("stays")])
        assert log is not None
        assert len(log.entries) == 2

    def drain(self, sweep: Callable[[], int], most: int) -> None:
        """Sweeps until nothing is left to do, within reason."""
        for _ in range(100):
            swept = sweep()
            assert 0 <= swept <= most
            if not swept:
                return
        raise AssertionError("A sweep must come to an end.")
