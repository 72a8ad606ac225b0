"""The judge is judged: each seeded fault is found and called by its name."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from .oracle import Faulty, check_history, check_items

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


# What a client hands out over many connections ----------------------------------------------------

# Each fault is sown so often, at another place each time.
SEEDS = range(300)

Items = list[dict[str, Any]]


def event(chance: random.Random, seq: int) -> dict[str, Any]:
    text = "".join(chance.choices("abc\u2028\U0001f600", k=chance.randrange(1, 30)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"type": "custom.emitted", "seq": seq, "text": text, "digest": digest}


def start_over(epoch: str, seq: int) -> dict[str, Any]:
    return {"type": "snapshot", "epoch": epoch, "seq": seq, "reset": True}


def told(chance: random.Random) -> tuple[Items, str]:
    """Makes what a flawless client hands out, holes and resets included, and the last cursor."""
    items: Items = []
    epoch, seq = EPOCH, 0
    for _ in range(chance.randrange(1, 5)):
        turn = chance.random()
        if items and turn < 0.3:
            epoch, seq = f"{chance.randrange(10**10):010}", chance.choice((0, 0, 40))
            items.append(start_over(epoch, seq))
        elif items and turn < 0.6:
            holes = [seq + chance.randrange(1, 20) for _ in range(chance.randrange(1, 3))]
            # Cut in between, it is told again, and is another one.
            items += [gap(seq + 1, last) for last in holes]
            seq = holes[-1]
            items.append({"type": "snapshot", "epoch": epoch, "seq": seq, "reset": False})
        for _ in range(chance.randrange(3, 15)):
            seq += 1
            items.append(event(chance, seq))
    return items, f"{epoch}-{seq}"


def places(items: Items, *, before_event: bool = False) -> list[int]:
    """Where an event stands, with another one right before it if so wanted."""
    found = [number for number, item in enumerate(items) if "text" in item]
    return [at for at in found if not before_event or at - 1 in found]


def lose(chance: random.Random, items: Items) -> None:
    # One that has events of the same log on both sides.
    inner = [at for at in places(items, before_event=True) if at + 1 in places(items)]
    del items[chance.choice(inner)]


def repeat(chance: random.Random, items: Items) -> None:
    at = chance.choice(places(items))
    later = at + 1
    while later < len(items) and "text" in items[later] and chance.random() < 0.7:
        later += 1
    items.insert(later, dict(items[at]))


def swap(chance: random.Random, items: Items) -> None:
    at = chance.choice(places(items, before_event=True))
    items[at - 1], items[at] = items[at], items[at - 1]


def cut_off(chance: random.Random, items: Items) -> None:
    # Without the last events, or without all after the last announced hole.
    last_turn = max((at for at, item in enumerate(items) if "text" not in item), default=-1)
    del items[chance.randrange(last_turn + 1, len(items)) :]


def corrupt(chance: random.Random, items: Items) -> None:
    item = items[chance.choice(places(items))]
    at = chance.randrange(len(item["text"]))
    put = chance.choice(("", "?", "\ufffd"))
    item["text"] = item["text"][:at] + put + item["text"][at + 1 :]


def hide(chance: random.Random, items: Items) -> None:
    """A hole that is told smaller than it is."""
    items[:] = [event(chance, seq) for seq in range(1, 5)]
    first = 5 + chance.randrange(1, 3)
    items += [gap(first, first + 3), {**start_over(EPOCH, first + 3), "reset": False}]


FAULTS: dict[str, tuple[Callable[[random.Random, Items], None], str]] = {
    "lost": (lose, "gap"),
    "repeated": (repeat, "duplicate"),
    "swapped": (swap, "reorder"),
    "cut off": (cut_off, "truncation"),
    "corrupted": (corrupt, "corruption"),
    "hidden": (hide, "gap"),
}


def test_flawless_items_are_found_flawless() -> None:
    for seed in SEEDS:
        check_items(*told(random.Random(seed)))


@pytest.mark.parametrize("name", FAULTS)
def test_each_seeded_fault_is_found_and_called_by_its_name(name: str) -> None:
    sow, fault = FAULTS[name]
    for seed in SEEDS:
        chance = random.Random(f"{name}/{seed}")
        items, head = told(chance)
        sow(chance, items)
        with pytest.raises(Faulty) as found:
            check_items(items, head)
        assert found.value.fault == fault, (seed, items)


def test_items_go_on_from_the_cursor_that_was_brought() -> None:
    chance = random.Random(0)
    rest = [event(chance, seq) for seq in range(4, 9)]
    check_items(rest, f"{EPOCH}-8", f"{EPOCH}-3")
    check_items([start_over("zzzzzzzzzz", 0), event(chance, 1)], "zzzzzzzzzz-1", f"{EPOCH}-3")
    for after, fault in ((2, "gap"), (4, "reorder")):
        with pytest.raises(Faulty) as found:
            check_items(rest, f"{EPOCH}-8", f"{EPOCH}-{after}")
        assert found.value.fault == fault


@pytest.mark.parametrize(
    "items",
    [
        [{**start_over("zzzzzzzzzz", 0), "reset": False}],
        [start_over(EPOCH, 0)],
        [{**start_over(EPOCH, 3), "reset": False}],
        [gap(4, 9), {"type": "log.message", "seq": 10}],
        [start_over("zzzzzzzzzz", 0)],
    ],
    ids=["another log", "to itself", "without a reason", "no snapshot", "not the session's log"],
)
def test_states_in_the_wrong_place_are_found(items: Items) -> None:
    with pytest.raises(Faulty) as found:
        check_items(items, f"{EPOCH}-10", f"{EPOCH}-3")
    assert found.value.fault == "protocol"
