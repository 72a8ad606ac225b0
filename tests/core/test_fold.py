from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.encode import Encoder
from agentprogress._core.fold import Fold
from agentprogress._core.history import History
from agentprogress._core.outbox import Encoded
from agentprogress.events import CustomEmitted
from agentprogress.settings import Settings
from agentprogress.snapshot import SessionSnapshot
from tests.strategies import MISSHAPEN_EVENTS, RUNS, TERMINAL_EVENTS, TINY, Wire, numbered

DEFAULT = Settings()
TIGHT = Settings(max_record_bytes=1500, max_steps=3, max_logs=2, max_log_bytes=400, max_custom=2)
LIMITS = st.sampled_from([DEFAULT, TINY, TIGHT])
TIME = "2026-11-22T19:30:00.000Z"
KIB = 1024


def folded(events: Iterable[Wire], limits: Settings = DEFAULT) -> Fold:
    fold = Fold("s", "0123456789", limits)
    for event in numbered(list(events)):
        fold.apply(event)
    return fold


def state(*events: Wire, limits: Settings = DEFAULT) -> dict[str, Any]:
    return folded(events, limits).state()


def step(step_id: str, **fields: Any) -> Wire:
    return {"type": "step.started", "step_id": step_id, "name": step_id.upper(), **fields}


def moved(step_id: str, current: float | None = None, **fields: Any) -> Wire:
    return {"type": "step.progress", "step_id": step_id, "current": current, **fields}


def ended(step_id: str, how: str = "completed") -> Wire:
    return {"type": f"step.{how}", "step_id": step_id}


STARTED: Wire = {"type": "session.started", "attempt": 1}
COMPLETED: Wire = {"type": "session.completed"}
ERROR = {"code": "c", "message": "m", "retryable": True}


# What always holds


@given(RUNS, LIMITS, st.integers(0, 25))
def test_folding_on_from_a_snapshot_gives_what_folding_everything_gives(
    run: list[Wire], limits: Settings, cut: int
) -> None:
    events = numbered(run)
    first = Fold("s", "0123456789", limits)
    for event in events[:cut]:
        first.apply(event)
    rest = Fold.resume(json.loads(first.encode()), limits)
    for event in events[cut:]:
        rest.apply(event)
    assert rest.state() == folded(run, limits).state()


@given(RUNS, TERMINAL_EVENTS, LIMITS)
def test_after_the_end_nothing_is_open(run: list[Wire], end: Wire, limits: Settings) -> None:
    final = folded([*run, end], limits).state()
    open_steps = [s for s in final["steps"] if s["status"] in ("running", "planned")]
    open_texts = [text for text in final["texts"] if not text["done"]]
    assert (open_steps, open_texts, final["requests"]) == ([], [], [])
    assert final["ended_at"] is not None


@given(RUNS, TERMINAL_EVENTS, RUNS)
def test_nothing_after_the_end_counts(run: list[Wire], end: Wire, late: list[Wire]) -> None:
    final = folded([*run, end]).state()
    later = folded([*run, end, *late]).state()
    assert later["seq"] == final["seq"] + len(late)
    assert {**later, "seq": 0} == {**final, "seq": 0}


@given(RUNS, LIMITS)
def test_no_bound_is_ever_passed(run: list[Wire], limits: Settings) -> None:
    fold = Fold("s", "0123456789", limits)
    for event in numbered(run):
        fold.apply(event)
        now = fold.state()
        for kind in ("steps", "logs", "texts", "artifacts", "requests", "custom"):
            assert len(now[kind]) <= getattr(limits, f"max_{kind}")
        records = [now[kind] for kind in ("steps", "artifacts", "requests", "custom")]
        # brackets and commas are no record's
        assert sum(len(_json(each)) - 2 for each in records) <= limits.max_record_bytes
        assert len(_json(now["logs"])) - 2 <= limits.max_log_bytes
        assert all(len(text["text"]) <= limits.max_text_chars for text in now["texts"])
        for each in (now["metadata"], *now["custom"].values()):
            assert each is None or len(_json(each)) <= limits.max_value_bytes


