"""What frames mean to one who reads a log: the position, and what is new. Pure.

Duplicates are dropped here, and a hole that nobody announced is malformed: the client comes back
with its last cursor and misses nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from .._core.cursor import Cursor
from .._core.history import Resume
from ..settings import Settings
from ..snapshot import Gap, SessionSnapshot
from ._wire import Frame, Malformed, read_state

__all__ = ["Begun", "Delivery", "Found", "Jumped", "NewEvent", "Reader", "Skipped"]


class Begun(NamedTuple):
    """Events follow from the first one; with `reset`, all that came before is void."""

    session_id: str
    epoch: str
    reset: bool


class NewEvent(NamedTuple):
    """The event after the last one, as it came."""

    epoch: str
    wire: Frame


class Jumped(NamedTuple):
    """Events go on from a state, given as it came and typed."""

    wire: Frame
    snapshot: SessionSnapshot
    reset: bool


class Skipped(NamedTuple):
    """Events that will not come."""

    gap: Gap


class Found(NamedTuple):
    """The state at the head, which a cursor from elsewhere came without."""

    wire: Frame


Delivery = Begun | NewEvent | Jumped | Skipped | Found


class Reader:
    """A position on a log.

    Args:
        after: the cursor that the client's user brought, as it is; None for the beginning.
        limits: the bounds of a fold.

    Attributes:
        cursor: what to join with; None for the beginning.
        head: of the log at the last welcome; what has reached it has caught up.
    """

    def __init__(self, after: str | None, limits: Settings) -> None:
        self.cursor = after
        self.head = 0
        self._limits = limits
        # None as long as no log is known; an unreadable cursor is answered with a reset.
        self._held = Cursor.parse(after) if after is not None else None
        self._reset = False
        # Told with the snapshot that follows it: a cut between the two tells another one.
        self._gap: Skipped | None = None

    @property
    def caught_up(self) -> bool:
        """True when all that the welcome promised is here."""
        return self._held is not None and self._held.seq >= self.head

    def welcome(self, frame: Frame) -> list[Delivery]:
        """Takes the answer to a join."""
        epoch, resume = frame["epoch"], frame["resume"]
        self._gap = None
        self.head = frame["head"]
        goes_on = resume in (Resume.EXACT, Resume.GAP)
        if goes_on and self._held is not None and self._held.epoch == epoch:
            return []
        had_something = self.cursor is not None
        self._move(Cursor(epoch, 0))
        begun = Begun(frame["session_id"], epoch, reset=had_something)
        self._reset = had_something and self.head > 0
        if self._reset:
            # Said with what follows: a snapshot says it by itself.
            self._begun = begun
            return []
        return [begun] if had_something or resume == Resume.FRESH else []

    def event(self, frame: Frame) -> list[Delivery]:
        """Takes an event; one that is known already is dropped.

        Raises:
            Malformed: there is a hole before it.
        """
        held, seq = self._log, frame["seq"]
        if seq <= held.seq:
            return []
        if seq > held.seq + 1:
            raise Malformed(f"The event {seq} came after {held.seq}, and nobody announced a gap.")
        self._move(Cursor(held.epoch, seq))
        return [*self._take_reset(), NewEvent(held.epoch, frame)]

    def gap(self, frame: Frame) -> list[Delivery]:
        """Takes the news that events will not come; it is told with the snapshot after it.

        Raises:
            Malformed: it ends before it begins.
        """
        gap = Gap(frame["missed_from"], frame["missed_to"], frame["reason"])
        if gap.missed_to < gap.missed_from:
            raise Malformed("A gap ends before it begins.")
        if gap.missed_to <= self._log.seq:
            return []
        self._gap = Skipped(gap)
        return self._take_reset()

    def snapshot(self, frame: Frame) -> list[Delivery]:
        """Takes a state; one of before the position is dropped.

        Raises:
            Malformed: it is no state, or not one of this log at this moment.
        """
        held, seq = self._log, frame["seq"]
        if seq < held.seq:
            return []
        wire, snapshot = read_state(frame["state"], self._limits)
        if (snapshot.epoch, snapshot.seq) != (held.epoch, seq):
            raise Malformed("A snapshot's state is of another moment.")
        reset, self._reset = self._reset, False
        self._move(Cursor(held.epoch, seq))
        gap, self._gap = self._gap, None
        jumped = Jumped(wire, snapshot, reset)
        return [jumped] if gap is None else [gap, jumped]

    def end(self, frame: Frame) -> list[Delivery]:
        """Takes the end.

        Raises:
            Malformed: events before it have not come.
        """
        seq = self._log.seq
        if frame["head"] != seq or seq < self.head:
            raise Malformed(f"The end is at {frame['head']}, and came after {seq} of {self.head}.")
        return self._take_reset()

    @property
    def _log(self) -> Cursor:
        if self._held is None:
            raise Malformed("The first frame is no welcome.")
        return self._held

    def _move(self, held: Cursor) -> None:
        self._held = held
        self.cursor = str(held)

    def _take_reset(self) -> list[Delivery]:
        if not self._reset:
            return []
        self._reset = False
        return [self._begun]
