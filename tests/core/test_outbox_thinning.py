from __future__ import annotations

import json
from collections import Counter as Count
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.encode import Encoder
from agentprogress._core.fold import Fold
from agentprogress._core.outbox import Counter, Delta, Encoded, Entry, Outbox, Progress
from agentprogress._core.thinning import Thinning, dropped_event, given_up
from agentprogress.events import EventsDropped, parse_event
from agentprogress.settings import Settings
from tests.strategies import LIFECYCLE_EVENTS, RUNNING_EVENTS, TERMINAL_EVENTS, Wire

ENCODER = Encoder(Settings())
MAX_DELTA_CHARS = 5
ESSENTIAL = {"cancel.requested", "input.requested", "input.resolved", "events.dropped"}

# Mostly what merges and what divides it: one id for steps and texts, so that they are told apart.
DENSE_EVENTS: st.SearchStrategy[Wire] = st.one_of(
    st.builds(dict, type=st.just("step.started"), step_id=st.just("a"), name=st.just("A")),
    st.builds(dict, type=st.just("step.completed"), step_id=st.just("a")),
    st.builds(
        dict,
        type=st.just("step.progress"),
        step_id=st.just("a"),
        current=st.none() | st.integers(0, 9),
        total=st.none() | st.integers(0, 9),
        message=st.none() | st.sampled_from("xyz"),
    ),
    st.builds(dict, type=st.just("text.completed"), message_id=st.sampled_from("ab")),
    st.builds(
        dict,
        type=st.just("text.delta"),
        message_id=st.sampled_from("ab"),
        delta=st.text(max_size=9),
    ),
)
# An outbox is empty when the session itself moves: that is not between two deltas.
RUNS = st.lists(DENSE_EVENTS, max_size=20) | st.lists(DENSE_EVENTS | RUNNING_EVENTS, max_size=20)
ANYTHING = st.lists(
    st.one_of(DENSE_EVENTS, RUNNING_EVENTS, LIFECYCLE_EVENTS, TERMINAL_EVENTS), max_size=20
)
LEVELS = st.sampled_from(Thinning)


def entries(wires: Iterable[Wire]) -> Iterable[Entry]:
    """Yields what a producer makes of events."""
    counters: dict[str, Counter] = {}
    for number, wire in enumerate(wires):
        time = f"2026-11-22T19:30:{number:02}.000Z"
        if wire["type"] == "step.progress":
            counter = counters.setdefault(wire["step_id"], Counter(wire["step_id"]))
            fields = wire.get("current"), wire.get("total"), wire.get("message")
            yield Progress(time, counter, None, *fields)
        elif wire["type"] == "text.delta":
            yield Delta(time, wire["message_id"], wire["delta"], {"role": wire.get("role")})
        else:
            yield Encoded(time, ENCODER.lenient(wire))


def outbox_of(wires: Iterable[Wire]) -> Outbox:
    outbox = Outbox(ENCODER, MAX_DELTA_CHARS)
    for entry in entries(wires):
        outbox.add(entry)
    return outbox


def decoded(taken: Sequence[Encoded]) -> list[Wire]:
    return [{"time": time, **json.loads(body)} for time, body in taken]


def folded(events: Sequence[Wire]) -> dict[str, Any]:
    fold = Fold("s", "e", Settings())
    for seq, event in enumerate(
        [{"type": "session.started", "time": "2026-11-22T19:30:00.000Z", "attempt": 1}, *events], 1
    ):
        fold.apply({"seq": seq, **event})
    return {**fold.state(), "seq": None}


def alone(events: Sequence[Wire]) -> list[Wire]:
    """Returns those that nothing is merged with."""
    return [event for event in events if event["type"] not in ("step.progress", "text.delta")]


@given(RUNS)
def test_merged_events_give_the_same_state_as_all(wires: list[Wire]) -> None:
    outbox, everything = outbox_of(wires), decoded(outbox_of(wires).take())
    assert outbox.thin(Thinning.MERGE) == {}
    left = decoded(outbox.take())
    assert folded(left) == folded(everything)
    assert alone(left) == alone(everything)


