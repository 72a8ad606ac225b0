"""What a user has been handed: the cursor to store, and the state folded from it."""

from __future__ import annotations

from .._core.cursor import Cursor
from .._core.fold import Fold
from ..events import Event, parse_event
from ..settings import Settings
from ..snapshot import Gap, SessionSnapshot, Snapshot
from ._reader import Begun, Delivery, Found, Jumped, NewEvent

__all__ = ["Held"]


class Held:
    """A position and its state.

    Attributes:
        cursor: what to come back with to get what follows; None before anything is known.
    """

    def __init__(self, after: str | None, limits: Settings) -> None:
        self.cursor = after
        self._limits = limits
        self._epoch = ""
        # None where the state before the cursor is not known.
        self._fold: Fold | None = None
        self._shown: SessionSnapshot | None = None

    @property
    def lacks_state(self) -> bool:
        """True when a cursor was brought, and the state before it is not here."""
        return self.cursor is not None and self._fold is None

    @property
    def snapshot(self) -> SessionSnapshot | None:
        """The state; it does not change when it is read again."""
        if self._shown is None and self._fold is not None:
            self._shown = SessionSnapshot.model_validate(self._fold.state())
        return self._shown

    def take(self, delivery: Delivery) -> Event | Snapshot | Gap | None:
        """Takes a delivery, and returns it as the user gets it; None for what is not shown."""
        if isinstance(delivery, NewEvent):
            return self._event(delivery)
        if isinstance(delivery, Jumped):
            self._start(Fold.resume(delivery.wire, self._limits), delivery.snapshot.epoch)
            self.cursor = str(Cursor(delivery.snapshot.epoch, delivery.snapshot.seq))
            self._shown = delivery.snapshot
            return Snapshot(delivery.snapshot, delivery.reset)
        if isinstance(delivery, Begun):
            self._start(Fold(delivery.session_id, delivery.epoch, self._limits), delivery.epoch)
            self.cursor = str(Cursor(delivery.epoch, 0))
            snapshot = self.snapshot
            return Snapshot(snapshot, reset=True) if delivery.reset and snapshot else None
        if isinstance(delivery, Found):
            # Events up to there change nothing in it.
            if self.lacks_state:
                self._start(Fold.resume(delivery.wire, self._limits), delivery.wire["epoch"])
            return None
        return delivery.gap

    def _event(self, delivery: NewEvent) -> Event:
        seq: int = delivery.wire["seq"]
        if self._fold is not None and self._epoch == delivery.epoch and seq > self._fold.seq:
            self._fold.apply(delivery.wire)
            self._shown = None
        self.cursor = str(Cursor(delivery.epoch, seq))
        return parse_event(delivery.wire)

    def _start(self, fold: Fold, epoch: str) -> None:
        self._fold = fold
        self._epoch = epoch
        self._shown = None
