"""What an outbox gives up when it grows past its bound: by merging, then logs, then nearly all.

Merging loses no state, only history: folded, what is left gives what everything would have given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

from pydantic_core import from_json

from .pending import Encoded, Pending, PendingDelta, PendingProgress

__all__ = ["Thinned", "Thinning", "dropped_event", "given_up", "thinned"]

# An encoded event's type is the first thing in it, or follows the id of a step that ends.
_HEAD = re.compile(
    rb'\{(?:"step_id":"([^"\\]*)",)?"type":"([^"\\]*)"(?:,"(?:step|message)_id":"([^"\\]*)")?'
)
_START = "step.started"
_STEP_ENDS = frozenset({"step.completed", "step.failed", "step.cancelled"})
_TEXT_END = "text.completed"
_BOUNDARIES = _STEP_ENDS | {_START, _TEXT_END}
_ESSENTIAL = frozenset({"cancel.requested", "input.requested", "input.resolved", "events.dropped"})


class Thinning(IntEnum):
    """How much goes; each level takes what the one before it does, and more."""

    MERGE = 1
    """Deltas become as few as they can, and progress that a new start of its step wipes goes."""
    LOGS = 2
    """Log messages go."""
    ESSENTIAL = 3
    """Only what moves the session, a request to cancel, questions, and losses survive."""


class Thinned(NamedTuple):
    """What is left.

    Attributes:
        pending: in its order.
        progress: what still grows of that, by step.
        deltas: what still grows of that, by message.
        lost: how many of which type went; what was merged is not lost.
    """

    pending: list[Pending]
    progress: dict[str, PendingProgress]
    deltas: dict[str, PendingDelta]
    lost: dict[str, int]


def thinned(pending: Iterable[Pending], level: Thinning, max_delta_chars: int) -> Thinned:
    """Returns what is left of pending events at a level; those that grow are changed in place."""
    merging = _Merging(max_delta_chars)
    merged = merging.merge(pending)
    lost: dict[str, int] = {}
    kept: list[Pending] = []
    for entry in merged:
        type_ = _lost_type(entry, level)
        if type_ is None:
            kept.append(entry)
        else:
            lost[type_] = lost.get(type_, 0) + 1
    if level is Thinning.ESSENTIAL:
        return Thinned(kept, {}, {}, lost)
    return Thinned(kept, merging.progress, merging.deltas, lost)


def given_up(body: bytes, level: Thinning) -> str | None:
    """Returns the type of an encoded event that does not survive a level; None when it does."""
    if level is Thinning.MERGE:
        return None
    type_, _ = _head(body)
    return None if _survives(type_, level) else type_


def dropped_event(by_type: dict[str, int]) -> dict[str, Any]:
    """Returns the event that says what went."""
    return {"type": "events.dropped", "by_type": by_type}


def _lost_type(entry: Pending, level: Thinning) -> str | None:
    if isinstance(entry, Encoded):
        return given_up(entry.body, level)
    if level is not Thinning.ESSENTIAL:
        return None
    return "step.progress" if isinstance(entry, PendingProgress) else "text.delta"


def _survives(type_: str, level: Thinning) -> bool:
    if level is Thinning.ESSENTIAL:
        return type_.startswith("session.") or type_ in _ESSENTIAL
    return type_ != "log.message"


def _head(body: bytes) -> tuple[str, str]:
    """Returns an event's type, and the id of the step or text that it begins or ends."""
    found = _HEAD.match(body)
    if found is not None:
        type_, id_ = found[2].decode(), (found[1] or found[3] or b"").decode()
        if id_ or type_ not in _BOUNDARIES:
            return type_, id_
    # The application's `redact` wrote it in an order of its own, or the id has an escape. A guess
    # could lose the end of a session.
    wire = from_json(body)
    return wire["type"], wire.get("step_id") or wire.get("message_id") or ""


class _Merging:
    """One pass over what is pending.

    A text's deltas are divided by nothing but its end, a step's progress by the step's starts and
    ends. An outbox, which sees an event for a moment only, divides both by either.
    """

    def __init__(self, max_delta_chars: int) -> None:
        self._max_delta_chars = max_delta_chars
        self.progress: dict[str, PendingProgress] = {}
        self.deltas: dict[str, PendingDelta] = {}
        # By step: what moves no more, and whether the step has ended since.
        self._settled: dict[str, list[PendingProgress]] = {}
        self._ended: set[str] = set()
        self._wiped: set[int] = set()

    def merge(self, pending: Iterable[Pending]) -> list[Pending]:
        kept = [entry for entry in pending if self._stays(entry)]
        return [entry for entry in kept if id(entry) not in self._wiped]

    def _stays(self, entry: Pending) -> bool:
        if isinstance(entry, PendingProgress):
            known = self.progress.setdefault(entry.step_id, entry)
            if known is not entry:
                known.absorb(entry)
            return known is entry
        if isinstance(entry, PendingDelta):
            last = self.deltas.get(entry.message_id)
            if last is not None and last.absorb(entry, self._max_delta_chars):
                return False
            self.deltas[entry.message_id] = entry
            return True
        self._settle(*_head(entry.body))
        return True

    def _settle(self, type_: str, id_: str) -> None:
        if type_ == _TEXT_END:
            self.deltas.pop(id_, None)
        elif type_ in _BOUNDARIES:
            moved = self.progress.pop(id_, None)
            if moved is not None:
                self._settled.setdefault(id_, []).append(moved)
            if type_ in _STEP_ENDS:
                self._ended.add(id_)
            elif id_ in self._ended:  # begun anew: how far it had come is forgotten
                self._ended.remove(id_)
                self._wiped.update(map(id, self._settled.pop(id_, ())))
