"""What an application passed: told apart, or repaired where the encoder's repair comes too late."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from ._core.jsonable import clean_text

__all__ = ["as_number", "as_text", "is_async", "refuse_async", "text_or_none"]

_EXACT = 2**53


def as_text(value: object) -> str:
    """Returns what somebody passed for a text as one, even if its ``str`` fails."""
    if type(value) is str:
        return value
    try:
        # Of a subclass the characters, not what its own `__str__` makes of them.
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - somebody's __str__, which must not reach the job
        return f"<{type(value).__name__}>"


def text_or_none(value: object) -> str | None:
    """The same for a text that may be missing, without lone surrogates."""
    return None if value is None else clean_text(as_text(value))


def as_number(value: Any) -> float | None:
    """Returns what somebody passed for a number as one that JSON can carry, or None."""
    if value is None or (type(value) is int and -_EXACT <= value <= _EXACT):
        return value
    try:
        number = float(value)
        if isinstance(value, int) and -_EXACT <= number <= _EXACT:
            return int(number)
    except Exception:  # noqa: BLE001 - somebody's __float__, or no number at all
        return None
    return number if math.isfinite(number) else None


def is_async(function: Callable[..., object]) -> bool:
    """True for a coroutine function, and for an object that is called like one."""
    call = getattr(function, "__call__", None)  # noqa: B004 - the method, not whether there is one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def refuse_async(callback: Callable[..., object], where: str) -> None:
    """Refuses a callback that could only be awaited, which nobody here could do.

    Raises:
        TypeError: it is a coroutine function.
    """
    if is_async(callback):
        raise TypeError(
            f"{where} takes a plain function: it is called in whatever thread something happens, "
            "where nothing can be awaited. Start a task from it, or set an event."
        )
