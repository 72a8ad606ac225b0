"""One step in a fold's state: how it begins, ends, counts towards progress, and what it weighs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import EXACT
from ..settings import Settings
from .fields import NUMBER_BYTES, TIME_CHARS, number, text, weigh
from .jsonable import encode_json, text_bytes
from .states import StepStatus

__all__ = ["close_step", "is_open", "new_step", "ratio", "share_of", "step_weight"]

Json = dict[str, Any]

_OPEN = (StepStatus.RUNNING.value, StepStatus.PLANNED.value)


def new_step(
    step_id: str, event: Mapping[str, Any], status: StepStatus, time: str | None, limits: Settings
) -> Json:
    """Returns a step that has just been started, or planned."""
    most = limits.max_string_chars
    parent_id: Any = event.get("parent_id")
    return {
        "step_id": step_id,
        "parent_id": parent_id if isinstance(parent_id, str) else None,
        "kind": text(event, "kind", most) or "step",
        "name": text(event, "name", most) or "",
        "status": status.value,
        "current": None,
        "total": number(event, "total"),
        "unit": text(event, "unit", most),
        "weight": number(event, "weight"),
        "message": None,
        "progress": None,
        "started_at": time,
        "ended_at": None,
        "error": None,
    }


def is_open(step: Mapping[str, Any]) -> bool:
    """True while it may still move."""
    return step["status"] in _OPEN


def close_step(step: Json, status: StepStatus, time: str | None) -> None:
    """Ends a step. This leaves its weight as it is."""
    step["status"], step["ended_at"] = status.value, time


def ratio(current: float | None, total: float | None) -> float | None:
    """Returns how far a step is, 0-1, where that is known."""
    if current is None or total is None or total <= 0:
        return None
    return min(1.0, max(0.0, current / total))


def share_of(step: Mapping[str, Any]) -> tuple[float, float]:
    """Returns a step's weight in overall progress and how much of it is done.

    Whatever has ended is done, but what an attempt left behind counts no more. Floats, so that sums
    are the same in languages that have no other number.
    """
    if step["status"] == StepStatus.INTERRUPTED:
        return 0.0, 0.0
    weight = 1.0 if step["weight"] is None else min(float(EXACT), max(0.0, float(step["weight"])))
    if not is_open(step):
        return weight, weight
    return weight, weight * (step["progress"] or 0.0)


_NULL_BYTES = 4
_FIELDS = (
    "step_id",
    "parent_id",
    "kind",
    "name",
    "status",
    "current",
    "total",
    "unit",
    "weight",
    "message",
    "progress",
    "started_at",
    "ended_at",
    "error",
)
# A step of nulls and the comma after it, with times, status and progress at their longest, so that
# ending a step does not change what it weighs.
_BYTES = (
    len(encode_json(dict.fromkeys(_FIELDS)))
    + 1
    + max(len(status.value) for status in StepStatus)
    + 2 * TIME_CHARS
    + 3 * (2 - _NULL_BYTES)
    + (NUMBER_BYTES - _NULL_BYTES)
)


def step_weight(step: Mapping[str, Any]) -> int:
    """Returns an upper bound of the bytes that a step takes in a snapshot."""
    weight = _BYTES
    for name in ("step_id", "parent_id", "kind", "name", "unit", "message"):
        value = step[name]
        if value is not None:
            weight += text_bytes(value) - _NULL_BYTES
    for name in ("current", "total", "weight"):
        if step[name] is not None:
            weight += NUMBER_BYTES - _NULL_BYTES
    return weight if step["error"] is None else weight + weigh(step["error"], EXACT)
