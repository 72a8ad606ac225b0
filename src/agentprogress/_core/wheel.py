"""A timing wheel: one deadline for each of many things, in slots of a fixed width.

Setting, moving and removing are exact and cost O(1), plus a heap entry for each slot in use.
"""

from __future__ import annotations

import heapq
import math
from typing import Generic, TypeVar

__all__ = ["Wheel"]

T = TypeVar("T")


class Wheel(Generic[T]):
    """Deadlines on the monotonic clock, rounded up to whole slots.

    Args:
        slot: the width of a slot in seconds.
    """

    __slots__ = ("_occupied", "_slot", "_slot_of", "_slots")

    def __init__(self, slot: float = 1.0) -> None:
        self._slot = slot
        self._slots: dict[int, dict[T, None]] = {}
        self._slot_of: dict[T, int] = {}
        self._occupied: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def set(self, item: T, deadline: float) -> None:
        """Gives an item its one deadline, replacing the one it had."""
        slot = math.ceil(deadline / self._slot)
        known = self._slot_of.get(item)
        if known == slot:
            return
        if known is not None:
            self._leave(item, known)
        if slot not in self._slots:
            self._slots[slot] = {}
            heapq.heappush(self._occupied, slot)
        self._slots[slot][item] = None
        self._slot_of[item] = slot

    def discard(self, item: T) -> None:
        """Takes an item's deadline away, if it has one."""
        slot = self._slot_of.pop(item, None)
        if slot is not None:
            self._leave(item, slot)

    def due(self, now: float, most: int) -> list[T]:
        """Removes and returns items whose slot has come, at most so many."""
        items: list[T] = []
        while len(items) < most and (slot := self._first()) is not None:
            if slot * self._slot > now:
                break
            held = self._slots[slot]
            while held and len(items) < most:
                item, _ = held.popitem()
                del self._slot_of[item]
                items.append(item)
        return items

    def next_deadline(self) -> float | None:
        """Returns when the first slot in use comes, or None when nothing is set."""
        slot = self._first()
        return None if slot is None else slot * self._slot

    def _leave(self, item: T, slot: int) -> None:
        del self._slots[slot][item]

    def _first(self) -> int | None:
        """Returns the first slot that holds anything, forgetting empty ones before it."""
        while self._occupied:
            slot = self._occupied[0]
            if self._slots[slot]:
                return slot
            heapq.heappop(self._occupied)
            del self._slots[slot]
        return None
