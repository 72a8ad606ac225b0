"""Appending again what was appended, because its answer was lost."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from .._core.states import SessionStatus
from ..abc import Append, Appended, Store
from ._store_case import (
    LONG,
    NEXT_EPOCH,
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

__all__ = ["RepeatTests"]


def _counted(seq: int, *entries: bytes, producer: str = "p", **more: Any) -> Append:
    return append(*entries, producer_id=producer, producer_seq=seq, **more)


class RepeatTests(StoreCase):
    """What `producer_seq` and `once` are for."""

    def again(self, store: Store, wanted: Append) -> Appended:
        """Appends what was appended before, and sees to it that nothing changes by that."""
        before = seen(store, wanted.session_id)
        answer = self.add(store, wanted)
        assert answer.repeated
        assert seen(store, wanted.session_id) == before
        return answer

    def test_the_last_append_is_answered_as_the_first_time(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, *events(3))
        assert self.add(store, wanted) == Appended(1, 3)
        assert self.again(store, wanted) == Appended(1, 3, repeated=True)
        assert self.again(store, wanted) == Appended(1, 3, repeated=True)

    def test_it_is_known_after_another_ones_append(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(7, *events(2))
        self.add(store, wanted)
        self.add(store, append(event(8)))
        self.add(store, _counted(7, event(9), producer="other"))
        assert self.again(store, wanted) == Appended(1, 4, repeated=True)

    def test_it_is_known_in_the_same_call(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1))
        assert store.append([wanted, wanted]) == [Appended(1, 1), Appended(1, 1, repeated=True)]

    def test_it_is_known_through_another_connection(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1))
        self.add(store, wanted)
        with self.second(store) as again:
            assert self.again(again, wanted) == Appended(1, 1, repeated=True)

    def test_it_is_known_after_its_writer_was_replaced(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1), fence=1)
        self.add(store, wanted)
        self.begin(store, expected=expected(self.found(store)), fence=2)
        assert self.again(store, wanted) == Appended(1, 1, repeated=True)

    def test_it_is_known_after_the_end_and_so_is_the_end(self, store: Store) -> None:
        self.begin(store)
        last = _counted(1, event("end"), status=SessionStatus.FAILED, ending=ending(), at_head=0)
        self.add(store, last)
        assert self.again(store, last) == Appended(1, 1, repeated=True)

    def test_the_next_one_is_new(self, store: Store) -> None:
        self.begin(store)
        self.add(store, _counted(1, event(1)))
        assert self.add(store, _counted(2, event(1))) == Appended(2, 2)
        assert self.add(store, _counted(9, event(1))) == Appended(3, 3)
        assert self.again(store, _counted(9, event(1))) == Appended(3, 3, repeated=True)

    def test_an_earlier_one_than_the_last_changes_nothing(self, store: Store) -> None:
        self.begin(store)
        for seq in (1, 2, 3):
            self.add(store, _counted(seq, event(seq)))
        for seq in (1, 2):
            assert self.again(store, _counted(seq, event(seq))).head == 3

    def test_numbers_are_compared_as_numbers(self, store: Store) -> None:
        self.begin(store)
        self.add(store, _counted(9, event(1)))
        assert not self.add(store, _counted(10, event(2))).repeated
        assert self.again(store, _counted(9, event(1))).head == 2

    def test_writers_are_told_apart(self, store: Store) -> None:
        self.begin(store)
        for number, producer in enumerate(("p", "q", "p q", "ü:1", "")):
            answer = self.add(store, _counted(1, event(1), producer=producer))
            assert answer == Appended(number + 1, number + 1)
        assert not self.add(store, _counted(1, event(1), producer="")).repeated

    def test_a_new_epoch_forgets_who_wrote(self, store: Store) -> None:
        self.begin(store)
        self.add(store, _counted(1, event(1), once="key", mark="old"))
        self.begin(store, expected=expected(self.found(store)), epoch=NEXT_EPOCH, fence=2)
        wanted = _counted(1, event(1), once="key", mark="new")
        assert self.add(store, replace(wanted, epoch=NEXT_EPOCH)) == Appended(1, 1, mark="new")

    def test_a_takeover_remembers_who_wrote(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1), once="key", mark="old")
        self.add(store, wanted)
        self.begin(store, expected=expected(self.found(store)), fence=2)
        assert self.again(store, wanted) == Appended(1, 1, repeated=True, mark="old")
        other = append(event(2), once="key", mark="new")
        assert self.again(store, other) == Appended(1, 1, repeated=True, mark="old")

    def test_a_key_is_used_once(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(event(1)))
        first = append(event(2), once="cancel", mark="by me; märk 1", status=SessionStatus.WAITING)
        assert self.add(store, first) == Appended(2, 2, mark="by me; märk 1")
        later = append(event(3), once="cancel", mark="by you", details=b"no", at_head=0, fence=9)
        answer = Appended(2, 2, repeated=True, mark="by me; märk 1")
        assert self.again(store, later) == answer
        assert self.add(store, append(event(4), once="other", mark="")) == Appended(3, 3)

    def test_a_key_is_known_after_the_end(self, store: Store) -> None:
        self.begin(store)
        first = append(event(1), once="answer 1", mark="yes")
        self.add(store, first)
        self.end(store)
        again = self.again(store, replace(first, mark="no"))
        assert again == Appended(1, 2, repeated=True, mark="yes")

    def test_a_mark_may_be_kept_without_an_entry(self, store: Store) -> None:
        self.begin(store)
        self.add(store, append(*events(2)))
        answer = self.add(store, append(once="key", mark="there"))
        assert (answer.head, answer.repeated, answer.mark) == (2, False, "there")
        self.add(store, append(event(3)))
        again = self.again(store, append(event(4), once="key", mark="late"))
        assert again == Appended(answer.first, 3, repeated=True, mark="there")

    def test_a_mark_without_a_key_is_not_kept(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1), mark="mark")
        assert self.add(store, wanted) == Appended(1, 1)
        assert self.again(store, wanted) == Appended(1, 1, repeated=True)

    def test_a_key_and_a_count_go_together(self, store: Store) -> None:
        self.begin(store)
        wanted = _counted(1, event(1), once="key", mark="mine")
        assert self.add(store, wanted) == Appended(1, 1, mark="mine")
        assert self.again(store, wanted) == Appended(1, 1, repeated=True, mark="mine")
        # What was not done does not count: the next append of that writer is its first.
        other = _counted(1, event(2), producer="q", once="key", mark="theirs")
        assert self.again(store, other) == Appended(1, 1, repeated=True, mark="mine")
        assert self.add(store, _counted(1, event(3), producer="q")) == Appended(2, 2)

    def test_of_many_with_one_key_one_is_done(self, store: Store) -> None:
        self.begin(store)
        answers = at_once(
            [
                partial(self.add, store, append(event(1), once="key", mark=str(each)))
                for each in range(6)
            ]
        )
        assert self.found(store).head == 1
        assert [each.repeated for each in answers].count(False) == 1
        assert len({each.mark for each in answers}) == 1

    @pytest.mark.parametrize("seq", [1, 2**53])
    def test_repeats_keep_nothing_alive_and_take_no_lease(self, store: Store, seq: int) -> None:
        self.begin(store, lease=None)
        self.add(store, _counted(seq, event(1), once="key"))
        self.again(store, _counted(seq, event(1), lease=LONG, details=b"no"))
        self.again(store, append(event(1), once="key", lease=LONG, status=SessionStatus.WAITING))
        assert not store.claim(claim())
