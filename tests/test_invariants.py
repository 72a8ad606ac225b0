"""What must always hold, whatever is done in whatever order: a state machine with its own oracle.

The oracle knows only what was emitted, as plain lists, and shares no code with the library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agentprogress import Gap, SessionRegistry, Settings, Snapshot
from agentprogress.errors import ProgressError, SessionGone, SessionUnknown
from agentprogress.events import Event, LogMessage
from agentprogress.registry import engine_of
from agentprogress.testing import ManualClock

from .kit import retained, settle

MAX_EVENTS = 8
HISTORY_TTL, RESULT_TTL, TOMBSTONE_TTL = 50.0, 200.0, 400.0
TERMINAL = {"session.completed", "session.failed", "session.cancelled", "session.lost"}
NAMES = ["a", "b"]

Item = Event | Snapshot | Gap


@dataclass
class Epoch:
    """What the oracle expects of one run: the type and message at each seq, from 1."""

    expected: list[tuple[str, str]] = field(default_factory=list)
    ended_at: float | None = None
    deleted: bool = False


@dataclass
class Reader:
    """A subscription in a task of its own; `gate` holds it back between items.

    `items` has what came, each with the epoch that the cursor named at that moment.
    """

    name: str
    after: int | None
    items: list[tuple[str, Item]] = field(default_factory=list)
    gate: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    resume: str = ""
    error: ProgressError | None = None
    ended: bool = False
    left: bool = False


class Machine(RuleBasedStateMachine):
    """Drives one registry in a loop of its own."""

    backend = "asyncio"
    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.portal_context = start_blocking_portal(self.backend)
        self.portal: BlockingPortal = self.portal_context.__enter__()
        self.clock = ManualClock()
        self.registry = SessionRegistry(
            Settings(
                max_history_events=MAX_EVENTS,
                history_ttl=HISTORY_TTL,
                result_ttl=RESULT_TTL,
                tombstone_ttl=TOMBSTONE_TTL,
            ),
            clock=self.clock,
        )
        self.blocks: dict[str, Any] = {}
        self.sessions: dict[str, Any] = {}
        self.runs: dict[str, list[Epoch]] = {name: [] for name in NAMES}
        self.epochs: dict[str, Epoch] = {}
        self.everybody: list[Reader] = []

    def teardown(self) -> None:
        try:
            self.call(self.end_everything)
        finally:
            self.portal_context.__exit__(None, None, None)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function in the loop and lets everything settle."""

        async def run() -> Any:
            result = function(*args)
            if hasattr(result, "__await__"):
                result = await result
            await settle()
            return result

        return self.portal.call(run)

    def epoch(self, name: str) -> Epoch | None:
        return self.runs[name][-1] if self.runs[name] else None

    def running(self, name: str) -> bool:
        epoch = self.epoch(name)
        return epoch is not None and epoch.ended_at is None

    # What producers do

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.open_or_restart(name)
            self.emit(name, 2, tick=True)

    @rule(name=st.sampled_from(NAMES))
    def open_or_restart(self, name: str) -> None:
        if self.running(name):
            return
        block = self.registry.open(session_id=name, existing="restart")
        self.sessions[name] = self.call(block.__enter__)
        self.blocks[name] = block
        epoch = Epoch([("session.started", "")])
        self.runs[name].append(epoch)
        self.epochs[self.sessions[name].cursor.split("-")[0]] = epoch

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 2 * MAX_EVENTS), tick=st.booleans())
    def emit(self, name: str, count: int, tick: bool) -> None:
        if not self.running(name):
            return
        epoch = self.runs[name][-1]

        def emit_all() -> None:
            for _ in range(count):
                message = str(len(epoch.expected) + 1)
                self.sessions[name].emit(LogMessage(message=message))
                epoch.expected.append(("log.message", message))

        self.call(emit_all)
        if tick:
            self.call(self.clock.advance, 0.05)

    @rule(name=st.sampled_from(NAMES))
    def flush(self, name: str) -> None:
        if self.running(name):
            self.call(self.sessions[name].flush_sync)

    @rule(name=st.sampled_from(NAMES), how=st.sampled_from(["completed", "failed", "cancelled"]))
    def end(self, name: str, how: str) -> None:
        if not self.running(name):
            return
        self.call(self.leave, name, how)
        self.mark_ended(name, f"session.{how}")

    def leave(self, name: str, how: str) -> None:
        error = {"completed": None, "failed": ValueError("x"), "cancelled": KeyboardInterrupt()}[
            how
        ]
        self.blocks[name].__exit__(type(error) if error else None, error, None)

    def mark_ended(self, name: str, terminal: str) -> None:
        epoch = self.runs[name][-1]
        epoch.expected.append((terminal, ""))
        epoch.ended_at = self.clock.monotonic()

    @rule(name=st.sampled_from(NAMES))
    def emit_after_the_end(self, name: str) -> None:
        epoch = self.epoch(name)
        if epoch is not None and epoch.ended_at is not None:
            self.call(lambda: self.sessions[name].log("too late"))

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        try:
            self.call(self.registry.delete, name)
        except (SessionGone, SessionUnknown):
            return
        if self.running(name):
            self.runs[name][-1].expected.append(("cancel.requested", ""))
            self.mark_ended(name, "session.cancelled")
        self.runs[name][-1].deleted = True

    # What subscribers do

    @rule(
        target=readers,
        name=st.sampled_from(NAMES),
        seq=st.none() | st.integers(0, 40),
        held_back=st.booleans(),
    )
    def subscribe(self, name: str, seq: int | None, held_back: bool) -> Reader:
        reader: Reader = self.call(Reader, name, seq)
        if not held_back:
            reader.gate.set()
        self.everybody.append(reader)
        cursor = self.sessions[name].cursor if name in self.sessions else "0000000000-0"
        after = None if seq is None else f"{cursor.split('-')[0]}-{seq}"
        self.portal.start_task_soon(self.read, reader, name, after)
        self.call(settle)
        return reader

    async def read(self, reader: Reader, name: str, after: str | None) -> None:
        try:
            with reader.scope:
                async with self.registry.subscribe(name, after=after) as subscription:
                    reader.resume = subscription.resume
                    async for item in subscription:
                        reader.items.append((subscription.cursor.split("-")[0], item))
                        await reader.gate.wait()
                    reader.ended = True
        except ProgressError as error:
            reader.error = error

    @rule(reader=readers)
    def let_read(self, reader: Reader) -> None:
        self.call(reader.gate.set)

    @rule(reader=readers)
    def hold_back(self, reader: Reader) -> None:
        def close_gate() -> None:
            if reader.gate.is_set():
                reader.gate = anyio.Event()

        self.call(close_gate)

    @rule(reader=readers)
    def disconnect(self, reader: Reader) -> None:
        reader.left = True
        self.call(reader.scope.cancel)

    @rule(seconds=st.sampled_from([0.02, 1.0, HISTORY_TTL, RESULT_TTL, TOMBSTONE_TTL]))
    def let_time_pass(self, seconds: float) -> None:
        self.call(self.clock.advance, seconds)

    # What must hold

    @invariant()
    def every_reader_saw_an_honest_story(self) -> None:
        for reader in self.everybody:
            check_story(reader, self.epochs)

    @invariant()
    def histories_are_within_their_bounds_and_counted_right(self) -> None:
        engine = engine_of(self.registry)
        held = 0
        for record in engine.local:
            frames = retained(self.registry, record.id)
            assert len(frames) <= MAX_EVENTS
            held += sum(len(frame) + 256 for frame in frames) + len(record.life.result or b"")
            if not frames and record.ended:
                held += len(record.locked(lambda h: h.head_json()))
        assert engine.local.size_bytes == held

    @invariant()
    def what_runs_is_there_and_what_expired_is_not(self) -> None:
        for name, runs in self.runs.items():
            if not runs:
                continue
            age = self.clock.monotonic() - (runs[-1].ended_at or self.clock.monotonic())
            try:
                status = self.registry.get(name).status
            except SessionGone:
                assert runs[-1].deleted or age >= RESULT_TTL
            except SessionUnknown:
                assert runs[-1].deleted or age >= RESULT_TTL + TOMBSTONE_TTL
            else:
                assert (status == "running") == (runs[-1].ended_at is None)
                # Slots are a second wide.
                assert not runs[-1].deleted
                assert age <= RESULT_TTL + 1

    @rule()
    def who_is_not_held_back_catches_up(self) -> None:
        self.call(self.clock.advance, 0.1)
        for reader in self.everybody:
            gone = reader.error or reader.left
            if gone or not reader.gate.is_set() or not reader.items:
                continue
            epoch_id, last = reader.items[-1]
            assert not isinstance(last, Gap)
            assert last.seq == len(self.epochs[epoch_id].expected)
            if not reader.ended:
                assert self.epochs[epoch_id] is self.runs[reader.name][-1]

    async def end_everything(self) -> None:
        for name in NAMES:
            if self.running(name):
                self.leave(name, "completed")
        for reader in self.everybody:
            reader.gate.set()
        await self.clock.advance(RESULT_TTL + TOMBSTONE_TTL + 5)
        await settle()
        stats = self.registry.stats()
        assert stats.sessions == {}
        assert (stats.tombstones, stats.subscribers, stats.deadlines, stats.held_bytes) == (0,) * 4
        assert all(r.ended or r.error or r.left for r in self.everybody)


