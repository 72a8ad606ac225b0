from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.fold import Fold
from agentprogress.client._held import Held
from agentprogress.client._reader import Begun, Delivery, Found, Jumped, NewEvent, Reader, Skipped
from agentprogress.client._wire import Malformed, read_frame, read_state
from agentprogress.events import StepStarted
from agentprogress.snapshot import Gap, Snapshot

from ..strategies import MISSHAPEN_EVENTS, RUNNING_EVENTS, numbered
from .hostile import frames
from .line import EPOCH, OTHER, SESSION, SETTINGS, event, snapshot

Json = dict[str, Any]


def held(after: str | None = None) -> Held:
    return Held(after, SETTINGS)


def jumped(seq: int, epoch: str = EPOCH, *, reset: bool = False, **state: Any) -> Jumped:
    return Jumped(*read_state(snapshot(seq, epoch, **state)["state"], SETTINGS), reset)


def step(seq: int, name: str = "read", epoch: str = EPOCH) -> NewEvent:
    return NewEvent(epoch, event(seq, "step.started", step_id=f"st_{seq}", kind="tool", name=name))


def folded(events: list[Json], epoch: str = EPOCH) -> Json:
    fold = Fold(SESSION, epoch, SETTINGS)
    for each in events:
        fold.apply(each)
    return fold.state()


def shown(one: Held) -> Json:
    assert one.snapshot is not None
    return one.snapshot.model_dump(mode="json", by_alias=True)


def test_before_anything_is_known_there_is_no_state() -> None:
    assert (held().cursor, held().snapshot, held().lacks_state) == (None, None, False)


def test_an_event_is_handed_over_typed_and_moves_the_cursor() -> None:
    one = held()
    assert one.take(Begun(SESSION, EPOCH, reset=False)) is None
    assert one.cursor == f"{EPOCH}-0"
    item = one.take(step(1))
    assert isinstance(item, StepStarted)
    assert (item.name, item.seq, one.cursor) == ("read", 1, f"{EPOCH}-1")
    assert one.snapshot is not None
    assert [each.name for each in one.snapshot.steps] == ["read"]


def test_a_state_does_not_change_when_it_is_read_again_or_events_come() -> None:
    one = held()
    one.take(Begun(SESSION, EPOCH, reset=False))
    before = one.snapshot
    assert one.snapshot is before
    one.take(step(1))
    assert before is not None
    assert before.steps == []
    assert one.snapshot is not before


def test_a_snapshot_replaces_the_state_and_is_folded_on() -> None:
    one = held()
    one.take(Begun(SESSION, EPOCH, reset=False))
    one.take(step(1))
    item = one.take(jumped(7, title="Later"))
    assert isinstance(item, Snapshot)
    assert (item.state.title, item.reset, one.cursor) == ("Later", False, f"{EPOCH}-7")
    one.take(step(8, "write"))
    assert one.snapshot is not None
    assert (one.snapshot.title, [each.name for each in one.snapshot.steps]) == ("Later", ["write"])


def test_a_gap_is_handed_over_and_moves_nothing() -> None:
    one = held()
    one.take(Begun(SESSION, EPOCH, reset=False))
    gap = Gap(1, 6, "slow")
    assert one.take(Skipped(gap)) is gap
    assert one.cursor == f"{EPOCH}-0"


def test_a_reset_hands_over_the_empty_state_of_the_new_epoch() -> None:
    one = held()
    one.take(Begun(SESSION, EPOCH, reset=False))
    one.take(step(1))
    item = one.take(Begun(SESSION, OTHER, reset=True))
    assert isinstance(item, Snapshot)
    assert (item.reset, item.state.epoch, item.state.steps) == (True, OTHER, [])
    assert one.cursor == f"{OTHER}-0"


def test_who_brings_a_cursor_lacks_the_state_before_it_until_it_is_found() -> None:
    one = held(f"{EPOCH}-2")
    assert one.lacks_state
    one.take(step(3))
    assert one.snapshot is None
    assert one.cursor == f"{EPOCH}-3"
    one.take(Found(folded(numbered([{"type": "session.started", "title": "T"}] * 3))))
    assert not one.lacks_state
    one.take(step(4))
    assert one.snapshot is not None
    assert (one.snapshot.title, one.snapshot.seq) == ("T", 4)


def test_a_state_that_is_ahead_is_not_folded_a_second_time() -> None:
    events = [step(1).wire, event(2, "usage.reported", input_tokens=7), step(3).wire]
    one = held(f"{EPOCH}-1")
    one.take(Found(folded(events)))
    for each in events[1:]:
        one.take(NewEvent(EPOCH, each))
        assert shown(one)["usage"]["input_tokens"] == 7
    assert one.cursor == f"{EPOCH}-3"


def test_a_state_of_another_epoch_is_not_folded_on() -> None:
    one = held(f"{EPOCH}-2")
    one.take(Found(folded([], OTHER)))
    one.take(step(3))
    assert shown(one)["seq"] == 0


@given(st.lists(st.one_of(RUNNING_EVENTS, MISSHAPEN_EVENTS), max_size=6), st.integers(0, 6))
def test_what_is_held_is_the_fold_of_all_wherever_a_snapshot_comes(
    wires: list[Json], cut: int
) -> None:
    events = numbered(wires)
    cut = min(cut, len(events))
    whole, cutting = held(), held()
    whole.take(Begun(SESSION, EPOCH, reset=False))
    for each in events:
        whole.take(NewEvent(EPOCH, each))
    state = folded(events[:cut])
    try:
        cutting.take(Jumped(*read_state(state, SETTINGS), reset=False))
    except Malformed:  # a time that is none
        return
    for each in events[cut:]:
        cutting.take(NewEvent(EPOCH, each))
    assert shown(cutting) == shown(whole)
    assert shown(whole)["seq"] == len(events)


@given(st.lists(frames(), max_size=12))
def test_what_a_reader_delivers_can_be_taken_whatever_it_is(drawn: list[Json]) -> None:
    reader, one = Reader(None, SETTINGS), held()
    takers = {
        "welcome": reader.welcome,
        "gap": reader.gap,
        "snapshot": reader.snapshot,
        "end": reader.end,
    }
    for frame in drawn:
        deliveries: list[Delivery] = []
        try:
            checked = read_frame(json.dumps(frame))
            take = reader.event if "." in checked["type"] else takers.get(checked["type"])
            if take is not None and checked.get("protocol", 1) == 1:
                deliveries = take(checked)
        except Malformed:
            continue
        for each in deliveries:
            one.take(each)
            assert one.cursor is not None
            assert one.snapshot is None or one.snapshot.seq <= reader_seq(reader)


def reader_seq(reader: Reader) -> int:
    assert reader.cursor is not None
    return int(reader.cursor.rpartition("-")[2])
