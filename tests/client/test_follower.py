"""Joining and following, as the protocol tells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentprogress.client import FollowState, Transport
from agentprogress.client._reader import Begun, Jumped, NewEvent, Skipped
from agentprogress.client._steps import Dial
from agentprogress.settings import Settings
from agentprogress.snapshot import Gap

from .line import (
    EPOCH,
    OTHER,
    SESSION,
    Line,
    end,
    error,
    event,
    gap,
    snapshot,
    welcome,
)

# Joining


def test_it_dials_at_once_without_a_cursor_by_the_best_transport() -> None:
    line = Line()
    before = line.follower.state
    assert line.dial() == Dial(Transport.WEBSOCKET, None, waits=False, renew_token=False)
    assert (before, line.follower.state) == (FollowState.IDLE, FollowState.CONNECTING)
    assert line.now == 0


@pytest.mark.parametrize("after", [f"{EPOCH}-7", "whatever the user has stored", ""])
def test_the_users_cursor_is_passed_as_it_is(after: str) -> None:
    assert Line(after=after).dial().cursor == after


def test_it_is_replaying_until_it_has_what_the_welcome_promised_and_then_live() -> None:
    line = Line()
    line.open(welcome(2), event(1))
    before = line.follower.state
    line.send(event(2))
    assert (before, line.follower.state) == (FollowState.REPLAYING, FollowState.LIVE)


def test_a_log_that_is_empty_is_live_at_once() -> None:
    line = Line()
    line.open(welcome(0))
    assert line.follower.state is FollowState.LIVE


def test_a_snapshot_at_the_head_catches_up() -> None:
    line = Line()
    line.open(welcome(9, "snapshot"), snapshot(9))
    assert line.follower.state is FollowState.LIVE


def test_an_event_beyond_the_head_of_the_welcome_does_not_change_that_it_is_live() -> None:
    line = Line()
    line.open(welcome(0), event(1))
    assert line.follower.state is FollowState.LIVE


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_version_that_it_does_not_speak_is_given_up(version: int) -> None:
    line = Line()
    taken = line.open({"type": "welcome", "protocol": version}, event(1))
    assert taken.deliveries == []
    assert line.follower.state is FollowState.GAVE_UP
    assert line.outcome is not None
    assert (line.outcome.kind, line.outcome.retryable) == ("protocol", False)
    assert f"version {version}" in str(line.outcome)


@pytest.mark.parametrize("frame", [event(1), gap(1, 2), snapshot(2), end(0)])
def test_what_comes_before_the_first_welcome_is_a_protocol_error(frame: dict[str, Any]) -> None:
    line = Line()
    assert line.open(frame).deliveries == []
    assert line.follower.state is FollowState.RECONNECTING
    assert line.follower.error is not None
    assert line.follower.error.kind == "protocol"


def test_a_reset_throws_away_the_position() -> None:
    line = Line()
    line.open(welcome(1), event(1))
    line.close()
    taken = line.open(welcome(1, "reset", OTHER), event(1))
    assert taken.deliveries == [Begun(SESSION, OTHER, reset=True), NewEvent(OTHER, event(1))]
    assert line.follower.cursor == f"{OTHER}-1"


# Following


def test_events_come_in_order_and_once() -> None:
    line = Line()
    taken = line.open(welcome(3), event(1), event(2), event(1), event(2), event(3))
    assert taken.deliveries == [
        Begun(SESSION, EPOCH, reset=False),
        *(NewEvent(EPOCH, event(seq)) for seq in (1, 2, 3)),
    ]
    assert line.follower.cursor == f"{EPOCH}-3"


def test_after_a_hole_it_comes_back_with_its_last_cursor_and_what_came_before_it_counts() -> None:
    line = Line()
    taken = line.open(welcome(5), event(1), event(3), event(4))
    assert [each.wire["seq"] for each in taken.deliveries if isinstance(each, NewEvent)] == [1]
    assert not line.follower.linked
    assert line.follower.state is FollowState.RECONNECTING
    assert line.dial().cursor == f"{EPOCH}-1"


def test_an_end_ahead_of_the_position_is_a_hole() -> None:
    line = Line()
    line.open(welcome(5), event(1), end(5))
    assert line.follower.state is FollowState.RECONNECTING
    assert line.dial().cursor == f"{EPOCH}-1"


def test_a_gap_is_told_and_its_snapshot_moves_the_position() -> None:
    line = Line()
    taken = line.open(welcome(9, "snapshot"), snapshot(4), gap(5, 8, "slow"), snapshot(8), event(9))
    jumped, skipped, again, last = taken.deliveries
    assert skipped == Skipped(Gap(5, 8, "slow"))
    assert isinstance(jumped, Jumped)
    assert isinstance(again, Jumped)
    assert last == NewEvent(EPOCH, event(9))


def test_gaps_and_snapshots_of_before_the_position_are_dropped() -> None:
    line = Line()
    line.open(welcome(2), event(1), event(2))
    assert line.send(gap(1, 2), snapshot(1)).deliveries == []
    assert line.follower.linked


def test_the_end_is_the_end() -> None:
    line = Line()
    line.open(welcome(1), event(1), end(1))
    assert line.follower.state is FollowState.ENDED
    assert line.outcome is None
    line.close(1000)
    assert line.over
    assert line.follower.state is FollowState.ENDED


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1012])
def test_a_stream_that_stops_without_an_end_was_cut_however_cleanly(code: int | None) -> None:
    line = Line()
    line.open(welcome(1), event(1))
    line.close(code)
    assert line.follower.state is FollowState.RECONNECTING
    assert line.dial().cursor == f"{EPOCH}-1"


@pytest.mark.parametrize(
    "frame", [event(1), welcome(9, "reset", OTHER), end(0), gap(1, 2), error("forbidden")]
)
def test_a_frame_of_another_session_is_ignored(frame: dict[str, Any]) -> None:
    line = Line()
    line.open(welcome(0))
    assert line.send({**frame, "session": "another"}).deliveries == []
    assert line.follower.state is FollowState.LIVE
    assert line.follower.cursor == f"{EPOCH}-0"


def test_a_frame_that_names_the_session_is_taken() -> None:
    line = Line()
    line.open({**welcome(1), "session": SESSION}, {**event(1), "session": SESSION})
    assert line.follower.cursor == f"{EPOCH}-1"


@pytest.mark.parametrize("frame", [{"type": "weather", "sun": True}, {"type": "end2", "head": 0}])
def test_a_control_frame_of_a_later_version_is_ignored(frame: dict[str, Any]) -> None:
    line = Line()
    line.open(welcome(0))
    assert line.send(frame) == ([], 0, False)
    assert line.follower.state is FollowState.LIVE


def test_an_event_of_a_later_version_moves_the_position() -> None:
    line = Line()
    line.open(welcome(1), event(1, "quantum.leaped"))
    assert line.follower.cursor == f"{EPOCH}-1"
    assert line.follower.state is FollowState.LIVE


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("data", [b"\xff", b"data: {\n\n", b'{"type":"end"}', b"[]"])
def test_after_what_breaks_the_framing_it_comes_back(transport: Transport, data: bytes) -> None:
    line = Line(transport)
    line.open()
    line.follower.received(data, line.now)
    if transport is Transport.SSE and not data.endswith(b"\n\n"):
        assert line.follower.linked  # it has not ended yet
        return
    assert line.follower.state is FollowState.RECONNECTING
    assert line.follower.error is not None
    assert (line.follower.error.kind, line.follower.error.retryable) == ("protocol", True)


def test_a_message_that_passes_the_bound_is_a_protocol_error() -> None:
    line = Line("sse", settings=Settings(max_message_bytes=65_536))
    line.open()
    line.follower.received(b"data: " + b"x" * 65_536, line.now)
    assert line.follower.state is FollowState.RECONNECTING


def test_an_event_stream_is_read_in_whatever_pieces_it_comes_and_anew_after_a_cut() -> None:
    line = Line("sse")
    line.open()
    whole = b"".join(b"data: %s\n\n" % json.dumps(f).encode() for f in (welcome(2), event(1)))
    found = [
        each
        for at in range(len(whole))
        for each in line.follower.received(whole[at : at + 1], line.now).deliveries
    ]
    assert found == [Begun(SESSION, EPOCH, reset=False), NewEvent(EPOCH, event(1))]
    line.follower.received(b'data: {"half', line.now)
    line.close(None)
    assert line.open(welcome(2, "exact"), event(2)).deliveries == [NewEvent(EPOCH, event(2))]


def test_what_comes_when_nobody_listens_any_more_is_not_taken() -> None:
    line = Line()
    line.open(welcome(0))
    line.close()
    assert line.send(event(1)) == ([], 0, False)
    assert line.follower.cursor == f"{EPOCH}-0"


def test_the_first_frame_of_every_connection_is_a_welcome() -> None:
    line = Line("websocket", after=f"{EPOCH}-5")
    assert line.open(event(6), end(6)).deliveries == []
    assert line.follower.state is FollowState.RECONNECTING
    line.open(welcome(5, "exact"))
    line.close()
    assert line.open(event(6)).deliveries == []


def test_a_gap_that_ends_before_it_begins_is_malformed() -> None:
    line = Line()
    line.open(welcome(9), gap(9, 3))
    assert line.follower.state is FollowState.RECONNECTING
