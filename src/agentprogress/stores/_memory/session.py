"""One session in memory and what may be done to it, at a moment that is passed in. No lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from ..._core.states import SessionStatus
from ...abc import (
    Append,
    Appended,
    Claim,
    Ending,
    Expected,
    Lease,
    Log,
    Position,
    Refusal,
    Stored,
    Trim,
)

__all__ = ["MemorySession"]


@dataclass(slots=True)
class MemorySession:
    """What a store knows of one id; times are those of its clock.

    Attributes:
        base: the state before the first of `entries`, which end at `head`.
        producers: the last append of each, by its count.
        once: the append under each key.
        renewals: counts how often a lease was set.
        expires: when nothing is known of it any more.
        history_until: when the events go; infinite before the end and when it has happened.
        result_until: when everything but the tombstone goes; as `history_until`.
    """

    claim: Claim
    status: SessionStatus
    details: bytes
    expires: float
    head: int = 0
    base: bytes = b""
    entries: list[bytes] = field(default_factory=lambda: [])
    producers: dict[str, tuple[int, Appended]] = field(default_factory=lambda: {})
    once: dict[str, Appended] = field(default_factory=lambda: {})
    lease_until: float | None = None
    stalled: str = ""
    renewals: int = 0
    ended_at: str | None = None
    state: bytes = b""
    result: bytes | None = None
    history_until: float = inf
    result_until: float = inf
    gone: bool = False

    @classmethod
    def begin(cls, claim: Claim, earlier: MemorySession | None, now: float) -> MemorySession:
        """Returns what is there after a claim that was granted."""
        expires = now + claim.ttl
        if earlier is None or earlier.claim.epoch != claim.epoch:
            begun = cls(claim, claim.status, claim.details, expires)
            begun.head, begun.base = claim.base_seq, claim.base
        else:
            begun = earlier
            begun.claim, begun.expires = claim, expires
            begun.status, begun.details = claim.status, claim.details
        begun.renewals = 0 if earlier is None else earlier.renewals
        begun._lease(None if claim.lease is None else now + claim.lease)
        return begun

    @property
    def oldest(self) -> int:
        """The first seq that is retained, ``head + 1`` when none is."""
        return self.head - len(self.entries) + 1

    def stored(self, now: float) -> Stored:
        """Returns what is known of it besides its events."""
        return Stored(
            session_id=self.claim.session_id,
            epoch=self.claim.epoch,
            status=self.status,
            attempt=self.claim.attempt,
            fence=self.claim.fence,
            head=self.head,
            oldest=self.oldest,
            owner=self.claim.owner,
            created=self.claim.created,
            details=self.details,
            ended_at=self.ended_at,
            lease_left=None if self.lease_until is None else self.lease_until - now,
            stalled=self.stalled,
            gone=self.gone,
        )

    def is_as(self, expected: Expected, now: float) -> bool:
        """True where a claim finds what it expects."""
        if (self.claim.epoch, self.claim.fence, self.status) != (
            expected.epoch,
            expected.fence,
            expected.status,
        ):
            return False
        return self.lapsed(now) or not expected.lapsed

    def lapsed(self, since: float) -> bool:
        """True where it has a lease, and that had run out by then."""
        return self.lease_until is not None and self.lease_until <= since

    # Appending

    def done_before(self, append: Append) -> Appended | None:
        """Returns the answer to what is in the log already."""
        seq, answer = self.producers.get(append.producer_id, (0, None))
        if append.producer_id and answer is not None and append.producer_seq <= seq:
            # Where an earlier one lies is not remembered: 0 is before all that anybody lacks.
            first, mark = (answer.first, answer.mark) if append.producer_seq == seq else (0, "")
            return Appended(first, self.head, repeated=True, mark=mark)
        if append.once is not None and append.once in self.once:
            answer = self.once[append.once]
            return Appended(answer.first, self.head, repeated=True, mark=answer.mark)
        return None

    def objection(self, append: Append, now: float) -> Refusal | None:
        """Returns why something new may not be appended."""
        fence = self.claim.fence if append.fence is None else append.fence
        lapsed = append.lapsed is None or self.lapsed(now - append.lapsed)
        checks = (
            (fence < self.claim.fence, Refusal.FENCED),
            # A newer fence than there is here: the claim was lost.
            (fence > self.claim.fence or append.known_head > self.head, Refusal.BEHIND),
            (self.status.ended, Refusal.ENDED),
            (append.only and self.status not in append.only, Refusal.STATUS),
            (not lapsed, Refusal.STATUS),
            (append.at_head not in (None, self.head), Refusal.MOVED),
            (self._is_full(append), Refusal.FULL),
        )
        return next((why for applies, why in checks if applies), None)

    def append(self, append: Append, now: float) -> Appended:
        """Appends what was not objected to."""
        first = self.head + 1
        self.head += len(append.entries)
        self.entries += append.entries
        answer = Appended(first, self.head, mark="" if append.once is None else append.mark)
        if append.producer_id:
            self.producers[append.producer_id] = append.producer_seq, answer
        if append.once is not None:
            self.once[append.once] = answer
        self.status = self.status if append.status is None else append.status
        self.details = self.details if append.details is None else append.details
        self.expires = now + self.claim.ttl
        if append.lease is not None:
            self._lease(now + append.lease if append.lease > 0 else None)
        if append.ending is not None:
            self._end(append.ending, now)
        return answer

    def _is_full(self, append: Append) -> bool:
        events, size = append.max_events, append.max_bytes
        too_many = events is not None and len(self.entries) > events
        return too_many or (size is not None and sum(map(len, self.entries)) > size)

    def _end(self, ending: Ending, now: float) -> None:
        self.ended_at, self.state, self.result = ending.ended_at, ending.state, ending.result
        self.history_until = now + ending.history_ttl
        self.result_until = now + ending.result_ttl
        self.expires = self.result_until + ending.tombstone_ttl
        self._lease(None)

    def _lease(self, until: float | None) -> None:
        self.lease_until, self.stalled = until, ""
        self.renewals += 1

    # Reading and owning

    def read(self, position: Position, now: float) -> Log:
        """Returns what follows a position, or all there is where nothing follows it."""
        if self.gone:
            return Log(self.stored(now), self.head + 1, (), None)
        known = position.seq if position.epoch == self.claim.epoch else -1
        if self.oldest - 1 <= known <= self.head:
            return Log(
                self.stored(now), known + 1, tuple(self.entries[known - self.oldest + 1 :]), None
            )
        base = None if self.oldest == 1 else self.base
        return Log(self.stored(now), self.oldest, tuple(self.entries), base)

    def trim(self, trim: Trim) -> bool:
        """Cuts the log; False when that is not the caller's to do, or nothing would go."""
        if (trim.epoch, trim.fence) != (self.claim.epoch, self.claim.fence):
            return False
        if self.gone or not self.oldest <= trim.seq <= self.head:
            return False
        del self.entries[: trim.seq - self.oldest + 1]
        self.base = trim.base
        return True

    def renew(self, lease: Lease, now: float) -> bool:
        """Renews the lease of a running session; False when it is none, or another's."""
        if (lease.epoch, lease.fence) != (self.claim.epoch, self.claim.fence):
            return False
        if self.status is not SessionStatus.RUNNING:
            return False
        self._lease(now + lease.ttl)
        self.stalled, self.expires = lease.stalled, now + self.claim.ttl
        return True

    # Expiring and losing

    def expire(self, now: float) -> bool:
        """Lets go of what is kept no longer; False when there was nothing."""
        if now >= self.result_until:
            self.bury(self.expires)
        elif now >= self.history_until:
            self.entries, self.base = [], self.state
            self.history_until = inf
        else:
            return False
        return True

    def bury(self, expires: float) -> None:
        """Leaves only the tombstone."""
        self.gone, self.expires = True, expires
        self.history_until = self.result_until = inf
        self.entries, self.base, self.state, self.result, self.details = [], b"", b"", None, b""
        self.producers, self.once = {}, {}

    def lose(self, events: int, now: float) -> None:
        """Loses the last events and what came with them; one that had ended runs again."""
        lost = min(events, len(self.entries))
        if not lost:
            return
        del self.entries[-lost:]
        self.head -= lost
        self.producers = {k: v for k, v in self.producers.items() if v[1].head <= self.head}
        self.once = {k: v for k, v in self.once.items() if v.head <= self.head}
        if self.status.ended:
            self.status, self.ended_at = SessionStatus.RUNNING, None
            self.state, self.result = b"", None
            self.history_until = self.result_until = inf
            self.expires = now + self.claim.ttl
