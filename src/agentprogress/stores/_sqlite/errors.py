"""What goes wrong with a file, in sentences that name it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from ...errors import InvalidSettings, StoreUnavailable

__all__ = ["primary_code", "told"]

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


@contextmanager
def told(path: str, busy_timeout: float) -> Generator[None]:
    """Says what is wrong in the words of the contract.

    Raises:
        StoreUnavailable: for all that SQLite raises, mistakes in a call aside, and for a file that
            must not be used: it was another one when the store was begun with.
    """
    try:
        yield
    except _MISTAKES:
        raise
    except InvalidSettings as error:
        raise StoreUnavailable(str(error)) from error
    except sqlite3.Error as error:
        sentence = _SENTENCES.get(primary_code(error), "{path} cannot be used ({error}).")
        name = getattr(error, "sqlite_errorname", "")
        raise StoreUnavailable(
            sentence.format(path=path, timeout=busy_timeout, error=error, name=name)
        ) from error


def primary_code(error: BaseException) -> int:
    """Returns SQLite's primary code of an error; -1 where it has none."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & _PRIMARY_CODE if code >= 0 else -1
