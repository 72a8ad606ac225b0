"""What SQLite reads for what is asked often: an index and rows, never a table or what is large."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprogress.stores._sqlite import expiry, listener, owning, reading
from agentprogress.stores.sqlite import SQLiteStore
from agentprogress.testing._store_case import claim


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p.db"


def plan_of(path: Path, ask: Callable[[SQLiteStore], object]) -> str:
    """Returns SQLite's plans of what a call asks."""
    asked: list[str] = []
    store = SQLiteStore(path)
    with store._file.reading() as connection:
        connection.set_trace_callback(asked.append)
    ask(store)
    store.close()
    connection = sqlite3.connect(path)
    questions = [each for each in asked if each.startswith("SELECT")]
    plans = [connection.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in questions]
    connection.close()
    return "\n".join(step[3] for plan in plans for step in plan)


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda store: store.overdue(10), "sessions_lease"),
        (lambda store: store.list(owner="me", status=None, limit=9, after="s"), "sessions_owner"),
        (lambda store: store.list(owner="me", status="lost", limit=9, after=None), "sessions_"),
        (lambda store: store.list(owner=None, status="lost", limit=9, after="s"), "_status"),
        (lambda store: store.list(owner=None, status=None, limit=9, after="s"), "_created"),
        (lambda store: store.heads(["s"]), "sqlite_autoindex_sessions"),
    ],
)
def test_what_is_asked_of_many_sessions_is_found_by_an_index_in_its_order(
    path: Path, ask: Callable[[SQLiteStore], object], index: str
) -> None:
    store = SQLiteStore(path)
    assert store.claim(claim(owner="me"))
    store.close()
    plan = plan_of(path, ask)
    assert index in plan
    assert "SCAN" not in plan.replace("SCAN sessions USING INDEX", "")
    assert "TEMP" not in plan


def test_heads_reads_nothing_but_rows(path: Path) -> None:
    assert "blobs" not in plan_of(path, lambda store: store.heads(["s"]))


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (expiry._DUE, "sessions_due"),
        (listener._CHANGED, "sessions_change"),
        (reading._EVENTS, "autoindex_events"),
        (owning._CUT, "autoindex_events"),
        (expiry._EVENT_SIZES, "autoindex_events"),
        (expiry._EVENTS_GO, "autoindex_events"),
    ],
)
def test_what_is_due_or_new_or_of_a_log_is_found_by_an_index(
    path: Path, statement: str, index: str
) -> None:
    store = SQLiteStore(path)
    store.connect()
    store.close()
    connection = sqlite3.connect(path)
    values = [0] * statement.count("?")
    [plan] = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    assert index in plan[3]
    connection.close()
