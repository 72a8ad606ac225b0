"""Which files a store takes, what it says of others, and how it gets over trouble."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agentprogress.abc import Appended, Position, Refusal, Refused
from agentprogress.errors import InvalidSettings, StoreUnavailable
from agentprogress.stores._sqlite.file import DatabaseFile
from agentprogress.stores._sqlite.schema import STEPS, prepare
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing._store_case import append, at_once, claim, event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    store.close()


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


# Names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///p.db", "p.db"),
        ("sqlite:///folder/p.db", "folder/p.db"),
        ("sqlite:///with%20space%3F%23%25.db", "with space?#%.db"),
        ("sqlite:///ümläut.db", "ümläut.db"),
        ("sqlite:///%C3%BC.db", "ü.db"),
    ],
)
def test_three_slashes_begin_a_relative_path(
    url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore.from_url(url)
    # Where it was named, not where the process has gone to since.
    monkeypatch.chdir("/")
    store.connect()
    store.close()
    assert (tmp_path / name).is_file()


def test_four_slashes_begin_an_absolute_path(path: Path) -> None:
    store = SQLiteStore.from_url(f"sqlite:///{path}")
    store.connect()
    store.close()
    assert path.is_file()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "leave store= out"),
        ("sqlite:///", "leave store= out"),
        ("sqlite:///:memory:", "leave store= out"),
        ("sqlite://:memory:", "leave store= out"),
        ("sqlite://host/p.db", "host"),
        ("sqlite://localhost/p.db", "localhost"),
        ("sqlite:///p.db?mode=ro", "%3F"),
        ("sqlite:///p.db#x", "%23"),
        ("sqlite:///nul%00.db", "no file"),
        ("redis://host", "sqlite:///"),
        ("p.db", "sqlite:///"),
        ("sqlite://[", "no URL"),
    ],
)
def test_a_url_that_names_no_file_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        SQLiteStore.from_url(url)


@pytest.mark.parametrize("name", ["", ":memory:", "nul\0"])
def test_a_path_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettings, match="leave store= out"):
        SQLiteStore(name)


# What is there


def assert_refused(path: Path, words: str) -> None:
    """The file is refused at the start, and is a trouble like any other one later."""
    store = SQLiteStore(path)
    with pytest.raises(InvalidSettings, match=words) as refusal:
        store.connect()
    assert str(path) in str(refusal.value)
    with pytest.raises(StoreUnavailable, match=words):
        store.find("s")
    store.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing" / "p.db", "no folder")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert_refused(tmp_path, "is a folder")


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("Dear diary, " * 100)
    assert_refused(path, "no SQLite database")
    assert path.read_text() == "Dear diary, " * 100


def test_the_database_of_another_application_is_refused_and_left_alone(path: Path) -> None:
    connection = raw(path)
    connection.execute("CREATE TABLE theirs (x)")
    assert_refused(path, "another application")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_a_file_of_a_later_version_is_refused(path: Path, store: SQLiteStore) -> None:
    store.connect()
    store.close()
    connection = raw(path)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    assert_refused(path, "later version")


def test_an_earlier_version_is_brought_up_to_date_with_what_is_in_it(
    path: Path, store: SQLiteStore
) -> None:
    assert store.claim(claim())
    store.close()
    next_step = ("ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)
    connection = raw(path)
    prepare(connection, str(path), (*STEPS, next_step))
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
    assert connection.execute("SELECT id, colour FROM sessions").fetchall() == [("s", "red")]
    # A second time there is nothing to do.
    prepare(connection, str(path), (*STEPS, next_step))
    connection.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path, store: SQLiteStore) -> None:
    assert store.claim(claim())
    store.close()
    connection = raw(path)
    half = ("CREATE TABLE half (x)", "ALTER TABLE nothing ADD COLUMN y")
    with pytest.raises(sqlite3.OperationalError):
        prepare(connection, str(path), (*STEPS, half))
    connection.close()
    assert store.find("s") is not None


def test_several_may_make_the_file_at_once(tmp_path: Path) -> None:
    for number in range(5):
        stores = [SQLiteStore(tmp_path / f"{number}.db") for _ in range(8)]
        at_once([each.connect for each in stores])
        assert stores[0].claim(claim())
        assert all(each.find("s") is not None for each in stores)
        for each in stores:
            each.close()


def test_it_is_as_durable_as_sqlite_can_be(path: Path, store: SQLiteStore) -> None:
    store.connect()
    with store._file.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


# Trouble


def test_a_file_that_another_process_keeps_locked_is_named_and_can_still_be_read(
    path: Path,
) -> None:
    store = SQLiteStore(path, busy_timeout=0.01)
    assert store.claim(claim())
    other = raw(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process") as trouble:
        store.append([append(event(1))])
    assert str(path) in str(trouble.value)
    assert store.find("s") is not None
    other.execute("ROLLBACK")
    other.close()
    assert store.append([append(event(1))]) == [Appended(1, 1)]
    store.close()


def test_a_process_that_begins_while_another_one_writes_reads_at_once(path: Path) -> None:
    before = SQLiteStore(path)
    assert before.claim(claim())
    before.close()
    other = raw(path)
    other.execute("BEGIN IMMEDIATE")
    store = SQLiteStore(path, busy_timeout=0.01)
    store.connect()
    assert store.find("s") is not None
    store.connect()
    other.close()
    store.close()


def test_a_later_version_is_noticed_by_who_has_the_file_open(
    path: Path, store: SQLiteStore
) -> None:
    store.connect()
    connection = raw(path)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    with pytest.raises(InvalidSettings, match="later version"):
        store.connect()


def test_a_call_that_fails_in_the_middle_changes_nothing(store: SQLiteStore) -> None:
    assert store.claim(claim())
    wrong = append(event(2), details=object())
    with pytest.raises(sqlite3.ProgrammingError):
        store.append([append(event(1)), wrong])
    assert store.append([append(event(1))]) == [Appended(1, 1)]


def test_what_somebody_deleted_by_hand_leaves_nothing_to_the_next_session(
    path: Path, store: SQLiteStore
) -> None:
    assert store.claim(claim("deleted"))
    store.append([append(event(1), session_id="deleted", once="o")])
    connection = raw(path)
    connection.execute("DELETE FROM sessions")
    connection.close()
    assert store.claim(claim("next"))
    assert store.append([append(event(2), session_id="next", once="o")]) == [Appended(1, 1)]
    [log] = store.read([Position("next")])
    assert log is not None
    assert log.entries == [event(2)]


def test_a_damaged_file_is_named(path: Path, store: SQLiteStore) -> None:
    assert store.claim(claim())
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.find("s")


def test_a_file_that_is_deleted_in_use_is_begun_anew(path: Path, store: SQLiteStore) -> None:
    assert store.claim(claim())
    store.append([append(event(1))])
    assert store.find("s") is not None
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        each.unlink()
    [lost] = store.append([append(event(2), known_head=1)])
    assert lost == Refused(Refusal.UNKNOWN)
    assert store.find("s") is None
    assert store.claim(claim())
    again = SQLiteStore(path)
    assert again.find("s") is not None
    again.close()


def test_a_file_that_is_replaced_in_use_is_read_as_it_is_now(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    earlier = SQLiteStore(backup)
    assert earlier.claim(claim())
    earlier.append([append(event(1))])
    earlier.close()
    store = SQLiteStore(path)
    assert store.claim(claim())
    store.append([append(event(number)) for number in range(3)])
    store.close()
    assert store.find("s") is not None
    os.replace(backup, path)
    [answer] = store.append([append(event(4), known_head=3)])
    assert isinstance(answer, Refused)
    assert answer.why is Refusal.BEHIND
    store.close()


class ReplacedMeanwhile(DatabaseFile):
    """A file in whose place there is another one by the time that it has been opened."""

    def __init__(self, path: Path, other: Path) -> None:
        super().__init__(str(path), busy_timeout=0.01)
        self._other: Path | None = other

    def _set_up(self, connection: sqlite3.Connection) -> None:
        super()._set_up(connection)
        if self._other is not None:
            for name in ("-wal", "-shm"):
                Path(self.path + name).unlink(missing_ok=True)
            os.replace(self._other, self.path)
            self._other = None


@pytest.mark.parametrize("made_before", [True, False])
def test_a_file_that_is_replaced_while_it_is_opened_is_left_for_the_one_that_is_there(
    path: Path, tmp_path: Path, *, made_before: bool
) -> None:
    other = tmp_path / "other.db"
    for each in (other, path) if made_before else (other,):
        made = SQLiteStore(each)
        made.connect()
        if each is other:
            assert made.claim(claim())
        made.close()
    file = ReplacedMeanwhile(path, other)
    with file.writing() as connection:
        assert connection.execute("SELECT id FROM sessions").fetchall() == [("s",)]
    file.close()


# Connections


def test_closing_lets_go_of_every_connection_and_the_next_call_makes_new_ones(
    path: Path, store: SQLiteStore
) -> None:
    assert store.claim(claim())
    in_use, go_on = threading.Event(), threading.Event()

    def read_slowly() -> None:
        with store._file.reading():
            in_use.set()
            go_on.wait(30)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    in_use.wait(30)
    store.close()
    go_on.set()
    reader.join()
    # SQLite removes its log with the last connection.
    assert not Path(f"{path}-wal").exists()
    assert store.find("s") is not None


def test_many_threads_use_one_store(store: SQLiteStore) -> None:
    assert store.claim(claim())

    def work(name: int) -> int:
        for number in range(10):
            wanted = append(event(number), producer_id=str(name), producer_seq=number + 1)
            assert isinstance(store.append([wanted])[0], Appended)
            [log] = store.read([Position("s")])
            assert log is not None
            assert len(log.entries) == log.session.head
        return name

    assert at_once([partial(work, name) for name in range(8)]) == list(range(8))
    found = store.find("s")
    assert found is not None
    assert found.head == 80