@given(
    st.lists(st.one_of(MISSHAPEN_EVENTS, RUNS.map(lambda run: run[0] if run else STARTED))), LIMITS
)
def test_a_misshapen_event_harms_nothing(run: list[Wire], limits: Settings) -> None:
    fold = folded(run, limits)
    assert fold.seq == len(run)
    SessionSnapshot.model_validate(fold.state())
    assert Fold.resume(json.loads(fold.encode()), limits).state() == fold.state()


@given(RUNS)
def test_a_snapshot_reads_as_its_model(run: list[Wire]) -> None:
    fold = folded(run)
    snapshot = SessionSnapshot.model_validate_json(fold.encode())
    assert (snapshot.seq, snapshot.status) == (len(run), fold.state()["status"])
    assert snapshot.progress is None or 0 <= snapshot.progress <= 1


@given(RUNS, LIMITS)
def test_a_copy_is_independent(run: list[Wire], limits: Settings) -> None:
    fold = folded(run, limits)
    before = fold.encode()
    copy = fold.copy()
    for event in (step("new"), moved("a", 1), STARTED, COMPLETED):
        copy.apply({"seq": copy.seq + 1, "time": TIME, **event})
    assert fold.encode() == before


@given(RUNS)
def test_frames_fold_like_the_events_they_hold(run: list[Wire]) -> None:
    encoder = Encoder(DEFAULT)
    history = History("s", "0123456789", DEFAULT)
    fold = Fold("s", "0123456789", DEFAULT)
    history.append(Encoded(TIME, encoder.lenient(wire)) for wire in run)
    for frame in history.page(0, 100).frames:
        fold.apply(json.loads(frame))
    assert history.fold().state() == fold.state()


# Size


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def crowded(character: str) -> bytes:
    """Returns a snapshot with as much of everything as an application can put into one."""
    encoder = Encoder(DEFAULT)
    history = History("s" * 128, "0123456789", DEFAULT)
    long = character * 9000
    wires: list[Wire] = [
        {**STARTED, "title": long, "metadata": {"a": character * 500}},
        *(
            {"type": "log.message", "level": long, "message": long, "logger": long}
            for _ in range(60)
        ),
        *(step(f"{n}{long}", parent_id=long, kind=long, unit=long, name=long) for n in range(520)),
        *(step(f"{n}", total=1.1) for n in range(600)),
        *(moved(f"{n}", 0.1234567890123456, message=long) for n in range(600)),
        *(
            {"type": "artifact.created", "artifact_id": f"{n}{long}", "name": long}
            | {"media_type": long, "url": long, "data": character * 500}
            for n in range(120)
        ),
        *(
            {"type": "input.requested", "request_id": f"{n}{long}", "prompt": long}
            | {"schema": {"a": character * 500}}
            for n in range(30)
        ),
        *(
            {"type": "custom.emitted", "name": f"{n}{long}", "data": character * 500}
            for n in range(30)
        ),
        *(
            {"type": "usage.reported", "cost": 0.1234567890123456, "currency": f"{n}{long}"}
            for n in range(30)
        ),
        *(
            {"type": "text.delta", "message_id": f"{m}{long}", "delta": character * 4096}
            | {"role": long, "channel": long, "step_id": long}
            for m in range(5)
            for _ in range(3)
        ),
        {"type": "session.retrying", "attempt": 2, "error": {"code": long, "message": long}}
        | {"error": {"code": long, "message": long, "detail": character * 500}},
    ]
    for wire in wires:
        history.append([Encoded(TIME, encoder.lenient(wire))])
    encoded = history.head_json()
    assert len(json.loads(encoded)["steps"]) > 0
    return encoded


@pytest.mark.parametrize(
    ("character", "limit_bytes"),
    [("x", 256 * KIB), ("é", 512 * KIB), ("語", 512 * KIB), ("😀", 512 * KIB), ("\0", 512 * KIB)],
)
def test_the_largest_snapshot_is_one_that_clients_accept(character: str, limit_bytes: int) -> None:
    assert len(crowded(character)) + KIB <= limit_bytes


