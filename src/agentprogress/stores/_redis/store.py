"""A store whose every change is one script on a Redis server; how they get there is not known here.

What a session is stands in six keys of one slot (`keys`), and only the scripts in ``lua/``
change them. What is in the index (`index`) is found there and read here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..._core.states import SessionStatus
from ...abc import (
    Append,
    Appended,
    Claim,
    Lease,
    Log,
    Overdue,
    Position,
    Refusal,
    Refused,
    Store,
    Stored,
    Trim,
)
from .index import Calls, Index, IndexEdit
from .keys import (
    Command,
    Keys,
    microseconds,
    milliseconds,
    packed_append,
    packed_claim,
    packed_lease,
    packed_trim,
)
from .replies import DAMAGED, Found, appended_of, found_of, log_of

__all__ = ["ScriptedStore"]

# Sessions whose truth is read in one call while an index is gone through.
_PAGE = 128


class ScriptedStore(Store):
    """See the module; connecting and listening is left to whoever knows the client library."""

    def __init__(self, keys: Keys, calls: Calls) -> None:
        self._keys = keys
        self._calls = calls
        self._index = Index(keys, calls)

    # One session

    def find(self, session_id: str) -> Stored | None:
        [found] = self._found([session_id], details=True)
        return found.stored if found is not None else None

    def claim(self, claim: Claim) -> bool:
        # First the hint: who dies between the two leaves a session that somebody looks after.
        wait = claim.ttl if claim.lease is None else claim.lease
        hint = self._index.look(claim.session_id, microseconds(wait))
        _, granted = self._calls.run([self._index.command([hint]), packed_claim(self._keys, claim)])
        if granted != 1:
            return False
        self._index.write([self._index.put(claim)])
        return True

    def trim(self, trim: Trim) -> bool:
        return self._calls.run([packed_trim(self._keys, trim)]) == [1]

    def result(self, session_id: str) -> bytes | None:
        [result] = self._calls.run([Command("result", self._keys.of(session_id), ())])
        return None if result is DAMAGED else result

    def delete(self, session_id: str, ttl: float) -> bool:
        arguments = (self._keys.channel(session_id), milliseconds(ttl))
        if self._calls.run([Command("delete", self._keys.of(session_id), arguments)]) != [1]:
            return False
        self._index.write([self._index.drop(session_id)])
        return True

    # Many sessions

    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        answers: dict[int, Appended | Refused] = {}
        for turn in _in_turns(appends):
            answers.update(zip(turn, self._append([appends[n] for n in turn]), strict=True))
        return [answers[number] for number in range(len(appends))]

    def _append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        hints = self._index.live([append.session_id for append in appends])
        hints += [
            self._index.look(append.session_id, microseconds(append.lease))
            for append in appends
            if append.lease
        ]
        before = [self._index.command(hints)] if hints else []
        commands = [packed_append(self._keys, append) for append in appends]
        answered = self._calls.run([*before, *commands])[len(before) :]
        answers: list[Appended | Refused] = []
        moves: list[IndexEdit] = []
        for append, reply in zip(appends, answered, strict=True):
            if reply is DAMAGED:
                answers.append(Refused(Refusal.UNKNOWN))
                continue
            answer, left = appended_of(append.session_id, reply)
            answers.append(answer)
            if isinstance(answer, Appended) and not answer.repeated:
                moves += self._moved(append, left)
        self._index.write(moves)
        return answers

    def _moved(self, append: Append, left: int) -> list[IndexEdit]:
        """Returns when to look at a session after an append, where that has changed."""
        if append.ending is not None:
            return [self._index.move(append.session_id, left * 1_000, ends=left * 1_000)]
        if append.lease is None:
            return []
        wait = microseconds(append.lease) or left * 1_000
        return [self._index.move(append.session_id, wait)]

    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        commands = [
            Command("read", self._keys.of(at.session_id), (at.epoch or "", at.seq))
            for at in positions
        ]
        return [
            log_of(at.session_id, reply)
            for at, reply in zip(positions, self._calls.run(commands), strict=True)
        ]

    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        found = self._found(session_ids, details=False)
        return [each.stored if each is not None else None for each in found]

    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        if not leases:
            return []
        moves = [self._index.move(lease.session_id, microseconds(lease.ttl)) for lease in leases]
        hint = self._index.command(moves)
        commands = [packed_lease(self._keys, lease) for lease in leases]
        _, *renewed = self._calls.run([hint, *commands])
        return [each == 1 for each in renewed]

    # Through the index

    def overdue(
        self,
        most: int,
        *,
        statuses: Collection[SessionStatus] = (SessionStatus.PENDING, SessionStatus.RUNNING),
    ) -> list[Overdue]:
        overdue: list[Overdue] = []
        for _, page in self._due():
            overdue += [
                Overdue(found.stored, found.stamp)
                for found in page
                if found is not None and _overdue(found.stored, statuses)
            ]
            if len(overdue) >= most:
                break
        return sorted(overdue, key=_lease_left)[:most]

    def sweep(self, most: int) -> int:
        removed = 0
        for dropped, _ in self._due(min(most, _PAGE)):
            removed += dropped
            if removed >= most:
                break
        return removed

    def _due(self, page: int = _PAGE) -> Iterator[tuple[int, list[Found | None]]]:
        """Goes through those whose time has come, and corrects the index on the way.

        Yields:
            How many are there no more, and what is known of the others.
        """
        skip = 0
        while True:
            due = self._index.due(skip, page)
            known = self._found([each.session_id for each in due], details=True)
            corrected = map(self._index.corrected, due, known)
            self._index.write([line for line in corrected if line is not None])
            dropped = sum(found is None or found.stored.gone for found in known)
            yield dropped, known
            if len(due) < page:
                return
            # What is due stays where it is, so the next page begins behind it.
            skip += sum(found is not None and found.look_in <= 0 for found in known)

    def _found(self, session_ids: Sequence[str], *, details: bool) -> list[Found | None]:
        commands = [
            Command("find", self._keys.of(session_id), (int(details),))
            for session_id in session_ids
        ]
        return [
            found_of(session_id, reply)
            for session_id, reply in zip(session_ids, self._calls.run(commands), strict=True)
        ]

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
                for found in self._found(session_ids, details=True)
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
    first would come after the second.
    """
    turns: dict[int, list[int]] = {}
    seen: dict[str, int] = {}
    for number, append in enumerate(appends):
        turn = seen[append.session_id] = seen.get(append.session_id, -1) + 1
        turns.setdefault(turn, []).append(number)
    yield from turns.values()


def _overdue(session: Stored, statuses: Collection[SessionStatus]) -> bool:
    left = session.lease_left
    return left is not None and left <= 0 and session.status in statuses


def _lease_left(overdue: Overdue) -> float:
    return overdue.session.lease_left or 0.0
