"""When a client takes a connection for dead, as the protocol tells it."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from agentprogress.client import FollowState
from agentprogress.client._steps import Dial, Over

from .line import NOBODY, SETTINGS, Line, end, error, event, heartbeat, welcome

CONNECT = SETTINGS.connect_timeout
SILENCE = SETTINGS.heartbeat_interval + SETTINGS.silence_timeout


def test_every_heartbeat_owes_a_pong_and_moves_nothing() -> None:
    line = Line()
    line.open(welcome(3))
    assert line.send(heartbeat(3)) == ([], 0, True)
    assert line.send({"type": "weather"}) == ([], 0, False)
    assert line.follower.state is FollowState.REPLAYING


@pytest.mark.parametrize("opened", [False, True])
def test_who_has_nothing_open_has_no_deadline(opened: bool) -> None:
    line = Line()
    if opened:
        line.open(welcome(0))
        line.close()
    assert line.follower.deadline == inf
    assert not line.follower.due(1e9)


def test_a_handshake_has_its_time() -> None:
    line = Line()
    line.dial()
    assert line.follower.deadline == CONNECT
    assert not line.follower.due(CONNECT - 0.01)
    assert line.follower.due(CONNECT)
    assert line.follower.state is FollowState.RECONNECTING
    assert line.follower.error is not None
    assert line.follower.error.kind == "timeout"


@pytest.mark.parametrize("interval", [1.0, 15.0, 60.0])
def test_a_connection_is_dead_after_the_servers_heartbeat_interval_and_10_s(
    interval: float,
) -> None:
    line = Line()
    line.open(welcome(0, heartbeat_interval=interval))
    assert line.follower.deadline == interval + SETTINGS.silence_timeout
    line.now = 7.0
    line.follower.heard(line.now)
    assert line.follower.deadline == 7.0 + interval + SETTINGS.silence_timeout
    assert line.follower.due(line.follower.deadline)
    assert line.follower.state is FollowState.RECONNECTING


@pytest.mark.parametrize("interval", [0, -1, inf])
def test_an_interval_that_is_none_leaves_the_one_it_knows(interval: float) -> None:
    line = Line()
    line.open(welcome(0, heartbeat_interval=interval))
    assert line.follower.deadline == SILENCE


def test_every_message_and_every_byte_moves_the_deadline() -> None:
    line = Line()
    line.open(welcome(0))
    line.now = 3.0
    line.send(heartbeat(0))
    assert line.follower.deadline == 3.0 + SILENCE


def test_a_connection_on_which_no_welcome_comes_is_dead_after_the_same_time() -> None:
    line = Line("websocket")
    line.open()
    assert line.follower.deadline == SILENCE
    assert line.follower.due(SILENCE)
    assert line.follower.state is FollowState.RECONNECTING


def test_a_page_that_waits_is_waited_for() -> None:
    line = Line("long-poll")
    line.open(welcome(0))
    line.dial()
    assert line.follower.deadline == CONNECT + SETTINGS.max_wait


def test_a_machine_that_has_slept_joins_again_at_once() -> None:
    line = Line()
    line.open(welcome(0))
    line.now = 10.0
    line.follower.woke(line.now)
    assert line.follower.state is FollowState.RECONNECTING
    step = line.follower.next(line.now)
    assert isinstance(step, Dial)


def test_a_machine_that_has_slept_does_not_rest_any_longer() -> None:
    line = Line()
    line.open(welcome(0))
    line.close()
    assert line.delay > 0
    line.follower.woke(line.now)
    assert isinstance(line.follower.next(line.now), Dial)


def test_waking_up_after_the_end_changes_nothing() -> None:
    line = Line()
    line.open(welcome(0), end(0))
    line.follower.woke(9.0)
    assert isinstance(line.follower.next(9.0), Over)
    assert line.follower.state is FollowState.ENDED


def test_who_is_told_to_retry_now_rests_no_longer() -> None:
    line = Line()
    line.fail()
    assert line.delay == 0.5
    line.follower.retry_now()
    assert isinstance(line.follower.next(line.now), Dial)


@pytest.mark.parametrize("frames", [[end(0)], [error("forbidden")]], ids=["ended", "gave up"])
def test_what_is_over_stays_over_whatever_happens(frames: list[dict[str, Any]]) -> None:
    line = Line()
    line.open(welcome(0), *frames)
    before = (line.follower.state, line.outcome, line.follower.cursor)
    line.send(welcome(0), event(1))
    line.close(4401)
    line.follower.cut(NOBODY, 9.0)
    line.follower.unreachable(NOBODY, 9.0)
    line.follower.due(1e9)
    line.follower.woke(9.0)
    line.follower.retry_now()
    assert (line.follower.state, line.outcome, line.follower.cursor) == before


def test_bytes_without_a_welcome_do_not_keep_a_connection_alive() -> None:
    line = Line("sse")
    line.open()
    for second in range(60):
        line.now = float(second)
        line.follower.received(b": ping\n\n", line.now)
        if line.follower.due(line.now):
            break
    assert line.now == SETTINGS.heartbeat_interval + SETTINGS.silence_timeout
