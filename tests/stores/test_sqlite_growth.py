"""A file that is in use for long does not grow for ever, nor does its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from agentprogress._core.states import SessionStatus
from agentprogress.abc import Appended, Position, Trim
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing import ManualClock
from agentprogress.testing._store_case import EPOCH, append, claim, ending, event

_MIB = 1024 * 1024


class Case:
    """A store on virtual time."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.path = path
        self.store = SQLiteStore(path, clock=self.clock)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def log_size(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size

    def sweep_all(self) -> None:
        while self.store.sweep(100):
            pass


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path / "p.db")
    yield case
    case.store.close()


def test_a_long_run_of_appends_and_cuts_stays_within_a_bound(case: Case) -> None:
    assert case.store.claim(claim())
    for round_number in range(1, 201):
        [answer] = case.store.append([append(*[b"x" * 1_000] * 100)])
        assert isinstance(answer, Appended)
        cut = Trim("s", EPOCH, 1, answer.head - 20, b"b" * 10_000)
        assert case.store.trim(cut), round_number
    # 20 MB went through it.
    assert case.size < _MIB
    assert case.log_size < 8 * _MIB


def test_sessions_that_come_and_go_leave_room_for_the_next(case: Case) -> None:
    for generation in range(20):
        for number in range(5):
            session_id = f"{generation}-{number}"
            assert case.store.claim(claim(session_id))
            last = append(
                event("end"),
                session_id=session_id,
                status=SessionStatus.COMPLETED,
                ending=ending(result=b"r" * 100_000),
                once="end",
                producer_id="p",
                producer_seq=1,
            )
            assert isinstance(case.store.append([last])[0], Appended)
        case.clock.jump(3_000)
        case.sweep_all()
    assert case.size < _MIB
    connection = sqlite3.connect(case.path)
    for table in ("sessions", "events", "blobs", "producers", "once"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()


def test_room_beyond_what_is_needed_soon_goes_back_to_the_disk(case: Case) -> None:
    assert case.store.claim(claim())
    last = append(status=SessionStatus.COMPLETED, ending=ending(result=b"r" * 12 * _MIB))
    case.store.append([last])
    assert case.store.delete("s", 1)
    for _ in range(10):
        case.store.sweep(100)
    case.store.close()
    assert case.size < 5 * _MIB


def test_a_log_that_grew_while_somebody_read_is_cut_by_the_sweep(case: Case) -> None:
    assert case.store.claim(claim())
    reader = sqlite3.connect(case.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sessions").fetchall()
    for _ in range(9):
        case.store.append([append(b"x" * 4 * _MIB)])
        found = case.store.find("s")
        assert found is not None
        assert case.store.trim(Trim("s", EPOCH, 1, found.head, b"base"))
    grown = case.log_size
    assert grown > 32 * _MIB
    # It cannot be cut under the reader, and the sweep does not fail by that.
    assert case.store.sweep(100) == 0
    assert case.log_size >= grown
    reader.execute("COMMIT")
    reader.close()
    case.store.sweep(100)
    assert case.log_size == 0


def test_a_session_that_is_refreshed_stays_and_costs_the_sweep_one_look(case: Case) -> None:
    assert case.store.claim(claim(ttl=100))
    case.clock.jump(90)
    case.store.append([append(event(1))])
    case.clock.jump(90)
    assert case.store.sweep(100) == 0
    assert case.store.find("s") is not None
    connection = sqlite3.connect(case.path)
    [(due, expires)] = connection.execute("SELECT due, expires FROM sessions").fetchall()
    assert due == expires
    connection.close()
    case.clock.jump(11)
    assert case.store.find("s") is None
    assert case.store.sweep(100)


@pytest.mark.parametrize(("size_bytes", "at_once"), [(10, 100), (60_000, 7)])
def test_a_sweep_removes_a_long_history_in_small_transactions(
    case: Case, size_bytes: int, at_once: int
) -> None:
    assert case.store.claim(claim())
    entries = [b"x" * size_bytes] * 150
    last = append(*entries, status=SessionStatus.COMPLETED, ending=ending(history_ttl=1))
    case.store.append([last])
    case.clock.jump(2)
    connection = sqlite3.connect(case.path)
    left = [150]
    while left[-1]:
        assert 0 < case.store.sweep(100) <= 100
        left += connection.execute("SELECT count(*) FROM events").fetchone()
        [log] = case.store.read([Position("s")])
        assert log is not None
        assert (log.first, log.base) == (151, b'{"state":1}')
    connection.close()
    assert max(before - after for before, after in pairwise(left)) == at_once
    case.sweep_all()
    assert case.store.sweep(100) == 0
