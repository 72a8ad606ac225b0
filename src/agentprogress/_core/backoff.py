"""How long a client waits before it comes back. Random numbers are passed in, time is not needed.

The server sizes the window so that all of its subscribers together do not overrun it; so the delay
is drawn from the whole of [0, window], not from around a fixed point. docs/reconnect.md shows what
that does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ..settings import Settings

__all__ = ["Backoff"]

# A window is at least `min_retry_window`; doubled so often, it is beyond any delay. Without a bound
# 2**n would overflow a float in a client that comes back for a day.
_MAX_DOUBLINGS: Final = 64


class Backoff:
    """Counts the attempts of one client, and draws the delay before each.

    Args:
        settings: the windows and the bounds of the delay.
        random: returns a number from [0, 1), another one at each call.

    Attributes:
        attempt: the number of attempts since the last `reset`, n of the rule.
    """

    def __init__(self, settings: Settings, random: Callable[[], float]) -> None:
        self.attempt = 0
        self._settings = settings
        self._random = random
        self._window = settings.initial_retry_window
        self._advised = False

    def welcome(self, window: float) -> None:
        """Takes the window of a `welcome`, in seconds, unless a larger one has been advised.

        The first ones to return are told of a small crowd, and would all be back too soon if the
        server were killed again (measured: docs/reconnect.md). Heartbeats may narrow it later.
        """
        if not self._advised or window > self._window:
            self.advise(window)

    def advise(self, window: float) -> None:
        """Takes the window that a server advises, in seconds.

        It is kept within `min_retry_window` and `max_retry_delay`: none at all would never grow,
        and let everybody return at once. What is no number changes nothing.
        """
        if not math.isnan(window):
            self._advised = True
            least = self._settings.min_retry_window
            self._window = min(max(window, least), self._settings.max_retry_delay)

    def next_delay(self, at_least: float = 0.0, *, drawn: bool = False) -> float:
        """Counts an attempt and draws the delay before it.

        Args:
            at_least: the `retry_after` of the server, in seconds. It may exceed `max_retry_delay`,
                but not `max_retry_after`: who waits longer may have missed a session's whole end.
            drawn: whether the server has drawn it for this client alone, as it does for
                `reconnect`. Then it is the delay of the first attempt: the larger one of two
                numbers from one window is mostly from its end, where all would meet. 0 is not
                drawn: all are told the same.

        Returns:
            Seconds.
        """
        floor = self._floor(at_least)
        first, settings = self.attempt == 0, self._settings
        longest = self._window * 2.0 ** min(self.attempt, _MAX_DOUBLINGS)
        self.attempt += 1
        if first and drawn and floor:
            return floor
        delay = self._random() * min(longest, settings.max_retry_delay)
        return max(delay, floor, 0.0 if first else settings.min_retry_delay)

    def reset(self) -> None:
        """Starts to count anew, after a connection that has proved stable."""
        self.attempt = 0

    def _floor(self, at_least: float) -> float:
        return (
            0.0 if math.isnan(at_least) else min(max(at_least, 0.0), self._settings.max_retry_after)
        )
