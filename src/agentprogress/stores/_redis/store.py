"""A store whose every change is one script on a Redis server; how they get there is not known here.

What a session is stands in six keys of one slot (`keys`), and only the scripts in ``lua/``
change them. What is in the index (`index`) is found there and read here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ..._core.states import SessionStatus
from ...abc import (
    Append,
    Appended,
    Claim,
    Lease,
    Log,
    Overdue,
    Position,
    Refused,
    Store,
    Stored,
    Trim,
)
from .index import Calls, Index
from .keys import (
    Command,
    Keys,
    listed,
    microseconds,
    milliseconds,
    packed_append,
    packed_claim,
    packed_lease,
    packed_trim,
)
from .replies import DAMAGED, UNREACHED, Due, Found, answered, appended_of, found_of, log_of

__all__ = ["ScriptedStore"]

# Sessions whose truth is read in one call while an index is gone through.
_PAGE = 128
_ANY = tuple(SessionStatus)


class ScriptedStore(Store):
    """See the module; connecting and listening is left to whoever knows the client library."""

    def __init__(self, keys: Keys, calls: Calls) -> None:
        self._keys = keys
        self._calls = calls
        self._index = Index(keys, calls)

    # One session

    def find(self, session_id: str) -> Stored | None:
        [found] = self._found([session_id], _ANY)
        return found.stored if found is not None else None

    def claim(self, claim: Claim) -> bool:
        # First the hint: who dies between the two leaves a session that somebody looks after.
        wait = claim.ttl if claim.lease is None else claim.lease
        hint = self._index.look(claim.session_id, microseconds(wait))
        packed = packed_claim(self._keys, claim)
        replies = self._calls.run([packed], first=self._index.command([hint]))
        if answered([claim.session_id], replies) != [1]:
            return False
        self._index.write([self._index.put(claim)])
        return True

    def trim(self, trim: Trim) -> bool:
        done = self._run(trim.session_id, packed_trim(self._keys, trim))
        return bool(done == 1)

    def result(self, session_id: str) -> bytes | None:
        result = self._run(session_id, Command("result", self._keys.of(session_id), ()))
        return None if result is DAMAGED else result

    def delete(self, session_id: str, ttl: float) -> bool:
        arguments = (self._keys.channel(session_id), milliseconds(ttl))
        epoch = self._run(session_id, Command("delete", self._keys.of(session_id), arguments))
        if not isinstance(epoch, bytes):
            return False
        self._index.write([self._index.ends(session_id, epoch.decode(), 0.0)])
        return True

    # Many sessions

    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        answers: dict[int, Appended | Refused] = {}
        for turn in _in_turns(appends):
            answers.update(zip(turn, self._append([appends[n] for n in turn]), strict=True))
        return [answers[number] for number in range(len(appends))]

    def _append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        # The hint before the truth as well: who dies between the two leaves nobody forgotten.
        looks = self._index.looks(appends)
        replies = self._calls.run(
            [packed_append(self._keys, append) for append in appends],
            first=self._index.command(looks) if looks else None,
        )
        answers = [
            appended_of(append.session_id, reply)
            for append, reply in zip(appends, replies, strict=True)
        ]
        done = [
            append
            for append, answer in zip(appends, answers, strict=True)
            if isinstance(answer, Appended) and not answer.repeated
        ]
        self._index.write(self._index.after(done))
        return answers

    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        commands = [
            Command("read", self._keys.of(at.session_id), (at.epoch or "", at.seq))
            for at in positions
        ]
        session_ids = [at.session_id for at in positions]
        replies = answered(session_ids, self._calls.run(commands))
        return [log_of(*each) for each in zip(session_ids, replies, strict=True)]

    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        found = self._found(session_ids)
        return [each.stored if each is not None else None for each in found]

    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        replies = self._calls.run([packed_lease(self._keys, lease) for lease in leases])
        # A renewal that was refused must not hide a session from those who look after it.
        self._index.write(
            [
                self._index.move(lease.session_id, microseconds(lease.ttl))
                for lease, reply in zip(leases, replies, strict=True)
                if reply == 1
            ]
        )
        return [reply in (1, UNREACHED) for reply in replies]

    # Through the index

    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        overdue: list[Overdue] = []
        skip = 0
        while len(overdue) < most:
            due = self._index.due(skip, _PAGE)
            known = self._looked_up(due, statuses)
            late = [found for _, found in known if found is not None and found.is_late]
            self._index.write(
                [
                    self._index.corrected(each, found)
                    for each, found in known
                    if found is None or not (found.is_late and each.listed)
                ]
            )
            overdue += [
                Overdue(found.stored, found.stamp)
                for found in late
                if found.stored.lease_left is not None and found.stored.status in statuses
            ]
            if len(due) < _PAGE:
                break
            # These stay where they are, so the next page begins behind them.
            skip += len(due) - len(known) + len(late)
        return sorted(overdue, key=_lease_left)[:most]

    def sweep(self, most: int) -> int:
        """See `Store.sweep`: the server removes sessions, this their places in the index."""
        removed = skip = 0
        while removed < most:
            page = min(most - removed, _PAGE)
            past = self._index.past(skip, page)
            known = self._looked_up(past, ())
            self._index.write([self._index.corrected(*each) for each in known])
            removed += sum(found is None or found.stored.gone for _, found in known)
            if len(past) < page:
                break
            skip += len(past) - len(known)
        return removed

    def _looked_up(
        self, due: Sequence[Due], statuses: Collection[str]
    ) -> list[tuple[Due, Found | None]]:
        """Returns those that can be reached, and what is known of each.

        Args:
            due: what the index says.
            statuses: the states in which the details are wanted.
        """
        replies = self._calls.run([self._find(each.session_id, statuses) for each in due])
        return [
            (each, found_of(each.session_id, reply))
            for each, reply in zip(due, replies, strict=True)
            if reply is not UNREACHED
        ]

    def _found(
        self, session_ids: Sequence[str], statuses: Collection[str] = ()
    ) -> list[Found | None]:
        commands = [self._find(each, statuses) for each in session_ids]
        replies = answered(session_ids, self._calls.run(commands))
        return [found_of(*each) for each in zip(session_ids, replies, strict=True)]

    def _find(self, session_id: str, statuses: Collection[str]) -> Command:
        return Command("find", self._keys.of(session_id), (listed(statuses),))

    def _run(self, session_id: str, command: Command) -> Any:
        return answered([session_id], self._calls.run([command]))[0]

    # Last, because its name stands for the type in what comes after it.

    def list(
        self, *, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[Stored]:
        start: tuple[str, float] | None = None
        if after is not None:
            before = self.find(after)
            if before is None:
                return []
            start = after, before.created
        listed: list[Stored] = []
        for session_ids in self._index.in_order(owner, start, _PAGE):
            listed += [
                found.stored
                for found in self._found(session_ids, _ANY)
                if found is not None
                and not found.stored.gone
                and owner in (None, found.stored.owner)
                and status in (None, found.stored.status)
            ]
            if len(listed) >= limit:
                break
        return listed[:limit]


def _in_turns(appends: Sequence[Append]) -> Iterator[list[int]]:
    """Yields the numbers of appends that may be sent together: one for each session.

    Where one fails, a later one to the same log must not be done: done again in their order, the
    first would come after the second. Those with a lease go by themselves: they wait for the index.
    """
    turns: dict[tuple[int, bool], list[int]] = {}
    seen: dict[str, int] = {}
    for number, append in enumerate(appends):
        turn = seen[append.session_id] = seen.get(append.session_id, -1) + 1
        turns.setdefault((turn, bool(append.lease)), []).append(number)
    for _, numbers in sorted(turns.items()):
        yield numbers


def _lease_left(overdue: Overdue) -> float:
    return overdue.session.lease_left or 0.0
