"""The listener: brings into the replicas what other processes have stored.

A wake-up tells only that there is something; what is true is read. Without any for a while, and
whenever some may have been lost, the heads of all are read in one call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from .._core.cursor import Cursor
from ..abc import Listener, Store, Stored
from ..errors import InvalidSettings, StoreUnavailable
from .faults import of_those_reached
from .reachability import Reachability
from .replica import Replica
from .worker import Worker

if TYPE_CHECKING:
    from .sessions import DurableSessions

__all__ = ["Listening"]


class Listening:
    """See the module.

    Args:
        sessions: whose replicas it serves.
        store: what it listens to.
        reachability: whether the store can be reached.
    """

    def __init__(self, sessions: DurableSessions, store: Store, reachability: Reachability) -> None:
        self._sessions = sessions
        self._store = store
        self._reachability = reachability
        self._clock = sessions.clock
        self._settings = sessions.settings
        # Ids to follow, or to follow no more.
        self._changes: deque[tuple[str, bool]] = deque()
        self._followed: set[str] = set()
        self._listener: Listener | None = None
        self._look_at = -inf
        self.worker = Worker("agentprogress listener", self._clock, self.turn)

    def hears(self, replica: Replica) -> bool:
        """True when news of it come by themselves."""
        return replica.id in self._followed and not self._reachability.away

    def follow(self, replica: Replica) -> None:
        """Listens for a session from now on; callable from any thread."""
        self._change(replica.id, follow=True)

    def unfollow(self, replica: Replica) -> None:
        """Listens for it no more."""
        self._change(replica.id, follow=False)

    def _change(self, session_id: str, *, follow: bool) -> None:
        self._changes.append((session_id, follow))
        self.look()

    def look(self) -> None:
        """Has it look at what there is to do; callable from any thread."""
        self.worker.wake()
        listener = self._listener
        if listener is not None:
            listener.interrupt()

    def forked(self) -> None:
        """Begins anew in a process that was forked off: the listener is its parent's."""
        self._changes.clear()
        self._followed.clear()
        self._listener = None
        self._look_at = -inf
        self.worker.forked()

    def turn(self) -> float | None:
        """Waits for news, and brings them in."""
        now = self._clock.monotonic()
        if now < self._reachability.retry_at:
            return self._reachability.retry_at
        self._sessions.replicas.let_go(now)
        try:
            if not (self._followed or self._changes or self._sessions.replicas.all()):
                return self._sessions.replicas.next_to_go  # nobody to listen for
            self._reachability.connect()
            self._hear(now)
        except (StoreUnavailable, InvalidSettings) as error:
            self._reachability.failed(error)
            self._drop_listener()
            return self._reachability.retry_at
        self._reachability.worked()
        return now  # at once: it waits in the listener

    def _hear(self, now: float) -> None:
        if self._listener is None:
            self._listener = self._store.listen()
            self._followed.clear()
            self._changes.clear()
            self._changes.extend((one.id, True) for one in self._sessions.replicas.all())
        listener = self._listener
        fresh = self._apply_changes(listener)
        if now >= self._look_at:
            self._look_at_heads(now)
        elif fresh:
            # What was appended between the read that brought them here and now woke nobody.
            self._read(dict.fromkeys(fresh, ""))
        until = min(self._look_at, self._sessions.replicas.next_to_go or inf)
        woken = listener.wait(max(0.0, until - self._clock.monotonic()))
        if woken is None:
            self._look_at_heads(now)
        elif woken:
            self._read(woken)

    def _apply_changes(self, listener: Listener) -> list[str]:
        wanted: dict[str, bool] = {}
        while self._changes:
            session_id, follow = self._changes.popleft()
            wanted[session_id] = follow
        fresh = [one for one, follow in wanted.items() if follow and one not in self._followed]
        stale = [one for one, follow in wanted.items() if not follow and one in self._followed]
        if stale:
            self._followed.difference_update(stale)
            listener.unfollow(stale)
        if fresh:
            listener.follow(fresh)
            self._followed.update(fresh)
        return fresh

    def _look_at_heads(self, now: float) -> None:
        """Asks for the heads of all, and reads what has moved."""
        replicas = {replica.id: replica for replica in self._sessions.replicas.all()}
        known = of_those_reached(
            lambda some: self._store.heads([replica.id for replica in some]), replicas
        )
        moved: list[Replica] = []
        next_end = inf
        for replica, stored in known:
            if stored is None or not _is_as_known(replica, stored):
                moved.append(replica)
            else:
                replica.know(stored)
                next_end = min(next_end, replica.lease_ends)
        # Just after a lease has run out is the time to see whether it was renewed.
        self._look_at = min(now + self._settings.news_interval, max(next_end, now) + 0.001)
        if len(known) < len(replicas):
            self._look_soon()
        self._refresh([one for one in moved if one.claim is None])

    def _refresh(self, replicas: Sequence[Replica]) -> None:
        if not self._sessions.refresh(replicas):
            self._look_soon()

    def _look_soon(self) -> None:
        """Some could not be reached, so what has come of them is not known."""
        soon = self._clock.monotonic() + self._settings.max_store_delay
        self._look_at = min(self._look_at, soon)

    def _read(self, woken: Mapping[str, str]) -> None:
        behind: list[Replica] = []
        for session_id, told in woken.items():
            replica = self._sessions.replicas.get(session_id)
            if replica is None or replica.claim is not None:
                continue
            if not _has(replica, told):
                behind.append(replica)
        self._refresh(behind)

    def _drop_listener(self) -> None:
        listener, self._listener = self._listener, None
        self._followed.clear()
        self._look_at = -inf
        if listener is not None:
            listener.close()

    def stop(self, timeout: float) -> None:
        """Ends the thread."""
        listener = self._listener
        self.worker.stop(timeout, listener.interrupt if listener is not None else None)
        self._drop_listener()


def _is_as_known(replica: Replica, stored: Stored) -> bool:
    history = replica.history
    if (stored.epoch, stored.head) != (history.epoch, history.head) or stored.gone:
        return False
    if stored.fence != replica.stored.fence:
        return False  # its events need not be those that were read before
    swept = stored.oldest > stored.head and len(history) > 0
    return not (replica.ended and swept)


def _has(replica: Replica, told: str) -> bool:
    """True where a wake-up brings nothing: its events are here, or come with an append's answer."""
    cursor = Cursor.parse(told)
    if cursor is None or cursor.epoch != replica.epoch:
        return False
    # The answer to an append that is under way says whether there is more.
    expected = replica.owned and replica.upload.sending.flight is not None
    return expected or cursor.seq <= replica.history.head