def test_five_hundred_ordinary_steps_fit() -> None:
    events = [
        event
        for n in range(500)
        for event in (step(f"step{n:04}", parent_id="phase001", kind="tool"), ended(f"step{n:04}"))
    ]
    now = state(*events)
    assert (len(now["steps"]), now["omitted"]) == (500, {})


def test_the_kind_that_weighs_most_gives_way() -> None:
    data = "x" * 4000
    artifacts = [
        {
            "type": "artifact.created",
            "artifact_id": f"{n}",
            "name": "a",
            "media_type": "m",
            "data": data,
        }
        for n in range(60)
    ]
    now = state(step("kept"), *artifacts)
    assert [s["step_id"] for s in now["steps"]] == ["kept"]
    assert len(now["artifacts"]) + now["omitted"]["artifacts"] == 60
    assert now["artifacts"][-1]["artifact_id"] == "59"


# Session


def test_a_run_goes_through_its_states() -> None:
    fold = Fold("s", "0123456789", DEFAULT)
    seen = [fold.state()["status"]]
    for event in numbered(
        [
            STARTED,
            {"type": "session.waiting", "request_id": "r"},
            {"type": "session.resumed"},
            {"type": "session.retrying", "attempt": 2, "error": ERROR},
            {**STARTED, "attempt": 2},
            {"type": "session.failed", "error": ERROR},
        ]
    ):
        fold.apply(event)
        seen.append(fold.state()["status"])
    assert seen == ["pending", "running", "waiting", "running", "pending", "running", "failed"]


def test_another_attempt_keeps_the_beginning_and_forgets_the_error() -> None:
    retrying = {"type": "session.retrying", "attempt": 2, "error": ERROR}
    waiting = state(
        STARTED, step("a"), {"type": "text.delta", "message_id": "m", "delta": "x"}, retrying
    )
    assert waiting["error"]["code"] == "c"
    assert waiting["steps"][0]["status"] == "interrupted"
    assert waiting["texts"][0]["done"] is True
    again = state(STARTED, step("a"), retrying, {**STARTED, "attempt": 2}, step("a"))
    assert (again["attempt"], again["error"], again["started_at"]) == (
        2,
        None,
        numbered([{}])[0]["time"],
    )
    assert [(s["step_id"], s["status"]) for s in again["steps"]] == [("a", "running")]


def test_what_an_attempt_left_behind_counts_no_more() -> None:
    retrying = {"type": "session.retrying", "attempt": 2, "error": ERROR}
    now = state(STARTED, step("old"), retrying, STARTED, step("new"), moved("new", 1, total=4))
    assert now["progress"] == 0.25


def test_what_is_planned_survives_a_retry() -> None:
    plan = {**STARTED, "plan": [{"name": "later", "step_id": "p"}]}
    now = state(plan, {"type": "session.retrying", "attempt": 2, "error": ERROR})
    assert now["steps"][0]["status"] == "planned"


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (COMPLETED, "completed"),
        ({"type": "session.failed", "error": ERROR}, "failed"),
        ({"type": "session.cancelled"}, "cancelled"),
        ({"type": "session.lost"}, "lost"),
    ],
)
def test_what_is_open_takes_the_sessions_verdict(end: Wire, verdict: str) -> None:
    now = state(
        {**STARTED, "plan": [{"name": "later"}]}, step("a"), step("b"), ended("b", "failed"), end
    )
    assert [s["status"] for s in now["steps"]] == [verdict, verdict, "failed"]


def test_a_failed_session_stays_as_far_as_it_came() -> None:
    now = state(step("a"), moved("a", 1, total=4), {"type": "session.failed", "error": ERROR})
    assert now["progress"] == 0.25
    assert state(step("a"), COMPLETED)["progress"] == 1


