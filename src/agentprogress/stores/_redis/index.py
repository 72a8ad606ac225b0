"""The index of a Redis store: who may be due when, and who was created in which order.

It only hints. That somebody is to look sooner is written before the truth, so that no session is
forgotten; that there is time is written after it, and only where that was done. Whoever follows a
hint corrects it, unless it was written anew meanwhile. Its keys go by themselves, a moment after
the session that lives longest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Any, Protocol

from ...abc import Append, Claim
from ...errors import SessionUnavailable
from .keys import (
    Argument,
    Command,
    Keys,
    microseconds,
    milliseconds,
    owners_range,
    place_in_order,
    whose_in_order,
)
from .replies import Due, Found, NoAnswer, due_of

__all__ = ["Calls", "Index", "IndexEdit"]

# That a session lives on is told once in this time, in seconds: a process that appends all the time
# would tell nothing else. The index lives for so much longer than ``lives`` says.
_SLACK = 1.0
# It is told of all sessions that are owned here at once, and so often.
_TELL_EVERY = _SLACK / 2
# Sessions of which it is remembered when that was told.
_MAX_TOLD = 10_000
# Which of its times is asked for; see ``due.lua``.
_LOOK, _GO = 1, 2

IndexEdit = tuple[Argument, ...]


class Calls(Protocol):
    """Runs scripts on the server."""

    def run(self, commands: Sequence[Command], *, first: Command | None = None) -> list[Any]:
        """Returns the answer of each, all asked at once; `NoAnswer` where there is none.

        Args:
            commands: what is to be run.
            first: what is done before any of them; where it cannot be reached, none is done.
        """
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
        self._together_at = -inf
        self._untold: set[str] = set()

    # Lines. What was `seen` makes one depend on that nobody else has written it since. Times are
    # microseconds from now.

    def live(self, session_ids: Iterable[str]) -> list[IndexEdit]:
        """They live for their ttl from now; nothing of those that were told a moment ago.

        It is written after the truth. Who dies between the two leaves a session that lives longer
        than the index says, by the time since it was told of last. A running one is told of with
        the next renewal. Any other that is met when that time has come is corrected; one that is
        not, because the whole index went with it, is listed again when it is taken over.
        """
        now = self._monotonic()
        return [("live", each) for each in session_ids if now - self._told_at(each) >= _TELL_EVERY]

    def _live_together(self, session_ids: Iterable[str]) -> list[IndexEdit]:
        """The same of those whose owner is here: of all of them in one call, now and then."""
        self._untold.update(session_ids)
        untold = tuple(self._untold)
        if self._monotonic() - self._together_at < _TELL_EVERY and all(
            each in self._told for each in untold
        ):
            return []
        return self.live(untold)

    def _told_at(self, session_id: str) -> float:
        return self._told.get(session_id, -inf)

    def after(self, appends: Sequence[Append]) -> list[IndexEdit]:
        """What has changed by appends that were done.

        Whether there is time to look is not said: that finds out who looks.
        """
        going = [each for each in appends if each.ending is None]
        self._untold.difference_update(each.session_id for each in appends if each.ending)
        live = self._live_together([each.session_id for each in going if each.fence is not None])
        live += self.live([each.session_id for each in going if each.fence is None])
        ends = [
            self.ends(each.session_id, each.epoch, each.ending.result_ttl)
            for each in appends
            if each.ending is not None
        ]
        return [*self.looks(appends), *live, *ends]

    def looks(self, appends: Iterable[Append]) -> list[IndexEdit]:
        """Somebody is to look when the leases have run out that begin with appends."""
        return [
            self.look(each.session_id, microseconds(each.lease)) for each in appends if each.lease
        ]

    @staticmethod
    def ends(session_id: str, epoch: str, ttl: float) -> IndexEdit:
        """It goes in so many seconds, where it has not started over since."""
        return ("ends", session_id, epoch, 1_000 * milliseconds(ttl))

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
        return ("put", claim.session_id, b"", wait, ttl, claim.epoch, *names)

    @staticmethod
    def drop(session_id: str, seen: bytes) -> IndexEdit:
        """It is gone."""
        return ("drop", session_id, seen)

    def corrected(self, due: Due, found: Found | None) -> IndexEdit:
        """Returns what is to be written after the truth was read."""
        if found is None or found.stored.gone:
            return self.drop(due.session_id, due.when)
        stored = found.stored
        if due.listed:
            ends = found.left * 1_000
            return self.move(stored.session_id, found.look_in, seen=due.when, ends=ends)
        ttl = found.ttl * 1_000
        names = place_in_order(stored.session_id, stored.created, stored.owner)
        return ("put", stored.session_id, due.when, found.look_in, ttl, stored.epoch, *names)

    # Calls

    def command(self, edits: Sequence[IndexEdit]) -> Command:
        """Returns the call that writes edits."""
        arguments = tuple([argument for edit in edits for argument in edit])
        return Command("index", self._keys.index, arguments)

    def write(self, edits: Sequence[IndexEdit]) -> None:
        """Writes edits, if there are any; that they cannot be reached is no reason to fail.

        They come after the truth: without them, a session is looked at sooner than it had to be,
        or listed when it is looked at.
        """
        if not edits:
            return
        now = self._monotonic()
        if self._calls.run([self.command(edits)]) == [1]:
            if len(self._told) > _MAX_TOLD:
                self._told.clear()
            told = {str(edit[1]): now for edit in edits if edit[0] in ("live", "put")}
            self._told |= told
            if self._untold & told.keys():
                self._together_at = now
                self._untold -= told.keys()

    def due(self, skip: int, most: int) -> list[Due]:
        """Returns those that somebody is to look at by now, the longest due first."""
        return self._past(_LOOK, skip, most)

    def past(self, skip: int, most: int) -> list[Due]:
        """Returns those that should be gone by now."""
        return self._past(_GO, skip, most)

    def _past(self, which: int, skip: int, most: int) -> list[Due]:
        [reply] = self._calls.run([Command("due", self._keys.index, (which, skip, most))])
        return [] if isinstance(reply, NoAnswer) else due_of(reply)

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
            command = Command("order", self._keys.index, (low, high, page))
            [names] = self._calls.run([command])
            if isinstance(names, NoAnswer):
                raise SessionUnavailable
            yield [whose_in_order(name) for name in names]
            if len(names) < page:
                return
            low = f"({names[-1].decode()}"
