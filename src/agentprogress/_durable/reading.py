"""How what is read of a session becomes what is held of it here.

A store may come back with less than it had: a restored backup, a replica that lacked the last
writes. The session's producer brings back what was lost. Where that is gone as well, what has been
seen here is no part of the log any more, and is let go of.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from .._life import Life
from ..abc import Log, Position, Store, Stored
from .faults import Faults, of_those_reached
from .replica import Replica

if TYPE_CHECKING:
    from .sessions import DurableSessions

__all__ = ["Reading", "outranks"]

_logger = logging.getLogger("agentprogress")


class Known(NamedTuple):
    """What is held of a session while the store is asked: it was there before.

    Attributes:
        head: of its log.
        stored: what the store knew besides.
    """

    replica: Replica
    epoch: str
    head: int
    stored: Stored

    @classmethod
    def of(cls, replica: Replica) -> Self:
        """Returns what is known now."""
        return cls(replica, replica.epoch, replica.history.head, replica.stored)

    def position(self, *, overlap: int = 0) -> Position:
        """Returns from where to read on, or so many events before that."""
        return Position(self.replica.id, self.epoch, max(0, self.head - overlap))

    @property
    def holds(self) -> bool:
        """True while nothing was heard since then, and no producer is here."""
        replica = self.replica
        same = self.stored is replica.stored and self.head == replica.history.head
        return same and not (replica.owned or replica.claim)


class Reading:
    """See the module. All of it waits for the store.

    Args:
        sessions: what this process holds.
        store: what is read.
    """

    def __init__(self, sessions: DurableSessions, store: Store) -> None:
        self._sessions = sessions
        self._store = store
        self._faults = Faults()

    def refresh(self, replicas: Sequence[Replica]) -> bool:
        """Reads on from the heads of these; false where some could not be reached."""
        if not replicas:
            return True
        known = {replica.id: Known.of(replica) for replica in replicas}
        logs = of_those_reached(
            lambda some: self._store.read([each.position() for each in some]), known
        )
        for each, log in logs:
            replica = each.replica
            if log is not None:
                with self._faults.of(replica.id):
                    self._keep(log, each)
            elif not replica.owned and replica.claim is None:
                self._sessions.replicas.drop(replica.id)
        return len(logs) == len(known)

    def read(self, session_id: str, replica: Replica | None) -> Replica | None:
        """Reads a session, on from the head of what is held of it; None: the store has none."""
        known = None if replica is None else Known.of(replica)
        position = Position(session_id) if known is None else known.position()
        log = self._store.read([position])[0]
        return None if log is None else self._keep(log, known)

    def _keep(self, log: Log, known: Known | None) -> Replica:
        if known is None:
            return self._take_in(log)
        replica = known.replica
        if log.session.epoch != replica.epoch:
            # It was read after what is held, so it is all there is by now.
            void = known.holds and (outranks(log.session, known.stored) or not replica.may_return)
            return self._take_in(log, instead_of=replica if void else None)
        if known.holds and not self._goes_on(log, known):
            return self._let_go(known)
        # Whatever is held by now: what another one has need not reach up to there.
        replica.load(log)
        return replica

    def _take_in(self, log: Log, *, instead_of: Replica | None = None) -> Replica:
        """Takes over a log that was read as a whole."""
        session_id, epoch = log.session.session_id, log.session.epoch
        held = self._sessions.replicas.get(session_id)
        if held is None or held.epoch != epoch or held is instead_of:
            fresh = self._sessions.new(log.session, Life(created_at=""), owned=False)
            fresh.load(log)
            if fresh.gone is not None and held is None:
                return fresh
            held = self._sessions.hold(fresh, instead_of=instead_of)
            if held is fresh or held.epoch != epoch:
                return held
        held.load(log)
        return held

    def _goes_on(self, log: Log, known: Known) -> bool:
        """False where it is not the log that was known, although the epoch is the same."""
        found, fence = log.session, known.stored.fence
        if found.gone or not known.head:
            return True
        if found.fence <= fence:
            fell_back = found.head < known.head or found.fence < fence
            return not fell_back or known.replica.may_return
        if found.head < known.head:
            return False
        # The new owner may have taken over what was left in a store that had fallen back.
        overlap = self._store.read([known.position(overlap=1)])[0]
        return overlap is not None and known.replica.agrees_with(overlap)

    def _let_go(self, known: Known) -> Replica:
        """What is held is no part of the log any more: what is in the store takes its place."""
        replica = known.replica
        log = self._store.read([Position(replica.id)])[0]
        if log is None or not known.holds:
            return replica  # found out at the next look
        _logger.warning("session %s: the store has lost what followers have seen", replica.id)
        return self._take_in(log, instead_of=replica)


def outranks(found: Stored, owner: Stored) -> bool:
    """Tells whether another one has come after an owner.

    Args:
        found: what is in the store.
        owner: what the owner was told of it last.

    Returns:
        False where the store has fallen back to what was before the owner.
    """
    if found.epoch == owner.epoch:
        return found.gone or found.fence > owner.fence
    earlier = (found.attempt, found.fence) < (owner.attempt, owner.fence)
    # An id that was lost may have been begun anew, and counts from 1 then.
    return not earlier or found.created > owner.created
