"""Records of one kind by id, in the order of their arrival, with what they weigh."""

from __future__ import annotations

from typing import Any

__all__ = ["Shelf"]


class Shelf:
    """See the module.

    Attributes:
        most: how many records it may hold.
        items: the records.
        weight: of all of them.
    """

    __slots__ = ("_weights", "items", "most", "weight")

    def __init__(self, most: int) -> None:
        self.most = most
        self.items: dict[str, Any] = {}
        self.weight = 0
        self._weights: dict[str, int] = {}

    def put(self, key: str, item: Any, weight: int) -> None:
        """Takes a record, in the place of the one it had under this id."""
        self.weight += weight - self._weights.get(key, 0)
        self._weights[key] = weight
        self.items[key] = item

    def pop(self, key: str) -> Any:
        """Removes and returns a record; None when there is none."""
        self.weight -= self._weights.pop(key, 0)
        return self.items.pop(key, None)

    def clear(self) -> None:
        """Removes everything."""
        self.items.clear()
        self._weights.clear()
        self.weight = 0
