"""The index of a Redis store: who may be due when, and who was created in which order.

It only hints. What it says is written before the truth where a session could be forgotten
otherwise, and after it where that would only be looked at too early; whoever follows a hint
corrects it. Its keys go by themselves, a moment after the session that lives longest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from ...abc import Claim
from .keys import (
    Argument,
    Command,
    Keys,
    microseconds,
    owners_range,
    place_in_order,
    whose_in_order,
)
from .replies import Due, Found, due_of

__all__ = ["Calls", "Index", "IndexEdit"]

# That a session lives on is told once in this time, in seconds: a process that appends all the time
# would tell nothing else. The index lives for so much longer than ``lives`` says.
_SLACK = 1.0
# Sessions of which it is remembered when that was told.
_MAX_TOLD = 10_000

IndexEdit = tuple[Argument, ...]


class Calls(Protocol):
    """Runs scripts on the server."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Returns the answer of each, all asked at once."""
        ...


class Index:
    """See the module, and ``index.lua`` for what the edits mean."""

    def __init__(
        self, keys: Keys, calls: Calls, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._calls = calls
        self._monotonic = monotonic
        self._told: dict[str, float] = {}

    # Lines. What was `seen` makes one depend on that nobody else has written it since. Times are
    # microseconds from now.

    def live(self, session_ids: Iterable[str]) -> list[IndexEdit]:
        """They live for their ttl from now; nothing of those that were told a moment ago."""
        now = self._monotonic()
        if len(self._told) > _MAX_TOLD:
            self._told.clear()
        untold = [each for each in session_ids if now - self._told.get(each, -_SLACK) >= _SLACK]
        self._told.update(dict.fromkeys(untold, now))
        return [("live", session_id) for session_id in untold]

    @staticmethod
    def look(session_id: str, wait: int) -> IndexEdit:
        """Somebody is to look then, or sooner where that was planned."""
        return ("look", session_id, wait)

    @staticmethod
    def move(
        session_id: str, wait: int, *, seen: bytes = b"", ends: int | None = None
    ) -> IndexEdit:
        """Somebody is to look then, and not before; it goes at `ends`, or lives on."""
        return ("move", session_id, seen, wait, "" if ends is None else ends)

    @staticmethod
    def put(claim: Claim) -> IndexEdit:
        """It is to be looked at and listed as a claim says."""
        names = place_in_order(claim.session_id, claim.created, claim.owner)
        ttl = microseconds(claim.ttl)
        wait = ttl if claim.lease is None else microseconds(claim.lease)
        return ("put", claim.session_id, b"", wait, ttl, *names)

    @staticmethod
    def drop(session_id: str, seen: bytes = b"") -> IndexEdit:
        """It is gone."""
        return ("drop", session_id, seen)

    def corrected(self, due: Due, found: Found | None) -> IndexEdit | None:
        """Returns what is to be written after the truth was read; None where the hint was right."""
        if found is None or found.stored.gone:
            return self.drop(due.session_id, due.when)
        stored = found.stored
        if not due.listed:
            names = place_in_order(stored.session_id, stored.created, stored.owner)
            return ("put", stored.session_id, due.when, found.look_in, found.ttl * 1_000, *names)
        if found.look_in <= 0:
            return None
        return self.move(stored.session_id, found.look_in, seen=due.when, ends=found.left * 1_000)

    # Calls

    def command(self, edits: Sequence[IndexEdit]) -> Command:
        """Returns the call that writes edits."""
        arguments = tuple([argument for edit in edits for argument in edit])
        return Command("index", self._keys.index, arguments)

    def write(self, edits: Sequence[IndexEdit]) -> None:
        """Writes edits, if there are any."""
        if edits:
            self._calls.run([self.command(edits)])

    def due(self, skip: int, most: int) -> list[Due]:
        """Returns those whose time has come, the longest due first."""
        [reply] = self._calls.run([Command("due", self._keys.index, (skip, most))])
        return due_of(reply)

    def in_order(
        self, owner: str | None, after: tuple[str, float] | None, page: int
    ) -> Iterator[list[str]]:
        """Yields pages of ids in the order of creation.

        Args:
            owner: only this owner's; None: everybody's.
            after: the id and creation of the last one that is not wanted.
            page: how many at once.
        """
        start, end = owners_range(owner)
        low, high = f"[{start}", f"({end}"
        if after is not None:
            place = place_in_order(*after, owner)[0 if owner is None else 1]
            low = f"({place}"
        while True:
            [names] = self._calls.run([Command("order", self._keys.index, (low, high, page))])
            yield [whose_in_order(name) for name in names]
            if len(names) < page:
                return
            low = f"({names[-1].decode()}"
