"""A process that a test drives and kills: a registry on a store, without an event loop.

It reads one JSON object a line, does what it says, and answers with one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from agentprogress import ProgressError, ProgressSession, SessionRegistry, Settings
from agentprogress.errors import SessionConflict

__all__: list[str] = []


class _Peer:
    def __init__(self, store: str, settings: Mapping[str, Any]) -> None:
        self.registry = SessionRegistry(Settings(**settings), store=store)
        self._stack = ExitStack()
        self._session: ProgressSession | None = None
        self._all: list[ProgressSession] = []

    @property
    def session(self) -> ProgressSession:
        assert self._session is not None
        return self._session

    def do(self, what: str, arguments: Mapping[str, Any]) -> Any:
        return getattr(self, f"on_{what}")(**arguments)

    def on_open(self, **options: Any) -> str:
        self._session = self._stack.enter_context(self.registry.open(**options))
        self._all.append(self._session)
        return self.session.id

    def on_reserve(self, **options: Any) -> str:
        return self.registry.reserve_sync(**options)["session_id"]

    def on_log(self, first: int, count: int, size: int = 0) -> None:
        for number in range(first, first + count):
            self.session.log(f"{number}", cargo="x" * size)

    def on_log_all(self, count: int) -> None:
        """Emits into every session that was opened, and returns when all is stored."""
        for session in self._all:
            for number in range(1, count + 1):
                session.log(f"{number}")
        for session in self._all:
            session.flush_sync(20.0)

    def on_flush(self, timeout: float = 20.0) -> str:
        self.session.flush_sync(timeout)
        return self.session.cursor

    def on_endless(self, first: int) -> None:
        """Emits and flushes for ever, and tells each number that is stored; somebody kills it."""
        number = first
        while True:
            for _ in range(1 + number % 7):
                self.session.log(f"{number}")
                number += 1
            self.session.flush_sync(20.0)
            _tell(number - 1)

    def on_end(self) -> str | None:
        """Leaves the sessions' blocks."""
        self._stack.close()
        return None if self._session is None else self._session.cursor

    def on_dropped(self) -> int:
        return self.session.dropped

    def on_stats(self) -> dict[str, Any]:
        stats = self.registry.stats()
        return {"waiting": stats.waiting, "store_available": stats.store_available}

    def on_try(self, session_id: str) -> bool:
        """Begins a session; False when somebody else has."""
        try:
            session = self._stack.enter_context(self.registry.open(session_id=session_id))
        except SessionConflict:
            return False
        session.log("mine")
        return True


def _tell(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _main(store: str, settings: str, user: str) -> None:
    peer = _Peer(store, json.loads(settings))
    if user:  # once all is imported: not everybody may read what root has installed
        os.setuid(int(user))
    for line in sys.stdin:
        what, arguments = json.loads(line)
        try:
            _tell({"answer": peer.do(what, arguments)})
        except ProgressError as error:
            _tell({"error": type(error).__name__, "sentence": str(error)})


if __name__ == "__main__":
    _main(*sys.argv[1:])
