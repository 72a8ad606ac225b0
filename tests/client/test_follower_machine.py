"""Whatever a server, a network and a user do in whatever order: what holds for every client.

The oracle knows the deliveries and where the user stood before them, and shares no code with the
library.
"""

from __future__ import annotations

import json
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agentprogress.client import FollowState, Transport
from agentprogress.client._follower import Follower
from agentprogress.client._held import Held
from agentprogress.client._reader import Begun, Delivery, Jumped, NewEvent, Skipped
from agentprogress.client._steps import Dial, FollowerOptions, Over, Rest
from agentprogress.client._wire import Answer
from agentprogress.codes import CODES
from agentprogress.errors import FollowError

from .hostile import JSON_AND_MORE, frames
from .line import EPOCH, SESSION, SETTINGS, event, welcome

Json = dict[str, Any]

WELL = {
    FollowState.IDLE,
    FollowState.CONNECTING,
    FollowState.REPLAYING,
    FollowState.LIVE,
    FollowState.ENDED,
}
FINAL = {FollowState.ENDED, FollowState.GAVE_UP}
CURSORS = st.sampled_from([None, None, f"{EPOCH}-2", f"{EPOCH}-9999999999999999", "nonsense"])
ERRORS = st.builds(
    FollowError,
    st.sampled_from(["network", "timeout", "unauthorized"]),
    st.just("Why."),
    retryable=st.sampled_from([True, True, True, False]),
)
PROBLEMS = st.dictionaries(
    st.sampled_from(["code", "retryable", "detail", "retry_after"]), JSON_AND_MORE
) | st.fixed_dictionaries({"code": st.sampled_from([*CODES])})
ANSWERS = st.builds(
    Answer,
    st.sampled_from([200, 204, 301, 401, 403, 404, 407, 410, 429, 500, 502, 503]),
    st.none() | PROBLEMS,
    st.none() | st.floats(0, 1e9),
    st.sampled_from(["", "text/html"]),
)


class Oracle:
    """Where a user stands that is handed deliveries; None where it has nothing."""

    def __init__(self, after: str | None) -> None:
        self.epoch, self.seq = "", 0
        self.brought = after
        if after is not None and after.startswith(EPOCH):
            self.epoch, self.seq = EPOCH, int(after.rpartition("-")[2])
        self.fresh = after is None

    def take(self, delivery: Delivery) -> None:
        match delivery:
            case Begun(_, epoch, reset):
                assert reset or self.fresh
                self._stand(epoch, 0)
            case Jumped(wire, state, reset):
                assert reset or self.fresh or state.epoch == self.epoch
                assert reset or self.fresh or state.seq >= self.seq
                assert (wire["epoch"], wire["seq"]) == (state.epoch, state.seq)
                self._stand(state.epoch, state.seq)
            case NewEvent(epoch, wire):
                assert self.fresh or epoch == self.epoch
                assert wire["seq"] == self.seq + 1
                self._stand(epoch, wire["seq"])
            case Skipped(gap):
                assert gap.missed_to > self.seq

    @property
    def cursor(self) -> str:
        return f"{self.epoch}-{self.seq}"

    def _stand(self, epoch: str, seq: int) -> None:
        self.epoch, self.seq, self.fresh = epoch, seq, False


