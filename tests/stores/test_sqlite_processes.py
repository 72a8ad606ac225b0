"""One file and several real processes: they write, follow, are killed, fork, or may not write."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

import pytest

from agentprogress.abc import Appended, Position, Refused
from agentprogress.errors import StoreUnavailable
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing._store_case import append, claim, event

_SPAWN = multiprocessing.get_context("spawn")
_WITHIN = 30.0
_NOBODY = 65_534
_MIB = 1024 * 1024


class Line(Protocol):
    """One end of a pipe between two processes."""

    def send(self, obj: object, /) -> None: ...
    def recv(self) -> Any: ...
    def poll(self, timeout: float | None = 0.0, /) -> bool: ...


@contextmanager
def child(
    program: Callable[[Path, Line], None], path: Path
) -> Generator[tuple[SpawnProcess, Line]]:
    """Runs a program in a process of its own, which is gone when the block is left."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=program, args=(path, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def answer(line: Line) -> object:
    """Returns what a child says next."""
    assert line.poll(_WITHIN)
    said: object = line.recv()
    return said


def entries_of(store: SQLiteStore, session_id: str = "s") -> list[bytes]:
    [log] = store.read([Position(session_id)])
    assert log is not None
    return list(log.entries)


def assert_sound(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


# Several processes write and follow


def write_a_hundred(path: Path, line: Line) -> None:
    name = line.recv()
    store = SQLiteStore(path)
    for number in range(1, 101):
        wanted = append(event(f"{name}-{number}"), producer_id=name, producer_seq=number)
        assert isinstance(store.append([wanted])[0], Appended)
    store.close()


def test_processes_write_one_log_and_others_follow_it_without_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    store = SQLiteStore(path)
    assert store.claim(claim())
    listener = store.listen()
    listener.follow(["s"])
    followed: list[bytes] = []
    with child(write_a_hundred, path) as (_, one), child(write_a_hundred, path) as (_, other):
        one.send("one")
        other.send("other")
        while len(followed) < 200:
            assert listener.wait(_WITHIN) != {}
            [log] = store.read([Position("s", claim().epoch, len(followed))])
            assert log is not None
            assert log.first == len(followed) + 1
            followed += log.entries
    for name in ("one", "other"):
        theirs = [each for each in followed if event(name)[:-2] + b"-" in each]
        assert theirs == [event(f"{name}-{number}") for number in range(1, 101)]
    listener.close()
    store.close()
    assert_sound(path)


# A writer that is killed


def write_until_killed(path: Path, line: Line) -> None:
    """Appends three events at a time and says so; begins with what has been done at the last."""
    number = line.recv()
    store = SQLiteStore(path)
    while True:
        names = [event(f"{number}-{part}") for part in range(3)]
        wanted = append(*names, producer_id="p", producer_seq=number)
        [done] = store.append([wanted])
        assert isinstance(done, Appended)
        line.send(number)
        number += 1


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice_when_writers_are_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.db"
    store = SQLiteStore(path)
    assert store.claim(claim())
    moments = random.Random(6)
    acknowledged = 0
    for _ in range(6):
        with child(write_until_killed, path) as (process, line):
            line.send(max(acknowledged, 1))
            for _ in range(moments.randrange(1, 40)):
                acknowledged = int(str(answer(line)))
            process.kill()
            process.join()
            try:
                while True:
                    acknowledged = int(line.recv())
            except (EOFError, ConnectionResetError):
                pass
        found = entries_of(store)
        done = len(found) // 3
        assert acknowledged <= done <= acknowledged + 1
        assert found == [
            event(f"{number}-{part}") for number in range(1, done + 1) for part in range(3)
        ]
    store.close()
    assert_sound(path)


# A full disk


def write_to_a_full_disk(path: Path, line: Line) -> None:
    import resource  # not on every platform

    store = SQLiteStore(path)
    assert store.claim(claim())
    # The kernel refuses to let any file grow further, as it would on a full disk.
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MIB, hard))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    number = 0
    while True:
        number += 1
        wanted = append(b"x" * 60_000, producer_id="p", producer_seq=number)
        try:
            store.append([wanted])
        except StoreUnavailable as error:
            line.send((number, str(error)))
            break
    # It can still be read, and it can be written when there is room again.
    line.send(len(entries_of(store)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    [again] = store.append([wanted])
    line.send(again)
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the size of files")
def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with child(write_to_a_full_disk, path) as (process, line):
        said = answer(line)
        assert isinstance(said, tuple)
        number, sentence = said
        assert number > 1
        assert str(path) in sentence
        assert answer(line) == number - 1
        assert answer(line) == Appended(number, number)
        process.join(_WITHIN)
        assert process.exitcode == 0
    assert_sound(path)


# A file that may not be written


def write_without_leave(path: Path, line: Line) -> None:
    # What is imported late is out of reach for the other user.
    store = SQLiteStore(path)
    if os.geteuid() == 0:
        os.setuid(_NOBODY)
    while line.recv() == "write":
        try:
            line.send(store.append([append(event("late"))])[0])
        except StoreUnavailable as error:
            line.send(str(error))
    store.close()


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_read_only_file_is_named_and_can_be_used_once_it_may_be_written(
    open_folder: Path,
) -> None:
    path = open_folder / "p.db"
    store = SQLiteStore(path)
    assert store.claim(claim())
    store.close()
    os.chmod(path, 0o444)
    with child(write_without_leave, path) as (_, line):
        line.send("write")
        sentence = str(answer(line))
        assert str(path) in sentence
        assert "read-only" in sentence
        for each in open_folder.iterdir():
            each.chmod(0o666)
        line.send("write")
        assert answer(line) == Appended(1, 1)
        line.send("stop")


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_folder_that_takes_no_file_is_named(open_folder: Path) -> None:
    os.chmod(open_folder, 0o555)
    path = open_folder / "p.db"
    with child(write_without_leave, path) as (_, line):
        line.send("write")
        assert str(path) in str(answer(line))
        os.chmod(open_folder, 0o777)
        line.send("write")
        said = answer(line)
        assert isinstance(said, Refused)
        line.send("stop")


# A fork


def descriptors_of(path: Path) -> set[str]:
    """Returns this process's descriptors of a database's files."""
    folder = "/proc/self/fd"
    found: set[str] = set()
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # the one by which the folder was read
            continue
        if target.startswith(str(path)):
            found.add(name)
    return found


def fork_while_in_use(path: Path, line: Line) -> None:
    """Forks beside threads that read and write; parent and child go on with the same store."""
    store = SQLiteStore(path)
    assert store.claim(claim())
    stop = threading.Event()
    others = [
        threading.Thread(target=program, args=(store, stop)) for program in (write_on, read_on)
    ]
    for each in others:
        each.start()
    listener = store.listen()
    listener.follow(["s"])
    ready, done = os.pipe(), os.pipe()
    child_id = os.fork()
    if child_id == 0:
        inherited = descriptors_of(path)
        store.append([append(event("first of the child"))])
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        store.append([append(event("second of the child"))])
        line.send(inherited)
        os._exit(0)
    os.read(ready[0], 1)
    woken = listener.wait(_WITHIN)
    stop.set()
    for each in others:
        each.join()
    # Were the child's locks none, the last of the parent's connections would remove the log.
    store.close()
    os.write(done[1], b"x")
    os.waitpid(child_id, 0)
    line.send((woken, [each for each in entries_of(store) if b"child" in each]))
    store.close()
    line.send(descriptors_of(path))


def write_on(store: SQLiteStore, stop: threading.Event) -> None:
    while not stop.is_set():
        store.append([append(event("of the parent"))])


def read_on(store: SQLiteStore, stop: threading.Event) -> None:
    while not stop.is_set():
        assert store.find("s") is not None


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
def test_no_connection_crosses_a_fork_and_both_sides_go_on(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with child(fork_while_in_use, path) as (_, line):
        assert answer(line) == set()
        said = answer(line)
        assert isinstance(said, tuple)
        woken, found = said
        assert woken is None or "s" in woken
        assert found == [event("first of the child"), event("second of the child")]
        assert answer(line) == set()
    assert_sound(path)
