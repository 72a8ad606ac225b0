"""Judges what a follower received. Shares no code with the library: it knows the protocol only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Faulty", "check_history", "check_items", "events_of", "messages_of"]

Frame = Mapping[str, Any]


class Faulty(AssertionError):
    """What is wrong with a history.

    Attributes:
        fault: ``gap``, ``duplicate``, ``reorder``, ``truncation``, ``corruption`` or ``protocol``.
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


def check_items(items: Iterable[Frame], head: str, after: str | None = None) -> None:
    """Checks what a client handed out over all its connections, from its start to the end.

    Args:
        items: events with their ``seq``, and where they have a ``digest`` with the ``text`` of
            which it is the SHA-256; snapshots with ``epoch``, ``seq`` and ``reset``; gaps.
        head: the cursor after the session's last event.
        after: the cursor that the client began with, if any.

    Raises:
        Faulty: an event is missing, came twice, out of order or changed, a hole is not announced
            as it is, or the end is missing.
    """
    told = list(items)
    epoch, _, last = head.rpartition("-")
    _check_texts(told)
    log = _Log(*(_parsed(after) if after else (None, 0)))
    for number, item in enumerate(told):
        log.take(item, told[number + 1 :] if item.get("seq", 0) > log.position + 1 else ())
    if log.epoch not in (None, epoch):
        raise Faulty("protocol", f"the log is {log.epoch}, not {epoch}")
    if log.missing or log.position != int(last):
        raise Faulty("truncation", f"{last} events there are, and the last one was {log.position}")


def _parsed(cursor: str) -> tuple[str, int]:
    epoch, _, seq = cursor.rpartition("-")
    return epoch, int(seq)


def _check_texts(items: Sequence[Frame]) -> None:
    for item in items:
        digest = item.get("digest")
        if digest is not None and hashlib.sha256(item["text"].encode()).hexdigest() != digest:
            raise Faulty("corruption", f"the text of {item['seq']} is not what was written")


class _Log:
    """What a client has of a log, and what it was told to miss.

    Attributes:
        epoch: None until something has said it.
        missing: the last seq that a gap has announced as missing, until its snapshot has come.
    """

    def __init__(self, epoch: str | None, position: int) -> None:
        self.epoch = epoch
        self.position = position
        self.missing = 0
        self._seen: set[int] = set()
        self._untouched = epoch is None

    def take(self, item: Frame, later: Sequence[Frame]) -> None:
        if item["type"] == "gap":
            self._gap(item)
        elif item["type"] == "snapshot":
            self._snapshot(item)
        elif self.missing:
            raise Faulty("protocol", f"{item['seq']} came between a gap and its snapshot")
        else:
            self._event(int(item["seq"]), later)
        self._untouched = False

    def _gap(self, item: Frame) -> None:
        # A cut between a gap and its snapshot has it told again: grown, because more is gone, or
        # shrunk, because who was slow missed more than what is gone.
        if item["missed_from"] != self.position + 1:
            raise Faulty("gap", f"one from {item['missed_from']} was told at {self.position}")
        if item["missed_to"] < item["missed_from"]:
            raise Faulty("gap", f"one ends at {item['missed_to']}")
        self.missing = int(item["missed_to"])

    def _snapshot(self, item: Frame) -> None:
        seq = int(item["seq"])
        if item["reset"]:
            if item["epoch"] == self.epoch:
                raise Faulty("protocol", "a log was reset to itself")
            self._seen.clear()
        elif self.epoch not in (None, item["epoch"]):
            raise Faulty("protocol", f"the log {item['epoch']} began without a reset")
        elif self.missing:
            if seq < self.missing:
                raise Faulty("gap", f"one to {self.missing} ended in a snapshot at {seq}")
        elif not self._untouched:
            raise Faulty("protocol", f"a snapshot at {seq} without a reason")
        self.epoch, self.position, self.missing = str(item["epoch"]), seq, 0

    def _event(self, seq: int, later: Sequence[Frame]) -> None:
        if seq in self._seen:
            raise Faulty("duplicate", f"{seq} came twice")
        if seq <= self.position:
            raise Faulty("reorder", f"{seq} came after {self.position}")
        if seq > self.position + 1:
            skipped = range(self.position + 1, seq)
            is_late = any(item.get("seq") in skipped for item in _same_log(later))
            fault = "reorder" if is_late else "gap"
            raise Faulty(fault, f"{seq} came after {self.position}, unannounced")
        self._seen.add(seq)
        self.position = seq


def _same_log(items: Sequence[Frame]) -> Iterator[Frame]:
    """The events up to the next reset."""
    for item in items:
        if item["type"] == "snapshot" and item["reset"]:
            return
        if item["type"] not in ("gap", "snapshot"):
            yield item


def events_of(frames: Sequence[Frame]) -> list[Frame]:
    """Returns the events among frames."""
    return [frame for frame in frames if "." in frame["type"]]


def messages_of(frames: Sequence[Frame]) -> list[str]:
    """Returns the texts of the log messages among frames."""
    return [frame["message"] for frame in frames if frame["type"] == "log.message"]
