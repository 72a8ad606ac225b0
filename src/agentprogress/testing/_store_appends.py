"""Appending: seqs, what comes with the entries, who is refused and why."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import pytest

from .._core.states import SessionStatus
from ..abc import Append, Appended, Position, Refusal, Refused, Store, Trim
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
    ending,
    event,
    events,
    expected,
    seen,
)

__all__ = ["AppendTests", "RefusalTests"]

_KINDS_OF_BYTES = [
    b"{}",
    "ünï 進捗 🎉".encode(),
    b'{"text":"quoted \\" and \\u2028 and \\\\ and \\n"}',
    b"two\nlines\r\nand a tab\t",
    bytes(range(256)),
    b"x" * 65_536,
]


class AppendTests(StoreCase):
    """What an append does."""

    def test_seqs_begin_at_1_and_have_no_hole(self, store: Store) -> None:
        self.begin(store)
        assert self.add(store, append(*events(1))) == Appended(1, 1)
        assert self.add(store, append(*events(3))) == Appended(2, 4)
        assert self.add(store, append(*events(1))) == Appended(5, 5)
        assert (self.found(store).head, self.found(store).oldest) == (5, 1)
        assert len(self.log(store).entries) == 5

    def test_entries_keep_their_order(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(1_000)))
        assert list(self.log(store).entries) == events(1_000)

    @pytest.mark.parametrize("entry", _KINDS_OF_BYTES, ids=range(len(_KINDS_OF_BYTES)))
    def test_every_byte_of_an_entry_is_kept(self, store: Store, entry: bytes) -> None:
        self.begin(store)
        self.add(store, append(entry, entry))
        assert list(self.log(store).entries) == [entry, entry]

    def test_appends_of_one_call_are_done_in_their_order(self, store: Store) -> None:
        self.begin(store, "a")
        self.begin(store, "b")
        wanted = [append(event(n), session_id=each) for n, each in enumerate("abbab")]
        answers = store.append(wanted)
        assert answers == [
            Appended(1, 1),
            Appended(1, 1),
            Appended(2, 2),
            Appended(2, 2),
            Appended(3, 3),
        ]
        [a, b] = store.read([Position("a"), Position("b")])
        assert a is not None
        assert b is not None
        assert list(a.entries) == [event(0), event(3)]
        assert list(b.entries) == [event(1), event(2), event(4)]

    def test_no_append_at_all_is_no_mistake(self, store: Store) -> None:
        assert store.append([]) == []

    def test_one_that_is_refused_does_not_hinder_the_others(self, store: Store) -> None:
        self.begin(store)
        answers = store.append(
            [append(event(1)), append(event(2), at_head=7), append(event(3), at_head=1)]
        )
        assert answers[0] == Appended(1, 1)
        assert isinstance(answers[1], Refused)
        assert answers[2] == Appended(2, 2)
        assert list(self.log(store).entries) == [event(1), event(3)]

    def test_a_status_is_set_with_the_entries_or_without(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(event(1), status=SessionStatus.WAITING))
        assert self.found(store).status is SessionStatus.WAITING
        self.add(store, append(event(2)))
        assert self.found(store).status is SessionStatus.WAITING
        assert self.add(store, append(status=SessionStatus.RUNNING)).head == 2
        assert self.found(store).status is SessionStatus.RUNNING

    def test_details_are_replaced_or_left(self, store: Store) -> None:
        self.begin(store, details=b"first")
        self.add(store, append(event(1)))
        assert self.found(store).details == b"first"
        self.add(store, append(event(2), details="zwö\n".encode()))
        assert self.found(store).details == "zwö\n".encode()

    def test_a_lease_begins_stays_or_goes(self, store: Store) -> None:
        self.begin(store, lease=None)
        self.add(store, append(event(1)))
        assert self.found(store).lease_left is None
        self.add(store, append(event(2), lease=LONG))
        assert LONG / 2 < (self.found(store).lease_left or 0) < 2 * LONG
        self.add(store, append(event(3)))
        assert self.found(store).lease_left is not None
        self.add(store, append(event(4), lease=0))
        assert self.found(store).lease_left is None

    def test_the_end_comes_with_everything_in_one_step(self, store: Store) -> None:
        self.begin(store, details=b"kept")
        assert store.result("s") is None
        self.add(store, append(*events(2)))
        answer = self.end(store, state=b"\x00state", result="ergebnis ü".encode())
        assert answer == Appended(3, 3)
        found = self.found(store)
        assert (found.status, found.ended_at) == (
            SessionStatus.COMPLETED,
            "2025-06-15T15:06:41.000Z",
        )
        assert (found.lease_left, found.details, found.gone) == (None, b"kept", False)
        assert store.result("s") == "ergebnis ü".encode()
        assert list(self.log(store).entries) == [*events(2), event("end")]

    def test_an_end_may_have_no_result_or_an_empty_one(self, store: Store) -> None:
        for session_id, result in (("a", None), ("b", b"")):
            self.begin(store, session_id)
            self.end(store, session_id, result=result)
            assert store.result(session_id) == result

    def test_many_writers_leave_no_hole_and_keep_their_own_order(self, store: Store) -> None:
        self.begin(store)

        def write(writer: int) -> list[int]:
            names = [event(f"{writer}-{number}") for number in range(20)]
            return [self.add(store, append(each)).first for each in names]

        firsts = at_once([partial(write, each) for each in range(4)])
        assert sorted(chain.from_iterable(firsts)) == list(range(1, 81))
        entries = self.log(store).entries
        for writer, taken in enumerate(firsts):
            assert [entries[seq - 1] for seq in taken] == [
                event(f"{writer}-{number}") for number in range(20)
            ]

    def test_a_read_sees_one_moment(self, store: Store) -> None:
        self.begin(store)

        def write() -> bool:
            return all(self.add(store, append(*events(3))) for _ in range(20))

        def read() -> bool:
            logs = [self.log(store) for _ in range(20)]
            return all(len(each.entries) == each.session.head for each in logs) and all(
                each.session.head % 3 == 0 for each in logs
            )

        assert at_once([write, read, write, read]) == [True] * 4


def _violations() -> list[tuple[Refusal, dict[str, Any]]]:
    """What provokes each refusal of an ended log at fence 2 and head 20, in their order."""
    return [
        (Refusal.UNKNOWN, {"session_id": "unknown"}),
        (Refusal.EPOCH, {"epoch": NEXT_EPOCH}),
        (Refusal.FENCED, {"fence": 1}),
        (Refusal.BEHIND, {"known_head": 21}),
        (Refusal.ENDED, {}),
        (Refusal.STATUS, {"only": {SessionStatus.PENDING}}),
        (Refusal.MOVED, {"at_head": 19}),
        (Refusal.FULL, {"max_events": 19}),
    ]


class RefusalTests(StoreCase):
    """Why an append changes nothing."""

    def test_a_session_that_never_was_is_unknown(self, store: Store) -> None:
        assert self.refused(store, append(event(1))) == Refused(Refusal.UNKNOWN, None)

    def test_a_tombstone_is_unknown_but_told(self, store: Store) -> None:
        self.begin(store)
        self.end(store)
        assert store.delete("s", LONG)
        answer = self.refused(store, append(event(1)))
        assert answer.why is Refusal.UNKNOWN
        assert answer.session is not None
        assert answer.session.gone

    def test_another_epoch_is_refused(self, store: Store) -> None:
        self.begin(store)
        assert self.refused(store, append(event(1), epoch=NEXT_EPOCH)).why is Refusal.EPOCH

    def test_a_refusal_tells_what_is_there(self, store: Store) -> None:
        self.begin(store, owner="me", attempt=3, fence=4)
        self.add(store, append(*events(2)))
        told = self.refused(store, append(event(3), epoch=NEXT_EPOCH)).session
        assert told is not None
        found = self.found(store)
        for each in ("epoch", "status", "attempt", "fence", "head", "oldest", "owner", "created"):
            assert getattr(told, each) == getattr(found, each)

    def test_who_has_been_replaced_is_fenced(self, store: Store) -> None:
        self.begin(store)
        assert self.add(store, append(event(1), fence=1)) == Appended(1, 1)
        self.begin(store, expected=expected(self.found(store)), fence=2)
        assert self.refused(store, append(event(2), fence=1)).why is Refusal.FENCED
        assert self.add(store, append(event(2), fence=2)) == Appended(2, 2)
        assert self.add(store, append(event(3), fence=None)) == Appended(3, 3)

    def test_a_store_that_has_less_than_was_seen_is_behind(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(3)))
        assert self.refused(store, append(event(1), known_head=4)).why is Refusal.BEHIND
        assert self.refused(store, append(event(1), fence=2)).why is Refusal.BEHIND
        self.add(store, append(event(1), known_head=3, fence=1))
        self.add(store, append(event(1), known_head=1))

    @pytest.mark.parametrize("status", [each for each in SessionStatus if each.ended])
    def test_nothing_follows_an_end(self, store: Store, status: SessionStatus) -> None:
        self.begin(store)
        last = append(event("end"), status=status, ending=ending())
        self.add(store, last)
        for late in (
            append(event(1), fence=1),
            append(event(1), only={status}),
            append(once="late", mark="late"),
            last,
        ):
            assert self.refused(store, late).why is Refusal.ENDED

    def test_only_the_states_that_are_named_will_do(self, store: Store) -> None:
        self.begin(store)
        waiting = {SessionStatus.WAITING, SessionStatus.PENDING}
        assert self.refused(store, append(event(1), only=waiting)).why is Refusal.STATUS
        self.add(store, append(event(1), only={SessionStatus.RUNNING}))
        self.add(store, append(event(2), status=SessionStatus.WAITING))
        self.add(store, append(event(3), only=waiting))

    def test_who_asks_for_a_lapsed_lease_is_refused_before(self, store: Store) -> None:
        for session_id, lease in (("none", None), ("long", LONG), ("soon", SOON)):
            self.begin(store, session_id, lease=lease)
        self.pass_time(store, PAST_SOON)
        for session_id in ("none", "long"):
            late = append(event(1), session_id=session_id, lapsed=0)
            assert self.refused(store, late).why is Refusal.STATUS
        late = append(event(1), session_id="soon", lapsed=0)
        assert self.refused(store, replace(late, lapsed=LONG)).why is Refusal.STATUS
        self.add(store, late)

    def test_the_head_must_be_where_it_has_to_be(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(event(1), at_head=0))
        for other in (0, 2):
            assert self.refused(store, append(event(2), at_head=other)).why is Refusal.MOVED
        self.add(store, append(event(2), at_head=1))

    def test_a_log_of_more_events_than_the_append_allows_is_full(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(5), max_events=0))
        assert self.refused(store, append(event(1), max_events=4)).why is Refusal.FULL
        self.add(store, append(*events(9), max_events=5))
        assert store.trim(Trim("s", EPOCH, 1, 10, b"base"))
        assert self.add(store, append(event(1), max_events=4)) == Appended(15, 15)

    def test_a_log_of_more_bytes_than_the_append_allows_is_full(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*[b"x" * 1_000] * 3, max_bytes=0))
        assert self.refused(store, append(event(1), max_bytes=2_999)).why is Refusal.FULL
        self.add(store, append(b"x" * 1_000, max_bytes=3_000))
        assert store.trim(Trim("s", EPOCH, 1, 2, b"base"))
        assert self.add(store, append(event(1), max_bytes=2_000)) == Appended(5, 5)

    def test_a_log_has_no_bound_but_the_appends(self, store: Store) -> None:
        self.begin(store)
        for _ in range(5):
            self.add(store, append(*[b"x" * 1_000] * 1_200))
        self.add(store, append(event(1), max_events=6_000))

    @pytest.mark.parametrize("place", range(8))
    def test_the_first_refusal_that_applies_is_given(self, store: Store, place: int) -> None:
        self.begin(store, fence=2)
        rest = _violations()[place:]
        over = place <= [why for why, _ in _violations()].index(Refusal.ENDED)
        last: dict[str, Any] = {"status": SessionStatus.LOST, "ending": ending()} if over else {}
        self.add(store, append(*events(20), **last))
        wrong: dict[str, Any] = {}
        for _, each in rest:
            wrong |= each
        assert self.refused(store, append(event(1), **wrong)).why is rest[0][0]

    def test_what_is_refused_leaves_no_trace(self, store: Store) -> None:
        self.begin(store, lease=None)
        refused = Append(
            "s",
            EPOCH,
            events(2),
            at_head=5,
            producer_id="p",
            producer_seq=1,
            once="key",
            mark="no",
            status=SessionStatus.WAITING,
            lease=LONG,
            details=b"no",
        )
        assert self.refused(store, refused).why is Refusal.MOVED
        answer = self.add(store, append(event(1), producer_id="p", producer_seq=1))
        assert not answer.repeated
        answer = self.add(store, append(event(2), once="key", mark="yes"))
        assert (answer.repeated, answer.mark) == (False, "yes")

    def test_a_mark_without_a_key_is_not_remembered(self, store: Store) -> None:
        self.begin(store)
        wanted = append(event(1), producer_id="p", producer_seq=1, mark="no")
        assert [self.add(store, wanted) for _ in range(2)] == [
            Appended(1, 1),
            Appended(1, 1, repeated=True),
        ]

    def test_claims_that_are_not_granted_leave_no_trace(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(2)))
        before = seen(store)
        assert not store.claim(claim(epoch=NEXT_EPOCH, fence=9, lease=None, details=b"no"))
        assert seen(store) == before
