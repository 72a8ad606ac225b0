"""What a database file of sessions looks like, and how one of an earlier version becomes that.

The file's ``user_version`` counts the steps of `STEPS` that were taken. A step is never changed
once it was released: what is to be different is a step of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...errors import InvalidSettings

__all__ = ["STEPS", "prepare", "version_of"]

# "agpr": tells our files from those of another application.
_APPLICATION_ID = 0x61677072

Step = tuple[str, ...]

_FIRST: Step = (
    # One number for each transaction that changed a session, so that a listener can ask what is
    # new. It is kept apart: the greatest one in `sessions` shrinks when a session goes.
    "CREATE TABLE counter (changes INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (0)",
    # change is the last one of the session, altered the last one that was more than new events.
    # Small rows, so that many of them lie on a page; everything large is in `blobs`.
    """CREATE TABLE sessions (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        status TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        head INTEGER NOT NULL,
        oldest INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        owner TEXT,
        created REAL NOT NULL,
        ended_at TEXT,
        lease_until REAL,
        stalled TEXT NOT NULL,
        renewals INTEGER NOT NULL,
        ttl REAL NOT NULL,
        expires REAL NOT NULL,
        history_until REAL,
        result_until REAL,
        change INTEGER NOT NULL,
        altered INTEGER NOT NULL,
        due REAL NOT NULL
    )""",
    "CREATE INDEX sessions_change ON sessions (change)",
    # `due` is at or before the moment at which something of the session expires. Most appends
    # move that moment; `due` stays, and the sweep moves it on. So no append touches this index.
    "CREATE INDEX sessions_due ON sessions (due)",
    "CREATE INDEX sessions_lease ON sessions (lease_until) WHERE lease_until IS NOT NULL",
    "CREATE INDEX sessions_created ON sessions (created, id)",
    "CREATE INDEX sessions_owner ON sessions (owner, created, id) WHERE owner IS NOT NULL",
    "CREATE INDEX sessions_status ON sessions (status, created, id)",
    # With a rowid: without one, an event of more than about a quarter of a page takes another page
    # for itself; those of 1,100 bytes took 4.7 kB each, and twice as long to write.
    """CREATE TABLE events (
        session INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (session, seq)
    )""",
    # kind: details, base (the state at oldest - 1), state (the final one), result
    """CREATE TABLE blobs (
        session INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (session, kind)
    )""",
    """CREATE TABLE producers (
        session INTEGER NOT NULL,
        producer TEXT NOT NULL,
        seq INTEGER NOT NULL,
        first INTEGER NOT NULL,
        mark TEXT NOT NULL,
        PRIMARY KEY (session, producer)
    ) WITHOUT ROWID""",
    """CREATE TABLE once (
        session INTEGER NOT NULL,
        key TEXT NOT NULL,
        first INTEGER NOT NULL,
        mark TEXT NOT NULL,
        PRIMARY KEY (session, key)
    ) WITHOUT ROWID""",
)

STEPS: tuple[Step, ...] = (_FIRST,)


def prepare(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """Brings a file up to the version of this library; several processes may do it at once.

    Raises:
        InvalidSettings: the file is another application's, or of a later version.
    """
    if version_of(connection, path, steps) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it meanwhile.
        for step in steps[_version(connection, path, steps) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> int:
    """Returns how many steps a file has been brought up by; 0 for a new one. Changes nothing.

    Raises:
        InvalidSettings: as `prepare`.
    """
    # One moment, also outside of a transaction: between two questions another process may make the
    # file.
    connection.execute("SAVEPOINT version")
    try:
        return _version(connection, path, steps)
    finally:
        connection.execute("RELEASE version")


def _version(connection: sqlite3.Connection, path: str, steps: Sequence[Step]) -> int:
    version = _number(connection, "PRAGMA user_version")
    ours = _number(connection, "PRAGMA application_id") == _APPLICATION_ID
    if not ours and (version or _number(connection, "SELECT count(*) FROM sqlite_master")):
        raise InvalidSettings(
            f"{path} is a database of another application; give the store a file of its own."
        )
    if version > len(steps):
        raise InvalidSettings(
            f"{path} was written by a later version of agentprogress (its schema is {version}, "
            f"this version knows {len(steps)}); upgrade agentprogress, or use another file."
        )
    return version


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])
