"""Connections to one database file, and what its troubles are called.

One connection writes, under a lock; others read, each for one thread at a time. No connection is
used in a process that did not open it, nor closed there: SQLite's locks belong to the process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import InvalidSettings, StoreUnavailable
from ._sqlite_schema import prepare

__all__ = ["DatabaseFile", "Opened"]

# What a process inherited by a fork. To let go of a connection is to close it.
_INHERITED: list[object] = []

# Readers beyond these are closed after use.
_MAX_IDLE = 4

# Size to which SQLite cuts the write-ahead log when it begins anew.
_WAL_LIMIT_BYTES = 16 * 1024 * 1024

# Mistakes in a call, not troubles of the file.
_MISTAKES = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)

_PRIMARY_CODE = 0xFF

_SENTENCES = {
    sqlite3.SQLITE_BUSY: "{path} has been locked by another process for more than {timeout:g} s.",
    sqlite3.SQLITE_LOCKED: "{path} has been locked for more than {timeout:g} s.",
    sqlite3.SQLITE_FULL: "There is no room left for {path}: the disk is full ({error}).",
    sqlite3.SQLITE_READONLY: "{path} cannot be written: it, or its folder, is read-only ({error}).",
    sqlite3.SQLITE_PERM: "{path} may not be used by this user ({error}).",
    sqlite3.SQLITE_CANTOPEN: "{path}, or a file beside it, cannot be opened ({error}).",
    sqlite3.SQLITE_IOERR: "Reading or writing {path} failed ({error}, {name}).",
    sqlite3.SQLITE_CORRUPT: "{path} is damaged ({error}).",
    sqlite3.SQLITE_NOTADB: "{path} is damaged ({error}).",
}

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection and the file that it is to."""

    connection: sqlite3.Connection
    identity: Identity | None


@dataclass(slots=True)
class _Held:
    """What one process holds; `writing` guards the writer, `guard` everything else."""

    writing: threading.Lock = field(default_factory=threading.Lock)
    guard: threading.Lock = field(default_factory=threading.Lock)
    writer: Opened | None = None
    idle: list[Opened] = field(default_factory=lambda: [])
    broken: bool = False
    closed: bool = False


class DatabaseFile:
    """See the module.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: str, busy_timeout: float) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        # By process: an entry is made without a lock, which another thread might have held in the
        # moment of a fork.
        self._by_process: dict[int, _Held] = {}

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that is committed when the block is left, and undone when it fails.

        Raises:
            StoreUnavailable: as `troubles`.
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
            StoreUnavailable: as `troubles`.
        """
        held = self._held()
        with held.writing, self.troubles():
            try:
                yield self._writer(held)
            except sqlite3.Error as error:
                # Whatever else happened to it, a new one is sure to be right.
                held.broken = _code(error) != sqlite3.SQLITE_BUSY
                raise
            finally:
                if held.writer is not None and (held.broken or held.closed):
                    held.writer.connection.close()
                    held.writer, held.broken = None, False

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """A connection that sees one moment until the block is left.

        Raises:
            StoreUnavailable: as `troubles`.
        """
        held = self._held()
        with self.troubles():
            opened = self._reader(held)
            whole = False
            try:
                opened.connection.execute("BEGIN")
                yield opened.connection
                opened.connection.execute("COMMIT")
                whole = True
            finally:
                with held.guard:
                    kept = whole and not held.closed and len(held.idle) < _MAX_IDLE
                    if kept:
                        held.idle.append(opened)
                if not kept:
                    opened.connection.close()

    def open(self) -> Opened:
        """Opens one more connection, for the caller to close; makes the file where it is missing.

        Raises:
            sqlite3.Error: it cannot be opened, or made.
            InvalidSettings: it must not be used, and why.
        """
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise InvalidSettings(f"There is no folder {folder} for {self.path}; make it first.")
        if os.path.isdir(self.path):
            raise InvalidSettings(f"{self.path} is a folder; name a file for the store.")
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(connection)
            return Opened(connection, self.identity())
        except BaseException as error:
            connection.close()
            if _code(error) == sqlite3.SQLITE_NOTADB:
                raise InvalidSettings(f"{self.path} is no SQLite database.") from error
            raise

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
        """Closes what this process holds; a call in another thread closes its own at its end."""
        held = self._by_process.pop(os.getpid(), None)
        if held is None:
            return
        with held.guard:
            held.closed = True
            idle, held.idle = held.idle, []
        with held.writing:
            if held.writer is not None:
                idle.append(held.writer)
                held.writer = None
        for opened in idle:
            opened.connection.close()

    @contextmanager
    def troubles(self) -> Generator[None]:
        """Says what is wrong in the words of the contract.

        Raises:
            StoreUnavailable: for all that SQLite raises, mistakes in a call aside, and for a file
                that must not be used: it was another one when the store was begun with.
        """
        try:
            yield
        except _MISTAKES:
            raise
        except InvalidSettings as error:
            raise StoreUnavailable(str(error)) from error
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def check(self) -> None:
        """Makes sure that the file can be written; makes it where it is missing.

        Raises:
            StoreUnavailable: as `troubles`.
            InvalidSettings: it must not be used, and why.
        """
        try:
            # A file that only can be read is found out by its first writer.
            with self.writing():
                pass
        except StoreUnavailable as error:
            if isinstance(error.__cause__, InvalidSettings):
                raise error.__cause__ from None
            raise

    def _held(self) -> _Held:
        process = os.getpid()
        held = self._by_process.get(process)
        if held is None:
            _INHERITED.extend(self._by_process.values())
            held = self._by_process.setdefault(process, _Held())
        return held

    def _writer(self, held: _Held) -> sqlite3.Connection:
        if held.writer is None or held.writer.identity != self.identity():
            if held.writer is not None:
                held.writer.connection.close()
                held.writer = None
            held.writer = self.open()
        return held.writer.connection

    def _reader(self, held: _Held) -> Opened:
        identity = self.identity()
        while True:
            with held.guard:
                opened = held.idle.pop() if held.idle else None
            if opened is None:
                return self.open()
            if opened.identity == identity:
                return opened
            opened.connection.close()

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Freed pages can be given back only where that is said before the first table, and before
        # the change to WAL, which writes the first page.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise InvalidSettings(
                    f"{self.path} cannot have a write-ahead log where it is (journal mode "
                    f"{mode}); put it on a disk of this machine."
                )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        prepare(connection, self.path)

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        code = _code(error)
        sentence = _SENTENCES.get(code, "{path} cannot be used ({error}).")
        return StoreUnavailable(
            sentence.format(
                path=self.path,
                timeout=self._busy_timeout,
                error=error,
                name=getattr(error, "sqlite_errorname", ""),
            )
        )


def _code(error: BaseException) -> int:
    """Returns SQLite's primary code of an error; -1 where it has none."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & _PRIMARY_CODE if code >= 0 else -1
