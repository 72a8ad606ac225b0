"""Sessions in one SQLite file, for the processes of one machine and across their restarts.

A write-ahead log with ``synchronous=FULL``: what a call has returned survives the process and the
machine. One call is one transaction, so many events cost one flush of the disk.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from .._clock import SystemClock
from .._core.states import SessionStatus
from ..abc import (
    Append,
    Appended,
    Claim,
    Clock,
    Lease,
    Listener,
    Log,
    Overdue,
    Position,
    Refused,
    Store,
    Stored,
    Trim,
)
from ..errors import InvalidSettings
from ._sqlite import owning, reading
from ._sqlite.append import append_to_log
from ._sqlite.expiry import delete_ended, give_back, sweep_expired
from ._sqlite.file import DatabaseFile
from ._sqlite.listener import PollingListener
from ._sqlite.rows import next_change
from ._sqlite.url import path_of

__all__ = ["SQLiteStore"]


class SQLiteStore(Store):
    """A store in a file; several processes may use the same one at once.

    A file that is deleted or replaced while it is in use is noticed at the next call, which goes on
    with what is there then. The file has to lie on a disk of this machine: a write-ahead log does
    not work over a network.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        busy_timeout: float = 5.0,
        poll_interval: float = 0.05,
    ) -> None:
        """Names a file; nothing is opened before the first call.

        Args:
            path: its folder must exist; the file is made where it is missing.
            clock: its wall time is what leases and times to live are counted on, in all processes.
            busy_timeout: seconds to wait for another process that is writing.
            poll_interval: seconds between two looks for news of other processes.

        Raises:
            InvalidSettings: `path` cannot be a file's.
        """
        name = os.fspath(path)
        if name in ("", ":memory:") or "\0" in name:
            raise InvalidSettings(
                f"{name!r} is no file. For sessions in memory alone, leave store= out."
            )
        self._file = DatabaseFile(os.path.abspath(name), busy_timeout)
        self._clock = SystemClock() if clock is None else clock
        self._poll_interval = poll_interval

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """Makes one of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Raises:
            InvalidSettings: the URL names no file of this machine.
        """
        return cls(path_of(url))

    def connect(self) -> None:
        self._file.check()

    def close(self) -> None:
        self._file.close()

    def find(self, session_id: str) -> Stored | None:
        with self._file.reading() as db:
            return reading.find(db, session_id, self._clock.wall())

    def claim(self, claim: Claim) -> bool:
        with self._file.writing() as db:
            return owning.claim(db, claim, self._clock.wall())

    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        if not appends:
            return []
        with self._file.writing() as db:
            now, change = self._clock.wall(), next_change(db)
            return [append_to_log(db, append, now, change) for append in appends]

    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        with self._file.reading() as db:
            now = self._clock.wall()
            return [reading.log(db, position, now) for position in positions]

    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        with self._file.reading() as db:
            now = self._clock.wall()
            return [reading.head(db, session_id, now) for session_id in session_ids]

    def trim(self, trim: Trim) -> bool:
        with self._file.writing() as db:
            return owning.trim(db, trim, self._clock.wall())

    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        if not leases:
            return []
        with self._file.writing() as db:
            now, change = self._clock.wall(), next_change(db)
            return [owning.renew(db, lease, now, change) for lease in leases]

    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        with self._file.reading() as db:
            return reading.overdue(db, most, statuses, self._clock.wall())

    def result(self, session_id: str) -> bytes | None:
        with self._file.reading() as db:
            return reading.result(db, session_id, self._clock.wall())

    def delete(self, session_id: str, ttl: float) -> bool:
        with self._file.writing() as db:
            return delete_ended(db, session_id, ttl, self._clock.wall())

    def list(
        self, *, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[Stored]:
        wanted = reading.Wanted(owner, status, limit, after)
        with self._file.reading() as db:
            return reading.listed(db, wanted, self._clock.wall())

    def sweep(self, most: int) -> int:
        with self._file.writing() as db:
            swept = sweep_expired(db, most, self._clock.wall())
        with self._file.writer() as db:
            give_back(db, self._file.wal_bytes())
        return swept

    def listen(self) -> Listener:
        return PollingListener(self._file, self._poll_interval)
