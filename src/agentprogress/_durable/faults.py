"""What goes wrong with one session, and must not keep all the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from ..errors import InvalidSettings, SessionUnavailable, StoreUnavailable

__all__ = ["Faults", "of_those_reached"]

A = TypeVar("A")
S = TypeVar("S")

_logger = logging.getLogger("agentprogress")

# Sessions to be remembered; there are hardly ever any.
_MOST = 1_000


class Faults:
    """See the module. What is lost in a race of two threads is a log line."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    @contextmanager
    def of(self, session_id: str) -> Generator[None]:
        """Keeps what goes wrong with a session in the block, and logs the first of it.

        That it cannot be reached, while others can, is not logged: it is asked for again.

        Raises:
            StoreUnavailable, InvalidSettings: those concern all sessions.
        """
        try:
            yield
        except SessionUnavailable:
            pass
        except (StoreUnavailable, InvalidSettings):
            raise
        except Exception:
            if session_id not in self._told:
                if len(self._told) >= _MOST:
                    self._told.clear()
                self._told.add(session_id)
                _logger.exception(
                    "session %s cannot be served for now; the others go on", session_id
                )


def of_those_reached(
    question: Callable[[Sequence[S]], Sequence[A]], subjects: Mapping[str, S]
) -> list[tuple[S, A]]:
    """Asks a store about sessions; what cannot be reached, while others can, is left out.

    Args:
        question: returns an answer for each.
        subjects: what it is asked about, by the id of the session.
    """
    left = dict(subjects)
    while True:
        try:
            return list(zip(left.values(), question(list(left.values())), strict=True))
        except SessionUnavailable as error:
            if not error.session_ids & left.keys():
                raise
            left = {each: left[each] for each in left if each not in error.session_ids}
