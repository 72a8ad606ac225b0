"""What property tests draw: JSON values, texts that are hard to handle, runs of events."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from agentprogress.settings import Settings

Wire = dict[str, Any]

# Every bound as low as it goes, or nearly: the first event past it is near.
TINY = Settings(
    max_history_events=2,
    max_history_bytes=1024,
    min_history_bytes=1024,
    max_event_bytes=1024,
    max_field_bytes=64,
    max_inline_result_bytes=64,
    max_result_bytes=1024,
    max_delta_chars=4,
    max_logs=1,
    max_steps=2,
    max_texts=1,
    max_text_chars=3,
    max_artifacts=1,
    max_requests=1,
    max_custom=1,
    max_string_chars=3,
    max_value_bytes=16,
    max_log_bytes=200,
    max_record_bytes=700,
)

IDS = st.sampled_from(["a", "b", "c", "é😀"])
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "\0" * 40, "😀" * 20, '"\\' * 20, "x" * 700, "\u2028\r\n"]),
)
NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 1e308, 2**53, -(2**53)]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ERRORS = st.fixed_dictionaries(
    {"code": TEXTS, "message": TEXTS, "retryable": st.booleans()}, optional={"detail": JSON}
)


def _event(type_: str, needed: dict[str, Any] | None = None, **optional: Any) -> Any:
    return st.fixed_dictionaries({"type": st.just(type_), **(needed or {})}, optional=optional)


STEP = {"step_id": IDS}
MESSAGE = {"message_id": IDS}
PLAN = st.lists(
    st.fixed_dictionaries({"name": TEXTS}, optional={"step_id": IDS, "weight": NUMBERS}),
    max_size=3,
)
RUNNING_EVENTS: st.SearchStrategy[Wire] = st.one_of(
    _event(
        "step.started",
        {**STEP, "name": TEXTS},
        kind=TEXTS,
        parent_id=IDS,
        total=NUMBERS,
        unit=TEXTS,
        weight=NUMBERS,
        input=JSON,
    ),
    _event("step.progress", STEP, current=NUMBERS, total=NUMBERS, message=TEXTS),
    _event("step.completed", STEP, output=JSON),
    _event("step.failed", {**STEP, "error": ERRORS}),
    _event("step.cancelled", STEP, reason=TEXTS),
    _event("text.delta", {**MESSAGE, "delta": st.text(max_size=4)}, role=TEXTS, step_id=IDS),
    _event("text.completed", MESSAGE),
    _event("log.message", {"level": TEXTS, "message": TEXTS}, logger=TEXTS, step_id=IDS),
    _event(
        "artifact.created",
        {"artifact_id": IDS, "name": TEXTS, "media_type": TEXTS},
        url=TEXTS,
        data=JSON,
    ),
    _event(
        "usage.reported",
        input_tokens=st.integers(0, 2**53),
        cost=NUMBERS,
        currency=st.sampled_from(["USD", "EUR"]),
    ),
    _event(
        "input.requested",
        {"request_id": IDS, "prompt": TEXTS},
        schema=st.dictionaries(TEXTS, JSON, max_size=2),
    ),
    _event(
        "input.resolved",
        {"request_id": IDS, "outcome": st.just("answered")},
        value=JSON,
        by=TEXTS,
    ),
    _event("custom.emitted", {"name": IDS}, data=JSON),
    _event("cancel.requested", reason=TEXTS),
    _event("events.dropped", {"by_type": st.just({"log.message": 2})}),
)
LIFECYCLE_EVENTS: st.SearchStrategy[Wire] = st.one_of(
    _event(
        "session.started",
        {"attempt": st.integers(1, 3)},
        title=TEXTS,
        metadata=st.dictionaries(TEXTS, JSON, max_size=2),
        plan=PLAN,
    ),
    _event("session.waiting", {"request_id": IDS}),
    _event("session.resumed"),
    _event("session.retrying", {"attempt": st.integers(1, 3), "error": ERRORS}),
)
TERMINAL_EVENTS: st.SearchStrategy[Wire] = st.one_of(
    _event("session.completed", result=JSON, result_bytes=st.integers(0, 99)),
    _event("session.failed", {"error": ERRORS}),
    _event("session.cancelled", reason=TEXTS),
    _event("session.lost"),
)
# One terminal event at most, the last: what a log holds.
RUNS: st.SearchStrategy[list[Wire]] = st.tuples(
    st.lists(st.one_of(RUNNING_EVENTS, RUNNING_EVENTS, LIFECYCLE_EVENTS), max_size=20),
    st.lists(TERMINAL_EVENTS, max_size=1),
).map(lambda parts: [*parts[0], *parts[1]])

_FIELDS = st.sampled_from(
    [
        "step_id",
        "message_id",
        "artifact_id",
        "request_id",
        "name",
        "delta",
        "level",
        "message",
        "plan",
        "attempt",
        "error",
        "current",
        "total",
        "weight",
        "cost",
        "input_tokens",
        "data",
        "schema",
        "metadata",
        "url",
        "media_type",
        "prompt",
        "parent_id",
    ]
)
# Known and unknown types with fields of any shape: what another version, or nobody, would write.
MISSHAPEN_EVENTS: st.SearchStrategy[Wire] = st.tuples(
    st.one_of(
        st.one_of(RUNNING_EVENTS, LIFECYCLE_EVENTS, TERMINAL_EVENTS).map(lambda wire: wire["type"]),
        st.just("quantum.leaped"),
    ),
    st.dictionaries(_FIELDS, st.one_of(JSON, st.just(10**400)), max_size=5),
).map(lambda parts: {"type": parts[0], **parts[1]})


def numbered(wires: list[Wire]) -> list[Wire]:
    """Returns the events as a log would hold them, decoded."""
    return [
        {"seq": seq, "time": f"2026-11-22T19:30:{seq % 60:02}.000Z", **wire}
        for seq, wire in enumerate(wires, 1)
    ]