@given(RUNS, RUNS)
def test_a_thinned_outbox_goes_on_as_if_it_had_not_been(
    before: list[Wire], after: list[Wire]
) -> None:
    thinned = Outbox(ENCODER, MAX_DELTA_CHARS)
    for number, entry in enumerate(entries([*before, *after])):
        if number == len(before):
            thinned.thin(Thinning.MERGE)
        thinned.add(entry)
    everything = decoded(outbox_of([*before, *after]).take())
    assert folded(decoded(thinned.take())) == folded(everything)


@given(ANYTHING, LEVELS)
def test_what_goes_is_counted_and_the_rest_keeps_its_order(
    wires: list[Wire], level: Thinning
) -> None:
    merged, outbox = outbox_of(wires), outbox_of(wires)
    merged.thin(Thinning.MERGE)
    lost = outbox.thin(level)
    everything, left = decoded(merged.take()), decoded(outbox.take())
    goes = Count(
        event["type"]
        for event in everything
        if (level is Thinning.LOGS and event["type"] == "log.message")
        or (
            level is Thinning.ESSENTIAL
            and not event["type"].startswith("session.")
            and event["type"] not in ESSENTIAL
        )
    )
    assert lost == goes
    assert left == [event for event in everything if event["type"] not in goes]


@given(ANYTHING, LEVELS)
def test_thinning_twice_changes_nothing_more(wires: list[Wire], level: Thinning) -> None:
    once, twice = outbox_of(wires), outbox_of(wires)
    once.thin(level)
    twice.thin(level)
    assert twice.thin(level) == {}
    assert (len(twice), twice.size_bytes) == (len(once), once.size_bytes)
    assert twice.take() == once.take()


@given(ANYTHING, ANYTHING, LEVELS | st.none())
def test_the_size_is_what_is_pending_whenever_it_is_asked_for(
    before: list[Wire], after: list[Wire], level: Thinning | None
) -> None:
    outbox = Outbox(ENCODER, MAX_DELTA_CHARS)
    sizes = [0]
    for number, entry in enumerate(entries([*before, *after])):
        if number == len(before) and level is not None:
            outbox.thin(level)
            sizes = [outbox.size_bytes]
        outbox.add(entry)
        sizes.append(outbox.size_bytes)
    assert sizes == sorted(sizes)
    taken = outbox.take()
    assert outbox.size_bytes == 0
    growing = {"step.progress", "text.delta"}
    assert sizes[-1] == sum(
        128 + len(event.get("delta", "")) if event["type"] in growing else len(body)
        for (_, body), event in zip(taken, decoded(taken), strict=True)
    )


def delta(message_id: str, text: str) -> Wire:
    return {"type": "text.delta", "message_id": message_id, "delta": text}


def moved(step_id: str, current: int) -> Wire:
    return {"type": "step.progress", "step_id": step_id, "current": current}


def started(step_id: str) -> Wire:
    return {"type": "step.started", "step_id": step_id, "name": step_id}


def ended(step_id: str) -> Wire:
    return {"type": "step.completed", "step_id": step_id}


def merged(*wires: Wire) -> list[Any]:
    outbox = outbox_of(wires)
    outbox.thin(Thinning.MERGE)
    return [
        event.get("delta", event.get("current", event["type"])) for event in decoded(outbox.take())
    ]


def test_deltas_become_as_few_as_they_can_where_something_else_came_between() -> None:
    assert merged(delta("a", "123"), ended("a"), delta("a", "456"), delta("a", "78")) == [
        "12345",
        "step.completed",
        "678",
    ]


def test_deltas_are_merged_on_either_side_of_their_texts_end_but_not_across() -> None:
    done = {"type": "text.completed", "message_id": "a"}
    assert merged(delta("a", "1"), done, delta("a", "2"), ended("a"), delta("a", "3")) == [
        "1",
        "text.completed",
        "23",
        "step.completed",
    ]


def test_progress_of_each_run_but_the_last_goes_with_what_it_told() -> None:
    runs = [wire for number in range(3) for wire in (started("a"), moved("a", number), ended("a"))]
    assert merged(*runs) == ["step.started", "step.completed"] * 2 + [
        "step.started",
        2,
        "step.completed",
    ]


def test_progress_stays_before_the_end_that_it_led_to() -> None:
    assert merged(started("a"), moved("a", 3), ended("a"), moved("a", 4)) == [
        "step.started",
        3,
        "step.completed",
        4,
    ]


