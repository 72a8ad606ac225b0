"""Sessions that live in this process alone: no thread, no I/O, nothing to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .._backing import Backing, Waited
from .._block import SHUTDOWN
from .._core.cursor import check_session_id, process_tag
from .._core.states import SessionStatus
from .._ids import ProcessTag
from .._record import SessionRecord, Tombstone
from ..errors import SessionUnknown, WrongProcess
from ..info import SessionInfo
from .creation import Creation

if TYPE_CHECKING:
    from .._describing import SessionOptions
    from .._engine import Engine
    from .._producer import Producer
    from .._wakeup import LoopRef
    from .held import LocalSessions

__all__ = ["InProcess"]

T = TypeVar("T")


class InProcess(Backing):
    """See the module.

    Args:
        engine: of the registry.
        sessions: what the process holds.
        lock: held while a session is created.
        sweep: removes what has expired, where no task does it.
    """

    durable = False

    def __init__(
        self,
        engine: Engine,
        sessions: LocalSessions,
        lock: threading.RLock,
        sweep: Callable[[], object],
    ) -> None:
        self._sessions = sessions
        self._tag = ProcessTag()
        self._creation = Creation(engine, sessions, self._tag)
        self._lock = lock
        self._sweep = sweep

    def begin(self, options: SessionOptions, loop: LoopRef | None) -> Producer:
        self._sweep()
        with self._lock:
            self._refuse_foreign(options.get("session_id"))
            return self._creation.begin(options)

    def leave(self, producer: Producer) -> None:
        producer.close(SHUTDOWN)

    def reserve(self, options: SessionOptions) -> Producer:
        self._sweep()
        with self._lock:
            self._refuse_foreign(options.get("session_id"))
            return self._creation.reserve(options)

    def record(self, session_id: str) -> SessionRecord:
        check_session_id(session_id)
        self._refuse_foreign(session_id)
        self._sweep()
        found = self._sessions.find(session_id)
        if found is None:
            raise SessionUnknown(session_id)
        if isinstance(found, Tombstone):
            raise found.error()
        return found

    def _refuse_foreign(self, session_id: str | None) -> None:
        tag = None if session_id is None else process_tag(session_id)
        if session_id is not None and tag is not None and tag != self._tag():
            raise WrongProcess(session_id)

    async def find(
        self, session_id: str, cursor: str | None = None, *, fresh: bool = False
    ) -> SessionRecord:
        return self.record(session_id)

    def delete(self, record: SessionRecord) -> None:
        if not record.ended:
            record.request_cancel("deleted", None)
            record.transition({"type": "session.cancelled", "reason": "deleted"})
        self._sessions.remove(record)

    def listed(
        self, owner: str | None, status: str | None, limit: int, after: str | None
    ) -> list[SessionInfo]:
        records = iter(self._sessions)
        if after is not None:
            for record in records:
                if record.id == after:
                    break
        found = (
            SessionInfo.of(record)
            for record in records
            if (owner is None or record.life.owner == owner)
            and (status is None or record.status == status)
        )
        return [info for info, _ in zip(found, range(limit), strict=False)]

    def result(self, record: SessionRecord) -> bytes | None:
        return record.life.result

    def records(self) -> Sequence[SessionRecord]:
        return list(self._sessions)

    @property
    def dropped(self) -> int:
        return self._sessions.dropped + sum(record.dropped for record in self._sessions)

    def relieve(self) -> None:
        self._sessions.relieve()

    # Nothing to wait for

    @property
    def available(self) -> bool:
        return True

    @property
    def waiting(self) -> int:
        return 0

    def used(self, record: SessionRecord) -> None: ...

    async def wait_stored(self, record: SessionRecord, timeout: float) -> Waited:  # noqa: ASYNC109 - see `Backing`
        return self.wait_stored_sync(record, timeout)

    def wait_stored_sync(self, record: SessionRecord, timeout: float) -> Waited:
        record.commit()
        return Waited.STORED

    async def run(
        self, function: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        return function(*args)

    def tell_end(self, tell: Callable[[], object]) -> None:
        tell()

    def connect(self) -> None: ...

    def part(self, *, detach: bool) -> None:
        for record in self.records():
            for status in (SessionStatus.RUNNING, SessionStatus.WAITING):
                record.transition(SHUTDOWN, only=status)

    def stop(self, timeout: float) -> None: ...
