"""What a store is asked and answers: frozen values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .._core.states import SessionStatus

__all__ = [
    "Append",
    "Appended",
    "Claim",
    "Ending",
    "Expected",
    "Lease",
    "Log",
    "Overdue",
    "Position",
    "Refusal",
    "Refused",
    "Stored",
    "Trim",
]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store knows of a session besides its events.

    Attributes:
        session_id: the session's id.
        epoch: names the present log; see `Claim`.
        status: its state.
        attempt: 1 for the first run, one more for each restart.
        fence: the number of the present owner; see `Claim`.
        head: the last seq; 0 before the first event.
        oldest: the first seq that is kept; ``head + 1`` when no event is.
        owner: whose session it is; see `Claim`.
        created: when it was created; see `Claim`.
        details: what the library keeps with it; empty when `gone`.
        ended_at: when it ended, RFC 3339; None before.
        lease_left: seconds until its lease runs out on the store's clock, negative afterwards; None
            when it has no lease. The lease of a running session is its producer's proof of life,
            that of a pending one the time by which it must have begun.
        stalled: what the last renewal said is wrong with the producer; empty when nothing is.
        gone: only the tombstone is left: history, state, result and details have been removed.
    """

    session_id: str
    epoch: str
    status: SessionStatus
    attempt: int
    fence: int
    head: int
    oldest: int
    owner: str | None
    created: float
    details: bytes
    ended_at: str | None = None
    lease_left: float | None = None
    stalled: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """How a session must be in the store for a claim to be granted.

    Attributes:
        epoch: its present epoch.
        fence: its present fence.
        status: its present state.
        lapsed: true where its lease must have run out as well.
    """

    epoch: str
    fence: int
    status: SessionStatus
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """Creates a session, takes it over in its epoch, or restarts it in a new one.

    A new epoch begins a new log: events, state, result, `once` keys and producers of the old one
    are removed in the same step.

    Attributes:
        session_id: the session's id.
        expected: how the session, or its tombstone, must be now; None: there must be neither.
        epoch: 10 letters or digits that name the log, never used before for another log of this id.
        status: its state from now on; never an ended one.
        attempt: 1 for the first run, one more for each restart.
        fence: the number of the owner, one more for each new one; 0 where there has been none, as
            for a pending session.
        owner: whose session it is, for `Store.list`; None: nobody's. Any text.
        created: when it was created, in seconds since 1970-01-01 UTC on the claiming process's
            clock; the order of `Store.list`.
        details: what the library keeps with the session; the store does not look into it.
        ttl: seconds after the last claim, append or renewal after which a session that has not
            ended is removed.
        lease: seconds that its lease lasts from now; None: it has none.
        base_seq: a new log begins after this seq; 0 unless an earlier log was lost.
        base: the state at `base_seq`; empty where that is 0.
    """

    session_id: str
    expected: Expected | None
    epoch: str
    status: SessionStatus
    attempt: int
    fence: int
    owner: str | None
    created: float
    details: bytes
    ttl: float
    lease: float | None = None
    base_seq: int = 0
    base: bytes = b""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is stored in one step with a terminal event.

    Attributes:
        ended_at: when the session ended, RFC 3339.
        state: the encoded state at the terminal event.
        result: the encoded result; None when there is none.
        history_ttl: seconds from now for which the events are kept, at most `result_ttl`.
        result_ttl: seconds from now for which state, result and details are kept.
        tombstone_ttl: seconds after that for which the tombstone is kept.
    """

    ended_at: str
    state: bytes
    result: bytes | None
    history_ttl: float
    result_ttl: float
    tombstone_ttl: float


@dataclass(frozen=True, slots=True)
class Append:
    """Events that go into one session's log in one step, all or none.

    Attributes:
        session_id: the session's id.
        epoch: the epoch that it is meant for.
        entries: encoded events without their seq, each ``{"time":…,"type":…}``; the first gets
            ``head + 1``. Empty where only the status, a mark or the like is to be set.
        known_head: the highest seq of this epoch that the writer has seen committed.
        max_events: done only where the log holds no more events than this before it, refused as
            `Refusal.FULL` otherwise; None: however many it holds.
        max_bytes: the same for the size of those events together.
        fence: the owner's fence; None where the writer is not the owner.
        producer_id: names the writer, so that a repeated append is recognised; empty: it is not.
        producer_seq: this writer's appends to this epoch, counted from 1. The last one that was
            done is remembered: when it comes again, nothing changes and the answer is the same. An
            earlier one changes nothing either, but its first seq is not known any more: 0.
        once: only one append with this key is done in an epoch. A later one changes nothing and is
            answered with the first seq and the mark of that one. None: no key.
        mark: any text that is kept with `once`; ignored without.
        only: the states in which it may be done; empty: in all but ended ones.
        lapsed: seconds for which the session's lease must have run out, refused as `Refusal.STATUS`
            otherwise; None: it does not matter.
        at_head: the head at which it must be done; None: at any.
        status: the session's state from then on; None: unchanged.
        lease: seconds that its lease lasts from now; 0 removes the lease; None: unchanged.
        details: the session's details from then on; None: unchanged.
        ending: given with the terminal event and only then. It removes the lease.
    """

    session_id: str
    epoch: str
    entries: Sequence[bytes]
    known_head: int = 0
    max_events: int | None = None
    max_bytes: int | None = None
    fence: int | None = None
    producer_id: str = ""
    producer_seq: int = 0
    once: str | None = None
    mark: str = ""
    only: Collection[SessionStatus] = ()
    lapsed: float | None = None
    at_head: int | None = None
    status: SessionStatus | None = None
    lease: float | None = None
    details: bytes | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to an append that is in the log.

    Attributes:
        first: the seq of its first entry, or the one that a first entry would have had; of the
            first append with its `once` key where it was repeated; 0 where that is not known.
        head: the last seq of the log now.
        repeated: it had been done before, and nothing was changed.
        mark: what is kept with its `once` key; empty without a key.
    """

    first: int
    head: int
    repeated: bool = False
    mark: str = ""


