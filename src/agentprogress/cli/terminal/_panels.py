"""The parts of the terminal view below the tree: texts, log, questions, artifacts, and the outcome.

Each knows how many lines it needs and how many it could use; `_view` decides how many it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, cast

from rich.text import Text

from ...snapshot import ArtifactState, LogState, RequestState, SessionSnapshot, TextState
from ._paint import ACCENT, BAD, DIM, GOOD, WARN, fit, heading, ink, spread, wrap
from ._text import clock, duration, number, pretty, safe_line, safe_lines, seconds

__all__ = ["Panel", "artifacts", "log", "outcome", "questions", "texts", "usage"]

_TEXT_LINES = 6
_TEXTS = 2
_LOG_LINES = 6
_LOG_NAMES_FROM = 100
_QUESTIONS = 3
_ARTIFACTS = 3
_RESULT_LINES = 8
_MAX_ERROR_LINES = 4
_LEVELS = {"warning": WARN, "error": BAD, "critical": f"bold {BAD}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the view.

    Attributes:
        least: fewer lines than these and it is left out.
        good: with so many it tells what matters.
        most: so many it can use.
        paint: makes at most as many lines as it is told.
    """

    least: int
    good: int
    most: int
    paint: Callable[[int], list[Text]]


# Streamed texts


def texts(state: SessionSnapshot, width: int) -> Panel | None:
    """The ends of the texts that are being written, or of the last one that was."""
    shown = [text for text in state.texts if not text.done][-_TEXTS:] or state.texts[-1:]
    shown = [text for text in shown if text.text.strip()]
    if not shown:
        return None
    names = {step.step_id: step.name for step in state.steps}
    each = [list(_text_lines(text, width)) for text in shown]
    most = sum(1 + len(lines) for lines in each)

    def paint(room: int) -> list[Text]:
        lines: list[Text] = []
        for left, (text, body) in enumerate(zip(reversed(shown), reversed(each), strict=True)):
            share = (room - len(lines)) // (len(shown) - left)
            if share > 1:
                style = "italic" if text.channel == "reasoning" else ""
                tail = [ink(line, style) for line in body[1 - share :]]
                lines = [_text_heading(text, names, width), *tail, *lines]
        return lines

    return Panel(min(most, 3), min(most, _TEXT_LINES), most, paint)


def _text_heading(text: TextState, names: Mapping[str, str], width: int) -> Text:
    who = names.get(text.step_id or "") or text.role or "text"
    words = ink(safe_line(who), ACCENT)
    if text.channel and text.channel != "answer":
        words.append(f" {safe_line(text.channel)}", DIM)
    return heading(words, width)


def _text_lines(text: TextState, width: int) -> Iterator[str]:
    for line in safe_lines(text.text.rstrip()):
        yield from wrap(line, width)


# Log


def log(state: SessionSnapshot, width: int, now: datetime) -> Panel | None:
    """The last log lines."""
    if not state.logs:
        return None
    names = {step.step_id: step.name for step in state.steps}
    omitted = state.omitted.get("logs", 0)

    def paint(room: int) -> list[Text]:
        shown = state.logs[max(0, len(state.logs) - room + 1) :]
        words = ink("log", DIM)
        if earlier := len(state.logs) - len(shown) + omitted:
            words.append(f"  {number(earlier)} earlier", DIM)
        levels = max(len(_level(line)) for line in shown)
        if all(line.level == "info" for line in shown):
            levels = 0
        lines = [_log_line(line, levels, names, width, now) for line in shown]
        return [heading(words, width), *lines]

    most = len(state.logs) + 1
    return Panel(min(most, 3), min(most, _LOG_LINES), most, paint)


def _level(line: LogState) -> str:
    return safe_line(line.level)[:8]


