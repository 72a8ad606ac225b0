"""Processes on one store: registries that share a `MemoryStore` and virtual time, nothing else."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from typing import Any, Self

import anyio

from agentprogress import Gap, ProgressSession, SessionRegistry, Settings, Snapshot
from agentprogress._durable.replica import Replica
from agentprogress._durable.sessions import DurableSessions
from agentprogress.abc import (
    Append,
    Appended,
    Claim,
    Lease,
    Log,
    Position,
    Refusal,
    Refused,
    Stored,
    Trim,
)
from agentprogress.errors import InvalidSettings, SessionUnavailable, StoreUnavailable
from agentprogress.events import Event, LogMessage
from agentprogress.registry import engine_of
from agentprogress.stores.memory import MemoryStore
from agentprogress.testing import ManualClock
from tests.kit import Follower, entered


class Watched(MemoryStore):
    """A store that tells what it was asked, and lets something happen just before a call.

    Attributes:
        tries: how often anybody looked whether it is there, as after an outage.
        commits: how often anything was appended.
        appended: every append, in order, one that is repeated as often as it was sent.
        renewed: the leases of each call.
        reads: how often a log was read.
        cuts: so many calls of `append` do what they are to do and never answer.
        cut_claims: the same for `claim`.
        refuses: by id, why every append to a session is refused.
        litter: so many things more have to be swept.
        read_only: whoever writes is told that it cannot be reached, and everybody else is answered.
        away: by call and session, whether it cannot be reached, though others can.
        claims: how often anybody claimed anything.
        unfit: whoever connects is told that its settings are wrong.
        hangs: seconds after which whoever asks gives up waiting for an answer; 0: it answers.
    """

    def __init__(self, *, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.tries = 0
        self.commits = 0
        self.appended: list[Append] = []
        self.renewed: list[Sequence[Lease]] = []
        self.reads = 0
        self.cuts = 0
        self.cut_claims = 0
        self.refuses: dict[str, Refusal] = {}
        self.litter = 0
        self.read_only = False
        self.away: Callable[[str, str], bool] = lambda _call, _session_id: False
        self.claims = 0
        self.unfit = False
        self.hangs = 0.0
        self._meanwhile: dict[str, Callable[[], object]] = {}

    def meanwhile(self, call: str, act: Callable[[], object]) -> None:
        """Does something once, in the calling thread, right before the next call of that name."""
        self._meanwhile[call] = act

    def _interrupted(self, call: str) -> None:
        act = self._meanwhile.pop(call, None)
        if act is not None:
            act()

    def connect(self) -> None:
        self.tries += 1
        if self.unfit:
            raise InvalidSettings("It evicts what is in it.")
        super().connect()

    @contextmanager
    def _reached(self) -> Generator[float]:
        if self.hangs:
            self._clock.wait_in_thread(threading.Event(), self._clock.monotonic() + self.hangs)
            raise StoreUnavailable("It does not answer.")
        with super()._reached() as now:
            yield now

    def _check_writable(self) -> None:
        if self.read_only:
            raise StoreUnavailable("It is full.")

    def _check_reached(self, call: str, *session_ids: str) -> None:
        away = [each for each in session_ids if self.away(call, each)]
        if away:
            raise SessionUnavailable(away)

    def backup(self, session_id: str) -> Callable[[], object]:
        """Returns how to make a session what it is now, as a failover to an old replica does."""
        there = deepcopy(self._sessions[session_id])
        return lambda: self._sessions.update({session_id: there})

    def claim(self, claim: Claim) -> bool:
        self._interrupted("claim")
        self._check_writable()
        self.claims += 1
        self._check_reached("claim", claim.session_id)
        granted = super().claim(claim)
        if self.cut_claims:
            self.cut_claims -= 1
            raise StoreUnavailable("The connection was cut before the answer came.")
        return granted

    def append(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        self._interrupted("append")
        self._check_writable()
        answers = [self._answer(each) for each in appends]
        self.commits += 1
        self.appended += appends
        if self.cuts:
            self.cuts -= 1
            raise StoreUnavailable("The connection was cut before the answer came.")
        return answers

    def _answer(self, append: Append) -> Appended | Refused:
        away = self.away("append", append.session_id)
        why = Refusal.UNAVAILABLE if away else self.refuses.get(append.session_id)
        return super().append([append])[0] if why is None else Refused(why)

    def read(self, positions: Sequence[Position]) -> list[Log | None]:
        self._interrupted("read")
        self.reads += 1
        self._check_reached("read", *(each.session_id for each in positions))
        return super().read(positions)

    def renew(self, leases: Sequence[Lease]) -> list[bool]:
        self._interrupted("renew")
        self.renewed.append(leases)
        return super().renew(leases)

    def find(self, session_id: str) -> Stored | None:
        self._check_reached("find", session_id)
        return super().find(session_id)

    def heads(self, session_ids: Sequence[str]) -> list[Stored | None]:
        self._check_reached("heads", *session_ids)
        return super().heads(session_ids)

    def trim(self, trim: Trim) -> bool:
        self._check_reached("trim", trim.session_id)
        return super().trim(trim)

    def sweep(self, most: int) -> int:
        swept = min(self.litter, most)
        self.litter -= swept
        return swept + super().sweep(most - swept)

    def there(self, session_id: str) -> Stored:
        """Returns what it knows of a session."""
        found = super().find(session_id)
        assert found is not None
        return found

    def entries(self, session_id: str) -> list[bytes]:
        """Returns the stored log of a session."""
        (log,) = super().read([Position(session_id)])
        assert log is not None
        return list(log.entries)


class Site:
    """Some processes, and what they share.

    Args:
        settings: of all of them.
    """

    def __init__(self, **settings: Any) -> None:
        # Without a pause between commits nothing but time that a test is about has to pass.
        self.settings = Settings(**{"commit_interval": 0.0, **settings})
        self.clock = ManualClock()
        self.store = Watched(clock=self.clock)
        self._processes: list[SessionRegistry] = []
        self.here = self.process()
        self.there = self.process()

    def process(self, **options: Any) -> SessionRegistry:
        """Returns one more process."""
        registry = SessionRegistry(self.settings, store=self.store, clock=self.clock, **options)
        self._processes.append(registry)
        return registry

    def session(self, registry: SessionRegistry | None = None, **options: Any) -> ProgressSession:
        """Begins the session `job` and leaves it running."""
        registry = registry or self.here
        options.setdefault("session_id", "job")
        return entered(registry.open(**options))

    def close(self) -> None:
        """Ends all threads, whatever state they and the store were left in."""
        for registry in self._processes:
            kill(registry)

    @asynccontextmanager
    async def following(
        self, registry: SessionRegistry, after: str | None = None, session_id: str = "job"
    ) -> AsyncGenerator[Follower]:
        """Follows a session until the block is left; what has happened by then has come."""
        follower = Follower(registry, session_id, after)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.run)
            await follower.joined.wait()
            await self.clock.settle()
            yield follower
            tasks.cancel_scope.cancel()


class Waiting:
    """Something that may wait for the store, in a thread of its own, until the block is left.

    Attributes:
        answer: what came of it.
        error: what it raised.
        ended: virtual time when it was over; None before.
    """

    def __init__(self, clock: ManualClock, act: Callable[[], object]) -> None:
        self._clock = clock
        self._act = act
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
        self.answer: Any = None
        self.error: Exception | None = None
        self.ended: float | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._clock.at_work():
            self._begun.set()
            try:
                self.answer = self._act()
            except Exception as error:  # noqa: BLE001 - the test says which
                self.error = error
            self.ended = self._clock.monotonic()


def durable(registry: SessionRegistry) -> DurableSessions:
    """Returns the part of a registry that deals with its store."""
    sessions = engine_of(registry).backing
    assert isinstance(sessions, DurableSessions)
    return sessions


def kill(registry: SessionRegistry) -> None:
    """Ends a process's threads in the middle of its life: it renews and hears nothing any more."""
    durable(registry).committer.worker.stop(10)
    durable(registry).listening.stop(10)


