"""How a store's sessions come to be: made, reserved, taken over, run again.

It decides by what it has read, and claims what it has decided; where somebody else came first, it
reads and decides again. Until its first event is stored a session can be claimed once more: the
last one to claim it has it. Within a process openers of an id wait for each other instead. A
session whose id is generated can meet nobody: where the store is away it begins all the same, and
the committer claims it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .._backing import Waited
from .._core.cursor import check_session_id
from .._core.states import SessionStatus
from .._describing import SessionOptions, describe, ids_by_step, new_life, started
from .._ids import new_epoch, new_session_id, short_id
from .._life import Life
from .._producer import Producer
from .._wakeup import LoopRef
from ..abc import Claim, Expected, Position, Store, Stored
from ..errors import SessionConflict, SessionGone, StoreUnavailable, TooManySessions
from .control import MOST_TRIES
from .details import decode_details, encode_details
from .off_loop import within
from .one_by_one import OneByOne
from .replica import Replica

if TYPE_CHECKING:
    from .sessions import DurableSessions

__all__ = ["Claims"]

T = TypeVar("T")


class Claims:
    """See the module.

    Args:
        sessions: what this process holds.
        store: where sessions live.
    """

    def __init__(self, sessions: DurableSessions, store: Store) -> None:
        self._sessions = sessions
        self._store = store
        self._engine = sessions.engine
        self._settings = sessions.settings
        self._clock = sessions.clock
        self._one_by_one = OneByOne(sessions.clock)

    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe.

        Raises:
            SessionConflict: ``existing`` does not allow it, or somebody else came first.
            InvalidSessionId, TooManySessions: it cannot be made.
            StoreUnavailable: the store does not answer; never for a generated id.
            InvalidSettings: the store must not be used as it is.
        """
        session_id = options.get("session_id")
        if session_id is not None:
            check_session_id(session_id)
        self._check_room()
        if session_id is None:
            return self._begin_generated(options)
        until = self._clock.monotonic() + self._patience
        with self._one_by_one.turn(session_id, until):
            self._let_leave(session_id, until)
            producer = self._decide(session_id, partial(self._begin_found, options), until)
            self._confirm(producer, until)
        return producer

    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of the session of that id, made now if there is none.

        Raises:
            SessionGone: it has expired, and ``existing`` does not ask for another run.
            InvalidSessionId, StoreUnavailable: it cannot be made.
        """
        session_id = options.get("session_id")
        if session_id is None:
            session_id = new_session_id("")
        check_session_id(session_id)
        until = self._clock.monotonic() + self._patience
        return self._decide(session_id, partial(self._reserve_found, options), until)

    def _check_room(self) -> None:
        owned = sum(replica.owned for replica in self._sessions.replicas.all())
        if owned >= self._settings.max_sessions:
            raise TooManySessions(f"max_sessions is {self._settings.max_sessions}")

    def forked(self) -> None:
        """In a process that was forked off nobody is about to begin anything."""
        self._one_by_one.forked()

    # What this process knows better than the store

    def _let_leave(self, session_id: str, until: float) -> None:
        """Waits for the store to have it that an owner here has left the session."""
        replica = self._sessions.replicas.get(session_id)
        if replica is not None and replica.owned and replica.intended is not SessionStatus.RUNNING:
            self._sessions.wait_stored_sync(replica, until - self._clock.monotonic())

    def _runs_here(self, session_id: str, found: Stored | None) -> bool:
        """True where it has its producer here, although the store knows nothing of that (yet)."""
        replica = self._sessions.replicas.get(session_id)
        if replica is None or not replica.owned or replica.intended is not SessionStatus.RUNNING:
            return False
        if found is None:
            return True
        return found.status is not SessionStatus.RUNNING and found.fence <= replica.stored.fence

    # Without waiting for a store that is away

    def _begin_generated(self, options: SessionOptions) -> Producer:
        life, token = new_life(self._engine, options)
        claim = self._new_claim(new_session_id(""), life, fence=1)
        replica = self._sessions.new(_claimed(claim), life, owned=True)
        # Whoever is given the id may look for it elsewhere at once.
        replica.claim = None if self._is_granted(claim) else claim
        self._sessions.hold(replica)
        replica.transition(started(life, 1))
        return Producer(self._engine, replica, token)

    def _is_granted(self, claim: Claim) -> bool:
        """Asks the store once; false where it does not answer: the committer asks again."""
        reachability = self._sessions.reachability
        try:
            reachability.check()
            if reachability.down is not None:
                return False
            if LoopRef.current() is None:
                return self._granted(claim)
            until = self._clock.monotonic() + self._patience
            return within(self._clock, until, lambda: self._granted(claim))
        except StoreUnavailable:
            return False

    def _granted(self, claim: Claim) -> bool:
        return self._sessions.write(lambda: self._store.claim(claim))

    def _new_claim(
        self, session_id: str, life: Life, *, fence: int, after: Stored | None = None
    ) -> Claim:
        return Claim(
            session_id=session_id,
            expected=None if after is None else _expected(after),
            epoch=new_epoch(),
            status=SessionStatus.PENDING,
            attempt=1 if after is None else after.attempt + 1,
            fence=fence if after is None else after.fence + fence,
            owner=life.owner,
            created=self._clock.wall(),
            details=encode_details(life, self._engine.encoder.describe, short_id()),
            ttl=self._settings.live_ttl,
            # Until it has begun; the event with which it begins brings the owner's own lease.
            lease=self._settings.pending_ttl,
        )

    # By what the store knows

    def _decide(
        self,
        session_id: str,
        act: Callable[[str, Stored | None, float], Producer | None],
        until: float,
    ) -> Producer:
        """Finds, decides and claims until nobody else came first."""
        for _ in range(MOST_TRIES):
            found = self._patiently(lambda: self._store.find(session_id), until)
            producer = act(session_id, found, until)
            if producer is not None:
                return producer
        raise SessionConflict(session_id, SessionStatus.PENDING, "Others keep beginning it.")

    def _patiently(self, question: Callable[[], T], until: float) -> T:
        """Asks the store; waits for one that does not answer."""
        while True:
            try:
                return self._sessions.ask(question)
            except StoreUnavailable as error:
                now = self._clock.monotonic()
                if now >= until:
                    raise StoreUnavailable(
                        f"{error} A session cannot be begun without it."
                    ) from error
                self._sessions.reachability.rest(until)

    def _surely_granted(self, claim: Claim, until: float) -> bool:
        """Claims; a claim whose answer got lost is made again as it was, and recognised."""
        tried = False

        def act() -> bool:
            nonlocal tried
            again, tried = tried, True
            if self._granted(claim):
                return True
            if not again:
                return False
            found = self._store.find(claim.session_id)
            ours = (claim.epoch, claim.fence, claim.details)
            return found is not None and (found.epoch, found.fence, found.details) == ours

        return self._patiently(act, until)

    @property
    def _patience(self) -> float:
        """Seconds to wait for the store: an event loop is not to be kept from its work for long."""
        on_loop = LoopRef.current() is not None
        return self._settings.flush_timeout if on_loop else self._settings.store_wait

    def _begin_found(
        self, options: SessionOptions, session_id: str, found: Stored | None, until: float
    ) -> Producer | None:
        if self._runs_here(session_id, found):
            status = SessionStatus.RUNNING
            raise SessionConflict(session_id, status, _advice(status, lapsed=False))
        if found is None:
            check_session_id(session_id, chosen=True)
            return self._make(session_id, options, None, until)
        existing, status = options.get("existing"), found.status
        if status is SessionStatus.PENDING:
            return self._take_over(found, options, until)
        lapsed = found.lease_left is not None and found.lease_left <= 0
        if existing == "resume" and (status is SessionStatus.WAITING or lapsed):
            return self._resume(found, options, until, lapsed=lapsed)
        if existing == "restart" and status.ended:
            return self._make(session_id, options, found, until)
        raise SessionConflict(session_id, status, _advice(status, lapsed=lapsed))

    def _reserve_found(
        self, options: SessionOptions, session_id: str, found: Stored | None, until: float
    ) -> Producer | None:
        if found is not None and not (options.get("existing") == "restart" and found.status.ended):
            if found.gone:
                raise SessionGone(session_id, found.status, found.ended_at or "")
            record = self._patiently(lambda: self._sessions.record(session_id), until)
            return Producer(self._engine, record)
        if found is None and options.get("session_id") is not None:
            check_session_id(session_id, chosen=True)
        life, token = new_life(self._engine, options)
        claim = self._new_claim(session_id, life, fence=0, after=found)
        if not self._surely_granted(claim, until):
            return None
        replica = self._sessions.new(_claimed(claim), life, owned=False)
        self._sessions.hold(replica)
        return Producer(self._engine, replica, token)

    def _make(
        self, session_id: str, options: SessionOptions, after: Stored | None, until: float
    ) -> Producer | None:
        """Makes a session, or the next run of one that has ended."""
        life, token = new_life(self._engine, options)
        claim = self._new_claim(session_id, life, fence=1, after=after)
        if not self._surely_granted(claim, until):
            return None
        replica = self._sessions.new(_claimed(claim), life, owned=True)
        self._sessions.hold(replica)
        self._start(replica, life, claim.attempt)
        return Producer(self._engine, replica, token)

    def _start(self, replica: Replica, life: Life, attempt: int) -> None:
        """Begins what was claimed; `_confirm` finds out if somebody else has it by now."""
        replica.transition(started(life, attempt), only=SessionStatus.PENDING)

    def _take_over(self, found: Stored, options: SessionOptions, until: float) -> Producer | None:
        """Begins a reserved session, or the next attempt of one that is to be retried."""
        life = _life_of(found)
        attempt = found.attempt + (life.started_at is not None)
        describe(self._engine, life, options)
        replica = self._claim_again(found, life, attempt, until, lapsed=False)
        if replica is None:
            return None
        self._start(replica, life, attempt)
        return Producer(self._engine, replica)

    def _resume(
        self, found: Stored, options: SessionOptions, until: float, *, lapsed: bool
    ) -> Producer | None:
        life = _life_of(found)
        describe(self._engine, life, options)
        replica = self._claim_again(found, life, found.attempt, until, lapsed=lapsed)
        if replica is None:
            return None
        # Steps that the plan knows keep their places when they run once more.
        life.unstarted = ids_by_step(life.plan or [])
        replica.take_over()
        return Producer(self._engine, replica)

    def _claim_again(
        self, found: Stored, life: Life, attempt: int, until: float, *, lapsed: bool
    ) -> Replica | None:
        """Becomes the next owner of a session that is there, with its log as it is.

        Raises:
            SessionConflict: somebody else has claimed it since.
        """
        claim = Claim(
            session_id=found.session_id,
            expected=_expected(found, lapsed=lapsed),
            epoch=found.epoch,
            status=found.status,
            attempt=attempt,
            fence=found.fence + 1,
            owner=life.owner,
            created=found.created,
            details=encode_details(life, self._engine.encoder.describe, short_id()),
            ttl=self._settings.live_ttl,
            lease=self._lease_of(found.status),
        )
        if not self._surely_granted(claim, until):
            return None
        [log] = self._patiently(lambda: self._store.read([Position(found.session_id)]), until)
        if log is None or log.session.fence < claim.fence:
            return None
        if log.session.fence > claim.fence:
            raise _overtaken(found.session_id, log.session.status)
        return self._sessions.own(log, life)

    def _lease_of(self, status: SessionStatus) -> float | None:
        if status is SessionStatus.PENDING:
            return self._settings.pending_ttl
        return self._settings.lease_ttl if status is SessionStatus.RUNNING else None

    def _confirm(self, producer: Producer, until: float) -> None:
        """Waits for the store to have the beginning: only then nobody else can begin it.

        Raises:
            SessionConflict: another process came first, or has ended it.
            StoreUnavailable: it cannot be stored.
        """
        replica = producer.record
        assert isinstance(replica, Replica)
        waited = self._sessions.wait_stored_sync(replica, until - self._clock.monotonic())
        if waited is Waited.TAKEN:
            raise _overtaken(replica.id, replica.status)
        if replica.ended or not replica.owned:
            raise SessionConflict(replica.id, replica.status, "Somebody has ended it meanwhile.")
        if waited is Waited.LATE:
            replica.lose()
            raise StoreUnavailable(
                f"The store did not take the beginning of session {replica.id!r} in time."
            )


def _life_of(stored: Stored) -> Life:
    life = Life(created_at="")
    decode_details(stored.details, life)
    return life


def _claimed(claim: Claim) -> Stored:
    """Returns what a store knows after a claim of a log that is new."""
    return Stored(
        session_id=claim.session_id,
        epoch=claim.epoch,
        status=claim.status,
        attempt=claim.attempt,
        fence=claim.fence,
        head=0,
        oldest=1,
        owner=claim.owner,
        created=claim.created,
        details=b"",
        lease_left=claim.lease,
    )


def _expected(found: Stored, *, lapsed: bool = False) -> Expected:
    return Expected(found.epoch, found.fence, found.status, lapsed)


def _overtaken(session_id: str, status: SessionStatus) -> SessionConflict:
    """Returns what to raise for a session that somebody else has claimed as well, and later."""
    unbegun = status in (SessionStatus.PENDING, SessionStatus.WAITING)
    verb = "is beginning" if unbegun else "has begun"
    return SessionConflict(session_id, status, f"Another process {verb} it.")


def _advice(status: SessionStatus, *, lapsed: bool) -> str:
    if status is SessionStatus.WAITING:
        return 'Pass existing="resume" to go on with it.'
    if lapsed:
        return 'Its producer is silent: pass existing="resume" to take it over.'
    if not status.ended:
        return "It already has a producer."
    return 'Pass existing="restart" to run it again.'