def test_result_error_and_cancel_request_are_kept() -> None:
    now = state(
        {"type": "cancel.requested"},
        {"type": "session.completed", "result": {"a": 1}, "result_bytes": 7},
    )
    assert (now["cancel_requested"], now["result"], now["result_bytes"]) == (True, {"a": 1}, 7)


# Steps


def test_a_step_moves_and_ends_once() -> None:
    now = state(
        step("a", total=10, unit="page"),
        moved("a", 4, message="half"),
        moved("a", None, total=8),
        ended("a", "failed"),
        ended("a"),
        moved("a", 9),
    )["steps"][0]
    assert (now["status"], now["current"], now["total"], now["progress"]) == ("failed", 4, 8, 0.5)
    assert (now["message"], now["unit"]) == ("half", "page")


@pytest.mark.parametrize(
    ("current", "total", "progress"),
    [(1, 4, 0.25), (9, 4, 1), (-1, 4, 0), (1, 0, None), (1, -1, None), (1e308, 1e-308, 1)],
)
def test_progress_is_a_share_or_unknown(
    current: float, total: float, progress: float | None
) -> None:
    assert state(step("a", total=total), moved("a", current))["steps"][0]["progress"] == progress


def test_a_planned_step_takes_its_place_and_its_weight() -> None:
    plan = [{"name": "one", "step_id": "p1", "weight": 3}, {"name": "two"}]
    now = state({**STARTED, "plan": plan}, step("p1", kind="phase"))
    assert [(s["step_id"], s["status"], s["weight"]) for s in now["steps"]] == [
        ("p1", "running", 3),
        ("plan.1", "planned", None),
    ]


def test_overall_progress_is_the_weighted_mean_of_top_level_steps() -> None:
    now = state(
        step("a", weight=3, total=2),
        moved("a", 1),
        step("child", parent_id="a"),
        ended("child"),
        step("b"),
        ended("b"),
    )
    assert now["progress"] == (3 * 0.5 + 1) / 4


def test_huge_weights_leave_a_number() -> None:
    now = state(step("a", weight=1e308), step("b", weight=1e308), ended("a"))
    assert now["progress"] == 0.5


def test_nobody_knows_the_progress_of_no_steps() -> None:
    assert state(STARTED)["progress"] is None


def test_ended_steps_go_first_then_the_oldest_and_they_leave_their_progress() -> None:
    limits = Settings(max_steps=2)
    now = state(step("a"), step("b"), ended("b"), step("c"), limits=limits)
    assert [s["step_id"] for s in now["steps"]] == ["a", "c"]
    assert now["omitted"] == {"steps": 1, "steps_weight": 1, "steps_done": 1}
    assert now["progress"] == 1 / 3
    now = state(step("a"), step("b"), step("c"), limits=limits)
    assert [s["step_id"] for s in now["steps"]] == ["b", "c"]


def test_events_of_an_omitted_step_are_ignored() -> None:
    limits = Settings(max_steps=1)
    now = state(step("a"), step("b"), moved("a", 1), ended("a"), limits=limits)
    assert [(s["step_id"], s["status"]) for s in now["steps"]] == [("b", "running")]


# Texts, logs and the rest


def test_a_text_keeps_its_end_and_counts_what_was_before() -> None:
    limits = Settings(max_text_chars=4)
    write = {"type": "text.delta", "message_id": "m"}
    now = state({**write, "delta": "Hell"}, {**write, "delta": "o 😀!"}, limits=limits)["texts"][0]
    assert (now["text"], now["cut"], now["done"]) == ("o 😀!", 4, False)


def test_a_text_that_is_whole_takes_no_more() -> None:
    write = {"type": "text.delta", "message_id": "m", "delta": "x"}
    now = state(write, {"type": "text.completed", "message_id": "m"}, write)["texts"]
    assert [(text["text"], text["done"]) for text in now] == [("x", True)]


def test_the_last_logs_that_fit_are_kept_and_the_others_counted() -> None:
    lines = [{"type": "log.message", "level": "info", "message": f"{n}" * 400} for n in range(9)]
    now = state(*lines, limits=Settings(max_logs=5, max_log_bytes=1700))
    assert [line["message"][0] for line in now["logs"]] == ["6", "7", "8"]
    assert now["omitted"] == {"logs": 6}


