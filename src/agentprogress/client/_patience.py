"""How long a client goes on: counts attempts, spaces them, and knows when it is enough. Pure."""

from __future__ import annotations

from collections.abc import Callable

from .._core.backoff import Backoff
from ..events import EXACT
from ..settings import Settings

__all__ = ["Patience"]


class Patience:
    """The attempts of one client.

    Args:
        settings: the times.
        max_attempts: attempts in a row that bring nothing; None for no bound.
        random: for the delays.

    Attributes:
        was_welcomed: whether it ever was.
        is_welcome: whether it was since the last cut.
    """

    def __init__(
        self, settings: Settings, max_attempts: int | None, random: Callable[[], float]
    ) -> None:
        self.was_welcomed = False
        self._settings = settings
        self._max_attempts = max_attempts
        self._backoff = Backoff(settings, random)
        self._fruitless = 0
        self._brought = False
        self._welcomed_at: float | None = None

    @property
    def is_welcome(self) -> bool:
        return self._welcomed_at is not None

    def dialled(self) -> None:
        """An attempt begins."""
        self._brought = False

    def welcomed(self, now: float, window: float) -> None:
        """The server knows the session, and advises a window for the return."""
        self._backoff.welcome(window)
        self.was_welcomed = True
        if self._welcomed_at is None:
            self._welcomed_at = now

    def brought(self) -> None:
        """Something came: the attempt was worth it."""
        self._brought = True

    def advise(self, window: object) -> None:
        """Takes the window over which the server wants its clients to return."""
        if isinstance(window, int | float) and abs(window) <= EXACT:
            self._backoff.advise(window)

    def cut(self, now: float) -> bool:
        """An attempt is over; returns False when there were enough of them."""
        is_stable = (
            self._welcomed_at is not None
            and now - self._welcomed_at >= self._settings.stable_timeout
        )
        self._fruitless = 0 if self._brought or is_stable else self._fruitless + 1
        if is_stable:
            self._backoff.reset()
        self._welcomed_at = None
        return self._max_attempts is None or self._fruitless < self._max_attempts

    def next_attempt(self, now: float, at_least: float, *, drawn: bool) -> float:
        """Returns when to try again; `drawn` as for `Backoff.next_delay`."""
        return now + self._backoff.next_delay(at_least, drawn=drawn)