def check_story(reader: Reader, epochs: dict[str, Epoch]) -> None:
    """Checks one reader's items against what was emitted: nothing missing, twice, or invented."""
    seen = {"fresh": 0, "exact": reader.after, "gap": reader.after}.get(reader.resume)
    current = reader.items[0][0] if reader.items else ""
    gap: Gap | None = None
    for epoch_id, item in reader.items:
        if epoch_id != current:
            assert isinstance(item, Snapshot)
            assert item.reset
            current, gap = epoch_id, None
        if isinstance(item, Gap):
            assert gap is None
            assert item.missed_from == (seen or 0) + 1
            assert item.missed_to >= item.missed_from
            gap = item
        elif isinstance(item, Snapshot):
            if gap is not None:
                assert item.seq == gap.missed_to
            assert item.state.epoch == epoch_id
            seen, gap = item.seq, None
        else:
            assert gap is None
            assert seen is not None
            assert item.seq == seen + 1
            seen += 1
            message = item.message if isinstance(item, LogMessage) else ""
            assert (item.type, message) == epochs[epoch_id].expected[seen - 1]
    if reader.ended and reader.items:
        epoch_id, last = reader.items[-1]
        assert last.type in TERMINAL or isinstance(last, Snapshot)
        assert seen == len(epochs[epoch_id].expected)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_is_done_in_whatever_order_the_invariants_hold(backend: str) -> None:
    machine = type("Machine", (Machine,), {"backend": backend})
    run_state_machine_as_test(machine, settings=settings(max_examples=80, stateful_step_count=40))