def test_usage_is_summed_and_costs_by_currency() -> None:
    now = state(
        {
            "type": "usage.reported",
            "input_tokens": 2,
            "output_tokens": 3,
            "cost": 0.5,
            "currency": "USD",
        },
        {"type": "usage.reported", "input_tokens": 2, "cost": 1, "currency": "EUR"},
        {"type": "usage.reported", "cost": 0.25, "currency": "USD"},
        {"type": "usage.reported", "cost": 2},
    )["usage"]
    assert now == {
        "input_tokens": 4,
        "output_tokens": 3,
        "costs": {"USD": 0.75, "EUR": 1, "": 2},
    }


def test_sums_stay_numbers_that_every_reader_keeps() -> None:
    big = {"type": "usage.reported", "input_tokens": 2**53, "cost": 1e308, "currency": "USD"}
    usage = state(big, big)["usage"]
    assert usage["input_tokens"] == usage["costs"]["USD"] == 2**53


def test_an_artifact_of_the_same_id_replaces_the_earlier_one() -> None:
    first = {"type": "artifact.created", "artifact_id": "a", "name": "one", "media_type": "m"}
    now = state(first, {**first, "artifact_id": "b"}, {**first, "name": "two"})["artifacts"]
    assert [(a["artifact_id"], a["name"]) for a in now] == [("b", "one"), ("a", "two")]


def test_a_request_is_open_until_it_is_resolved() -> None:
    request = {"type": "input.requested", "request_id": "r", "prompt": "Go on?", "schema": {"a": 1}}
    assert state(request)["requests"][0]["schema"] == {"a": 1}
    assert state(request, {"type": "input.resolved", "request_id": "r"})["requests"] == []


def test_what_was_open_when_a_session_waited_is_interrupted_when_it_goes_on() -> None:
    events: list[dict[str, Any]] = [
        {"type": "session.started", "plan": [{"name": "later", "step_id": "p"}]},
        {"type": "step.started", "step_id": "s", "name": "s"},
        {"type": "input.requested", "request_id": "r", "prompt": "Go on?"},
        {"type": "session.waiting", "request_id": "r"},
    ]
    waiting = state(*events)
    assert [step["status"] for step in waiting["steps"]] == ["planned", "running"]
    assert len(waiting["requests"]) == 1
    resumed = state(*events, {"type": "session.resumed"})
    assert [step["status"] for step in resumed["steps"]] == ["planned", "interrupted"]
    assert (resumed["status"], resumed["requests"]) == ("running", [])


def test_the_last_data_of_each_custom_name_is_kept() -> None:
    custom = {"type": "custom.emitted", "name": "q", "data": 1}
    now = state(custom, {**custom, "data": 2}, {**custom, "name": "r", "data": "x" * 5000})
    assert (now["custom"], now["omitted"]) == ({"q": 2, "r": None}, {"custom_data": 1})


def test_an_event_cannot_pass_for_a_log_message_by_its_data() -> None:
    history = History("s", "0123456789", DEFAULT)
    body = b'{"data":{"type":"log.message"},"type":"custom.emitted","name":"n"}'
    history.append([Encoded(TIME, body)])
    now = history.fold().state()
    assert (now["logs"], now["custom"]) == ([], {"n": {"type": "log.message"}})


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_the_deepest_value_that_can_be_emitted_folds(wrap: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(64):
        value = wrap(value)
    history = History("s", "0123456789", Settings(max_history_events=1))
    for name in ("n", "o"):
        wire = {"type": "custom.emitted", "name": name, "data": value}
        history.append([Encoded(TIME, Encoder(DEFAULT).lenient(wire))])
    assert history.fold().state()["custom"]["n"] == value
    batch = history.batch(1)
    assert batch is not None
    assert isinstance(batch.events[0], CustomEmitted)
