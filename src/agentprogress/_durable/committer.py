"""The writer: brings what producers emit into the store, keeps their leases, finds lost sessions.

All sessions of the process share each commit. Its thread calls `turn`; nothing here waits for
anybody but the store.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from .._core.states import SessionStatus
from .._core.thinning import Thinning
from .._ids import new_epoch
from ..abc import Append, Appended, Expected, Lease, Refused, Store, Stored
from ..errors import InvalidSettings, SessionUnavailable, StoreUnavailable
from .faults import Faults
from .loop_watch import LoopWatch
from .reachability import Reachability
from .reading import outranks
from .replica import Replica
from .upload import Ask, Later
from .worker import Worker

if TYPE_CHECKING:
    from .sessions import DurableSessions

__all__ = ["Committer"]

_logger = logging.getLogger("agentprogress")

# Sessions in one commit: a longer one would keep the first ones waiting.
_MOST_SESSIONS = 256
# Renewals in the life of a lease, so that one that fails costs nothing.
_RENEWALS = 3
# How far an outbox may pass its bound before only what is essential is kept; and how far while the
# store takes events: what was emitted in a burst is to be stored, all of it.
_ESSENTIAL_AT = 4
_PATIENCE = 16
# Seconds for which a session rests that cannot be served.
_REST = 1.0
# Seconds between two sweeps while there is something to remove: others write meanwhile.
_SWEEP_INTERVAL = 0.1


class Committer:
    """See the module.

    Args:
        sessions: whose replicas it serves.
        store: where everything goes.
        reachability: whether the store can be reached.
    """

    def __init__(self, sessions: DurableSessions, store: Store, reachability: Reachability) -> None:
        self._sessions = sessions
        self._store = store
        self._reachability = reachability
        self._settings = sessions.settings
        self._clock = sessions.clock
        self._faults = Faults()
        self._ready: deque[Replica] = deque()
        self._ticks: list[tuple[float, int, Replica]] = []
        self._order = itertools.count()
        self._renew_at = self._sweep_at = self._commit_at = -inf
        self._urgent = False
        self._loops = LoopWatch(self._clock, self._settings.lease_ttl)
        # Overdue sessions, with their stamp and since when this process has seen it.
        self._suspects: dict[str, tuple[str, float]] = {}
        self.worker = Worker("agentprogress committer", self._clock, self.turn)

    def touch(self, replica: Replica, *, urgent: bool) -> None:
        """Something of a replica's is to be stored; callable from any thread."""
        self._ready.append(replica)
        if urgent:
            self._urgent = True
        self.worker.wake()

    # One turn

    def forked(self) -> None:
        """Forgets, in a process that was forked off, what its parent goes on with."""
        self._ready.clear()
        self._ticks.clear()
        self._suspects.clear()
        self.worker.forked()

    def turn(self) -> float | None:
        """Does what there is to do now and returns when the next turn is due."""
        now, reachability = self._clock.monotonic(), self._reachability
        rests, renews = now < reachability.write_at, now >= self._renew_at
        if rests and (now < reachability.retry_at or not renews):
            return self._rest()
        try:
            reachability.connect()
            if renews:
                # First: who was away for long may hardly have any time left.
                self._renew(now)
            if not rests:
                self._commit(now)
                if renews:
                    self._find_lost(now)
                    self._sweep_at = now
                self._sweep(now)
        except (StoreUnavailable, InvalidSettings) as error:
            reachability.failed(error)
            return self._rest()
        reachability.worked()
        if rests:
            return self._rest()
        if self._urgent:
            return now
        if self._ready:
            return self._commit_at
        next_tick = self._ticks[0][0] if self._ticks else inf
        return min(max(next_tick, self._commit_at), self._renew_at, self._sweep_at)

    def _rest(self) -> float:
        """Writes nothing for now; leases are renewed as long as the store lets itself be asked."""
        self._relieve()
        reachability = self._reachability
        return min(reachability.write_at, max(reachability.retry_at, self._renew_at))

    def _commit(self, now: float) -> None:
        batch = self._gather(now)
        if not batch:
            return
        self._commit_at = now + self._settings.commit_interval
        asks: dict[Replica, Ask] = {}
        answers: Sequence[Appended | Refused] = ()
        try:
            with self._reachability.writing():
                answers = self._store.append([append for _, append in batch])
            for (replica, append), answer in zip(batch, answers, strict=True):
                with self._faults.of(replica.id):
                    asks[replica] = replica.answered(append, answer)
        finally:
            # Whatever has happened: they may have more, or the same once again.
            for replica, _ in batch:
                if answers and replica not in asks:
                    self._put_off(replica, now + _REST)
                    continue
                self._ready.append(replica)
                self._urgent = self._urgent or (replica in asks and len(replica.upload.sending) > 0)
        for replica, ask in asks.items():
            with self._faults.of(replica.id):
                self._help(replica, ask)
        self._relieve_if_behind([replica for replica, _ in batch])

    def _put_off(self, replica: Replica, until: float) -> None:
        heapq.heappush(self._ticks, (until, next(self._order), replica))

    def _gather(self, now: float) -> list[tuple[Replica, Append]]:
        """Returns what is to be sent: one append of each session that has something."""
        if now < self._commit_at and not self._urgent:
            return []
        # Before the look: what becomes urgent after it is for the next turn.
        self._urgent = False
        while self._ticks and self._ticks[0][0] <= now:
            self._ready.append(heapq.heappop(self._ticks)[2])
        batch: dict[Replica, Append] = {}
        looked_at: set[Replica] = set()
        for _ in range(len(self._ready)):
            if len(batch) >= _MOST_SESSIONS:
                self._urgent = True
                break
            replica = self._ready.popleft()
            if replica in looked_at:
                continue
            looked_at.add(replica)
            if replica.claim is not None and now < replica.upload.rests_until:
                self._put_off(replica, replica.upload.rests_until)
                continue
            made: Append | Later | None = Later(now + _REST)
            try:
                with self._faults.of(replica.id):
                    if replica.claim is not None:
                        self._claim(replica)
                    if replica.claim is not None:
                        continue  # it has to be made anew
                    made = replica.next_append(now)
                    if made is None:
                        self._cut(replica)
            except BaseException:
                self._ready.extend((*batch, replica))
                raise
            if isinstance(made, Append):
                batch[replica] = made
            elif isinstance(made, Later):
                self._put_off(replica, made.at)
        return list(batch.items())

    def _claim(self, replica: Replica) -> None:
        claim = replica.claim
        assert claim is not None
        try:
            with self._reachability.writing():
                granted = self._store.claim(claim)
        except SessionUnavailable:
            replica.upload.rest(_REST)
            self._relieve_if_behind([replica])
            raise
        if granted:
            replica.claim = None
            return
        found = self._store.find(claim.session_id)
        replica.claim = None
        if found is None or found.epoch != claim.epoch:  # else an answer got lost on its way
            self._recover(replica)

    def _help(self, replica: Replica, ask: Ask) -> None:
        if ask is Ask.RECOVER:
            self._recover(replica)
        elif ask is Ask.READ:
            self._sessions.refresh([replica])
        self._cut(replica, full=ask is Ask.TRIM)

    def _cut(self, replica: Replica, *, full: bool = False) -> None:
        cut = replica.trim(full=full)
        if cut is None:
            return
        with self._reachability.writing():
            done = self._store.trim(cut)
        if done:
            replica.trimmed(cut)

    def _recover(self, replica: Replica) -> None:
        """Starts over in another epoch: the store has lost what it had, or a part of it."""
        found = self._store.find(replica.id)
        if found is not None and outranks(found, replica.stored):
            self._sessions.refresh([replica])
            if replica.owned:
                replica.lose(fenced=True)
            return
        expected = None if found is None else Expected(found.epoch, found.fence, found.status)
        _logger.warning(
            "session %s: the store has lost %s; it goes on in a new epoch",
            replica.id,
            "it" if found is None or found.epoch != replica.epoch else "the end of its log",
        )
        replica.start_over(new_epoch(), expected)
        self._ready.append(replica)

    # What waits

    def _relieve_if_behind(self, batch: Sequence[Replica]) -> None:
        """Keeps what waits bounded where producers are faster than the store."""
        weights = [replica.weigh() for replica in batch]
        events, size = map(sum, zip(*weights, strict=True))
        # Cheap, so a guess: all wait for as much as these do.
        share = _PATIENCE * len(batch) / max(len(batch), len(self._ready))
        settings = self._settings
        if events > settings.max_outbox_events * share or size > settings.max_outbox_bytes * share:
            self._relieve(_PATIENCE)

    def _relieve(self, patience: int = 1) -> None:
        """Keeps what waits within so many times its bounds."""
        settings = self._settings
        for level, factor in (
            (Thinning.MERGE, patience),
            (Thinning.LOGS, patience),
            (Thinning.ESSENTIAL, patience * _ESSENTIAL_AT),
        ):
            replicas = self._sessions.replicas.all()
            weights = [replica.weigh() for replica in replicas]
            events, size = map(sum, zip(*weights, strict=True)) if weights else (0, 0)
            most_events = settings.max_outbox_events * factor
            if events <= most_events and size <= settings.max_outbox_bytes * factor:
                return
            for replica, (waiting, _) in zip(replicas, weights, strict=True):
                if waiting:
                    replica.thin(level)

    # Leases

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        # Where nobody writes anything, nothing else could show that the store takes it again.
        with self._reachability.writing(proof=not self._sessions.waiting):
            swept = self._store.sweep(self._settings.max_sweep)
        self._sweep_at = now + _SWEEP_INTERVAL if swept else inf

    def _renew(self, now: float) -> None:
        # Before the call: a store that is slow is not asked more often.
        self._renew_at = now + self._settings.lease_ttl / _RENEWALS
        try:
            # A store that is full renews what it has.
            with self._reachability.writing(proof=False):
                refused = self._renew_all()
        except StoreUnavailable:
            self._renew_at = self._reachability.write_at
            raise
        for replica in refused:
            # Before the store is asked: meanwhile the listener may read more.
            head = replica.history.head
            with self._faults.of(replica.id):
                found = self._store.find(replica.id)
                if found is None or _has_lost(found, replica, head):
                    self._recover(replica)
        self._sessions.refresh([replica for replica in refused if replica.claim is None])

    def _renew_all(self) -> list[Replica]:
        """Renews the leases of all that run here; returns those that the store refuses."""
        owned = [
            replica
            for replica in self._sessions.replicas.all()
            if replica.owned and replica.claim is None and replica.status is SessionStatus.RUNNING
        ]
        if not owned:
            return []
        ttl = self._settings.lease_ttl
        leases = [
            Lease(
                replica.id,
                replica.epoch,
                replica.stored.fence,
                ttl,
                "event_loop_blocked" if self._loops.is_blocked(replica.loop) else "",
            )
            for replica in owned
        ]
        renewed = self._store.renew(leases)
        return [one for one, done in zip(owned, renewed, strict=True) if not done]

    def _find_lost(self, now: float) -> None:
        """Ends sessions whose producers are gone, once that is certain.

        A producer is gone when its lease ran out long ago, was not renewed while this process
        looked, and this process has reached the store all the time: an outage, a machine that
        slept or a clock that jumped loses nobody.
        """
        settings = self._settings
        lost_after = settings.lost_after
        # Running ones that nobody ever ends must not hide those that were never begun.
        statuses = [SessionStatus.PENDING]
        if lost_after is not None:
            statuses.append(SessionStatus.RUNNING)
        suspects: dict[str, tuple[str, float]] = {}
        for one in self._store.overdue(settings.max_sweep, statuses=statuses):
            session = one.session
            stamp, since = self._suspects.get(session.session_id, ("", now))
            since = since if stamp == one.stamp else now
            suspects[session.session_id] = (one.stamp, since)
            with self._faults.of(session.session_id):
                if session.status is SessionStatus.PENDING:
                    self._sessions.end_lost(session, 0.0)
                elif lost_after is not None and self._is_certain(session, since, lost_after, now):
                    self._sessions.end_lost(session, lost_after - settings.lease_ttl)
        self._suspects = suspects

    def _is_certain(self, session: Stored, since: float, lost_after: float, now: float) -> bool:
        lapsed_after = lost_after - self._settings.lease_ttl
        return (
            -(session.lease_left or 0.0) >= lapsed_after
            and now - since >= min(self._settings.lease_ttl, lapsed_after)
            and self._reachability.down is None
            and now - self._reachability.since >= lost_after
        )


def _has_lost(found: Stored, replica: Replica, head: int) -> bool:
    """True where a store has forgotten the owner's claim, or the end of the log that it had."""
    stored = replica.stored
    if outranks(found, stored):
        return False
    return (found.epoch, found.fence) != (stored.epoch, stored.fence) or found.head < head
