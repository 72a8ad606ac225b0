"""Wake-ups by looking at the file: SQLite tells nobody of another process's commits."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping

from ..abc import Listener
from ..errors import StoreUnavailable
from ._sqlite_file import DatabaseFile, Opened

__all__ = ["PollingListener"]

News = dict[str, str]

_CHANGES = "SELECT changes FROM counter"
_CHANGED = "SELECT id, epoch, head, change FROM sessions WHERE change > ?"


class PollingListener(Listener):
    """See the module.

    Every transaction that changes a session leaves its number there, so one look at an index tells
    whose news there are. This process's own commits are among them: a look every `interval` finds
    them all at once, so they cost no more than anybody else's.
    """

    def __init__(
        self,
        file: DatabaseFile,
        interval: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._interval = interval
        self._monotonic = monotonic
        self._followed: set[str] = set()
        self._interrupted = threading.Event()
        self._opened: Opened | None = None
        self._seen = 0
        self._next_look = 0.0

    def follow(self, session_ids: Collection[str]) -> None:
        if not self._followed:
            self._ask(self._catch_up)
        self._followed.update(session_ids)

    def unfollow(self, session_ids: Collection[str]) -> None:
        self._followed.difference_update(session_ids)

    def wait(self, timeout: float) -> Mapping[str, str] | None:
        deadline = self._monotonic() + timeout
        while True:
            until = min(deadline, self._next_look) if self._followed else deadline
            if self._interrupted.wait(max(0.0, until - self._monotonic())):
                self._interrupted.clear()
                return {}
            now = self._monotonic()
            if self._followed and now >= self._next_look:
                self._next_look = now + self._interval
                woken = self._look()
                if woken is None or woken:
                    return woken
            if now >= deadline:
                return {}

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._followed.clear()
        self._let_go()

    def _look(self) -> Mapping[str, str] | None:
        if self._current() is not None:
            return self._ask(self._news)
        # Another file is there now: nothing that was known of the first one holds.
        self._ask(self._catch_up)
        return None

    def _news(self, db: sqlite3.Connection) -> News:
        changed: list[tuple[str, str, int, int]] = db.execute(_CHANGED, (self._seen,)).fetchall()
        self._seen = max((change for *_, change in changed), default=self._seen)
        return {
            session_id: f"{epoch}-{head}"
            for session_id, epoch, head, _ in changed
            if session_id in self._followed
        }

    def _catch_up(self, db: sqlite3.Connection) -> News:
        self._seen = db.execute(_CHANGES).fetchone()[0]
        return {}

    def _ask(self, question: Callable[[sqlite3.Connection], News]) -> News:
        """Asks on the listener's own connection."""
        try:
            with self._file.troubles():
                self._opened = self._current() or self._file.open()
                return question(self._opened.connection)
        except StoreUnavailable:
            self.close()
            raise

    def _current(self) -> Opened | None:
        """Returns the connection, unless another file is at its path by now."""
        if self._opened is not None and self._opened.identity != self._file.identity():
            self._let_go()
        return self._opened

    def _let_go(self) -> None:
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None
