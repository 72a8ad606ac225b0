"""The sessions of a store that this process holds, and for how long: one replica for each.

Those whom nobody needs are held for a while, and only as long as there is room: what they hold can
be read from the store again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from math import inf
from weakref import WeakSet

from .._in_process.held import LocalSessions
from ..abc import Clock
from ..settings import Settings
from .listening import Listening
from .replica import Replica

__all__ = ["Replicas"]


class Replicas:
    """See the module. Safe to use from several threads.

    Args:
        settings: how long one is held that nobody needs, and how many.
        clock: all time comes from it.
        listening: brings them news.
        local: counts what they hold.

    Attributes:
        dropped: events that came too late or could not be encoded, of those that were let go of.
    """

    def __init__(
        self, settings: Settings, clock: Clock, listening: Listening, local: LocalSessions
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._listening = listening
        self._local = local
        self._lock = threading.Lock()
        # Nothing is called while it is held: see `relieve`.
        self._counting = threading.Lock()
        self._held: dict[str, Replica] = {}
        # Those whom nobody needs, and since when.
        self._idle: OrderedDict[Replica, float] = OrderedDict()
        # Those that were let go of although somebody may be about to follow them.
        self._released: WeakSet[Replica] = WeakSet()
        self.dropped = 0

    def get(self, session_id: str) -> Replica | None:
        """Returns what is held of an id."""
        return self._held.get(session_id)

    def all(self) -> Sequence[Replica]:
        """Returns all that are held."""
        with self._lock:
            return list(self._held.values())

    def hold(self, replica: Replica, *, instead_of: Replica | None = None) -> Replica:
        """Holds a replica, unless there is a better one of its id; returns the one that is held.

        Args:
            replica: to be held.
            instead_of: the one that is to be let go of, if it is held and has no producer.
        """
        with self._lock:
            earlier = self._held.get(replica.id)
            void = earlier is instead_of and earlier is not None and not earlier.owned
            if earlier is not None and not void and not _is_better(replica, earlier):
                return earlier
            self._held[replica.id] = replica
            if earlier is not None:
                self._idle.pop(earlier, None)
            if not _is_needed(replica):
                self._idle[replica] = self._clock.monotonic()
        if earlier is not None and earlier is not replica:
            earlier.supersede(replica)
            self._let_go(earlier)
        self._listening.follow(replica)
        while len(self._held) > self._settings.max_sessions and self._let_one_go(besides=replica):
            pass
        return replica

    def drop(self, session_id: str) -> None:
        """The store does not know a session any more: those who follow it are told."""
        with self._lock:
            replica = self._held.get(session_id)
            # One that has begun here since the store was asked is none of those.
            if replica is None or replica.owned or replica.claim is not None:
                return
            del self._held[session_id]
            self._idle.pop(replica, None)
        self._listening.unfollow(replica)
        replica.disappear()
        self._let_go(replica)

    def used(self, replica: Replica) -> None:
        """Somebody has come or gone: those whom nobody needs are held for a while only."""
        first = late = False
        with self._lock:
            if self._held.get(replica.id) is not replica:
                late = replica in self._released and len(replica.subscribers) > 0
            elif _is_needed(replica):
                self._idle.pop(replica, None)
            elif replica not in self._idle:
                first = not self._idle
                self._idle[replica] = self._clock.monotonic()
        if late:
            self._take_back(replica)
        if first:  # the listener has not planned to let anybody go
            self._listening.look()

    def _take_back(self, replica: Replica) -> None:
        """Somebody had found it before it was let go of, and follows it now."""
        with self._lock:
            self._released.discard(replica)
        with self._counting:
            self.dropped -= replica.dropped
        replica.retain()
        held = self.hold(replica)
        if held is not replica:
            replica.supersede(held)
            self._let_go(replica)

    @property
    def next_to_go(self) -> float | None:
        """Monotonic time at which the next one is let go of."""
        with self._lock:
            since = next(iter(self._idle.values()), None)
        return None if since is None else since + self._settings.replica_ttl

    def let_go(self, now: float) -> None:
        """Lets go of those whom nobody has needed for a while."""
        while self._let_one_go(now):
            pass

    def relieve(self) -> None:
        """Lets go of those whom nobody needs, until the process holds no more than it may."""
        while self._local.crowded and self._let_one_go(wait=False):
            pass

    def _let_one_go(
        self, now: float = inf, *, besides: Replica | None = None, wait: bool = True
    ) -> bool:
        """Lets go of the one that nobody has needed for longest, unless somebody does by now.

        Args:
            now: only if its time is over by then.
            besides: the one that is to stay.
            wait: False for what may have interrupted, in its own thread, who has the lock.

        Returns:
            False when there was none.
        """
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            replica, since = next(iter(self._idle.items()), (None, 0.0))
            if replica is None or replica is besides or now < since + self._settings.replica_ttl:
                return False
            del self._idle[replica]
            if _is_needed(replica):
                return True
            del self._held[replica.id]
            self._released.add(replica)
        finally:
            self._lock.release()
        self._listening.unfollow(replica)
        self._let_go(replica)
        return True

    def _let_go(self, replica: Replica) -> None:
        replica.release()
        self._local.let_go(replica)
        with self._counting:
            self.dropped += replica.dropped

    def forked(self) -> None:
        """Begins anew in a process that was forked off; its parent goes on with what it has."""
        self._lock, self._counting = threading.Lock(), threading.Lock()
        for replica in self._held.values():
            replica.forked()
        # Those who hold a session of the parent's keep it; others read what they ask for.
        self._held = {}
        self._idle.clear()
        self._released.clear()


def _is_needed(replica: Replica) -> bool:
    return bool(
        replica.owned
        or replica.pinned
        or replica.subscribers
        or replica.claim is not None
        or len(replica.upload.sending)
    )


def _is_better(replica: Replica, earlier: Replica) -> bool:
    """False for what was read before something newer came, or of what is here already."""
    if replica is earlier or replica.owned:
        return True
    if earlier.claim is not None or replica.epoch == earlier.epoch:
        return False
    new, old = replica.stored, earlier.stored
    owners = (new.attempt, new.fence), (old.attempt, old.fence)
    return owners[0] > owners[1] or (owners[0] == owners[1] and not earlier.owned)
