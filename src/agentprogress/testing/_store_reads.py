"""Reading logs from anywhere, cutting them, listing sessions."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

import pytest

from .._core.states import SessionStatus
from ..abc import Log, Position, Store, Trim
from ._store_case import (
    EPOCH,
    LONG,
    NEXT_EPOCH,
    StoreCase,
    append,
    claim,
    event,
    events,
    expected,
    seen,
)

__all__ = ["ListTests", "ReadTests", "TrimTests"]


def parts(log: Log) -> tuple[int, list[bytes], bytes | None]:
    """Returns what a read found besides the session."""
    return log.first, list(log.entries), log.base


class ReadTests(StoreCase):
    """What a read finds from where."""

    @pytest.mark.parametrize("seq", range(4))
    def test_what_follows_a_position_goes_on_right_after_it(self, store: Store, seq: int) -> None:
        self.begin(store)
        self.add(store, append(*events(3)))
        assert parts(self.log(store, EPOCH, seq)) == (seq + 1, events(3)[seq:], None)

    @pytest.mark.parametrize("position", [(None, 0), (None, 2), (NEXT_EPOCH, 2), (EPOCH, 9)])
    def test_from_anywhere_else_all_is_read(
        self, store: Store, position: tuple[str | None, int]
    ) -> None:
        self.begin(store)
        self.add(store, append(*events(3)))
        assert parts(self.log(store, *position)) == (1, events(3), None)

    def test_an_empty_log_is_whole(self, store: Store) -> None:
        self.begin(store)
        assert parts(self.log(store)) == (1, [], None)
        assert parts(self.log(store, EPOCH, 0)) == (1, [], None)

    def test_a_read_tells_what_is_known_besides(self, store: Store) -> None:
        self.begin(store, lease=None, owner="me", details=b"all of it")
        self.add(store, append(*events(3)))
        assert self.log(store).session == self.found(store)
        assert self.log(store, EPOCH, 3).session == self.found(store)

    def test_many_logs_are_read_in_one_call(self, store: Store) -> None:
        for session_id in ("a", "b"):
            self.begin(store, session_id)
            self.add(store, append(event(session_id), event(2), session_id=session_id))
        positions = [
            Position("b"),
            Position("unknown"),
            Position("a", EPOCH, 1),
            Position("b", EPOCH, 2),
            Position("b"),
        ]
        found = [each and parts(each) for each in store.read(positions)]
        assert found == [
            (1, [event("b"), event(2)], None),
            None,
            (2, [event(2)], None),
            (3, [], None),
            (1, [event("b"), event(2)], None),
        ]
        assert store.read([]) == []

    def test_another_connection_reads_the_same(self, store: Store) -> None:
        self.begin(store)
        with self.second(store) as again:
            assert seen(again) == seen(store)
            self.add(again, append(*events(2)))
            assert list(self.log(store).entries) == events(2)

    def test_a_closed_store_connects_again(self, store: Store) -> None:
        self.begin(store)
        store.close()
        store.close()
        store.connect()
        store.connect()
        self.add(store, append(event(1)))
        assert self.found(store).head == 1

    def test_heads_are_what_is_found(self, store: Store) -> None:
        self.begin(store, "a", lease=None, owner="me", details=b"")
        self.begin(store, "b", lease=None, status=SessionStatus.PENDING, details=b"")
        self.begin(store, "c", details=b"")
        self.add(store, append(*events(3), session_id="a"))
        self.end(store, "c")
        ids = ["b", "unknown", "a", "c", "a"]
        assert store.heads(ids) == [store.find(each) for each in ids]
        assert store.heads([]) == []


class TrimTests(StoreCase):
    """How an owner cuts its log."""

    @pytest.fixture
    def cut(self, store: Store) -> Store:
        """A store with a log of six events of which three are left."""
        self.begin(store)
        self.add(store, append(*events(6)))
        assert store.trim(Trim("s", EPOCH, 1, 3, "the state at 3 ü".encode()))
        return store

    def test_a_cut_leaves_the_tail_and_the_state_before_it(self, cut: Store) -> None:
        base = "the state at 3 ü".encode()
        assert (self.found(cut).oldest, self.found(cut).head) == (4, 6)
        assert parts(self.log(cut)) == (4, events(6)[3:], base)
        assert self.add(cut, append(event(7))).first == 7

    @pytest.mark.parametrize("seq", [0, 1, 2])
    def test_a_position_before_the_cut_gets_the_state(self, cut: Store, seq: int) -> None:
        assert parts(self.log(cut, EPOCH, seq)) == parts(self.log(cut))

    @pytest.mark.parametrize("seq", [3, 4, 5, 6])
    def test_a_position_at_or_after_the_cut_goes_on(self, cut: Store, seq: int) -> None:
        assert parts(self.log(cut, EPOCH, seq)) == (seq + 1, events(6)[seq:], None)

    @pytest.mark.parametrize("position", [(NEXT_EPOCH, 4), (None, 4), (EPOCH, 7)])
    def test_a_position_that_is_none_gets_the_state(
        self, cut: Store, position: tuple[str | None, int]
    ) -> None:
        assert parts(self.log(cut, *position)) == parts(self.log(cut))

    def test_a_later_cut_replaces_the_state(self, cut: Store) -> None:
        assert cut.trim(Trim("s", EPOCH, 1, 4, b"at 4"))
        assert parts(self.log(cut)) == (5, events(6)[4:], b"at 4")

    def test_everything_may_be_cut(self, cut: Store) -> None:
        assert cut.trim(Trim("s", EPOCH, 1, 6, b"at 6"))
        assert parts(self.log(cut)) == (7, [], b"at 6")
        assert (self.found(cut).oldest, self.found(cut).head) == (7, 6)
        assert parts(self.log(cut, EPOCH, 6)) == (7, [], None)
        assert self.add(cut, append(event(7))).first == 7

    @pytest.mark.parametrize(
        "wrong",
        [
            Trim("s", NEXT_EPOCH, 1, 4, b"no"),
            Trim("s", EPOCH, 0, 4, b"no"),
            Trim("s", EPOCH, 2, 4, b"no"),
            Trim("s", EPOCH, 1, 0, b"no"),
            Trim("s", EPOCH, 1, 2, b"no"),
            Trim("s", EPOCH, 1, 3, b"no"),
            Trim("s", EPOCH, 1, 7, b"no"),
            Trim("unknown", EPOCH, 1, 4, b"no"),
        ],
        ids=str,
    )
    def test_what_is_no_cut_of_the_owners_changes_nothing(self, cut: Store, wrong: Trim) -> None:
        before = seen(cut)
        assert not cut.trim(wrong)
        assert seen(cut) == before

    def test_a_cut_log_ends_and_a_takeover_keeps_its_state(self, cut: Store) -> None:
        self.begin(cut, expected=expected(self.found(cut)), fence=2)
        assert self.log(cut).base == "the state at 3 ü".encode()
        self.end(cut)
        assert self.log(cut).base == "the state at 3 ü".encode()
        assert len(self.log(cut).entries) == 4


class ListTests(StoreCase):
    """What is listed of whose."""

    def ids(
        self,
        store: Store,
        owner: str | None = None,
        status: str | None = None,
        limit: int = 99,
        after: str | None = None,
    ) -> list[str]:
        """Returns the ids that are listed."""
        found = store.list(owner=owner, status=status, limit=limit, after=after)
        return [each.session_id for each in found]

    @pytest.fixture
    def full(self, store: Store) -> Store:
        """A store with four sessions of two owners, claimed in another order than created."""
        waiting = SessionStatus.WAITING
        self.begin(store, "d", created=1_000.5, owner="me")
        self.begin(store, "b", created=999.25, owner="me", status=waiting, lease=None)
        self.begin(store, "a", created=1_750_000_000.125, owner="you")
        self.begin(store, "c", created=1_000.25, owner=None, status=waiting, lease=None)
        return store

    def test_sessions_are_listed_in_the_order_of_their_creation(self, full: Store) -> None:
        assert self.ids(full) == ["b", "c", "d", "a"]

    def test_what_is_listed_is_what_is_found(self, full: Store) -> None:
        [listed] = full.list(owner=None, status="waiting", limit=1, after=None)
        assert listed == self.found(full, "b")

    def test_an_owner_sees_their_own_only(self, full: Store) -> None:
        assert self.ids(full, owner="me") == ["b", "d"]
        assert self.ids(full, owner="you") == ["a"]
        assert self.ids(full, owner="m") == []

    def test_a_status_is_asked_for(self, full: Store) -> None:
        assert self.ids(full, status="waiting") == ["b", "c"]
        assert self.ids(full, status="running", owner="me") == ["d"]
        assert self.ids(full, status="completed") == []
        self.end(full, "d")
        assert self.ids(full, status="completed") == ["d"]
        assert self.ids(full, status="running") == ["a"]

    def test_a_list_goes_on_after_an_id(self, full: Store) -> None:
        assert self.ids(full, limit=3) == ["b", "c", "d"]
        assert self.ids(full, after="b", limit=2) == ["c", "d"]
        assert self.ids(full, after="c", owner="me") == ["d"]
        assert self.ids(full, after="b", status="running", limit=1) == ["d"]
        assert self.ids(full, after="a") == []
        assert self.ids(full, after="unknown") == []

    def test_those_created_at_once_are_listed_by_their_ids(self, store: Store) -> None:
        for session_id in "qWertZ":
            self.begin(store, session_id)
        pages: list[str] = []
        while page := self.ids(store, limit=2, after=pages[-1] if pages else None):
            pages += page
        assert pages == ["W", "Z", "e", "q", "r", "t"]

    def test_a_tombstone_is_not_listed(self, full: Store) -> None:
        self.end(full, "d")
        assert full.delete("d", LONG)
        assert self.ids(full) == ["b", "c", "a"]
        assert self.ids(full, owner="me") == ["b"]
        assert self.ids(full, status="completed") == []

    def test_a_takeover_may_change_whose_it_is(self, full: Store) -> None:
        there = expected(self.found(full, "d"))
        assert full.claim(claim("d", expected=there, fence=2, created=1_000.5, owner="you"))
        assert self.ids(full, owner="me") == ["b"]
        assert self.ids(full, owner="you") == ["d", "a"]
        assert self.ids(full) == ["b", "c", "d", "a"]
