"""Text of others, made fit for a terminal, and how amounts and times are written. Pure.

Nothing in what `safe_line` returns can drive the terminal, break the line, turn its neighbours
round or take more room than it is counted for.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from ..._core.jsonable import clean_text, is_list, is_object
from .._lines import clean_line

__all__ = [
    "aware",
    "clock",
    "counted",
    "duration",
    "number",
    "percent",
    "pretty",
    "safe_line",
    "safe_lines",
    "seconds",
]

# Marks that turn text round (UAX #9), joiners, variation selectors and tags: none is seen, and
# terminals do not agree about the room that an emoji takes which has one.
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b\u200d-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
# More of them on one letter than any language has would cover the lines above and below.
_MAX_MARKS = 4
_TAB = 4
_STEP = 2

_MINUTE = 60
_HOUR = 3600
# From here on a tenth of a second tells nothing.
_TENTHS_BELOW = 10
_COMPACT_FROM = 1e7
_THOUSAND = 1000
_PREFIXES = ("", " k", " M", " G", " T", " P")


def safe_line(text: str) -> str:
    """Returns a text as one line that shows the same whatever it holds."""
    return " ".join(safe_lines(text)).rstrip()


def safe_lines(text: str) -> list[str]:
    """Returns the lines of a text, each safe by itself."""
    return [_safe(line) for line in text.splitlines()]


def _safe(line: str) -> str:
    line = clean_line(line.expandtabs(_TAB))
    if line.isascii():
        return line
    return _without_towers(_INVISIBLE.sub("", clean_text(line)))


def _without_towers(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        if marks <= _MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def number(value: float) -> str:
    """Writes an amount: exact while it is short, else with a prefix."""
    try:
        size = abs(float(value))
    except OverflowError:  # JSON's integers have no bound
        size = math.inf
    if not math.isfinite(size):
        return "?"
    if size >= _COMPACT_FROM:
        return _compact(float(value))
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}" if size >= 1 else f"{value:.3g}"


def _compact(value: float) -> str:
    power = min(len(_PREFIXES) - 1, int(math.log(abs(value), _THOUSAND)))
    short = value / _THOUSAND**power
    return f"{short:.3g}{_PREFIXES[power]}" if abs(short) < _THOUSAND else f"{value:.2g}"


def percent(share: float) -> int:
    """Returns a share of one in percent, 100 only when it is all."""
    return int(min(1.0, max(0.0, share)) * 100)


def counted(count: float, noun: str) -> str:
    """Writes how many there are of something."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def duration(length: float, *, running: bool = False) -> str:
    """Writes seconds: ``3.4 s``, ``41 s``, ``1 m 20 s``, ``2 h 05 m``.

    Args:
        length: in seconds.
        running: True leaves out the tenths, which would be old when they are read.
    """
    length = max(0.0, length)
    if length < _TENTHS_BELOW and not running:
        return f"{length:.1f} s"
    whole = int(length)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} m {whole % _MINUTE:02} s"
    return f"{whole // _HOUR:,} h {whole // _MINUTE % _MINUTE:02} m"


def aware(moment: datetime) -> datetime:
    """Returns the moment with a zone: one that came without is UTC, as all times on the wire."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def seconds(start: datetime, end: datetime) -> float:
    """Returns how long after `start` the `end` is."""
    return (aware(end) - aware(start)).total_seconds()


def clock(moment: datetime | None, zone: tzinfo | None) -> str:
    """Writes a moment as ``12:03:44``; eight spaces where there is none.

    Args:
        moment: when.
        zone: whose time; None is this machine's.
    """
    if moment is not None:
        try:
            return aware(moment).astimezone(zone).strftime("%H:%M:%S")
        except (OverflowError, ValueError, OSError):  # the ends of the calendar
            pass
    return " " * 8


def pretty(value: object, width: int) -> str:
    """Returns JSON for people: what fits stands on one line.

    Args:
        value: made of JSON's types.
        width: in characters.
    """
    return _pretty(value, width, 0)


def _pretty(value: object, width: int, indent: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= width:
        return flat
    if is_object(value):
        named = ((f"{json.dumps(key, ensure_ascii=False)}: ", item) for key, item in value.items())
        return _block("{", named, "}", width, indent)
    if is_list(value):
        return _block("[", (("", item) for item in value), "]", width, indent)
    return flat


def _block(
    first: str, items: Iterable[tuple[str, object]], last: str, width: int, indent: int
) -> str:
    inner = indent + _STEP
    lines = [
        f"{' ' * inner}{name}{_pretty(item, width - len(name) - 1, inner)}" for name, item in items
    ]
    body = ",\n".join(lines)
    return f"{first}\n{body}\n{' ' * indent}{last}"
