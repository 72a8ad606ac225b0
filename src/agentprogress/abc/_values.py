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
        session_id: whose.
        epoch: of its log.
        status: the present one; an ended one stays.
        attempt: 1 for the first run.
        fence: of the present owner; 0 before the first.
        head: the last seq; 0 before the first event.
        oldest: the first seq that is retained; ``head + 1`` when none is.
        owner: whose it is, for `Store.list`.
        created: seconds since 1970-01-01 UTC, as the claim said.
        details: what the library keeps with it, JSON that the store does not read; empty when
            `gone`.
        ended_at: RFC 3339, None before the end.
        lease_left: seconds until its lease runs out on the store's clock, negative since it has;
            None while it has none. A running session's is its owner's proof of life; a pending
            one's is the time by which it must have begun.
        stalled: what the last renewal said is wrong with the producer; empty when nothing is.
        gone: true for a tombstone: history, state, result and details are there no more.
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
    """What must be in the store for a claim to be granted; another one came first otherwise.

    Attributes:
        lapsed: the session's lease must have run out, too.
    """

    epoch: str
    fence: int
    status: SessionStatus
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """One owner's beginning: a session that is made, taken over, or started over.

    Where `epoch` is another than the expected one, the log begins anew: events, state, result,
    `once` keys and producers of the old one go, in the same step.

    Attributes:
        expected: what is there now, a tombstone too; None: nothing is.
        status: what it is from now on; never an ended one.
        lease: seconds of the lease that begins with it; None: it has none.
        ttl: seconds after which a session that has not ended vanishes unless somebody refreshes it;
            every claim, append and renewal does.
        base_seq: the seq that the log goes on from; 0 unless an earlier log was lost.
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
        ended_at: RFC 3339.
        state: the state at the terminal event.
        result: the encoded result, if there is one.
        history_ttl: seconds from now for which events are kept.
        result_ttl: seconds from now for which state, result and details are kept.
        tombstone_ttl: seconds after that for which it is remembered that it was.
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
        entries: encoded events without their seq, each ``{"time":…,"type":…}``; the first gets
            ``head + 1``. None at all where only a mark or a status is to be set.
        known_head: the highest seq of this epoch that the writer has seen committed.
        max_events: done only where the log holds no more events than this before it, refused as
            `Refusal.FULL` otherwise; None: however many it holds.
        max_bytes: the same for the size of those events together.
        fence: the owner's; None where somebody else writes.
        producer_id: who writes; empty where nothing is to be told apart by it.
        producer_seq: counts this writer's appends to this epoch from 1. The last one is remembered:
            appended again, it changes nothing and is answered as the first time. Of earlier ones
            only that they were done.
        once: a key under which only one append is ever done in this epoch; a later one changes
            nothing and is answered with the seq and the mark of the first.
        mark: what is remembered with `once`.
        only: the states in which it may be done; empty: any but an ended one.
        lapsed: seconds since when the session's lease must have run out, where that matters;
            refused as `Refusal.STATUS` otherwise.
        at_head: the head at which it may be done, where that matters.
        status: the state that it leads to; None: the present one.
        lease: seconds for a lease that begins with it; 0 takes the lease away; None leaves it.
        details: replaces the stored ones; None leaves them.
        ending: what comes with the terminal event, and with it only. It takes the lease away.
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
        first: the seq of its first entry; of the first append under its `once` key.
        head: the log's last seq now.
        repeated: it had been done before; nothing was changed.
        mark: the one that is kept with its `once` key.
    """

    first: int
    head: int
    repeated: bool = False
    mark: str = ""


class Refusal(StrEnum):
    """Why an append is not done; the first one that applies is given, in this order.

    An append that was done before is answered as such right after `EPOCH`: what is in the log is in
    the log, whoever owns it by now.
    """

    UNAVAILABLE = "unavailable"
    """This session cannot be reached right now, though others can. As where `StoreUnavailable` is
    raised, it may have been done or not: it is to be appended again later, as it was.
    """
    UNKNOWN = "unknown"
    """There is no such session, or only a tombstone."""
    EPOCH = "epoch"
    """Its log has started over."""
    FENCED = "fenced"
    """Another owner has taken it."""
    BEHIND = "behind"
    """It has less than the writer has seen, or an older fence: the end of the log is lost."""
    ENDED = "ended"
    """It has ended."""
    STATUS = "status"
    """It is in none of the states asked for, or its lease has not run out."""
    MOVED = "moved"
    """The head is not where it had to be."""
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
        epoch: None to read all there is.
        seq: what is known up to there, in that epoch.
    """

    session_id: str
    epoch: str | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """What a read found, all of one moment.

    Attributes:
        session: what is known besides.
        first: the seq of the first entry.
        entries: everything from `first` to the head, as it was appended.
        base: the state at ``first - 1``; None where the entries go on right after the position
            that was asked for, or the log is whole (`first` is 1).
    """

    session: Stored
    first: int
    entries: Sequence[bytes]
    base: bytes | None


@dataclass(frozen=True, slots=True)
class Trim:
    """An owner's cut: events up to `seq` go, and `base` is the state at `seq`."""

    session_id: str
    epoch: str
    fence: int
    seq: int
    base: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """An owner's proof of life.

    Attributes:
        ttl: seconds; 0 gives the lease up.
        stalled: what is wrong with the producer, for those who follow; empty when nothing is.
    """

    session_id: str
    epoch: str
    fence: int
    ttl: float
    stalled: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A session that somebody has to look after.

    Attributes:
        stamp: tells one renewal from the next: equal ones mean that nothing was renewed.
    """

    session: Stored
    stamp: str
