"""What goes wrong with one session, and must not keep all the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import InvalidSettings, StoreUnavailable

__all__ = ["Faults"]

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

        Raises:
            StoreUnavailable, InvalidSettings: those concern all sessions.
        """
        try:
            yield
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
