"""Judges what a follower received. Shares no code with the library: it knows the protocol only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Faulty", "check_history", "events_of", "messages_of"]

Frame = Mapping[str, Any]


class Faulty(AssertionError):
    """What is wrong with a history.

    Attributes:
        fault: ``gap``, ``duplicate``, ``reorder``, ``truncation`` or ``protocol``.
    """

    def __init__(self, fault: str, sentence: str) -> None:
        super().__init__(f"{fault}: {sentence}")
        self.fault = fault


def check_history(frames: Iterable[Frame], after: str | None = None) -> str:
    """Checks the frames of one connection, heartbeats allowed, from its welcome to its end.

    Args:
        frames: all that came, in order.
        after: the cursor that the follower brought, if any.

    Returns:
        The cursor after everything.

    Raises:
        Faulty: an event is missing, came twice or out of order, or the end is missing or wrong.
    """
    told = [frame for frame in frames if frame["type"] != "heartbeat"]
    if not told or told[0]["type"] != "welcome":
        raise Faulty("protocol", "the first frame is no welcome")
    reader = _Reader(told[0], after)
    for number, frame in enumerate(told[1:], 2):
        if reader.ended:
            raise Faulty("protocol", f"{frame['type']} after the end")
        reader.take(frame, last=number == len(told))
    if not reader.ended:
        raise Faulty("truncation", f"cut after {reader.position}, without an end")
    return f"{reader.epoch}-{reader.position}"


class _Reader:
    def __init__(self, welcome: Frame, after: str | None) -> None:
        self.epoch = str(welcome["epoch"])
        self.position = 0
        self.ended = False
        self._seen: set[int] = set()
        self._expects_snapshot = welcome["resume"] in ("snapshot", "gap")
        self._expects_gap = welcome["resume"] == "gap"
        if welcome["resume"] in ("exact", "gap"):
            epoch, _, seq = (after or "").rpartition("-")
            if epoch != self.epoch:
                raise Faulty("protocol", f"{welcome['resume']} for the cursor {after!r}")
            self.position = int(seq)

    def take(self, frame: Frame, *, last: bool) -> None:
        kind = str(frame["type"])
        if self._expects_gap and kind != "gap":
            raise Faulty("protocol", f"a gap was promised, and {kind} came")
        if self._expects_snapshot and kind not in ("gap", "snapshot"):
            # After a reset or a fresh start there is one only where the log was trimmed.
            raise Faulty("protocol", f"a snapshot was due, and {kind} came")
        if kind == "gap":
            self._gap(frame)
        elif kind == "snapshot":
            self.position, self._expects_snapshot = int(frame["seq"]), False
            if frame["state"]["seq"] != self.position:
                raise Faulty("protocol", "the snapshot's state is of another moment")
        elif kind == "end":
            self._end(frame)
        elif "." in kind:
            self._event(int(frame["seq"]))
        elif not last:
            raise Faulty("protocol", f"{kind} in the middle")

    def _gap(self, frame: Frame) -> None:
        if frame["missed_from"] != self.position + 1 or frame["missed_to"] < frame["missed_from"]:
            raise Faulty("gap", f"{dict(frame)} after {self.position}")
        self._expects_gap, self._expects_snapshot = False, True

    def _end(self, frame: Frame) -> None:
        if frame["head"] != self.position:
            raise Faulty("truncation", f"the end is at {frame['head']}, not {self.position}")
        self.ended = True

    def _event(self, seq: int) -> None:
        if seq in self._seen:
            raise Faulty("duplicate", f"{seq} came twice")
        if seq <= self.position:
            raise Faulty("reorder", f"{seq} came after {self.position}")
        if seq > self.position + 1:
            raise Faulty("gap", f"{seq} came after {self.position}, unannounced")
        self._seen.add(seq)
        self.position = seq


def events_of(frames: Sequence[Frame]) -> list[Frame]:
    """Returns the events among frames."""
    return [frame for frame in frames if "." in frame["type"]]


def messages_of(frames: Sequence[Frame]) -> list[str]:
    """Returns the texts of the log messages among frames."""
    return [frame["message"] for frame in frames if frame["type"] == "log.message"]
