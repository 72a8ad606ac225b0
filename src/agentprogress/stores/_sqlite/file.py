"""Connections to one database file.

One connection writes, under a lock; others read, each for one thread at a time. None is open while
the process forks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from ...errors import InvalidSettings, StoreUnavailable
from .errors import primary_code, told
from .forks import watch
from .schema import prepare, version_of

__all__ = ["DatabaseFile", "Identity"]

# Seconds beyond the wait for another process for which a fork waits for the calls of other threads.
_PATIENCE = 1.0

# What a fork found in use. Without a reference, a connection is closed.
_INHERITED: list[object] = []

# Seconds between two tries where SQLite does not wait by itself.
_BUSY_INTERVAL = 0.005

# Readers beyond these are closed after use.
_MAX_IDLE = 4

# Size to which SQLite cuts the write-ahead log when it begins anew.
_WAL_LIMIT_BYTES = 16 * 1024 * 1024

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A connection, and the file that it is to."""

    connection: sqlite3.Connection
    identity: Identity | None


@dataclass(slots=True)
class _Held:
    """What one process holds; `writing` guards the writer, `free` everything else.

    Attributes:
        free: told when a reader is given back, or readers may be taken again.
        used: readers that are in use.
        paused: the process is about to fork.
        closings: how often all were closed that were not in use.
    """

    writing: threading.Lock = field(default_factory=threading.Lock)
    free: threading.Condition = field(default_factory=threading.Condition)
    writer: _Opened | None = None
    idle: list[_Opened] = field(default_factory=list[_Opened])
    used: int = 0
    paused: bool = False
    closings: int = 0


class DatabaseFile:
    """See the module.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: str, busy_timeout: float) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._held = _Held()
        self._stopped = False
        watch(self)

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that is committed when the block is left, and undone when it fails.

        Raises:
            StoreUnavailable: see `errors`.
        """
        with self.writer() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite undoes some failures by itself, a full disk for one.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def writer(self) -> Generator[sqlite3.Connection]:
        """The connection that writes, outside of a transaction.

        Raises:
            StoreUnavailable: see `errors`.
        """
        held = self._held
        with held.writing, self.troubles():
            try:
                yield self._writer(held)
            except sqlite3.Error as error:
                # Whatever else happened to it, a new one is sure to be right.
                if primary_code(error) != sqlite3.SQLITE_BUSY:
                    self._close_writer(held)
                raise

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """A connection that sees one moment until the block is left.

        Raises:
            StoreUnavailable: see `errors`.
        """
        held = self._held
        with self.troubles():
            with held.free:
                held.free.wait_for(lambda: not held.paused)
                held.used += 1
                closings = held.closings
            opened: _Opened | None = None
            try:
                opened = self._reader(held)
                opened.connection.execute("BEGIN")
                yield opened.connection
                opened.connection.execute("COMMIT")
            except BaseException:
                if opened is not None:
                    opened.connection.close()
                    opened = None
                raise
            finally:
                self._give_back(held, opened, closings)

    def identity(self) -> Identity | None:
        """Returns what tells the file at `path` from another one there; None while there is none.

        A connection would go on writing into a file that was deleted, and tell nobody.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def wal_bytes(self) -> int:
        """Returns the size of the write-ahead log; 0 while there is none."""
        try:
            return os.stat(self.path + "-wal").st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Closes what this process holds; what is in use just now, at the end of its use."""
        with self._held.writing:
            self._close_all()

    def pause(self) -> None:
        """Closes all before a fork, and lets nobody go on until `resume` or `begin_anew`."""
        # A call may wait for another process. A fork in the middle of a call, by a signal's
        # handler, would wait for ever.
        longest = self._busy_timeout + _PATIENCE
        held = self._held
        self._stopped = held.writing.acquire(timeout=longest)
        with held.free:
            held.paused = True
            held.free.wait_for(lambda: not held.used, longest)
        if self._stopped:
            self._close_all()

    def resume(self) -> None:
        """Goes on after a fork, in the parent."""
        if self._stopped:
            self._held.writing.release()
        with self._held.free:
            self._held.paused = False
            self._held.free.notify_all()

    def begin_anew(self) -> None:
        """Goes on after a fork, in the child: other threads' locks are never released there."""
        _INHERITED.append(self._held)
        self._held = _Held()

    def troubles(self) -> AbstractContextManager[None]:
        """Says what is wrong in the words of the contract.

        Raises:
            StoreUnavailable: see `errors`.
        """
        return told(self.path, self._busy_timeout)

    def check(self) -> None:
        """Makes sure that the file is a store's; makes it where it is missing, else only reads it.

        Whether it may be written, nobody knows before a write: it may be locked at any time.

        Raises:
            StoreUnavailable: see `errors`.
            InvalidSettings: it must not be used, and why.
        """
        try:
            with self.reading() as connection:
                version_of(connection, self.path)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, InvalidSettings):
                raise error.__cause__ from None
            raise

    def _writer(self, held: _Held) -> sqlite3.Connection:
        if held.writer is None or held.writer.identity != self.identity():
            self._close_writer(held)
            held.writer = self._open()
        return held.writer.connection

    def _close_writer(self, held: _Held) -> None:
        if held.writer is not None:
            held.writer.connection.close()
            held.writer = None

    def _close_all(self) -> None:
        held = self._held
        with held.free:
            held.closings += 1
            idle, held.idle = held.idle, []
        for opened in idle:
            opened.connection.close()
        self._close_writer(held)

    def _reader(self, held: _Held) -> _Opened:
        identity = self.identity()
        while True:
            with held.free:
                opened = held.idle.pop() if held.idle else None
            if opened is None:
                return self._open()
            if opened.identity == identity:
                return opened
            opened.connection.close()

    def _give_back(self, held: _Held, opened: _Opened | None, closings: int) -> None:
        with held.free:
            if opened is not None:
                if held.closings == closings and len(held.idle) < _MAX_IDLE:
                    held.idle.append(opened)
                else:
                    opened.connection.close()
            held.used -= 1
            held.free.notify_all()

    def _open(self) -> _Opened:
        """Opens one more connection; makes the file where it is missing.

        Raises:
            sqlite3.Error: it cannot be opened, or made.
            InvalidSettings: it must not be used, and why.
        """
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise InvalidSettings(f"There is no folder {folder} for {self.path}; make it first.")
        if os.path.isdir(self.path):
            raise InvalidSettings(f"{self.path} is a folder; name a file for the store.")
        while True:
            before = self.identity()
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._set_up(connection)
            except BaseException as error:
                connection.close()
                if primary_code(error) == sqlite3.SQLITE_NOTADB:
                    raise InvalidSettings(f"{self.path} is no SQLite database.") from error
                raise
            if before is not None and before == self.identity():
                return _Opened(connection, before)
            # It was made here, or replaced meanwhile: which file the connection is to is not sure.
            connection.close()

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Another application's file is not even to get another journal.
        version_of(connection, self.path)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            # Freed pages can be given back only where that is said before the first table, and
            # before the change to WAL, which writes the first page.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            mode = self._begin_log(connection)
            if mode != "wal":
                raise InvalidSettings(
                    f"{self.path} cannot have a write-ahead log where it is (journal mode "
                    f"{mode}); put it on a disk of this machine."
                )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        prepare(connection, self.path)

    def _begin_log(self, connection: sqlite3.Connection) -> str:
        """Asks for a write-ahead log; returns the journal's mode.

        Here SQLite does not wait for others who do the same, whatever its timeout is: each has
        read what it wants to change.
        """
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(_BUSY_INTERVAL)