def _log_line(
    line: LogState, level_width: int, names: Mapping[str, str], width: int, now: datetime
) -> Text:
    level = _level(line)
    style = _LEVELS.get(level, DIM)
    text = ink(f"{clock(line.time, now.tzinfo)}  ", DIM)
    if level_width:
        text.append(f"{level:{level_width}}  ", style)
    text.append(safe_line(line.message), style if level == "debug" else "")
    name = names.get(line.step_id or "")
    if name is None or width < _LOG_NAMES_FROM:
        return fit(text, width)
    return spread(text, fit(ink(safe_line(name), DIM), width // 5), width)


# Questions


def questions(state: SessionSnapshot, width: int, now: datetime) -> Panel | None:
    """What somebody is asked, and how it is answered."""
    if not state.requests:
        return None

    def paint(room: int) -> list[Text]:
        pairs = max(1, min(_QUESTIONS, len(state.requests), (room - 1) // 2))
        hidden = len(state.requests) - pairs
        words = ink("question", WARN)
        if hidden:
            words.append(f"  {hidden:,} more", DIM)
        lines = [heading(words, width)]
        for request in state.requests[:pairs]:
            lines += _question(request, width, now)
        return lines[:room]

    most = 1 + 2 * min(_QUESTIONS, len(state.requests))
    return Panel(3, 3, most, paint)


def _question(request: RequestState, width: int, now: datetime) -> Iterator[Text]:
    left = ink("? ", WARN).append(safe_line(request.prompt), "bold")
    expiry = Text()
    if request.expires_at is not None:
        expiry = ink(f"{duration(seconds(now, request.expires_at), running=True)} left", DIM)
    yield spread(left, expiry, width)
    body = f'{{"value": {_expected(request.schema_)}}}'
    where = f"…/inputs/{safe_line(request.request_id)}"
    yield fit(ink(f"  POST {body} to {where}, or answer in the application", DIM), width)


def _expected(schema: Mapping[str, Any] | None) -> str:
    """Tells the form of an answer in few words."""
    fields: object = (schema or {}).get("properties")
    if isinstance(fields, dict) and fields:
        names = ", ".join(str(name) for name in islice(cast("dict[str, Any]", fields), 4))
        return safe_line(f"{{{names}}}")
    kind: object = (schema or {}).get("type")
    return safe_line(kind) if isinstance(kind, str) else "…"


# Artifacts and usage


def artifacts(state: SessionSnapshot, width: int) -> Panel | None:
    """The newest artifacts."""
    if not state.artifacts:
        return None
    total = len(state.artifacts) + state.omitted.get("artifacts", 0)

    def paint(room: int) -> list[Text]:
        lines = [_artifact(artifact, width) for artifact in state.artifacts[-room:]]
        if total > len(lines):
            lines[0] = spread(lines[0], ink(f"{number(total - len(lines))} more", DIM), width)
        return lines

    most = min(_ARTIFACTS, len(state.artifacts))
    return Panel(1, most, most, paint)


def _artifact(artifact: ArtifactState, width: int) -> Text:
    text = ink("↓ ", GOOD).append(safe_line(artifact.name), "bold")
    text.append(f"  {safe_line(artifact.media_type)}", DIM)
    if artifact.url is not None:
        text.append(f"  {safe_line(artifact.url)}")
    return fit(text, width)


def usage(state: SessionSnapshot) -> Text:
    """Tokens and costs; empty when none were reported."""
    parts: list[str] = []
    tokens = state.usage
    if tokens.input_tokens or tokens.output_tokens:
        parts.append(f"{number(tokens.input_tokens)} tokens in")
        parts.append(f"{number(tokens.output_tokens)} out")
    parts += [
        f"{number(cost)} {safe_line(currency)}".rstrip()
        for currency, cost in islice(tokens.costs.items(), 3)
    ]
    return ink(", ".join(parts), DIM)


# The outcome


def outcome(state: SessionSnapshot, width: int) -> Panel | None:
    """The result, or the error."""
    if state.error is not None:
        return _error(state, width)
    if state.result_bytes is not None and state.result is None:
        words = f"{number(state.result_bytes)} bytes, at …/result"
        return _titled(ink("result", GOOD), [ink(words)], width)
    if state.result is None:
        return None
    body = [ink(line) for line in _result_lines(state.result, width)]
    return _titled(ink("result", GOOD), body, width)


def _error(state: SessionSnapshot, width: int) -> Panel:
    assert state.error is not None
    words = ink("error", BAD).append(f"  {safe_line(state.error.code)}", DIM)
    if state.error.retryable:
        words.append(", can be tried again", DIM)
    message = safe_line(state.error.message) or "No reason was given."
    body = islice(wrap(message, width), _MAX_ERROR_LINES)
    return _titled(words, [ink(line, BAD) for line in body], width)


def _result_lines(result: object, width: int) -> Iterator[str]:
    """Gives a text as it is and everything else as JSON, in lines that fit."""
    for line in safe_lines(result if isinstance(result, str) else pretty(result, width)):
        yield from wrap(line, width)


def _titled(words: Text, body: Sequence[Text], width: int) -> Panel:
    def paint(room: int) -> list[Text]:
        lines = [heading(words, width), *body]
        if len(lines) <= room:
            return lines
        kept = lines[: max(1, room - 1)]
        hidden = len(lines) - len(kept)
        more = fit(ink(f"… {hidden:,} more lines", DIM), width)
        return [*kept, more][:room]

    most = 1 + len(body)
    return Panel(min(most, 3), min(most, 1 + _RESULT_LINES), most, paint)
