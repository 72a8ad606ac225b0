from __future__ import annotations

from typing import Any

import pytest

from agentprogress.client._reader import Begun, Delivery, Jumped, NewEvent, Reader, Skipped
from agentprogress.client._wire import Malformed
from agentprogress.snapshot import Gap

from .line import EPOCH, LATER, OTHER, SESSION, SETTINGS, end, event, gap, snapshot, welcome


def reader(after: str | None = None) -> Reader:
    return Reader(after, SETTINGS)


def at(seq: int) -> Reader:
    """Returns a reader that has the events up to one."""
    made = reader()
    made.welcome(welcome(seq))
    for number in range(1, seq + 1):
        made.event(event(number))
    return made


def names(deliveries: list[Delivery]) -> list[Any]:
    """Returns what the deliveries are, short enough to compare."""
    short: list[Any] = []
    for each in deliveries:
        match each:
            case Begun(_, epoch, reset):
                short.append(("begun", epoch, reset))
            case NewEvent(epoch, wire):
                short.append((epoch, wire["seq"]))
            case Jumped(_, state, reset):
                short.append(("jumped", state.epoch, state.seq, reset))
            case Skipped(skipped):
                short.append(("skipped", skipped.missed_from, skipped.missed_to))
    return short


# Joining


def test_a_fresh_join_begins_at_the_beginning() -> None:
    made = reader()
    assert made.cursor is None
    assert made.welcome(welcome(3)) == [Begun(SESSION, EPOCH, reset=False)]
    assert made.cursor == f"{EPOCH}-0"


def test_a_trimmed_log_begins_with_its_snapshot() -> None:
    made = reader()
    assert made.welcome(welcome(9, "snapshot")) == []
    assert names(made.snapshot(snapshot(4))) == [("jumped", EPOCH, 4, False)]
    assert names(made.event(event(5))) == [(EPOCH, 5)]


@pytest.mark.parametrize("resume", ["exact", "gap"])
def test_a_cursor_that_still_counts_goes_on_where_it_was(resume: str) -> None:
    made = reader(f"{EPOCH}-7")
    assert made.welcome(welcome(9, resume)) == []
    assert made.cursor == f"{EPOCH}-7"


@pytest.mark.parametrize(
    ("after", "epoch"),
    [(f"{EPOCH}-7", EPOCH), (f"{EPOCH}-7", OTHER), ("next week", EPOCH), ("", EPOCH)],
    ids=["ahead of the head", "another epoch", "unreadable", "empty"],
)
def test_a_reset_throws_the_position_away(after: str, epoch: str) -> None:
    made = reader(after)
    made.welcome(welcome(2, "reset", epoch))
    assert made.cursor == f"{epoch}-0"
    assert names(made.event(event(1))) == [("begun", epoch, True), (epoch, 1)]
    assert names(made.event(event(2))) == [(epoch, 2)]


def test_a_reset_to_a_log_that_is_empty_is_told_at_once() -> None:
    made = at(3)
    assert names(made.welcome(welcome(0, "reset", OTHER))) == [("begun", OTHER, True)]
    assert names(made.event(event(1))) == [(OTHER, 1)]


def test_a_reset_to_a_trimmed_log_is_told_by_its_snapshot() -> None:
    made = at(3)
    assert made.welcome(welcome(9, "reset", OTHER)) == []
    assert names(made.snapshot(snapshot(8, OTHER))) == [("jumped", OTHER, 8, True)]
    assert names(made.event(event(9))) == [(OTHER, 9)]


def test_a_reset_is_told_once_however_often_it_is_cut() -> None:
    made = at(3)
    assert made.welcome(welcome(2, "reset", OTHER)) == []
    assert made.welcome(welcome(2, "exact", OTHER)) == []
    assert names(made.event(event(1))) == [("begun", OTHER, True), (OTHER, 1)]


def test_a_reset_that_another_one_overtakes_is_not_told() -> None:
    made = at(3)
    made.welcome(welcome(5, "reset", OTHER))
    assert names(made.welcome(welcome(0, "reset", LATER))) == [("begun", LATER, True)]
    assert names(made.event(event(1))) == [(LATER, 1)]


@pytest.mark.parametrize("resume", ["exact", "gap", "fresh", "snapshot", "of a later version"])
def test_another_epoch_is_a_reset_whatever_the_welcome_calls_it(resume: str) -> None:
    made = at(3)
    made.welcome(welcome(1, resume, OTHER))
    assert names(made.event(event(1))) == [("begun", OTHER, True), (OTHER, 1)]


