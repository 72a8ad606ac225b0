"""How long a log is in the store, and when its owner has to cut it."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.history import History
from ..settings import Settings

__all__ = ["StoredLog", "most_stored"]

# A log is cut when it is so many times as long as it may be: each cut costs a snapshot.
_CUT_AT = 1.5
# Beyond so many times its bound nothing more is appended: its owner does not cut it.
_FULL_AT = 4


class StoredLog:
    """See the module.

    Attributes:
        oldest: the first seq that the store retains.
        size_bytes: of what it retains, about.
    """

    __slots__ = ("oldest", "size_bytes")

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.size_bytes = 0

    def grow(self, entries: Iterable[bytes]) -> None:
        """Counts what was appended."""
        self.size_bytes += sum(map(len, entries))

    def is_long(self, history: History, settings: Settings) -> bool:
        """True when it is time to cut it down to what is held of it here."""
        return (
            history.head - self.oldest + 1 > settings.max_history_events * _CUT_AT
            or self.size_bytes > settings.max_history_bytes * _CUT_AT
        )

    def cut(self, seq: int, size_bytes: int) -> None:
        """Takes note that it begins after a seq by now."""
        self.oldest = seq + 1
        self.size_bytes = size_bytes


def most_stored(settings: Settings) -> tuple[int, int]:
    """Returns the events and bytes beyond which nothing is appended before the log is cut."""
    return _FULL_AT * settings.max_history_events, _FULL_AT * settings.max_history_bytes
