"""The reference store: dicts under one lock, written to be right rather than fast.

For tests, also those of applications: registries of one process share it as processes share a
server, on virtual time if it is given such a clock, and it fails on demand as servers do.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from .._clock import SystemClock
from .._core.cursor import Cursor
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
    Refusal,
    Refused,
    Store,
    Stored,
    Trim,
)
from ..errors import StoreUnavailable
from ._memory.listener import MemoryListener
from ._memory.session import MemorySession

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """A store for the registries of one process.

    Attributes:
        answering: false makes every call do what it is to do and raise `StoreUnavailable` then, as
            if the connection broke before the answer came.
        silent: true keeps all wake-ups back, for good.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Makes an empty one.

        Args:
            clock: its monotonic time is what leases and times to live are counted on.
        """
        self._clock = SystemClock() if clock is None else clock
        self._lock = threading.Lock()
        self._sessions: dict[str, MemorySession] = {}
        self._listeners: list[MemoryListener] = []
        self._available = True
        self.answering = True
        self.silent = False

    # What the contract asks for

    def connect(self) -> None:
        with self._reached():
            pass

    def close(self) -> None:
        """Does nothing: what is in it stays, and listeners are closed by themselves."""

    def find(self, session_id: str) -> Stored | None:
        with self._reached() as now:
            return self._stored(session_id, now)

    def claim(self, claim: Claim) -> bool:
        with self._reached() as now:
            there = self._look(claim.session_id, now)
            granted = _grants(there, claim, now)
            if granted:
                session = MemorySession.begin(claim, there, now)
                self._sessions[claim.session_id] = session
                self._wake(claim.session_id)
            return granted

    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        with self._reached() as now:
            return [self._append(each, now) for each in appends]

    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        with self._reached() as now:
            found = [(self._look(each.session_id, now), each) for each in positions]
            return [None if there is None else there.read(each, now) for there, each in found]

    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        with self._reached() as now:
            return [self._stored(each, now) for each in session_ids]

    def trim(self, trim: Trim) -> bool:
        with self._reached() as now:
            session = self._look(trim.session_id, now)
            return session is not None and session.trim(trim)

    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        with self._reached() as now:
            return [self._renew(each, now) for each in leases]

    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        with self._reached() as now:
            found = [
                (each.lease_until or 0.0, each)
                for each in self._all(now)
                if each.status in statuses and each.lapsed(now)
            ]
            found.sort(key=lambda each: each[0])
            return [
                Overdue(each.stored(now), f"{each.claim.epoch}-{each.renewals}")
                for _, each in found[:most]
            ]

    def result(self, session_id: str) -> bytes | None:
        with self._reached() as now:
            session = self._look(session_id, now)
            return None if session is None else session.result

    def delete(self, session_id: str, ttl: float) -> bool:
        with self._reached() as now:
            session = self._look(session_id, now)
            if session is None or session.gone or not session.status.ended:
                return False
            session.bury(now + ttl)
            self._wake(session_id)
            return True

    def list(
        self, *, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[Stored]:
        with self._reached() as now:
            everything = sorted(self._all(now), key=_place)
            if after is not None:
                last = self._look(after, now)
                if last is None:
                    return []
                everything = [each for each in everything if _place(each) > _place(last)]
            found = [
                each.stored(now)
                for each in everything
                if not each.gone
                and owner in (None, each.claim.owner)
                and status in (None, each.status)
            ]
            return found[:limit]

    def sweep(self, most: int) -> int:
        with self._reached() as now:
            swept = 0
            for session_id, session in list(self._sessions.items()):
                if swept < most and now >= session.expires:
                    del self._sessions[session_id]
                    swept += 1
                elif swept < most and session.expire(now):
                    swept += 1
            return swept

    def listen(self) -> Listener:
        with self._lock:
            listener = MemoryListener(self._clock, self._check, self._forget)
            self._listeners.append(listener)
            return listener

    # How it breaks

    @property
    def available(self) -> bool:
        """False makes every call raise `StoreUnavailable`, and listeners forget what they follow.

        What is in the store stays.
        """
        return self._available

    @available.setter
    def available(self, available: bool) -> None:
        with self._lock:
            self._available = available
            if not available:
                for each in self._listeners:
                    each.cut()

    def lose(self, session_id: str, events: int) -> None:
        """Loses the last events of a log, as after a failover to a replica that lacked them.

        Nobody is woken. One that ended with them runs again, without a lease.
        """
        with self._lock:
            self._sessions[session_id].lose(events, self._clock.monotonic())

    def wipe(self) -> None:
        """Loses everything, as when somebody deletes all keys. Nobody is woken."""
        with self._lock:
            self._sessions.clear()

    # One call's part

    @contextmanager
    def _reached(self) -> Generator[float]:
        """Holds the lock around a call, which gets the time."""
        with self._lock:
            self._check()
            yield self._clock.monotonic()
            if not self.answering:
                raise StoreUnavailable("The connection was cut before the answer came.")

    def _check(self) -> None:
        if not self._available:
            raise StoreUnavailable("The store is away.")

    def _look(self, session_id: str, now: float) -> MemorySession | None:
        """Returns what is there now of an id."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if now >= session.expires:
            del self._sessions[session_id]
            return None
        session.expire(now)
        return session

    def _all(self, now: float) -> Sequence[MemorySession]:
        found = [self._look(each, now) for each in list(self._sessions)]
        return [each for each in found if each is not None]

    def _stored(self, session_id: str, now: float) -> Stored | None:
        session = self._look(session_id, now)
        return None if session is None else session.stored(now)

    def _append(self, append: Append, now: float) -> Appended | Refused:
        session = self._look(append.session_id, now)
        if session is None:
            return Refused(Refusal.UNKNOWN)
        why: Refusal | None = None
        if session.gone:
            why = Refusal.UNKNOWN
        elif session.claim.epoch != append.epoch:
            why = Refusal.EPOCH
        # Before the other refusals: what is done is done, whoever has taken or ended it by now.
        elif (done := session.done_before(append)) is not None:
            return done
        else:
            why = session.objection(append, now)
        if why is not None:
            return Refused(why, session.stored(now))
        answer = session.append(append, now)
        head = str(Cursor(append.epoch, session.head)) if append.entries else ""
        self._wake(append.session_id, head)
        return answer

    def _renew(self, lease: Lease, now: float) -> bool:
        session = self._look(lease.session_id, now)
        if session is None:
            return False
        stalled = session.stalled
        if not session.renew(lease, now):
            return False
        if session.stalled != stalled:
            self._wake(lease.session_id)
        return True

    def _forget(self, listener: MemoryListener) -> None:
        with self._lock:
            self._listeners = [each for each in self._listeners if each is not listener]

    def _wake(self, session_id: str, head: str = "") -> None:
        if self.silent:
            return
        for each in self._listeners:
            each.wake(session_id, head)


def _grants(there: MemorySession | None, claim: Claim, now: float) -> bool:
    if there is None or claim.expected is None:
        return there is None and claim.expected is None
    # Nothing follows an end in its epoch.
    goes_on = there.status.ended and claim.epoch == there.claim.epoch
    return not goes_on and there.is_as(claim.expected, now)


def _place(session: MemorySession) -> tuple[float, str]:
    return session.claim.created, session.claim.session_id
