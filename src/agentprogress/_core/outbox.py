"""Events between emit and the log. Here the pending ones coalesce.

So a fast producer cannot wash out history: a text's delta grows its pending delta, a step's
progress replaces its pending one, unless that step or text has begun or ended in between.
"""

from __future__ import annotations

import re

from .encode import Encoder
from .pending import (
    Counter,
    Delta,
    Encoded,
    Entry,
    Pending,
    PendingDelta,
    PendingProgress,
    Progress,
    size_of,
)
from .thinning import Thinning, thinned

__all__ = ["Counter", "Delta", "Encoded", "Entry", "Outbox", "Progress"]

# The id of a step that begins or ends, or of a text that is whole, in the event's body. The sugar
# writes the id of an ending first. An id with an escape is not found: its events may then change
# places with its end, where they have no effect.
_BOUNDARY = re.compile(
    rb'\{(?:"step_id":"([^"\\]*)",)?"type":"(?:step\.(?:started|completed|failed|cancelled)|text\.completed)"'
    rb'(?:,"(?:step|message)_id":"([^"\\]*)")?'
)


class Outbox:
    """Pending events of one session, in order.

    Attributes:
        refused: events that could not be encoded when they were taken.
    """

    __slots__ = (
        "_delta_chars",
        "_deltas",
        "_encoder",
        "_max_delta_chars",
        "_pending",
        "_progress",
        "_weighed",
        "_weighed_bytes",
        "refused",
    )

    def __init__(self, encoder: Encoder, max_delta_chars: int) -> None:
        self._encoder = encoder
        self._max_delta_chars = max_delta_chars
        self._pending: list[Pending] = []
        self._progress: dict[str, PendingProgress] = {}
        self._deltas: dict[str, PendingDelta] = {}
        self._delta_chars = 0
        self._weighed = 0
        self._weighed_bytes = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def coalesces(self) -> bool:
        """True while something pending may still grow."""
        return bool(self._progress or self._deltas)

    @property
    def size_bytes(self) -> int:
        """How much is pending, roughly."""
        # Each entry is weighed once, and not by `add`, which every emit pays for.
        pending = self._pending
        for index in range(self._weighed, len(pending)):
            self._weighed_bytes += size_of(pending[index])
        self._weighed = len(pending)
        return self._weighed_bytes + self._delta_chars

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
                pending = self._progress[step_id] = PendingProgress(step_id)
                self._pending.append(pending)
            pending.merge(entry)
        else:
            self._add_delta(entry)

    def _add_delta(self, entry: Delta) -> None:
        start = 0
        while start < len(entry.delta):
            pending = self._deltas.get(entry.message_id)
            if pending is None or pending.chars >= self._max_delta_chars:
                pending = self._deltas[entry.message_id] = PendingDelta(entry)
                self._pending.append(pending)
            part = entry.delta[start : start + self._max_delta_chars - pending.chars]
            pending.parts.append(part)
            pending.chars += len(part)
            start += len(part)
        self._delta_chars += start

    def _settle(self, body: bytes) -> None:
        """Lets what is pending of a step or text grow no further: the event comes after it."""
        found = _BOUNDARY.match(body)
        if found is not None:
            key = (found[1] or found[2] or b"").decode()
            self._progress.pop(key, None)
            self._deltas.pop(key, None)

    def thin(self, level: Thinning) -> dict[str, int]:
        """Gives up what does not survive a level; returns how many events of which type went."""
        left = thinned(self._pending, level, self._max_delta_chars)
        self._pending, self._progress, self._deltas = left.pending, left.progress, left.deltas
        self._weighed = self._weighed_bytes = 0
        self._delta_chars = sum(
            delta.chars for delta in left.pending if isinstance(delta, PendingDelta)
        )
        return left.lost

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
        self._delta_chars = self._weighed = self._weighed_bytes = 0
        if self._progress:
            self._progress = {}
        if self._deltas:
            self._deltas = {}
        return taken
