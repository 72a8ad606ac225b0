"""What a session tells as lines of text, for pipes and records: a line for each thing that happens.

Pure: items in, lines out. Bounded: long lines are cut, progress is told when it has moved.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, ClassVar

from ... import events as e
from ...events import Event
from ...snapshot import Gap, SessionSnapshot, Snapshot
from ._connection import Connection
from ._text import clock, counted, duration, number, percent, pretty, safe_line, safe_lines, seconds

__all__ = ["PlainLines", "connection_line", "fetched_lines", "note"]

Lines = Iterator[str]

MAX_CHARS = 500
_PIECE_CHARS = 400
_LABEL_CHARS = 60
_WIDTH = 100
_MAX_RESULT_LINES = 400
_MAX_DATA_CHARS = 200
# Progress is told when it has moved by so much, or, where there is no total, after so many seconds.
_PARTS = 10
_SECONDS = 5.0
# Of each only so many are remembered; a session that has more open ones at once is told less of.
_MAX_STEPS = 2_000
_MAX_TEXTS = 100
_ENDED = ("completed", "failed", "cancelled", "lost")


@dataclass(slots=True)
class _Step:
    """What is remembered of a step that is open."""

    label: str
    started: datetime | None
    unit: str = ""
    total: float | None = None
    part: int = 0
    told: datetime | None = None
    message: str | None = None


@dataclass(slots=True)
class _Text:
    """A streamed text: its last line, which has no end yet."""

    label: str
    rest: str = ""


class PlainLines:
    """Turns a follower's items into lines, without their newline.

    Args:
        zone: whose time lines begin with; None is this machine's.
        fetches: whether a result that is only announced is fetched and told by somebody else.
    """

    def __init__(self, zone: tzinfo | None = None, *, fetches: bool = False) -> None:
        self._zone = zone
        self._fetches = fetches
        self._steps: dict[str, _Step] = {}
        self._texts: dict[str, _Text] = {}
        self._started: datetime | None = None

    def lines(self, item: Event | Snapshot | Gap) -> list[str]:
        """Returns the lines that tell of an item; none for what is not told."""
        if isinstance(item, Gap):
            missed = item.missed_to - item.missed_from + 1
            lost = f"{counted(missed, 'event')} ({item.missed_from:,} to {item.missed_to:,})"
            return [note(f"{lost} can no longer be had")]
        if isinstance(item, Snapshot):
            return list(self._snapshot(item))
        if isinstance(item, e.CustomEvent):
            return list(self._custom(item))
        handler = self._HANDLERS.get(type(item))
        return [] if handler is None else list(handler(self, item))

    def _line(self, at: datetime | None, text: str) -> str:
        return _cut(f"{clock(at, self._zone)} {safe_line(text)}")

    # Session

    def _snapshot(self, item: Snapshot) -> Lines:
        state = item.state
        self._take_over(state)
        if item.reset:
            yield note("the session has started over")
        done = "" if state.progress is None else f", {percent(state.progress)} %"
        title = f"{state.title}: " if state.title else ""
        yield note(f"{title}{state.status}{done}, after {counted(state.seq, 'event')}")
        for request in state.requests:
            yield note(_question(request.request_id, request.prompt))
        if state.status in _ENDED:
            reason = None if state.error is None else _reason(state.error)
            yield from self._ending(state.status, state.ended_at, reason)
            yield from self._result(state.result, state.result_bytes)

    def _take_over(self, state: SessionSnapshot) -> None:
        self._started = state.started_at
        self._texts.clear()
        self._steps.clear()
        for step in state.steps:
            if step.status == "running":
                known = self._remember(step.step_id, step.kind, step.name, step.started_at)
                known.unit, known.total = step.unit or "", step.total
                known.part = percent(step.progress or 0) * _PARTS // 100

    def _session_started(self, event: e.SessionStarted) -> Lines:
        self._started = self._started or event.time
        again = f", attempt {event.attempt:,}" if event.attempt > 1 else ""
        yield self._line(
            event.time, f"started{again}" + (f": {event.title}" if event.title else "")
        )

    def _session_waiting(self, event: e.SessionWaiting) -> Lines:
        yield self._line(event.time, "waiting for an answer")

    def _session_resumed(self, event: e.SessionResumed) -> Lines:
        yield self._line(event.time, "running again")

    def _session_retrying(self, event: e.SessionRetrying) -> Lines:
        at = f" at {clock(event.retry_at, self._zone)}" if event.retry_at else ""
        text = f"attempt {event.attempt:,} follows{at}: {_reason(event.error)}"
        yield self._line(event.time, text)

    def _session_completed(self, event: e.SessionCompleted) -> Lines:
        yield from self._ending("completed", event.time, None)
        yield from self._result(event.result, event.result_bytes)

    def _session_failed(self, event: e.SessionFailed) -> Lines:
        yield from self._ending("failed", event.time, _reason(event.error))

    def _session_cancelled(self, event: e.SessionCancelled) -> Lines:
        yield from self._ending("cancelled", event.time, event.reason)

    def _session_lost(self, event: e.SessionLost) -> Lines:
        yield from self._ending("lost", event.time, event.reason or "its producer is gone")

    def _ending(self, status: str, at: datetime | None, reason: str | None) -> Lines:
        for message_id in list(self._texts):
            yield from self._rest_of(message_id, at)
        text = f"{status}{_took(self._started, at)}" + (f": {reason}" if reason else "")
        yield self._line(at, text)

    def _result(self, result: object, result_bytes: int | None) -> Lines:
        if result is not None:
            yield from _result_lines(result)
        elif result_bytes is not None and not self._fetches:
            yield note(f"the result has {number(result_bytes)} bytes and is at …/result")

    # Steps

    def _remember(self, step_id: str, kind: str, name: str, started: datetime | None) -> _Step:
        known = _Step(f"{kind} {name}", started)
        if len(self._steps) < _MAX_STEPS:
            self._steps[step_id] = known
        return known

    def _step_started(self, event: e.StepStarted) -> Lines:
        known = self._remember(event.step_id, event.kind, event.name, event.time)
        known.unit, known.total = event.unit or "", event.total
        yield self._line(event.time, f"{known.label} started")

    def _step_progress(self, event: e.StepProgress) -> Lines:
        known = self._steps.get(event.step_id)
        if known is None:
            return
        known.total = known.total if event.total is None else event.total
        if not _has_moved(known, event):
            return
        known.told, known.message = event.time, event.message
        said = f": {event.message}" if event.message else ""
        yield self._line(event.time, f"{known.label}{_amount(known, event.current)}{said}")

    def _step_completed(self, event: e.StepCompleted) -> Lines:
        return self._step_ended(event, event.step_id, "completed", None)

    def _step_failed(self, event: e.StepFailed) -> Lines:
        return self._step_ended(event, event.step_id, "failed", _reason(event.error))

    def _step_cancelled(self, event: e.StepCancelled) -> Lines:
        return self._step_ended(event, event.step_id, "cancelled", event.reason)

    def _step_ended(self, event: Event, step_id: str, verdict: str, reason: str | None) -> Lines:
        known = self._steps.pop(step_id, None)
        label = known.label if known is not None else f"step {step_id}"
        took = "" if known is None else _took(known.started, event.time)
        said = f": {reason}" if reason else ""
        yield self._line(event.time, f"{label} {verdict}{took}{said}")

    # Texts and logs

    def _text_delta(self, event: e.TextDelta) -> Lines:
        known = self._texts.get(event.message_id)
        if known is None:
            if len(self._texts) >= _MAX_TEXTS:
                return
            step = self._steps.get(event.step_id or "")
            known = self._texts[event.message_id] = _Text(step.label if step else "text")
        *whole, known.rest = (known.rest + event.delta).split("\n")
        if len(known.rest) > _PIECE_CHARS:
            whole.append(known.rest)
            known.rest = ""
        for line in whole:
            yield from self._pieces(known, line, event.time)

    def _text_completed(self, event: e.TextCompleted) -> Lines:
        return self._rest_of(event.message_id, event.time)

    def _rest_of(self, message_id: str, at: datetime | None) -> Lines:
        known = self._texts.pop(message_id, None)
        if known is not None and known.rest:
            yield from self._pieces(known, known.rest, at)

    def _pieces(self, known: _Text, line: str, at: datetime | None) -> Lines:
        for start in range(0, len(line) or 1, _PIECE_CHARS):
            piece = line[start : start + _PIECE_CHARS]
            yield self._line(at, f"{known.label[:_LABEL_CHARS]} | {piece}")

    def _log_message(self, event: e.LogMessage) -> Lines:
        level = "" if event.level == "info" else f"{event.level}: "
        for line in safe_lines(event.message)[:_MAX_RESULT_LINES] or [""]:
            yield self._line(event.time, level + line)

    # The rest

    def _artifact_created(self, event: e.ArtifactCreated) -> Lines:
        url = f" {event.url}" if event.url else ""
        yield self._line(event.time, f"artifact {event.name} ({event.media_type}){url}")

    def _input_requested(self, event: e.InputRequested) -> Lines:
        yield self._line(event.time, _question(event.request_id, event.prompt))

    def _input_resolved(self, event: e.InputResolved) -> Lines:
        by = f" by {event.by}" if event.by else ""
        yield self._line(event.time, f"question {event.request_id} {event.outcome}{by}")

    def _cancel_requested(self, event: e.CancelRequested) -> Lines:
        by = f" by {event.by}" if event.by else ""
        said = f": {event.reason}" if event.reason else ""
        yield self._line(event.time, f"asked to stop{by}{said}")

    def _events_dropped(self, event: e.EventsDropped) -> Lines:
        yield note(f"the producer had to give up {counted(sum(event.by_type.values()), 'event')}")

    def _custom(self, event: e.CustomEmitted | e.CustomEvent) -> Lines:
        name = event.name if isinstance(event, e.CustomEmitted) else event.custom_name
        data = "" if event.data is None else f" {pretty(event.data, 1 << 20)[:_MAX_DATA_CHARS]}"
        yield self._line(event.time, f"{name}{data}")

    _HANDLERS: ClassVar[dict[type, Callable[[PlainLines, Any], Lines]]] = {
        e.SessionStarted: _session_started,
        e.SessionWaiting: _session_waiting,
        e.SessionResumed: _session_resumed,
        e.SessionRetrying: _session_retrying,
        e.SessionCompleted: _session_completed,
        e.SessionFailed: _session_failed,
        e.SessionCancelled: _session_cancelled,
        e.SessionLost: _session_lost,
        e.StepStarted: _step_started,
        e.StepProgress: _step_progress,
        e.StepCompleted: _step_completed,
        e.StepFailed: _step_failed,
        e.StepCancelled: _step_cancelled,
        e.TextDelta: _text_delta,
        e.TextCompleted: _text_completed,
        e.LogMessage: _log_message,
        e.ArtifactCreated: _artifact_created,
        e.InputRequested: _input_requested,
        e.InputResolved: _input_resolved,
        e.CancelRequested: _cancel_requested,
        e.EventsDropped: _events_dropped,
        e.CustomEmitted: _custom,
    }


def connection_line(connection: Connection) -> str:
    """Returns the line that tells of a change of the connection."""
    advice = f" {connection.advice}" if connection.advice else ""
    return note(f"{connection.words}{connection.circumstance}{advice}")


def fetched_lines(text: str | None, size_bytes: int, where: str) -> list[str]:
    """Returns the lines that tell of a result that was only announced.

    Args:
        text: what could be had of it; None for nothing.
        size_bytes: how large the whole is.
        where: its address.
    """
    lines = [] if text is None else list(_result_lines(text))
    return [*lines, note(f"the result has {number(size_bytes)} bytes: curl {shlex.quote(where)}")]


def note(text: str) -> str:
    """Returns a line that is about the watching and not of the session."""
    return _cut(f"-- {safe_line(text)}")


def _cut(line: str) -> str:
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"


def _took(start: datetime | None, end: datetime | None) -> str:
    return "" if start is None or end is None else f" in {duration(seconds(start, end))}"


def _reason(error: e.ErrorInfo) -> str:
    return f"{error.message} ({error.code})" if error.message else error.code


def _question(request_id: str, prompt: str) -> str:
    return f"question {request_id}: {prompt}"


def _result_lines(result: object) -> Lines:
    lines = safe_lines(result if isinstance(result, str) else pretty(result, _WIDTH))
    yield from map(_cut, lines[:_MAX_RESULT_LINES])
    if len(lines) > _MAX_RESULT_LINES:
        yield note(f"{counted(len(lines) - _MAX_RESULT_LINES, 'more line')}")


def _amount(known: _Step, current: float | None) -> str:
    if current is None:
        return ""
    unit = f" {known.unit}" if known.unit else ""
    if not known.total or known.total <= 0:
        return f" {number(current)}{unit}"
    return f" {percent(current / known.total)} % ({number(current)}/{number(known.total)}{unit})"


def _has_moved(known: _Step, event: e.StepProgress) -> bool:
    """Tells whether a progress is worth a line, and remembers how far it is."""
    if event.current is not None and known.total and known.total > 0:
        part = percent(event.current / known.total) * _PARTS // 100
        moved, known.part = part != known.part, part
        return moved
    if event.current is None and event.message in (None, known.message):
        return False
    if known.told is None or event.time is None:
        return True
    return seconds(known.told, event.time) >= _SECONDS
