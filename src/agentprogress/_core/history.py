"""The log of one epoch: the bounded tail of its events and the fold of everything before them.

`base` is the state at ``oldest - 1``, so base and tail always cover everything: losing history
loses detail, never state. Not thread-safe: its owner serialises calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic_core import from_json

from ..settings import Settings
from .batch import Batch
from .cursor import Cursor
from .fold import Fold
from .outbox import Encoded
from .states import SessionStatus

__all__ = ["History", "Join", "Joined", "Missed", "Resume"]

# Batches kept for those who stand at the same position in the next moments.
_CACHED_BATCHES = 4


def framed(entry: bytes, seq: int) -> bytes:
    """Returns an event as it travels, from the entry that a store keeps."""
    return b'{"seq":%d,%b' % (seq, entry[1:])


class Resume(StrEnum):
    """How a subscriber's position was found; told in ``welcome``."""

    FRESH = "fresh"
    EXACT = "exact"
    GAP = "gap"
    SNAPSHOT = "snapshot"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Missed:
    """Events that a subscriber will not get, both ends inclusive."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Join:
    """The definite answer to a join.

    Attributes:
        resume: how the position was found.
        position: the seq after which events follow.
        missed: what to announce first, if anything.
        snapshot: whether the state at `position` comes before the events.
    """

    resume: Resume
    position: int
    missed: Missed | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """A join's answer and what was true then; `state` is that at the answer's position."""

    answer: Join
    epoch: str
    head: int
    status: SessionStatus
    state: bytes | None


class History:
    """See the module.

    Attributes:
        epoch: of these events.
        oldest: the first retained seq; ``head + 1`` when none is.
        size_bytes: the encoded size of what is retained.
    """

    __slots__ = (
        "_base",
        "_base_json",
        "_batches",
        "_frames",
        "_head_fold",
        "_head_json",
        "_limits",
        "_max_bytes",
        "_session_id",
        "epoch",
        "oldest",
        "size_bytes",
    )

    def __init__(self, session_id: str, epoch: str, limits: Settings) -> None:
        self._session_id = session_id
        self._limits = limits
        self._max_bytes = limits.max_history_bytes
        self._frames: list[bytes] = []
        self._base: Fold | None = None
        self._base_json: bytes | None = None
        self._head_fold: Fold | None = None
        self._head_json: tuple[int, bytes] | None = None
        self._batches: dict[int, Batch] = {}
        self.epoch = epoch
        self.oldest = 1
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def head(self) -> int:
        """The last seq; 0 before the first event."""
        return self.oldest + len(self._frames) - 1

    @property
    def swept_bytes(self) -> int:
        """The encoded size of the state that a sweep left in the place of all events; else 0."""
        return 0 if self._frames or self._base_json is None else len(self._base_json)

    def append(self, entries: Iterable[Encoded]) -> None:
        """Gives each event its seq, keeps its frame, and evicts what passes a bound."""
        # One concatenation: the body was encoded once and is copied once.
        self._keep(
            b'{"seq":%d,"time":"%b",%b' % (seq, time.encode(), body[1:])
            for seq, (time, body) in enumerate(entries, self.head + 1)
        )

    def extend(self, entries: Iterable[bytes]) -> None:
        """The same for entries as a store keeps them: with their time, without their seq."""
        self._keep(framed(entry, seq) for seq, entry in enumerate(entries, self.head + 1))

    def _keep(self, frames: Iterable[bytes]) -> None:
        kept, size = self._frames, 0
        for frame in frames:
            kept.append(frame)
            size += len(frame)
        self.size_bytes += size
        self._evict()

    def go_on_from(self, seq: int, base: bytes | None) -> None:
        """Forgets everything; what is appended next comes after `seq`, where the state is `base`.

        Args:
            seq: 0 for an empty log.
            base: None where `seq` is 0.
        """
        self.oldest = seq + 1
        self._frames = []
        self.size_bytes = 0
        self._base = self._head_fold = self._head_json = None
        self._base_json = base
        self._batches = {}

    def state_after(self, entries: Iterable[bytes]) -> bytes:
        """Returns the encoded state that there would be after these entries."""
        fold = self.fold().copy()
        for seq, entry in enumerate(entries, self.head + 1):
            fold.apply_frame(framed(entry, seq))
        return fold.encode()

    def _evict(self) -> None:
        frames, most = self._frames, self._limits.max_history_events
        evicted = 0
        size = self.size_bytes
        while len(frames) - evicted > most or size > self._max_bytes:
            size -= len(frames[evicted])
            evicted += 1
        if evicted:
            base = self._base or self._base_fold()
            for frame in frames[:evicted]:
                base.apply_frame(frame)
            # One memmove of pointers: cheaper than a deque, which cannot be sliced.
            del frames[:evicted]
            self._base, self._base_json = base, None
            self.oldest += evicted
            self.size_bytes = size

    def shrink(self, max_bytes: int) -> None:
        """Lowers the size bound of this history for good."""
        self._max_bytes = min(self._max_bytes, max_bytes)
        self._evict()

    def sweep(self) -> None:
        """Lets all events go; the state stays, encoded: a session that has ended is only read."""
        self._base_json = self.head_json()
        self._base = self._head_fold = self._head_json = None
        self.oldest = self.head + 1
        self._frames = []
        self.size_bytes = 0
        self._batches = {}

    # Reading

    def join(self, cursor: str | None) -> Join:
        """Answers a subscriber's cursor; design: the table of joins."""
        if cursor is None:
            return self._join_anew()
        parsed = Cursor.parse(cursor)
        if parsed is None or parsed.epoch != self.epoch or parsed.seq > self.head:
            anew = self._join_anew()
            return Join(Resume.RESET, anew.position, anew.missed, anew.snapshot)
        if parsed.seq >= self.oldest - 1:
            return Join(Resume.EXACT, parsed.seq)
        missed = Missed(parsed.seq + 1, self.oldest - 1, "evicted")
        return Join(Resume.GAP, self.oldest - 1, missed, snapshot=True)

    def _join_anew(self) -> Join:
        if self.oldest == 1:
            return Join(Resume.FRESH, 0)
        return Join(Resume.SNAPSHOT, self.oldest - 1, snapshot=True)

    def retains(self, position: int) -> bool:
        """True when everything after `position` is still here."""
        return position >= self.oldest - 1

    def batch(self, position: int) -> Batch | None:
        """Returns a write's worth of events after a retained position; None at the head."""
        if position >= self.head:
            return None
        batch = self._batches.get(position)
        if batch is None:
            batch = Batch(self.epoch, position + 1, self._next_frames(position))
            if len(self._batches) >= _CACHED_BATCHES:
                del self._batches[next(iter(self._batches))]
            self._batches[position] = batch
        return batch

    def _next_frames(self, position: int) -> list[bytes]:
        start = position + 1 - self.oldest
        frames = self._frames[start : start + self._limits.max_batch_events]
        size = 0
        for index, frame in enumerate(frames):
            size += len(frame) + 1
            if size > self._limits.max_batch_bytes and index:
                return frames[:index]
        return frames

    def page(self, position: int, most: int) -> Batch:
        """Returns up to `most` events after a retained position, however large they are."""
        start = position + 1 - self.oldest
        return Batch(self.epoch, position + 1, self._frames[start : start + most])

    def find(self, part: bytes) -> list[bytes]:
        """Returns the retained frames that hold these bytes, oldest first."""
        return [frame for frame in self._frames if part in frame]

    def forget_batches(self) -> None:
        """Lets shared encodings go; called when the session is quiet."""
        if self._batches:
            self._batches = {}
        self._head_json = None

    def base_json(self) -> bytes:
        """Returns the encoded state at ``oldest - 1``."""
        if self._base_json is None:
            self._base_json = (self._base or self._base_fold()).encode()
        return self._base_json

    def fold(self) -> Fold:
        """Returns the state at the head; kept and moved on by later calls, so do not change it."""
        fold = self._head_fold
        if fold is None or not self.retains(fold.seq):
            fold = self._base.copy() if self._base else self._base_fold()
        for frame in self._frames[fold.seq + 1 - self.oldest :]:
            fold.apply_frame(frame)
        self._head_fold = fold
        return fold

    def head_json(self) -> bytes:
        """Returns the encoded state at the head."""
        if not self._frames:
            return self.base_json()
        if self._head_json is None or self._head_json[0] != self.head:
            self._head_json = (self.head, self.fold().encode())
        return self._head_json[1]

    def _base_fold(self) -> Fold:
        """Makes a fold at the base: of nothing, or of what a sweep left."""
        if self.oldest == 1 or self._base_json is None:
            return Fold(self._session_id, self.epoch, self._limits)
        return Fold.resume(from_json(self._base_json), self._limits)
