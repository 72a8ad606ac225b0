"""What waits in an outbox: events that stand alone, and those that still grow."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "Counter",
    "Delta",
    "Encoded",
    "Entry",
    "Pending",
    "PendingDelta",
    "PendingProgress",
    "Progress",
    "size_of",
]

# About what an event that grows has besides its text, once it is encoded.
_GROWING_BYTES = 128


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


class PendingProgress:
    """How far a step is by now."""

    __slots__ = ("current", "message", "step_id", "time", "total")

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.time = ""
        self.current: float | None = None
        self.total: float | None = None
        self.message: str | None = None

    def merge(self, entry: Progress) -> None:
        """Takes a move of the step."""
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

    def absorb(self, later: PendingProgress) -> None:
        """Becomes what the later one says, and stays what that says nothing about."""
        self.time = later.time
        self.current = self.current if later.current is None else later.current
        self.total = self.total if later.total is None else later.total
        self.message = self.message if later.message is None else later.message

    def wire(self) -> dict[str, Any]:
        """Returns the event."""
        return {
            "type": "step.progress",
            "step_id": self.step_id,
            "current": self.current,
            "total": self.total,
            "message": self.message,
        }


class PendingDelta:
    """What a text has grown by, up to so many characters as its outbox allows."""

    __slots__ = ("about", "chars", "message_id", "parts", "time")

    def __init__(self, entry: Delta) -> None:
        self.time = entry.time
        self.message_id = entry.message_id
        self.about = entry.about
        self.parts: list[str] = []
        self.chars = 0

    def absorb(self, later: PendingDelta, max_chars: int) -> bool:
        """Takes what there is room for from the later one; True when nothing is left of that."""
        if self.chars < max_chars:
            text = "".join(later.parts)
            moved = text[: max_chars - self.chars]
            self.parts.append(moved)
            self.chars += len(moved)
            later.parts = [text[len(moved) :]]
            later.chars -= len(moved)
        return later.chars == 0

    def wire(self) -> dict[str, Any]:
        """Returns the event."""
        delta = "".join(self.parts)
        return {"type": "text.delta", "message_id": self.message_id, "delta": delta, **self.about}


Pending = Encoded | PendingProgress | PendingDelta


def size_of(entry: Pending) -> int:
    """Returns how many bytes an event has; one that grows: roughly, and without its text."""
    return len(entry.body) if isinstance(entry, Encoded) else _GROWING_BYTES
