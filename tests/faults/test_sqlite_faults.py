"""A SQLite file in trouble: no room, no right to write, and writers that are killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .conftest import StartPeer
from .kit import KEPT, lapsed_in, numbers_in, until
from .processes import Trouble

pytestmark = pytest.mark.server

KILLS = 10


def test_nothing_that_was_flushed_is_missing_after_a_kill_and_nothing_is_there_twice(
    database: Path, start_peer: StartPeer
) -> None:
    url, chance = f"sqlite:///{database}", random.Random(7)
    stored: list[int] = []
    told = 0
    for _ in range(KILLS):
        producer = start_peer(url, **{**KEPT, "lease_ttl": 0.2})
        existing = {"existing": "resume"} if stored else {}
        producer.ask("open", session_id="survivor", **existing)
        producer.tell("endless", first=len(stored) + 1)
        for _ in range(chance.randrange(1, 60)):
            told = int(producer.line())
        told = max([told, *(int(line) for line in producer.kill() if line)])
        stored = numbers_in(url, "survivor")
        assert stored == list(range(1, len(stored) + 1))
        assert len(stored) >= told
        until(lambda: lapsed_in(url, "survivor"))


def test_a_full_disk_makes_events_wait(database: Path, start_peer: StartPeer) -> None:
    url = f"sqlite:///{database}"
    producer = start_peer(url)
    session_id = producer.ask("open", title="big")
    producer.ask("log", first=1, count=5)
    producer.ask("flush")
    grown = Path(f"{database}-wal").stat().st_size
    producer.limit_files(grown + 20_000)
    producer.ask("log", first=6, count=100, size=5_000)
    with pytest.raises(Trouble, match="StoreUnavailable"):
        producer.ask("flush", timeout=0.3)
    # What is there can be read all the same, by anybody.
    before = numbers_in(url, session_id)
    assert before == list(range(1, len(before) + 1))
    assert 5 <= len(before) < 105
    producer.limit_files(None)
    producer.ask("flush")
    producer.ask("end")
    assert numbers_in(url, session_id) == list(range(1, 106))


def test_a_file_that_may_not_be_written_makes_events_wait(
    humble_folder: Path, start_peer: StartPeer
) -> None:
    database = humble_folder / "progress.db"
    url = f"sqlite:///{database}"
    producer = start_peer(url, humble=True)
    producer.ask("open", title="first")
    producer.ask("end")
    database.chmod(0o444)
    # It may write into what it has open: another process may not.
    other = start_peer(url, humble=True)
    session_id = other.ask("open", title="second")
    other.ask("log", first=1, count=3)
    with pytest.raises(Trouble, match="StoreUnavailable"):
        other.ask("flush", timeout=0.3)
    assert not other.ask("stats")["store_available"]
    database.chmod(0o644)
    other.ask("flush")
    other.ask("end")
    assert numbers_in(url, session_id) == [1, 2, 3]