def test_progress_stays_where_its_step_started_without_having_ended() -> None:
    assert merged(ended("a"), started("a"), moved("a", 3), started("a")) == [
        "step.completed",
        "step.started",
        3,
        "step.started",
    ]


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({"current": 2, "total": 8, "message": "two"}, (2, 8, "two")),
        ({}, (1, 9, "one")),
    ],
)
def test_progress_grows_on_where_a_text_of_the_same_name_ended(
    later: Wire, told: tuple[object, ...]
) -> None:
    early = {**moved("a", 1), "total": 9, "message": "one"}
    done = {"type": "text.completed", "message_id": "a"}
    outbox = outbox_of([early, done, {"type": "step.progress", "step_id": "a", **later}])
    outbox.thin(Thinning.MERGE)
    [progress, _] = decoded(outbox.take())
    assert (progress["current"], progress["total"], progress["message"]) == told
    assert progress["time"].endswith(":02.000Z")


@pytest.mark.parametrize("level", [Thinning.MERGE, Thinning.LOGS])
def test_what_is_left_grows_on(level: Thinning) -> None:
    log = {"type": "log.message", "level": "info", "message": "a"}
    outbox = outbox_of([moved("a", 1), delta("m", "1"), log, ended("m"), delta("m", "2")])
    outbox.thin(level)
    for entry in entries([moved("a", 5), delta("m", "345"), delta("m", "6")]):
        outbox.add(entry)
    left = decoded(outbox.take())
    assert [event["current"] for event in left if event["type"] == "step.progress"] == [5]
    assert [event["delta"] for event in left if event["type"] == "text.delta"] == ["12345", "6"]


def test_a_step_counts_on_when_its_progress_has_been_given_up() -> None:
    outbox, counter = Outbox(ENCODER, MAX_DELTA_CHARS), Counter("a")
    outbox.add(Progress("t0", counter, advance=2))
    outbox.add(Delta("t0", "m", "lost", {}))
    assert outbox.thin(Thinning.ESSENTIAL) == {"step.progress": 1, "text.delta": 1}
    assert (len(outbox), outbox.size_bytes) == (0, 0)
    outbox.add(Progress("t1", counter, advance=1))
    outbox.add(Delta("t1", "m", "kept", {}))
    [progress, text] = decoded(outbox.take())
    assert (progress["current"], text["delta"]) == (3, "kept")


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"session.completed","result":{"type":"log.message"}}',
        b'{"result":{"type":"log.message"},"type":"session.completed"}',
        b'{"type":"input.resolved","request_id":"r","outcome":"answered"}',
    ],
    ids=["as written", "in an order that redact made", "an answer"],
)
@pytest.mark.parametrize("level", Thinning)
def test_what_must_be_told_survives_however_it_is_written(body: bytes, level: Thinning) -> None:
    assert given_up(body, level) is None


@pytest.mark.parametrize("field", ["", '"step_id":"a",', '"step_id":"\\"",', '"z":1,'])
def test_an_encoded_event_is_told_by_its_type_alone(field: str) -> None:
    for type_, goes in (("log.message", Thinning.LOGS), ("step.completed", Thinning.ESSENTIAL)):
        body = f'{{{field}"type":"{type_}"}}'.encode()
        assert [given_up(body, level) for level in Thinning] == [
            type_ if level >= goes else None for level in Thinning
        ]


@pytest.mark.parametrize(
    "end",
    [
        b'{"output":1,"type":"step.completed","step_id":"a"}',
        b'{"type":"step.completed","output":1,"step_id":"a"}',
    ],
)
def test_a_step_whose_end_redact_rewrote_has_ended(end: bytes) -> None:
    outbox = Outbox(ENCODER, MAX_DELTA_CHARS)
    for number, body in enumerate((end, ENCODER.lenient(started("a")))):
        outbox.add(Progress("t", Counter("a"), current=number))
        outbox.add(Encoded("t", body))
    outbox.add(Progress("t", Counter("a"), current=7))
    outbox.thin(Thinning.MERGE)
    assert [event.get("current", event["type"]) for event in decoded(outbox.take())] == [
        "step.completed",
        "step.started",
        7,
    ]


def test_what_went_is_told_by_an_event() -> None:
    lost = {"log.message": 3, "text.delta": 1}
    event = parse_event(json.loads(ENCODER.lenient(dropped_event(lost))))
    assert isinstance(event, EventsDropped)
    assert event.by_type == lost