class Refusal(StrEnum):
    """Why an append is not done; the first one that applies is given, in this order.

    Whether the append was done before is checked right after `EPOCH`: then it is answered by
    `Appended`, whoever owns the session by now.
    """

    UNAVAILABLE = "unavailable"
    """This session cannot be reached right now, though others can. As where `StoreUnavailable` is
    raised, it may have been done or not: it is to be appended again later, as it was.
    """
    UNKNOWN = "unknown"
    """There is no such session, or only a tombstone."""
    EPOCH = "epoch"
    """The session is in another epoch."""
    FENCED = "fenced"
    """Another owner has taken it."""
    BEHIND = "behind"
    """The store has a lower head or an older fence than the writer: it has lost what came last."""
    ENDED = "ended"
    """The session has ended."""
    STATUS = "status"
    """The session is in none of the states in `only`, or its lease has not run out as `lapsed` asks
    for.
    """
    MOVED = "moved"
    """The head is not `at_head`."""
    FULL = "full"
    """The log holds more than the append allows: its owner has to trim it first."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to an append that is not done, with what the store knew then, if anything."""

    why: Refusal
    session: Stored | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """From where a log is to be read.

    Attributes:
        session_id: the session's id.
        epoch: the epoch that `seq` is of; None to read all there is.
        seq: the last seq that the reader has.
    """

    session_id: str
    epoch: str | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """What a read found, all of one moment.

    Attributes:
        session: what is known of the session besides.
        first: the seq of the first entry; ``head + 1`` when there is none.
        entries: the events from `first` to the head, as they were appended.
        base: the state at ``first - 1``; None where the entries follow the reader's position, where
            the log is complete (`first` is 1), and for a tombstone.
    """

    session: Stored
    first: int
    entries: Sequence[bytes]
    base: bytes | None


@dataclass(frozen=True, slots=True)
class Trim:
    """An owner's cut of its log.

    Attributes:
        session_id: the session's id.
        epoch: the owner's epoch.
        fence: the owner's fence.
        seq: events up to this one are removed; it must be between `Stored.oldest` and the head.
        base: the encoded state at `seq`, which replaces the earlier base.
    """

    session_id: str
    epoch: str
    fence: int
    seq: int
    base: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """An owner's proof of life.

    Attributes:
        session_id: the session's id.
        epoch: the owner's epoch.
        fence: the owner's fence.
        ttl: seconds that the lease lasts from now; 0 gives it up: it has run out then.
        stalled: what is wrong with the producer, for those who follow; empty when nothing is.
    """

    session_id: str
    epoch: str
    fence: int
    ttl: float
    stalled: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A session whose lease has run out.

    Attributes:
        session: what is known of it.
        stamp: changes whenever its lease is renewed or set; compared for equality only.
    """

    session: Stored
    stamp: str
