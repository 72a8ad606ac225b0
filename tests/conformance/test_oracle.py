"""The judge is judged: each seeded fault is found and called by its name."""

from __future__ import annotations

import random
from typing import Any

import pytest

from .oracle import Faulty, check_history

EPOCH = "abcdefghij"


def history(length: int = 40, *, start: int = 0) -> list[dict[str, Any]]:
    """Returns the frames of a flawless connection that begins after `start`."""
    resume = "exact" if start else "fresh"
    frames: list[dict[str, Any]] = [{"type": "welcome", "epoch": EPOCH, "resume": resume}]
    frames += [{"type": "log.message", "seq": seq} for seq in range(start + 1, length + 1)]
    return [*frames, {"type": "end", "head": length}]


def resumed(resume: str, *frames: dict[str, Any], after: str | None = None) -> str:
    welcome = {"type": "welcome", "epoch": EPOCH, "resume": resume}
    return check_history([welcome, *frames], after)


def snapshot(seq: int) -> dict[str, Any]:
    return {"type": "snapshot", "seq": seq, "state": {"seq": seq}}


def gap(first: int, last: int) -> dict[str, Any]:
    return {"type": "gap", "missed_from": first, "missed_to": last}


def fault_of(frames: list[dict[str, Any]], after: str | None = None) -> str:
    with pytest.raises(Faulty) as found:
        check_history(frames, after)
    return found.value.fault


def test_a_flawless_history_gives_the_cursor_after_it() -> None:
    assert check_history(history()) == f"{EPOCH}-40"
    assert check_history(history(start=7), f"{EPOCH}-7") == f"{EPOCH}-40"


def test_heartbeats_are_no_fault_anywhere() -> None:
    frames = history()
    frames.insert(9, {"type": "heartbeat"})
    assert check_history(frames) == f"{EPOCH}-40"


@pytest.mark.parametrize("seed", range(20))
def test_a_lost_event_is_found(seed: int) -> None:
    frames = history()
    del frames[random.Random(seed).randrange(1, 40)]
    assert fault_of(frames) == "gap"


@pytest.mark.parametrize("seed", range(20))
def test_an_event_that_comes_twice_is_found(seed: int) -> None:
    frames = history()
    at = random.Random(seed).randrange(1, 41)
    frames.insert(random.Random(seed).randrange(at + 1, 42), frames[at])
    assert fault_of(frames) == "duplicate"


@pytest.mark.parametrize("seed", range(20))
def test_events_that_change_places_are_found(seed: int) -> None:
    frames = history()
    at = random.Random(seed).randrange(1, 40)
    frames[at], frames[at + 1] = frames[at + 1], frames[at]
    assert fault_of(frames) == "gap"


@pytest.mark.parametrize("seed", range(20))
def test_events_from_before_the_cursor_are_found(seed: int) -> None:
    start = random.Random(seed).randrange(1, 39)
    frames = history(start=start)
    frames.insert(1, {"type": "log.message", "seq": start})
    assert fault_of(frames, f"{EPOCH}-{start}") == "reorder"


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_is_found(seed: int) -> None:
    frames = history()
    assert fault_of(frames[: random.Random(seed).randrange(1, 41)]) == "truncation"
    del frames[-2]
    assert fault_of(frames) == "truncation"


def test_an_announced_gap_is_none() -> None:
    told = (gap(4, 9), snapshot(9), {"type": "log.message", "seq": 10}, {"type": "end", "head": 10})
    assert resumed("gap", *told, after=f"{EPOCH}-3") == f"{EPOCH}-10"
    assert fault_of(
        [{"type": "welcome", "epoch": EPOCH, "resume": "gap"}, gap(5, 9), *told[1:]], f"{EPOCH}-3"
    ) == ("gap")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [{"type": "log.message", "seq": 1}],
        [*history(), {"type": "log.message", "seq": 41}],
        [{"type": "welcome", "epoch": EPOCH, "resume": "snapshot"}, {"type": "end", "head": 0}],
        [{"type": "welcome", "epoch": EPOCH, "resume": "gap"}, snapshot(9)],
        [{"type": "welcome", "epoch": EPOCH, "resume": "exact"}],
    ],
    ids=[
        "nothing",
        "no welcome",
        "after the end",
        "no snapshot",
        "no gap",
        "exact for another epoch",
    ],
)
def test_frames_in_the_wrong_place_are_found(frames: list[dict[str, Any]]) -> None:
    after = f"{EPOCH}-3" if frames and frames[0].get("resume") == "gap" else None
    assert fault_of(frames, after) == "protocol"
