"""Wake-ups by looking at the file: SQLite tells nobody of another process's commits."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping

from ...abc import Listener
from ...errors import StoreUnavailable
from .file import DatabaseFile, Identity

__all__ = ["PollingListener"]

News = dict[str, str]

_CHANGES = "SELECT changes FROM counter"
_CHANGED = "SELECT id, epoch, head, change, altered FROM sessions WHERE change > ?"


class PollingListener(Listener):
    """See the module.

    Every transaction that changes a session leaves its number there, so one look at an index tells
    whose news there are. This process's own commits are among them: a look every `interval` finds
    them all at once, so they cost no more than anybody else's.
    """

    def __init__(self, file: DatabaseFile, interval: float) -> None:
        self._file = file
        self._interval = interval
        self._followed: set[str] = set()
        self._interrupted = threading.Event()
        self._identity: Identity | None = None
        self._seen = 0
        self._next_look = 0.0

    def follow(self, session_ids: Collection[str]) -> None:
        if not self._followed:
            self._ask(self._catch_up)
        self._followed.update(session_ids)

    def unfollow(self, session_ids: Collection[str]) -> None:
        self._followed.difference_update(session_ids)

    def wait(self, timeout: float) -> Mapping[str, str] | None:
        deadline = time.monotonic() + timeout
        while True:
            until = min(deadline, self._next_look) if self._followed else deadline
            if self._interrupted.wait(max(0.0, until - time.monotonic())):
                self._interrupted.clear()
                return {}
            now = time.monotonic()
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

    def _look(self) -> Mapping[str, str] | None:
        if self._identity == self._file.identity():
            return self._ask(self._news)
        # Another file is there now: nothing that was known of the first one holds.
        self._ask(self._catch_up)
        return None

    def _news(self, db: sqlite3.Connection) -> News:
        seen = self._seen
        changed = db.execute(_CHANGED, (seen,)).fetchall()
        self._seen = max((change for *_, change, _ in changed), default=seen)
        return {
            session_id: "" if altered > seen else f"{epoch}-{head}"
            for session_id, epoch, head, _, altered in changed
            if session_id in self._followed
        }

    def _catch_up(self, db: sqlite3.Connection) -> News:
        self._identity = self._file.identity()
        self._seen = db.execute(_CHANGES).fetchone()[0]
        return {}

    def _ask(self, question: Callable[[sqlite3.Connection], News]) -> News:
        try:
            with self._file.reading() as db:
                return question(db)
        except StoreUnavailable:
            self.close()
            raise
