"""Events between emit and the log. Here the pending ones coalesce.

So a fast producer cannot wash out history: a text's delta grows its pending delta, a step's
progress replaces its pending one, unless that step or text has begun or ended in between.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .encode import Encoder

__all__ = ["Counter", "Delta", "Encoded", "Entry", "Outbox", "Progress"]

# The id of a step that begins or ends, or of a text that is whole, in the event's body. The sugar
# writes the id of an ending first. An id with an escape is not found: its events may then change
# places with its end, where they have no effect.
_BOUNDARY = re.compile(
    rb'\{(?:"step_id":"([^"\\]*)",)?"type":"(?:step\.(?:started|completed|failed|cancelled)|text\.completed)"'
    rb'(?:,"(?:step|message)_id":"([^"\\]*)")?'
)


class Encoded(NamedTuple):
    """An event that stands alone: its time and its body."""

    time: str
    body: bytes


class Counter:
    """How far one step is. Moved only by its outbox, in order, so that threads may share a step."""

    __slots__ = ("current", "step_id")

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.current: float = 0


class Progress(NamedTuple):
    """A step moved: to `current`, or on by `advance`."""

    time: str
    counter: Counter
    advance: float | None = None
    current: float | None = None
    total: float | None = None
    message: str | None = None


class Delta(NamedTuple):
    """A text grew. `about` holds the message's constant fields."""

    time: str
    message_id: str
    delta: str
    about: dict[str, str | None]


Entry = Encoded | Progress | Delta


class _PendingProgress:
    __slots__ = ("current", "message", "step_id", "time", "total")

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.time = ""
        self.current: float | None = None
        self.total: float | None = None
        self.message: str | None = None

    def merge(self, entry: Progress) -> None:
        self.time = entry.time
        if entry.advance is not None:
            entry.counter.current += entry.advance
            self.current = entry.counter.current
        elif entry.current is not None:
            self.current = entry.counter.current = entry.current
        if entry.total is not None:
            self.total = entry.total
        if entry.message is not None:
            self.message = entry.message

    def wire(self) -> dict[str, Any]:
        return {
            "type": "step.progress",
            "step_id": self.step_id,
            "current": self.current,
            "total": self.total,
            "message": self.message,
        }


class _PendingDelta:
    __slots__ = ("about", "chars", "message_id", "parts", "time")

    def __init__(self, entry: Delta) -> None:
        self.time = entry.time
        self.message_id = entry.message_id
        self.about = entry.about
        self.parts: list[str] = []
        self.chars = 0

    def wire(self) -> dict[str, Any]:
        delta = "".join(self.parts)
        return {"type": "text.delta", "message_id": self.message_id, "delta": delta, **self.about}


_Pending = Encoded | _PendingProgress | _PendingDelta


class Outbox:
    """Pending events of one session, in order.

    Attributes:
        refused: events that could not be encoded when they were taken.
    """

    __slots__ = ("_deltas", "_encoder", "_max_delta_chars", "_pending", "_progress", "refused")

    def __init__(self, encoder: Encoder, max_delta_chars: int) -> None:
        self._encoder = encoder
        self._max_delta_chars = max_delta_chars
        self._pending: list[_Pending] = []
        self._progress: dict[str, _PendingProgress] = {}
        self._deltas: dict[str, _PendingDelta] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, entry: Entry) -> None:
        """Takes an entry, merging it into a pending one where the two are one to a reader."""
        if isinstance(entry, Encoded):
            if self._progress or self._deltas:
                self._settle(entry.body)
            self._pending.append(entry)
        elif isinstance(entry, Progress):
            step_id = entry.counter.step_id
            pending = self._progress.get(step_id)
            if pending is None:
                pending = self._progress[step_id] = _PendingProgress(step_id)
                self._pending.append(pending)
            pending.merge(entry)
        else:
            self._add_delta(entry)

    def _add_delta(self, entry: Delta) -> None:
        start = 0
        while start < len(entry.delta):
            pending = self._deltas.get(entry.message_id)
            if pending is None or pending.chars >= self._max_delta_chars:
                pending = self._deltas[entry.message_id] = _PendingDelta(entry)
                self._pending.append(pending)
            part = entry.delta[start : start + self._max_delta_chars - pending.chars]
            pending.parts.append(part)
            pending.chars += len(part)
            start += len(part)

    def _settle(self, body: bytes) -> None:
        """Lets what is pending of a step or text grow no further: the event comes after it."""
        found = _BOUNDARY.match(body)
        if found is not None:
            key = (found[1] or found[2] or b"").decode()
            self._progress.pop(key, None)
            self._deltas.pop(key, None)

    def take(self) -> list[Encoded]:
        """Returns everything pending, encoded, and is empty."""
        taken: list[Encoded] = []
        for entry in self._pending:
            if isinstance(entry, Encoded):
                taken.append(entry)
                continue
            try:
                taken.append(Encoded(entry.time, self._encoder.lenient(entry.wire())))
            except ValueError:
                # The application's `redact` failed: what it was to hide must not leave, and the
                # other events must not be lost with it.
                self.refused += 1
        self._pending = []
        if self._progress:
            self._progress = {}
        if self._deltas:
            self._deltas = {}
        return taken
