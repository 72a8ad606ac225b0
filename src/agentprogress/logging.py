"""Sends the standard library's log records to the current session."""

from __future__ import annotations

import logging

from .events import LogLevel
from .instrument import current_session
from .session import ProgressSession

__all__ = ["SessionHandler"]

_LEVELS: tuple[tuple[int, LogLevel], ...] = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)


class SessionHandler(logging.Handler):
    """Writes each record as a ``log.message``, without its traceback, which stays in your log.

    Args:
        session: where records go; the current session of whoever logs when absent.
        level: the least level that is sent.
    """

    def __init__(self, session: ProgressSession | None = None, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._to = session

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record; what goes wrong is handled as logging handles it, never raised."""
        # What the library logs about a session must not come back into it.
        if record.name == "agentprogress" or record.name.startswith("agentprogress."):
            return
        try:
            session = self._to if self._to is not None else current_session()
            if session:
                session.log(record.getMessage(), level_name(record.levelno), logger=record.name)
        except Exception:  # noqa: BLE001 - logging's own way to report it
            self.handleError(record)


def level_name(level: int) -> LogLevel:
    """Returns the event's level for a number of the logging module."""
    for least, name in _LEVELS:
        if level >= least:
            return name
    return "debug"
