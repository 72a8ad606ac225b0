"""The sans-I/O connection: each input in each phase, and the deadlines that follow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentprogress import Settings
from agentprogress._core.connection import Close, Connection, Due, Transport, Write
from agentprogress._core.history import Missed

SETTINGS = Settings()


def connection(*, answers: bool = False, max_age: float | None = None) -> Connection:
    """A connection made at time 0 whose first heartbeat is due at 10."""
    return Connection(
        Transport.WEBSOCKET,
        SETTINGS,
        now=0,
        first_heartbeat=10,
        max_age=max_age,
        answers=answers,
    )


def steps(made: Connection) -> list[Write | Close]:
    """Takes everything there is to do."""
    found: list[Write | Close] = []
    while (step := made.next()) is not None:
        found.append(step)
    return found


INPUTS: dict[str, Callable[[Connection], None]] = {
    "welcome": lambda c: c.welcome(b"{}", "e-0", 1.0),
    "missed": lambda c: c.missed(Missed(1, 2, "slow")),
    "snapshot": lambda c: c.snapshot(2, b"{}", "e-2"),
    "ended": lambda c: c.ended("completed", 2, "e-2"),
    "reconnect": lambda c: c.reconnect(0),
    "refused": lambda c: c.refused("bad_request", "no"),
    "heartbeat": lambda c: c.heartbeat(b"{}", 10),
    "rubbish": lambda c: c.received("rubbish"),
    "pong": lambda c: c.received('{"type":"pong"}'),
    "binary": lambda c: c.received(None),
}

CLOSING = {
    "ended": 1000,
    "reconnect": 1012,
    "refused": 4400,
    "rubbish": 4400,
    "binary": 4400,
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_open_connection_does_what_the_input_asks(name: str) -> None:
    made = connection()
    INPUTS[name](made)
    done = steps(made)
    closes = [step.code for step in done if isinstance(step, Close)]
    assert closes == ([CLOSING[name]] if name in CLOSING else [])
    assert made.wants_more is (name not in CLOSING)
    assert len(done) == (2 if name in CLOSING else 0 if name == "pong" else 1)


@pytest.mark.parametrize("first", CLOSING)
@pytest.mark.parametrize("second", INPUTS)
def test_once_a_close_is_queued_nothing_more_is_written(first: str, second: str) -> None:
    made = connection()
    INPUTS[first](made)
    INPUTS[second](made)
    assert [type(step) for step in steps(made)] == [Write, Close]
    INPUTS[second](made)
    assert steps(made) == []
    assert made.closed


def test_the_deadline_is_the_nearest_of_all() -> None:
    made = connection(max_age=7)
    assert made.deadline == 7
    made.writing(Write("x", timeout=3), now=1)
    assert made.deadline == 4
    made.wrote(now=2)
    assert made.deadline == 7


def test_nothing_is_due_before_its_time() -> None:
    assert connection().due(9.9) is None


def test_a_late_heartbeat_does_not_move_the_cadence() -> None:
    made = connection()
    assert made.due(12) is Due.HEARTBEAT
    assert made.deadline == 25
    assert made.due(70) is Due.HEARTBEAT
    assert made.deadline == 85


def test_a_pong_is_awaited_from_the_first_unanswered_heartbeat() -> None:
    made = connection(answers=True)
    made.heartbeat(b"{}", now=10)
    made.heartbeat(b"{}", now=15)
    assert made.due(19.9) is Due.HEARTBEAT
    assert made.due(20) is Due.NO_PONG
    made.received('{"type":"pong"}')
    assert made.due(21) is None


def test_a_blocked_write_detaches_even_while_closing() -> None:
    made = connection()
    made.ended("completed", 1, "e-1")
    write = made.next()
    assert isinstance(write, Write)
    made.writing(write, now=0)
    assert made.due(SETTINGS.write_timeout) is Due.DETACH


def test_after_the_close_the_peer_has_some_time() -> None:
    made = connection()
    made.ended("completed", 1, "e-1")
    steps(made)
    made.wrote(now=5)
    assert made.due(5 + SETTINGS.close_timeout - 0.1) is None
    assert made.due(5 + SETTINGS.close_timeout) is Due.ABORT


def test_a_client_frame_of_exactly_the_limit_is_read() -> None:
    made = connection()
    start = '{"type":"pong","x":"'
    made.received(start + "x" * (SETTINGS.max_client_frame_bytes - len(start) - 2) + '"}')
    assert steps(made) == []
    made.received(start + "x" * (SETTINGS.max_client_frame_bytes - len(start) - 1) + '"}')
    assert steps(made)[-1] == Close(4413, "too_large")
