"""Anything that may be asked of a store, in any order, against an oracle that shares no code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, product
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .._core.states import SessionStatus
from ..abc import Append, Appended, Claim, Ending, Expected, Lease, Position, Refused, Store, Trim
from ._store_oracle import Oracle
from ._store_views import check_from, view_of, without_lease
from ._store_wishes import (
    APPENDS,
    CONNECTION,
    ENDED,
    ENDINGS,
    ID,
    IDS,
    KEPT,
    LIVE,
    LIVES,
    LONG,
    OWNERS,
    PAST_SOON,
    SOON,
    STEP,
    mostly,
)

__all__ = ["StoreMachine"]


class StoreMachine(RuleBasedStateMachine):
    """Asks a store whatever may be asked, and an oracle the same. Needs Hypothesis.

    A subclass makes the store. Where time cannot be moved by hand, it sets `moves_time`::

        class MyMachine(StoreMachine):
            def make_store(self):
                self.clock = ManualClock()
                return MyStore(clock=self.clock)

            def pass_time(self, store, seconds):
                self.clock.jump(seconds)

        TestMyMachine = MyMachine.TestCase

    Attributes:
        moves_time: false where `pass_time` waits for real: it is called for a moment at most then.
    """

    moves_time = True

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.connections: list[Store] = []
        self.past: list[Append] = []
        self.numbers = count(1)

    def make_store(self) -> Store:
        """Returns a store that has nothing in it; called once for each example."""
        raise NotImplementedError("A machine says how to make a store.")

    def pass_time(self, store: Store, seconds: float) -> None:
        """Lets time pass on the store's clock."""
        raise NotImplementedError("A machine says how time passes.")

    def connect_again(self, store: Store) -> Store:
        """Returns what another process would use; the same where there is none."""
        return store

    @initialize()
    def begin(self) -> None:
        """Makes the store, and connects a second time."""
        store = self.make_store()
        again = self.connect_again(store)
        store.connect()
        again.connect()
        self.connections = [store, again]

    def teardown(self) -> None:
        """Closes what was opened."""
        for each in self.connections:
            each.close()

    # What is asked

    @rule(session_id=ID, on=CONNECTION, lease=mostly(LONG, None, SOON), ttl=LIVES)
    def makes(self, session_id: str, on: int, lease: float | None, ttl: float) -> None:
        """Claims what is not there, whether or not it is."""
        self.claims(self.new_claim(session_id, lease=lease, ttl=ttl), on)

    @rule(
        session_id=ID,
        on=CONNECTION,
        wrong=mostly({}, {"fence": 99}, {"epoch": "Epoch99999"}, {"status": ENDED[0]}),
        anew=st.booleans(),
        lapsed=mostly(False, True),
        ttl=LIVES,
        more=st.fixed_dictionaries(
            {
                "status": mostly(LIVE[1], *LIVE),
                "lease": mostly(LONG, None, SOON),
                "owner": st.sampled_from(OWNERS),
                "base_seq": mostly(0, 5),
            }
        ),
    )
    def takes_over(
        self,
        session_id: str,
        on: int,
        wrong: dict[str, Any],
        anew: bool,
        lapsed: bool,
        ttl: float,
        more: dict[str, Any],
    ) -> None:
        """Claims what is there, rightly or not, in its epoch or a new one."""
        view = self.oracle.view(session_id)
        if view is None:
            return
        there = Expected(view.epoch, view.fence, SessionStatus(view.status), lapsed)
        fields = {"expected": replace(there, **wrong), "fence": view.fence + 1, "ttl": ttl}
        claim = self.new_claim(session_id, **fields, attempt=view.attempt + 1, **more)
        claim = replace(claim, base=b"base" if claim.base_seq else b"")
        self.claims(claim if anew else replace(claim, epoch=view.epoch), on)

    @rule(session_id=ID, on=CONNECTION, wish=APPENDS)
    def appends(self, session_id: str, on: int, wish: dict[str, Any]) -> None:
        """Appends something new, by the rules or against them."""
        self.asks([self.new_append(session_id, wish)], on)

    @rule(wishes=st.lists(st.tuples(ID, APPENDS), max_size=4), on=CONNECTION)
    def appends_many(self, wishes: list[tuple[str, dict[str, Any]]], on: int) -> None:
        """Appends to several logs in one call, each on its own."""
        self.asks([self.new_append(*each) for each in wishes], on)

    @rule(
        session_id=ID,
        on=CONNECTION,
        wish=APPENDS,
        status=st.sampled_from(ENDED),
        ending=ENDINGS,
    )
    def ends(
        self, session_id: str, on: int, wish: dict[str, Any], status: Any, ending: Ending
    ) -> None:
        """Appends an end."""
        append = self.new_append(session_id, {**wish, "entries": 1, "lease": None})
        self.asks([replace(append, status=status, ending=ending)], on)

    @precondition(lambda self: self.past)
    @rule(back=st.integers(0, 5), on=CONNECTION, anew=mostly(False, True))
    def repeats(self, back: int, on: int, anew: bool) -> None:
        """Appends again what was appended, or another thing with its key."""
        append = self.past[-1 - min(back, len(self.past) - 1)]
        if anew:
            append = replace(append, producer_id="", mark=f"m{next(self.numbers)}")
        self.asks([append], on)

    @rule(
        session_id=ID,
        on=CONNECTION,
        offset=st.integers(-1, 6),
        fence=mostly(0, -1, 1),
        epoch=mostly(True, False),
    )
    def trims(self, session_id: str, on: int, offset: int, fence: int, epoch: bool) -> None:
        """Cuts somewhere around what may be cut."""
        view = self.oracle.view(session_id)
        base = b"state %d" % next(self.numbers)
        trim = Trim(session_id, "Epoch99999", 1, 1, base)
        if view is not None and epoch:
            trim = replace(trim, epoch=view.epoch)
        if view is not None:
            trim = replace(trim, fence=view.fence + fence, seq=view.oldest + offset)
        assert self.connections[on].trim(trim) == self.oracle.trim(trim)

    @rule(
        wishes=st.lists(st.tuples(ID, mostly(0, -1, 1), mostly(LONG, 0.0, SOON)), max_size=3),
        on=CONNECTION,
        stalled=mostly("", "blocked"),
    )
    def renews(self, wishes: list[tuple[str, int, float]], on: int, stalled: str) -> None:
        """Renews leases in one call."""
        leases: list[Lease] = []
        for session_id, fence, ttl in wishes:
            view = self.oracle.view(session_id)
            epoch, owner = ("Epoch99999", 1) if view is None else (view.epoch, view.fence)
            leases.append(Lease(session_id, epoch, owner + fence, ttl, stalled))
        assert self.connections[on].renew(leases) == [self.oracle.renew(each) for each in leases]
        self.let_soon_pass(*[each.ttl for each in leases])

    @rule(session_id=ID, on=CONNECTION, ttl=KEPT)
    def deletes(self, session_id: str, on: int, ttl: float) -> None:
        """Deletes what has ended, or tries to."""
        assert self.connections[on].delete(session_id, ttl) == self.oracle.delete(session_id, ttl)
        self.let_soon_pass(ttl)

    @rule(most=st.integers(1, 3), on=CONNECTION)
    def sweeps(self, most: int, on: int) -> None:
        """Sweeps, by which nothing changes that can be seen."""
        assert 0 <= self.connections[on].sweep(most) <= most

    @precondition(lambda self: self.moves_time)
    @rule()
    def time_passes(self) -> None:
        """Lets much time pass."""
        self.let_pass(STEP)

    # What must be so

    @invariant()
    def what_is_found_is_what_there_is(self) -> None:
        """Compares all that is told of each session."""
        for store in self.connections:
            found = [store.find(each) for each in IDS]
            logs = store.read([Position(each) for each in IDS])
            heads = store.heads(IDS)
            for session_id, stored, log, head in zip(IDS, found, logs, heads, strict=True):
                view = self.oracle.view(session_id)
                assert view_of(stored, log, store.result(session_id)) == view
                assert without_lease(head) == without_lease(stored, head)

    @invariant()
    def a_log_goes_on_from_any_position(self) -> None:
        """Reads from every position of each log, and from one that is none."""
        for store in self.connections[-1:]:
            for session_id in IDS:
                view = self.oracle.view(session_id)
                if view is not None and not view.gone:
                    seqs = range(view.head + 2)
                    found = store.read([Position(session_id, view.epoch, seq) for seq in seqs])
                    for seq, log in zip(seqs, found, strict=True):
                        check_from(view, seq, log)

    @invariant()
    def lists_are_of_what_there_is(self) -> None:
        """Compares who is listed, and who is overdue."""
        for store in self.connections[:1]:
            for owner, status in product(OWNERS, (None, "running", "completed")):
                listed = store.list(owner=owner, status=status, limit=9, after=None)
                ids = [each.session_id for each in listed]
                assert ids == self.oracle.listed(owner, status)
            for statuses in (LIVE[:1], LIVE):
                overdue = store.overdue(9, statuses=statuses)
                ids = [each.session.session_id for each in overdue]
                assert sorted(ids) == sorted(self.oracle.overdue(statuses))

    # How it is asked

    def new_claim(self, session_id: str, **fields: Any) -> Claim:
        """Returns a claim with an epoch and details of its own."""
        number = next(self.numbers)
        claim = Claim(
            session_id,
            expected=None,
            epoch=f"Epoch{number:05}",
            status=SessionStatus.RUNNING,
            attempt=1,
            fence=1,
            owner=OWNERS[number % len(OWNERS)],
            created=1_000.0 - number if number % 2 else 1_000.0 + number,
            details=b"details %d" % number,
            ttl=LONG,
        )
        return replace(claim, **fields)

    def new_append(self, session_id: str, wish: dict[str, Any]) -> Append:
        """Returns what was wished for, as it is said of the session that is there."""
        view, number = self.oracle.view(session_id), next(self.numbers)
        epoch, fence, head = ("", 1, 0) if view is None else (view.epoch, view.fence, view.head)
        entries = [b"entry %d.%d" % (number, each) for each in range(wish["entries"])]
        return Append(
            session_id,
            epoch if wish["epoch"] else "Epoch99999",
            entries,
            known_head=0 if wish["known_head"] is None else head + wish["known_head"],
            max_events=wish["max_events"],
            max_bytes=wish["max_bytes"],
            fence=None if wish["fence"] is None else fence + wish["fence"],
            producer_id=wish["producer"],
            # Any number does that was not used before.
            producer_seq=number * 10 + wish["skip"],
            once=wish["once"],
            mark="" if wish["once"] is None else f"m{number}",
            only=wish["only"],
            lapsed=wish["lapsed"],
            at_head=None if wish["at_head"] is None else head + wish["at_head"],
            status=wish["status"],
            lease=wish["lease"],
            details=b"details %d" % number if wish["details"] else None,
        )

    def claims(self, claim: Claim, on: int) -> None:
        """Claims and compares."""
        assert self.connections[on].claim(claim) == self.oracle.claim(claim)
        self.let_soon_pass(claim.ttl, claim.lease)

    def asks(self, appends: Sequence[Append], on: int) -> None:
        """Appends and compares each answer."""
        answers = self.connections[on].append(appends)
        assert len(answers) == len(appends)
        for append, answer in zip(appends, answers, strict=True):
            self.compares(append, answer)
        self.past += appends
        ends = [each.ending for each in appends if each.ending is not None]
        lives = [life for e in ends for life in (e.history_ttl, e.result_ttl, e.tombstone_ttl)]
        self.let_soon_pass(*lives, *[each.lease for each in appends])

    def compares(self, append: Append, answer: Appended | Refused) -> None:
        """Compares one answer with the oracle's, and does what was asked there too."""
        done = self.oracle.repeats(append)
        if done is not None:
            assert isinstance(answer, Appended)
            assert answer.repeated
            assert answer.head == self.oracle.epochs[append.session_id].head
            older = append.producer_id == done.append.producer_id != "" and (
                append.producer_seq < done.append.producer_seq
            )
            if not older:
                mark = "" if done.append.once is None else done.append.mark
                assert (answer.first, answer.mark) == (done.before + 1, mark)
            return
        why = self.oracle.refusal(append)
        if why is not None:
            assert isinstance(answer, Refused)
            assert answer.why == why
            return
        before = self.oracle.epochs[append.session_id].head
        self.oracle.append(append)
        assert answer == Appended(before + 1, before + len(append.entries), mark=append.mark)

    def let_soon_pass(self, *times: float | None) -> None:
        """Lets a moment pass where something was to run out in it."""
        if SOON in times:
            self.let_pass(PAST_SOON)

    def let_pass(self, seconds: float) -> None:
        """Lets time pass for the store and the oracle."""
        self.pass_time(self.connections[0], seconds)
        self.oracle.now += seconds
