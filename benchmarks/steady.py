"""What the server of the stalled benchmark and its client agree on."""

from dataclasses import dataclass

LINES_AT_ONCE = 10
PAUSE = 0.01
"""Seconds from one handful of lines to the next: 1,000 lines a second."""


@dataclass(frozen=True)
class Steady:
    """What the server says of one measurement."""

    nanoseconds: list[int]
    """What each call of `log` took."""
    subscribers: int
    unmoved: int
    """Subscribers that stand where they stood when it began."""
    detached: int
