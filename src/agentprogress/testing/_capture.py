"""Records what instrumented code emits: no registry, no loop, strict."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .._ambient import enter_scope, leave_scope
from .._clock import Stamp, SystemClock
from .._core.encode import Encoder
from .._core.states import SessionStatus
from .._ids import new_epoch
from .._inputs import Question
from .._producer import Producer
from .._record import Life, SessionRecord
from ..abc import Clock
from ..events import Event
from ..session import ProgressSession
from ..settings import Settings
from ..snapshot import SessionSnapshot

__all__ = ["Recording", "capture"]

# A test's recording should lose nothing: large, but still bounded.
_RECORDING = Settings(
    strict=True,
    max_history_events=1_000_000,
    max_history_bytes=2**30,
    max_store_bytes=2**30,
)


class Recording:
    """What was emitted inside a `capture` block.

    Attributes:
        session: the session that the block runs in.
    """

    def __init__(self, producer: Producer) -> None:
        self.session = ProgressSession(producer)
        self._record = producer.record

    @property
    def events(self) -> list[Event]:
        """All events so far, in order, as a subscriber would get them."""
        return list(self._record.locked(lambda h: h.page(0, h.head)).events)

    @property
    def types(self) -> list[str]:
        """The events' types, in order."""
        return [event.type for event in self.events]

    @property
    def snapshot(self) -> SessionSnapshot:
        """The state folded from all events so far."""
        return self.session.snapshot()


@contextmanager
def capture(
    *, settings: Settings | None = None, clock: Clock | None = None
) -> Generator[Recording]:
    """Runs a block inside a session that only records.

    Strict: what the sugar would repair, drop or log raises, so that a test sees it.

    Args:
        settings: in place of strict ones.
        clock: where events' times come from.
    """
    hub = _Hub(settings or _RECORDING, clock or SystemClock())
    record = SessionRecord("captured", new_epoch(), 1, hub, Life(created_at=hub.stamp()))
    record.transition({"type": "session.started", "attempt": 1})
    recording = Recording(Producer(hub, record))
    outer = enter_scope(recording.session)
    try:
        yield recording
    finally:
        leave_scope(outer)


class _Hub:
    """A registry for nobody: what is emitted goes into the log and no further."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.encoder = Encoder(settings)
        self.clock = clock
        self.stamp = Stamp(clock)

    def enqueue(self, record: SessionRecord) -> bool:
        return False

    def account(self, record: SessionRecord, size_bytes: int) -> None:
        return None

    def relieve(self) -> None:
        return None

    def transitioned(self, record: SessionRecord, status: SessionStatus) -> None:
        return None

    def watch(self, question: Question) -> None:
        return None

    def unwatch(self, question: Question) -> None:
        return None

    def answered(self, record: SessionRecord) -> None:
        return None

    async def flush(self, record: SessionRecord) -> None:
        record.commit()

    def flush_sync(self, record: SessionRecord, timeout: float) -> None:
        record.commit()
