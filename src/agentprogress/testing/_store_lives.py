"""Claims, leases, and what is found of a session."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from .._core.states import SessionStatus
from ..abc import Claim, Expected, Lease, Position, Refusal, Store, Stored
from ._store_case import (
    EPOCH,
    LONG,
    NEXT_EPOCH,
    PAST_SOON,
    SOON,
    StoreCase,
    append,
    at_once,
    claim,
    event,
    events,
    expected,
    seen,
    session_lease,
)

__all__ = ["ClaimTests", "LeaseTests"]

_RUNNING, _PENDING = SessionStatus.RUNNING, SessionStatus.PENDING


class ClaimTests(StoreCase):
    """How a session is made, taken over and started over."""

    @pytest.mark.parametrize("status", [each for each in SessionStatus if not each.ended])
    def test_what_is_claimed_is_found(self, store: Store, status: SessionStatus) -> None:
        self.begin(
            store,
            status=status,
            attempt=3,
            fence=7,
            owner="Jörg ☂",
            details=b"\x00\xffd",
            lease=None,
        )
        assert self.found(store) == Stored(
            session_id="s",
            epoch=EPOCH,
            status=status,
            attempt=3,
            fence=7,
            head=0,
            oldest=1,
            owner="Jörg ☂",
            created=1_750_000_000.25,
            details=b"\x00\xffd",
        )

    def test_an_id_that_never_was_is_not_found(self, store: Store) -> None:
        self.begin(store)
        assert store.find("other") is None
        assert store.result("other") is None
        assert store.read([Position("other")]) == [None]

    @pytest.mark.parametrize("owner", [None, "", "None", "a b:c"])
    def test_an_owner_is_kept_as_it_is(self, store: Store, owner: str | None) -> None:
        self.begin(store, owner=owner)
        assert self.found(store).owner == owner

    def test_ids_of_every_kind_are_told_apart(self, store: Store) -> None:
        ids = ["0", "a" * 128, "A" * 128, "a.~_-" + "z" * 123, "a.~_-", "a.~_", "s", "s-1", "s_1"]
        for session_id in ids:
            self.begin(store, session_id)
            self.add(store, append(event(session_id), session_id=session_id))
        for session_id, log in zip(ids, store.read([Position(each) for each in ids]), strict=True):
            assert log is not None
            assert log.session.session_id == session_id
            assert list(log.entries) == [event(session_id)]

    def test_what_is_there_is_not_made_anew(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(event(1)))
        before = seen(store)
        assert not store.claim(claim(fence=2, epoch=NEXT_EPOCH, details=b"no"))
        assert seen(store) == before

    def test_what_is_not_there_is_not_taken_over(self, store: Store) -> None:
        assert not store.claim(claim(expected=Expected(EPOCH, 1, _RUNNING)))
        assert store.find("s") is None

    @pytest.mark.parametrize(
        "other", [{"epoch": NEXT_EPOCH}, {"fence": 2}, {"fence": 4}, {"status": _PENDING}], ids=str
    )
    def test_a_claim_is_granted_only_where_all_is_as_expected(
        self, store: Store, other: dict[str, Any]
    ) -> None:
        self.begin(store, fence=3)
        before = seen(store)
        there = Expected(EPOCH, 3, _RUNNING)
        assert not store.claim(claim(expected=replace(there, **other), fence=5, details=b"no"))
        assert seen(store) == before
        assert store.claim(claim(expected=there, fence=5))

    def test_a_takeover_goes_on_with_the_log(self, store: Store) -> None:
        self.begin(store, owner="first")
        self.add(store, append(*events(3)))
        assert store.renew([session_lease(stalled="blocked")]) == [True]
        self.begin(
            store,
            expected=expected(self.found(store)),
            status=SessionStatus.WAITING,
            attempt=2,
            fence=2,
            owner="second",
            created=5.0,
            details=b"second",
            lease=None,
        )
        assert self.found(store) == Stored(
            "s", EPOCH, SessionStatus.WAITING, 2, 2, 3, 1, "second", 5.0, b"second"
        )
        assert list(self.log(store).entries) == events(3)
        assert self.add(store, append(event(4), fence=2)).first == 4

    def test_a_new_epoch_begins_with_nothing(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(3), once="key", mark="old"))
        self.end(store)
        there = expected(self.found(store))
        self.begin(store, expected=there, epoch=NEXT_EPOCH, attempt=2, fence=2, lease=None)
        assert seen(store)[2:] == ((1, (), None), None)
        assert self.found(store) == Stored(
            "s", NEXT_EPOCH, _RUNNING, 2, 2, 0, 1, None, 1_750_000_000.25, b'{"title":"a"}'
        )
        assert self.add(store, append(event(1), epoch=NEXT_EPOCH, once="key")).mark == ""
        assert self.refused(store, append(event(1))).why is Refusal.EPOCH

    def test_a_new_epoch_may_go_on_from_a_state(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(3)))
        there = expected(self.found(store))
        self.begin(
            store, expected=there, epoch=NEXT_EPOCH, fence=2, base_seq=40, base=b"state at 40"
        )
        log = self.log(store)
        assert (log.session.head, log.session.oldest, log.first) == (40, 41, 41)
        assert (list(log.entries), log.base) == ([], b"state at 40")
        assert self.add(store, append(event(1), epoch=NEXT_EPOCH)).first == 41
        assert self.log(store).base == b"state at 40"
        assert self.log(store, NEXT_EPOCH, 40).base is None

    def test_a_tombstone_may_be_followed_by_a_new_epoch(self, store: Store) -> None:
        self.begin(store, fence=3)
        self.end(store)
        assert store.delete("s", LONG)
        assert not store.claim(claim(epoch=NEXT_EPOCH, fence=4))
        there = expected(self.found(store))
        assert there == Expected(EPOCH, 3, SessionStatus.COMPLETED)
        self.begin(store, expected=there, epoch=NEXT_EPOCH, fence=4)
        found = self.found(store)
        assert (found.gone, found.status, found.ended_at) == (False, _RUNNING, None)

    def test_an_ended_log_is_not_taken_up_again(self, store: Store) -> None:
        self.begin(store)
        self.end(store)
        assert not store.claim(claim(expected=expected(self.found(store)), fence=2))
        assert self.found(store).status is SessionStatus.COMPLETED

    def test_a_claim_may_wait_for_the_lease_to_lapse(self, store: Store) -> None:
        for session_id, lease in (("none", None), ("long", LONG), ("soon", SOON)):
            self.begin(store, session_id, lease=lease)
        there = Expected(EPOCH, 1, _RUNNING, lapsed=True)
        self.pass_time(store, PAST_SOON)
        granted = {
            each: store.claim(claim(each, expected=there, fence=2))
            for each in ("none", "long", "soon")
        }
        assert granted == {"none": False, "long": False, "soon": True}

    def test_of_many_claims_at_once_one_is_granted(self, store: Store) -> None:
        def race(claims: list[Claim]) -> int:
            with self.second(store) as again:
                stores = [store, again] * len(claims)
                pairs = zip(stores, claims, strict=False)
                return sum(at_once([partial(each.claim, one) for each, one in pairs]))

        assert race([claim(owner=str(each)) for each in range(6)]) == 1
        there = expected(self.found(store))
        assert race([claim(expected=there, fence=2, owner=str(each)) for each in range(6)]) == 1
        assert self.found(store).fence == 2


class LeaseTests(StoreCase):
    """Who is alive, and who is to be looked after."""

    def test_a_lease_runs_out(self, store: Store) -> None:
        self.begin(store, "long")
        self.begin(store, "soon", lease=SOON)
        assert LONG / 2 < (self.found(store, "long").lease_left or 0) < 2 * LONG
        assert (self.found(store, "soon").lease_left or LONG) < 2 * SOON
        self.pass_time(store, PAST_SOON)
        assert (self.found(store, "soon").lease_left or 0) < 0

    def test_a_renewal_counts_from_now(self, store: Store) -> None:
        self.begin(store, lease=SOON)
        self.pass_time(store, PAST_SOON)
        assert store.renew([session_lease()]) == [True]
        assert LONG / 2 < (self.found(store).lease_left or 0) < 2 * LONG

    def test_only_the_owner_of_a_running_session_renews(self, store: Store) -> None:
        statuses = {"pending": _PENDING, "waiting": SessionStatus.WAITING, "s": _RUNNING}
        for session_id, status in statuses.items():
            self.begin(store, session_id, status=status, fence=2, lease=None)
        self.begin(store, "ended", fence=2)
        self.end(store, "ended")
        leases = [Lease(each, EPOCH, 2, LONG, "no") for each in ("pending", "ended", "waiting")]
        leases += [Lease("s", NEXT_EPOCH, 2, LONG), Lease("s", EPOCH, 1, LONG)]
        leases += [Lease("s", EPOCH, 3, LONG), Lease("unknown", EPOCH, 2, LONG)]
        assert store.renew(leases) == [False] * 7
        for each in store.heads(["pending", "waiting", "ended", "s"]):
            assert each is not None
            assert (each.lease_left, each.stalled) == (None, "")

    def test_one_call_renews_many(self, store: Store) -> None:
        for session_id in ("a", "c"):
            self.begin(store, session_id, lease=None)
        leases = [Lease(each, EPOCH, 1, LONG) for each in ("a", "b", "c")]
        assert store.renew(leases) == [True, False, True]
        assert store.renew([]) == []
        left = [each and each.lease_left for each in store.heads(["a", "b", "c"])]
        assert left[0] is not None
        assert left[1] is None
        assert left[2] is not None

    def test_what_is_wrong_is_what_the_last_renewal_said(self, store: Store) -> None:
        self.begin(store)
        assert self.found(store).stalled == ""
        for stalled in ("the löop is blocked", "the disk is full", ""):
            store.renew([session_lease(stalled=stalled)])
            assert self.found(store).stalled == stalled

    def test_a_lease_may_be_given_up(self, store: Store) -> None:
        self.begin(store)
        assert store.overdue(9) == []
        assert store.renew([session_lease(0)]) == [True]
        assert (self.found(store).lease_left or 0) <= 0
        assert self.overdue(store) == ["s"]

    def overdue(self, store: Store, most: int = 9, **wanted: Any) -> list[str]:
        """Returns whose lease has run out."""
        return [each.session.session_id for each in store.overdue(most, **wanted)]

    def test_overdue_is_who_should_be_alive_and_is_not(self, store: Store) -> None:
        waiting = SessionStatus.WAITING
        self.begin(store, "running", lease=SOON)
        self.begin(store, "pending", lease=SOON, status=_PENDING)
        self.begin(store, "alive")
        self.begin(store, "begins", status=_PENDING)
        self.begin(store, "no lease", lease=None)
        self.begin(store, "waiting", lease=SOON)
        self.add(store, append(event(1), session_id="waiting", status=waiting, lease=0))
        self.begin(store, "ended", lease=SOON)
        self.end(store, "ended")
        self.begin(store, "goes on", lease=SOON)
        assert self.overdue(store) == []
        self.pass_time(store, PAST_SOON)
        store.renew([Lease("goes on", EPOCH, 1, LONG)])
        assert sorted(self.overdue(store)) == ["pending", "running"]

    def test_overdue_are_only_those_in_the_states_that_are_asked_for(self, store: Store) -> None:
        self.begin(store, "running", lease=SOON)
        self.begin(store, "pending", lease=SOON, status=_PENDING)
        self.pass_time(store, PAST_SOON)
        for most in (1, 9):
            assert self.overdue(store, most, statuses=[_PENDING]) == ["pending"]
            assert self.overdue(store, most, statuses={_RUNNING}) == ["running"]
        assert self.overdue(store, statuses=()) == []

    def test_a_renewal_that_is_refused_leaves_the_lease_as_it_is(self, store: Store) -> None:
        self.begin(store, lease=SOON)
        wrong = [session_lease(fence=2), session_lease(epoch=NEXT_EPOCH)]
        assert store.renew(wrong) == [False, False]
        self.pass_time(store, PAST_SOON)
        assert self.overdue(store) == ["s"]
        assert store.renew(wrong) == [False, False]
        assert self.overdue(store) == ["s"]

    def test_the_longest_overdue_come_first(self, store: Store) -> None:
        for session_id, lease in (("b", 0.02), ("c", 0.03), ("a", 0.01)):
            self.begin(store, session_id)
            store.renew([Lease(session_id, EPOCH, 1, lease)])
        self.pass_time(store, 0.1)
        [*order] = self.overdue(store)
        left = [each.session.lease_left or 0 for each in store.overdue(9)]
        assert sorted(order) == ["a", "b", "c"]
        assert left == sorted(left)
        assert self.overdue(store, 2) == order[:2]

    def test_a_stamp_tells_one_renewal_from_the_next(self, store: Store) -> None:
        self.begin(store)
        store.renew([session_lease(0)])
        [first] = store.overdue(9)
        assert store.overdue(9)[0].stamp == first.stamp
        assert (first.session.epoch, first.session.fence, first.session.head) == (EPOCH, 1, 0)
        self.pass_time(store, 0.05)
        store.renew([session_lease(0)])
        [second] = store.overdue(9)
        assert second.stamp != first.stamp
