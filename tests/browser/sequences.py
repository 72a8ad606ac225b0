"""Sequences of events that are odd in every way a wire allows, drawn from a seed."""

from __future__ import annotations

import json
import random
from typing import Any, Final, NamedTuple

__all__ = ["SMALL_LIMITS", "Sequence", "draw_sequence"]

Json = dict[str, Any]

# Limits that a state meets soon, each within a span. Ids may not have fewer than 32 code points.
SMALL_LIMITS: Final[dict[str, tuple[int, int]]] = {
    "max_steps": (1, 4),
    "max_texts": (1, 3),
    "max_text_chars": (1, 20),
    "max_logs": (1, 5),
    "max_log_bytes": (1, 900),
    "max_artifacts": (1, 3),
    "max_requests": (1, 3),
    "max_custom": (1, 3),
    "max_string_chars": (1, 12),
    "max_id_chars": (32, 40),
    "max_value_bytes": (1, 60),
    "max_record_bytes": (1, 2_000),
}

# The server's own limits are met by many events of a few types. A text is cut at many a length.
_MANY: Final = 1_200

_PIECES = ["a", "search", 'q"\\\n\t\x01\x7f', "\ufffd", "a\u2028b", "__proto__", "constructor"]
_TEXTS = ["", *_PIECES, "é" * 9, "語" * 33, "😀" * 40, "😀" * 140, "x" * 600]
_IDS = ["", *_PIECES, "b", "c", "plan.0", "plan.1", "😀é", "x" * 40]
# No integer beyond 2^53: the server writes none, and JavaScript would take it for a float.
_INTEGERS = [0, 1, 2, 3, 7, -1, 2**53, -(2**53), 2**53 - 1]
_NUMBERS = [*_INTEGERS, 0.5, 0.1, 1e-9, 2.5e3, 1e300, -1e300, 5e-324, -0.0, 1e16, True]
_TIMES = ["2026-11-22T19:30:00.123Z", "", "x" * 24, "x" * 25, "😀" * 24, "😀" * 25]
_WRONG: list[Any] = [None, True, False, 0, 5, "", "text", [], {}, [1], {"a": 1}]
_OBJECTS: list[Any] = json.loads(
    """[{}, {"a": 1}, {"__proto__": 1}, {"é": [null]}, {"é\\n": "\\u0002"},
    {"a": {"b": [1.25, null]}}, {"__proto__": {"x": true}}, {"list": [{}, {}, {}, {}, {}, {}]}]"""
)
_VALUES = [*_WRONG, *_OBJECTS, -1.5, "😀" * 5, [[[[["deep"]]]]], "y" * 5_000, [0.1] * 300]
_ERRORS: list[Any] = [
    {},
    {"code": "x", "message": "It failed.", "retryable": True},
    {"code": "", "message": 5, "retryable": 1},
    {"code": "😀" * 140, "message": "m" * 600, "detail": {"a": [1, 2]}, "more": 1},
    {"retryable": False, "detail": "z" * 5_000},
]
_PLANS: list[Any] = [
    [],
    [{"name": "a", "kind": "phase", "weight": 2}, {"name": "b", "step_id": "b"}],
    [5, {}, {"step_id": {}}, {"step_id": "a"}, {"step_id": [1]}],
    [{"name": "n" * 600, "weight": 1e300, "parent_id": "a"}, {"step_id": "__proto__", "total": 9}],
]

_MEMBERS: list[tuple[list[Any], str]] = [
    (_TEXTS, "title reason kind name unit message delta role channel level logger media_type"),
    (_TEXTS, "currency prompt status text"),
    ([*_TEXTS, "u" * 5_000], "url"),
    (_IDS, "step_id parent_id message_id artifact_id request_id"),
    (_NUMBERS, "attempt result_bytes total weight current input_tokens output_tokens cost cut"),
    ([*_OBJECTS, {"k": "v" * 5_000}], "metadata fields schema"),
    (_VALUES, "result data"),
    (_ERRORS, "error"),
    (_PLANS, "plan"),
    (_TIMES, "expires_at"),
]
_CHOICES = {name: choices for choices, names in _MEMBERS for name in names.split()}

# What events of a type may bring, and some members that are not theirs but a record's.
_TYPES: dict[str, str] = {
    "session.started": "attempt title metadata plan",
    "session.waiting": "request_id",
    "session.resumed": "",
    "session.retrying": "attempt error",
    "cancel.requested": "reason",
    "step.started": "step_id name kind parent_id total unit weight message current status error",
    "step.progress": "step_id current total message",
    "step.completed": "step_id error reason",
    "step.failed": "step_id error",
    "step.cancelled": "step_id reason",
    "text.delta": "message_id delta role channel step_id text cut",
    "text.completed": "message_id",
    "log.message": "level message step_id logger fields",
    "artifact.created": "artifact_id name media_type url data step_id",
    "usage.reported": "input_tokens output_tokens cost currency",
    "input.requested": "request_id prompt schema expires_at",
    "input.resolved": "request_id",
    "custom.emitted": "name data",
    "events.dropped": "data",
    "quote.made": "name data",
    "constructor": "name",
    "__proto__": "name",
}
_ENDS: dict[str, str] = {
    "session.completed": "result result_bytes error",
    "session.failed": "error",
    "session.cancelled": "reason",
    "session.lost": "reason result",
}


class Sequence(NamedTuple):
    """Events, the limits to fold them by, and where they are cut in two."""

    seed: int
    limits: dict[str, Any]
    events: list[Json]
    cut: int


def draw_sequence(seed: int) -> Sequence:
    """Returns the sequence of a seed."""
    rng = random.Random(seed)
    if seed % 50 == 0:
        limits: dict[str, Any] = {}
        types = rng.sample(list(_TYPES), 3)
        events = [_many(rng, _event(rng, type_, _TYPES)) for type_ in rng.choices(types, k=_MANY)]
    else:
        spans = SMALL_LIMITS.items() if seed % 3 else []
        limits = {name: rng.randint(*span) for name, span in spans if rng.random() < 0.4}
        types = rng.choices(list(_TYPES), k=rng.randint(0, 60))
        events = [_event(rng, type_, _TYPES) for type_ in types]
    if rng.random() < 0.4:  # what comes after the end comes too late
        end = _event(rng, rng.choice(list(_ENDS)), _ENDS)
        events.insert(rng.randint(0, len(events)), end)
    numbered = [{"seq": seq, **event} for seq, event in enumerate(events, 1)]
    return Sequence(seed, limits, numbered, rng.randint(0, len(events)))


def _event(rng: random.Random, type_: str, members: dict[str, str]) -> Json:
    event: Json = {"type": type_}
    if rng.random() < 0.95:
        event["time"] = rng.choice(_TIMES[:1] * 9 + _TIMES + _WRONG)
    for name in members[type_].split():
        fate = rng.random()
        if fate < 0.85:
            event[name] = rng.choice(_CHOICES[name])
        elif fate < 0.92:
            event[name] = rng.choice(_WRONG)
    return event


def _many(rng: random.Random, event: Json) -> Json:
    """Returns the event with ids, names and currencies that are one of many."""
    for name, value in event.items():
        if name.endswith("_id") or name in {"currency", "name"}:
            event[name] = f"{value}{rng.randint(0, 900)}"
    return event
