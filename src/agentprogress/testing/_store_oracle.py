"""What a store must say, by another way than any store takes: the whole past, looked through.

It shares no code with a store. It forgets nothing: each epoch is the list of all that was ever
appended to it, and what is retained, kept or alive is worked out from that when it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..abc import Append, Claim, Lease, Trim

__all__ = ["Epoch", "Oracle", "View"]

_ENDED = ("completed", "failed", "cancelled", "lost")


@dataclass
class Done:
    """An append that was done, and the head before it."""

    append: Append
    before: int


@dataclass
class Epoch:
    """All that happened in one epoch of a session.

    Attributes:
        claims: all that were granted, with their times.
        entries: all there ever were; the first has the seq ``claims[0].base_seq + 1``.
        cuts: seq and state of each cut.
        touched: when it was last refreshed.
        lease: when it runs out.
    """

    claims: list[Claim]
    touched: float
    status: str
    details: bytes
    entries: list[bytes] = field(default_factory=lambda: [])
    done: list[Done] = field(default_factory=lambda: [])
    cuts: list[tuple[int, bytes]] = field(default_factory=lambda: [])
    lease: float | None = None
    stalled: str = ""
    ended: float | None = None
    deleted: tuple[float, float] | None = None

    @property
    def head(self) -> int:
        """The last seq."""
        return self.claims[0].base_seq + len(self.entries)

    @property
    def fence(self) -> int:
        """Of the last claim."""
        return self.claims[-1].fence


@dataclass(frozen=True)
class View:
    """What can be seen of a session at a moment."""

    epoch: str
    status: str
    attempt: int
    fence: int
    head: int
    oldest: int
    owner: str | None
    details: bytes
    leased: bool
    lapsed: bool
    stalled: str
    ended: bool
    gone: bool
    entries: tuple[bytes, ...]
    base: bytes | None
    result: bytes | None


class Oracle:
    """The past of all sessions, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.epochs: dict[str, Epoch] = {}

    def ids(self) -> list[str]:
        """Returns what can be found."""
        return [each for each in self.epochs if self.there(each) is not None]

    def there(self, session_id: str) -> Epoch | None:
        """Returns the present epoch, unless nothing is known any more."""
        epoch = self.epochs.get(session_id)
        if epoch is None:
            return None
        last = epoch.touched + epoch.claims[-1].ttl
        if epoch.deleted is not None:
            last = sum(epoch.deleted)
        elif epoch.ended is not None:
            end = epoch.done[-1].append.ending
            assert end is not None
            last = epoch.ended + end.result_ttl + end.tombstone_ttl
        return epoch if self.now < last else None

    def gone(self, epoch: Epoch) -> bool:
        """Returns whether only the tombstone is left."""
        if epoch.deleted is not None:
            return True
        end = epoch.done[-1].append.ending if epoch.ended is not None else None
        return end is not None and self.now >= (epoch.ended or 0) + end.result_ttl

    def lapsed(self, epoch: Epoch, age: float = 0) -> bool:
        """Returns whether the lease has run out, for so long."""
        return epoch.lease is not None and self.now - epoch.lease >= age

    def view(self, session_id: str) -> View | None:
        """Returns what can be seen."""
        epoch = self.there(session_id)
        if epoch is None:
            return None
        gone, ended = self.gone(epoch), epoch.ended is not None
        end = epoch.done[-1].append.ending if epoch.ended is not None else None
        over = end is not None and self.now >= (epoch.ended or 0) + end.history_ttl
        origin = epoch.claims[0].base_seq
        cut, base = epoch.cuts[-1] if epoch.cuts else (origin, epoch.claims[0].base)
        if over and end is not None:
            cut, base = epoch.head, end.state
        if gone:
            cut = epoch.head
        return View(
            epoch=epoch.claims[0].epoch,
            status=epoch.status,
            attempt=epoch.claims[-1].attempt,
            fence=epoch.fence,
            head=epoch.head,
            oldest=cut + 1,
            owner=epoch.claims[-1].owner,
            details=b"" if gone else epoch.details,
            leased=epoch.lease is not None,
            lapsed=self.lapsed(epoch),
            stalled=epoch.stalled,
            ended=ended,
            gone=gone,
            entries=tuple(epoch.entries[cut - origin :]),
            base=None if gone or cut == 0 else base,
            result=None if gone or end is None else end.result,
        )

    # What is done

    def claim(self, claim: Claim) -> bool:
        """Returns whether it is granted, and does it."""
        epoch, wanted = self.there(claim.session_id), claim.expected
        if (epoch is None) != (wanted is None):
            return False
        if epoch is not None and wanted is not None:
            was = (epoch.claims[0].epoch, epoch.fence, epoch.status)
            if was != (wanted.epoch, wanted.fence, wanted.status):
                return False
            if wanted.lapsed and not self.lapsed(epoch):
                return False
            if epoch.status in _ENDED and claim.epoch == was[0]:
                return False
        if epoch is None or claim.epoch != epoch.claims[0].epoch:
            epoch = Epoch([], 0, "", b"")
        self.epochs[claim.session_id] = epoch
        epoch.claims.append(claim)
        epoch.touched, epoch.status, epoch.details = self.now, claim.status, claim.details
        epoch.lease = None if claim.lease is None else self.now + claim.lease
        epoch.stalled = ""
        return True

    def repeats(self, append: Append) -> Done | None:
        """Returns what was done before, by which this one is answered."""
        epoch = self.there(append.session_id)
        if epoch is None or self.gone(epoch) or append.epoch != epoch.claims[0].epoch:
            return None
        for each in reversed(epoch.done):
            mine = append.producer_id and append.producer_id == each.append.producer_id
            if mine and append.producer_seq <= each.append.producer_seq:
                return each
        for each in epoch.done:
            if append.once is not None and append.once == each.append.once:
                return each
        return None

    def refusal(self, append: Append) -> str | None:
        """Returns why what was not done before is refused."""
        epoch, view = self.there(append.session_id), self.view(append.session_id)
        if epoch is None or view is None or view.gone:
            return "unknown"
        why: list[str] = []
        if append.epoch != view.epoch:
            return "epoch"
        if append.fence is not None and append.fence != view.fence:
            why.append("fenced" if append.fence < view.fence else "behind")
        if append.known_head > view.head:
            why.append("behind")
        if view.ended:
            why.append("ended")
        if append.only and view.status not in append.only:
            why.append("status")
        if append.lapsed is not None and not self.lapsed(epoch, append.lapsed):
            why.append("status")
        if append.at_head is not None and append.at_head != view.head:
            why.append("moved")
        lengths = (
            (append.max_events, len(view.entries)),
            (append.max_bytes, len(b"".join(view.entries))),
        )
        if any(most is not None and there > most for most, there in lengths):
            why.append("full")
        return why[0] if why else None

    def append(self, append: Append) -> None:
        """Does what is not refused and was not done before."""
        epoch = self.epochs[append.session_id]
        epoch.done.append(Done(append, epoch.head))
        epoch.entries.extend(append.entries)
        epoch.touched = self.now
        if append.status is not None:
            epoch.status = append.status
        if append.details is not None:
            epoch.details = append.details
        if append.lease is not None:
            epoch.lease = self.now + append.lease if append.lease else None
            epoch.stalled = ""
        if append.ending is not None:
            epoch.ended, epoch.lease, epoch.stalled = self.now, None, ""

    def trim(self, trim: Trim) -> bool:
        """Returns whether something is cut, and does it."""
        view = self.view(trim.session_id)
        if view is None or view.gone or (trim.epoch, trim.fence) != (view.epoch, view.fence):
            return False
        if trim.seq not in range(view.oldest, view.head + 1):
            return False
        self.epochs[trim.session_id].cuts.append((trim.seq, trim.base))
        return True

    def renew(self, lease: Lease) -> bool:
        """Returns whether it is renewed, and does it."""
        view = self.view(lease.session_id)
        if view is None or view.status != "running":
            return False
        if (lease.epoch, lease.fence) != (view.epoch, view.fence):
            return False
        epoch = self.epochs[lease.session_id]
        epoch.lease, epoch.stalled = self.now + lease.ttl, lease.stalled
        epoch.touched = self.now
        return True

    def delete(self, session_id: str, ttl: float) -> bool:
        """Returns whether there was one to delete, and does it."""
        view = self.view(session_id)
        if view is None or view.gone or not view.ended:
            return False
        self.epochs[session_id].deleted = (self.now, ttl)
        return True

    def overdue(self, statuses: Collection[str]) -> list[str]:
        """Returns whose lease has run out, in any order."""
        epochs = [(each, self.epochs[each]) for each in self.ids()]
        return [each for each, it in epochs if it.status in statuses and self.lapsed(it)]

    def listed(self, owner: str | None, status: str | None) -> list[str]:
        """Returns who is listed, in order."""
        found: list[tuple[float, str]] = []
        for each in self.ids():
            view, made = self.view(each), self.epochs[each].claims[-1].created
            if view is None or view.gone or (owner is not None and view.owner != owner):
                continue
            if status is None or view.status == status:
                found.append((made, each))
        return [each for _, each in sorted(found)]
