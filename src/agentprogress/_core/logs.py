"""The last log messages of a session. They are decoded only when somebody asks for the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from ..settings import Settings
from .fields import NUMBER_BYTES, TIME_CHARS, text, time
from .jsonable import encode_json, text_bytes

__all__ = ["LogTail", "log_line"]

Json = dict[str, Any]

_TEXTS = ("level", "message", "step_id", "logger")
# A line of nulls and the comma after it, with seq and time at their longest.
_BYTES = len(encode_json(dict.fromkeys(("seq", "time", *_TEXTS)))) + 1 + NUMBER_BYTES + TIME_CHARS


class LogTail:
    """As many of the last lines as fit, by count and in bytes."""

    __slots__ = ("_limits", "_lines")

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        self._lines: list[bytes | Json] = []

    def add(self, line: bytes | Json) -> bool:
        """Takes a line, or the frame it is in; True when the oldest went for it."""
        self._lines.append(line)
        if len(self._lines) <= self._limits.max_logs:
            return False
        del self._lines[0]
        return True

    def read(self) -> tuple[list[Json], int]:
        """Returns the lines, and how many of the oldest went because they do not fit in bytes.

        What does not fit now would not fit later either, so that it is the same when it is asked.
        """
        lines = [
            log_line(from_json(line), self._limits) if isinstance(line, bytes) else line
            for line in self._lines
        ]
        kept = _fitting(lines, self._limits.max_log_bytes)
        self._lines = [*kept]
        return kept, len(lines) - len(kept)


def log_line(event: Mapping[str, Any], limits: Settings) -> Json:
    """Returns what a snapshot keeps of a log message."""
    most = limits.max_string_chars
    return {
        "seq": event["seq"],
        "time": time(event),
        "level": text(event, "level", most) or "info",
        "message": text(event, "message", most) or "",
        "step_id": text(event, "step_id", most),
        "logger": text(event, "logger", most),
    }


def _fitting(lines: list[Json], room: int) -> list[Json]:
    for index in range(len(lines) - 1, -1, -1):
        room -= _BYTES
        for name in _TEXTS:
            if lines[index][name] is not None:
                room -= text_bytes(lines[index][name])
        if room < 0:
            return lines[index + 1 :]
    return lines