def held(registry: SessionRegistry) -> list[str]:
    """Returns the ids of which a process holds a replica."""
    return [replica.id for replica in durable(registry).replicas.all()]


def replica_of(registry: SessionRegistry, session_id: str = "job") -> Replica:
    """Returns a process's replica of a session."""
    replica = durable(registry).replicas.get(session_id)
    assert replica is not None
    return replica


def producer_of(registry: SessionRegistry, session_id: str = "job") -> tuple[str, str | None]:
    """Returns what a process's heartbeats say of a session's producer, and why."""
    state, cause = durable(registry).record(session_id).producer_state
    return state, cause


def messages(items: Sequence[Event | Snapshot | Gap]) -> list[str]:
    """Returns what the log messages among these say."""
    return [item.message for item in items if isinstance(item, LogMessage)]


def shown(items: Sequence[Event | Snapshot | Gap]) -> list[tuple[Any, ...]]:
    """Returns what these items tell of where a reader is."""
    told: list[tuple[Any, ...]] = []
    for item in items:
        if isinstance(item, Gap):
            told.append(("gap", item.missed_from, item.missed_to, item.reason))
        elif isinstance(item, Snapshot):
            told.append(("snapshot", item.seq, item.reset))
        else:
            told.append((item.type, item.seq))
    return told