# Following


def test_events_are_taken_one_after_the_other() -> None:
    made = reader()
    made.welcome(welcome(2))
    assert names(made.event(event(1)) + made.event(event(2))) == [(EPOCH, 1), (EPOCH, 2)]
    assert made.cursor == f"{EPOCH}-2"


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_duplicate_is_dropped(seq: int) -> None:
    made = at(3)
    assert made.event(event(seq)) == []
    assert made.cursor == f"{EPOCH}-3"


def test_a_hole_that_nobody_announced_is_not_stepped_over() -> None:
    made = at(3)
    with pytest.raises(Malformed, match="The event 5 came after 3"):
        made.event(event(5))
    assert made.cursor == f"{EPOCH}-3"


def test_a_gap_is_told_and_the_snapshot_after_it_goes_on() -> None:
    made = at(2)
    assert made.gap(gap(3, 9, "slow")) == []
    assert made.cursor == f"{EPOCH}-2"
    told, *jumped = made.snapshot(snapshot(9))
    assert told == Skipped(Gap(3, 9, "slow"))
    assert names(jumped) == [("jumped", EPOCH, 9, False)]
    assert names(made.event(event(10))) == [(EPOCH, 10)]


def test_a_gap_that_is_cut_from_its_snapshot_is_told_by_the_next_welcome() -> None:
    made = at(2)
    made.gap(gap(3, 9, "slow"))
    made.welcome(welcome(12, "gap"))
    made.gap(gap(3, 7))
    assert made.snapshot(snapshot(7))[0] == Skipped(Gap(3, 7, "evicted"))


def test_a_gap_without_its_snapshot_is_a_hole() -> None:
    made = at(2)
    made.gap(gap(3, 9))
    with pytest.raises(Malformed):
        made.event(event(10))


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_gap_of_what_is_here_is_dropped(last: int) -> None:
    assert at(3).gap(gap(1, last)) == []


@pytest.mark.parametrize("seq", [0, 1, 2])
def test_a_snapshot_of_before_the_position_is_dropped(seq: int) -> None:
    made = at(3)
    assert made.snapshot(snapshot(seq)) == []
    assert made.cursor == f"{EPOCH}-3"


@pytest.mark.parametrize("seq", [3, 4, 90])
def test_a_snapshot_at_the_position_or_after_it_replaces_the_state(seq: int) -> None:
    made = at(3)
    assert names(made.snapshot(snapshot(seq))) == [("jumped", EPOCH, seq, False)]
    assert made.cursor == f"{EPOCH}-{seq}"


@pytest.mark.parametrize(
    "frame",
    [
        snapshot(4, OTHER),
        {**snapshot(4), "seq": 5},
        {"type": "snapshot", "seq": 4, "state": {}},
        snapshot(4, steps=7),
        snapshot(4, steps=[{"step_id": "a"}]),
        snapshot(4, usage=None),
    ],
    ids=["other epoch", "other seq", "empty", "steps", "a step", "usage"],
)
def test_a_state_that_is_none_of_this_log_is_not_taken(frame: dict[str, Any]) -> None:
    made = at(3)
    with pytest.raises(Malformed):
        made.snapshot(frame)
    assert made.cursor == f"{EPOCH}-3"


def test_the_end_is_taken_when_all_before_it_is_here() -> None:
    assert at(3).end(end(3)) == []


@pytest.mark.parametrize("head", [0, 2, 4])
def test_an_end_that_is_not_at_the_position_is_none(head: int) -> None:
    with pytest.raises(Malformed, match=f"The end is at {head}, and came after 3"):
        at(3).end(end(head))


@pytest.mark.parametrize("after", [None, "unreadable"])
@pytest.mark.parametrize("frame", [event(1), gap(1, 2), snapshot(2), end(0)])
def test_nothing_can_come_before_the_first_welcome(
    frame: dict[str, Any], after: str | None
) -> None:
    made = reader(after)
    take = getattr(made, frame["type"] if "." not in frame["type"] else "event")
    with pytest.raises(Malformed, match="The first frame is no welcome"):
        take(frame)
    assert made.cursor == after


# Catching up


def test_it_has_caught_up_when_the_position_reaches_the_head_of_the_welcome() -> None:
    made = reader()
    assert not made.caught_up
    made.welcome(welcome(2))
    made.event(event(1))
    assert not made.caught_up
    made.event(event(2))
    assert made.caught_up


def test_an_empty_log_is_caught_up_with_at_once() -> None:
    made = reader()
    made.welcome(welcome(0))
    assert made.caught_up
