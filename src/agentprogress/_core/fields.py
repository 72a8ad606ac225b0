"""Reads fields of events' wire objects, and weighs what a snapshot keeps of them.

A field of the wrong type is as good as absent; without a field that it needs, an event is a misfit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ..events import EXACT
from .jsonable import is_list, is_object, text_bytes

__all__ = [
    "NUMBER_BYTES",
    "TIME_CHARS",
    "Misfit",
    "count",
    "ident",
    "number",
    "text",
    "time",
    "weigh",
]

# The longest number in JSON: -1.2345678901234567e-308.
NUMBER_BYTES: Final = 24
# 2026-11-22T19:30:00.123Z
TIME_CHARS: Final = 24
_WORD_BYTES = 5  # true, false, null


class Misfit(Exception):
    """An event without something that its type needs."""


def text(event: Mapping[str, Any], name: str, most: int) -> str | None:
    """Returns a text, cut to so many code points."""
    value = event.get(name)
    return value[:most] if isinstance(value, str) else None


def ident(event: Mapping[str, Any], name: str) -> str:
    """Returns an id.

    Raises:
        Misfit: there is none.
    """
    value = event.get(name)
    if not isinstance(value, str):
        raise Misfit(name)
    return value


def number(event: Mapping[str, Any], name: str) -> float | None:
    """Returns a number that every language reads the same."""
    value = event.get(name)
    if type(value) is int:
        return value if -EXACT <= value <= EXACT else None
    return value if type(value) is float and math.isfinite(value) else None


def count(event: Mapping[str, Any], name: str) -> int | None:
    """Returns a whole number."""
    value = number(event, name)
    return int(value) if value is not None and value == math.floor(value) else None


def time(event: Mapping[str, Any], name: str = "time") -> str | None:
    """Returns a moment as it was written, if it can be one of ours."""
    value = event.get(name)
    return value if isinstance(value, str) and len(value) <= TIME_CHARS else None


def weigh(value: Any, most: int) -> int:
    """Returns an upper bound of the bytes that a value takes in JSON, the same in every language.

    Texts are written alike everywhere, numbers are not: each counts as the longest. Stops counting
    past `most`.
    """
    if isinstance(value, str):
        return text_bytes(value)
    if value is None or isinstance(value, bool):
        return _WORD_BYTES
    weight = 2
    if is_list(value):
        for item in value:
            weight += 1 + weigh(item, most)
            if weight > most:
                break
        return weight
    if is_object(value):
        for key, item in value.items():
            weight += text_bytes(key) + 2 + weigh(item, most)
            if weight > most:
                break
        return weight
    return NUMBER_BYTES