class FollowerMachine(RuleBasedStateMachine):
    """One client, and what may happen to it."""

    @initialize(
        transport=st.sampled_from(["auto", "auto", *Transport]),
        after=CURSORS,
        most=st.sampled_from([None, None, 3]),
        can_renew=st.booleans(),
        draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
    )
    def begin(
        self,
        transport: str,
        after: str | None,
        most: int | None,
        can_renew: bool,
        draws: list[float],
    ) -> None:
        def random() -> float:
            draws.append(draws.pop(0))
            return draws[-1]

        options = FollowerOptions(after, transport, most, can_renew)
        self.follower = Follower(SESSION, options, SETTINGS, random)
        self.held, self.oracle = Held(after, SETTINGS), Oracle(after)
        self.named = None if transport == "auto" else Transport(transport)
        self.now, self.final = 0.0, FollowState.IDLE
        self.rung = 0

    # What a driver does

    @rule(opens=st.sampled_from([True, True, True, False]))
    def step(self, opens: bool) -> None:
        if self.follower.linked:
            return
        match self.follower.next(self.now):
            case Rest(until):
                assert self.now < until <= self.now + SETTINGS.history_ttl
                assert self.follower.retry_at == until
                self.now = until
            case Dial(transport, cursor, waits, renew):
                assert transport is self.follower.transport
                assert cursor == self.follower.cursor
                assert not waits or transport is Transport.LONG_POLL
                assert not renew or self.follower.state is FollowState.RECONNECTING
                assert self.follower.linked
                if opens:
                    self.follower.reached(self.now)
                    self.follower.opened(self.now)
            case Over(error):
                assert (error is None) == (self.follower.state is FollowState.ENDED)

    @precondition(lambda self: self.follower.linked)
    @rule(batch=st.lists(frames(), max_size=4))
    def receive(self, batch: list[Json]) -> None:
        self.send(batch)

    @precondition(lambda self: self.follower.linked)
    @rule(head=st.integers(0, 6), more=st.integers(1, 6))
    def receive_what_fits(self, head: int, more: int) -> None:
        position = self.follower.cursor or ""
        epoch, _, seq = position.rpartition("-")
        known = epoch == EPOCH
        first = int(seq) + 1 if known else 1
        answer = welcome(first - 1 + head, "exact" if known else "fresh")
        self.send([answer, *(event(first + each) for each in range(more))])

    @precondition(lambda self: self.follower.linked)
    @rule(
        data=st.binary(max_size=20) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    )
    def receive_anything(self, data: str | bytes) -> None:
        self.hand_over(self.follower.received(data, self.now).deliveries)

    def send(self, batch: list[Json]) -> None:
        if self.follower.transport is Transport.SSE:
            data = "".join(f"data: {json.dumps(frame)}\n\n" for frame in batch)
        elif self.follower.transport is Transport.LONG_POLL:
            data = json.dumps({"frames": batch})
        else:
            data = json.dumps(batch)
        taken = self.follower.received(data.encode(), self.now)
        assert not taken.pong or any(frame.get("type") == "heartbeat" for frame in batch)
        self.hand_over(taken.deliveries)

    def hand_over(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self.oracle.take(delivery)
            self.held.take(delivery)
            shown = self.held.snapshot
            assert shown is None or shown.seq <= self.oracle.seq
            assert self.held.cursor in (self.oracle.brought, self.oracle.cursor)

    @rule(code=st.none() | st.integers(1000, 4999) | st.sampled_from([4401, 4104, 4404]))
    def close(self, code: int | None) -> None:
        self.follower.closed(code, self.now)
        assert not self.follower.linked

    @rule(error=ERRORS)
    def cut(self, error: FollowError) -> None:
        self.follower.cut(error, self.now)
        assert not self.follower.linked

    @rule(error=ERRORS)
    def find_nobody(self, error: FollowError) -> None:
        self.follower.unreachable(error, self.now)
        assert not self.follower.linked

    @rule(answer=ANSWERS)
    def refuse(self, answer: Answer) -> None:
        self.follower.refused(answer, self.now)
        assert not self.follower.linked

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 6.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        deadline = self.follower.deadline
        assert self.follower.due(self.now) == (self.now >= deadline)
        assert not self.follower.linked or self.now < deadline

    @rule()
    def hear_something(self) -> None:
        self.follower.heard(self.now)

    @rule()
    def sleep(self) -> None:
        self.follower.woke(self.now)
        assert not isinstance(self.follower.next(self.now), Rest)

    @rule()
    def retry_now(self) -> None:
        self.follower.retry_now()

    # What always holds

    @invariant()
    def what_is_over_stays_over(self) -> None:
        state = self.follower.state
        if self.final in FINAL:
            assert state is self.final
            assert isinstance(self.follower.next(self.now), Over)
        self.final = state

    @invariant()
    def who_is_linked_has_a_deadline_and_no_other_has(self) -> None:
        assert (self.follower.deadline < inf) == self.follower.linked
        assert self.follower.retry_at is None or not self.follower.linked

    @invariant()
    def there_is_an_error_when_all_is_not_well(self) -> None:
        assert (self.follower.error is None) == (self.follower.state in WELL)

    @invariant()
    def the_ladder_only_leads_down_and_not_for_who_named_a_transport(self) -> None:
        rung = [*Transport].index(self.follower.transport)
        assert rung >= self.rung
        assert self.named in (None, self.follower.transport)
        self.rung = rung

    @invariant()
    def what_is_joined_with_is_what_the_user_has_unless_it_is_void(self) -> None:
        cursor, oracle = self.follower.cursor, self.oracle
        epoch = (cursor or "").rpartition("-")[0]
        if epoch == oracle.epoch and cursor != oracle.brought:
            assert cursor in (oracle.cursor, f"{epoch}-0")


TestFollower = FollowerMachine.TestCase
