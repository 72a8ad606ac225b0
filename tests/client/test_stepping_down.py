"""Which transport a client takes when the better one does not work here."""

from __future__ import annotations

import pytest

from agentprogress.client import FollowState, Transport
from agentprogress.client._steps import Dial
from agentprogress.client._wire import Answer

from .line import EPOCH, NOBODY, SETTINGS, Line, event, problem, welcome

SHORT = SETTINGS.short_stream_timeout
MOST = SETTINGS.max_short_streams
ORDER = [Transport.WEBSOCKET, Transport.SSE, Transport.LONG_POLL]


def cut_short(line: Line, *, welcomed: bool = True) -> None:
    line.open(*([welcome(1, "exact", retry_window=0.2)] if welcomed else []))
    line.now += SHORT / 2
    line.close()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, None, None, "text/html"),
        Answer(400),
        Answer(403),
        Answer(404),
        Answer(426),
        problem(404, "session_unknown"),
    ],
)
def test_a_handshake_that_is_refused_leads_to_an_event_stream_at_once(answer: Answer) -> None:
    line = Line()
    line.refuse(answer)
    assert line.follower.state is FollowState.CONNECTING
    step = line.follower.next(line.now)
    assert isinstance(step, Dial)
    assert step.transport is Transport.SSE


def test_the_reason_and_the_proxys_fix_are_told_once() -> None:
    line = Line()
    assert line.follower.take_notice() is None
    line.refuse(Answer(400))
    notice = line.follower.take_notice()
    assert notice is not None
    assert "sse instead of websocket" in notice
    assert "proxy_set_header Upgrade" in notice
    assert line.follower.take_notice() is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_is_away_says_nothing_about_the_transport(status: int) -> None:
    line = Line()
    for _ in range(2 * MOST):
        line.refuse(Answer(status))
    assert line.follower.transport is Transport.WEBSOCKET
    assert line.follower.take_notice() is None


def test_a_network_that_is_away_says_nothing_about_the_transport() -> None:
    line = Line()
    for _ in range(2 * MOST):
        line.fail()
    assert line.follower.transport is Transport.WEBSOCKET


@pytest.mark.parametrize("transport", Transport)
def test_a_transport_that_was_named_is_never_left(transport: Transport) -> None:
    line = Line(transport)
    line.open(welcome(0))
    line.follower.cut(NOBODY, line.now)
    for _ in range(2 * MOST):
        cut_short(line, welcomed=False)
    for _ in range(2):
        line.refuse(Answer(404))
        line.open()
        line.wait_in_vain()
    assert line.dial().transport is transport
    assert line.follower.take_notice() is None


@pytest.mark.parametrize("welcomed", [True, False])
def test_three_short_connections_in_a_row_lead_to_the_next_transport(welcomed: bool) -> None:
    line = Line()
    for transport in ORDER:
        for _ in range(MOST):
            assert line.follower.transport is transport
            cut_short(line, welcomed=welcomed)
    assert line.follower.transport is Transport.LONG_POLL
    notice = line.follower.take_notice()
    assert notice is not None
    assert "several times in a row" in notice


def test_one_that_lasts_begins_the_count_anew() -> None:
    line = Line()
    for _ in range(3):
        for _ in range(MOST - 1):
            cut_short(line)
        line.open(welcome(1, "exact"))
        line.now += 2 * SHORT
        line.close()
    assert line.follower.transport is Transport.WEBSOCKET


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "reconnect", "retry_after": 0},
        {"type": "error", "code": "internal", "message": "Why.", "retryable": True},
    ],
)
def test_a_server_that_says_to_come_back_is_not_cutting_short(frame: dict[str, object]) -> None:
    line = Line()
    for _ in range(3 * MOST):
        line.open(welcome(0, "exact"), frame)
        line.close(1012)
    assert line.follower.transport is Transport.WEBSOCKET


def test_nor_do_connections_count_that_were_short_before_it_said_so() -> None:
    line = Line()
    for _ in range(3):
        for _ in range(MOST - 1):
            cut_short(line)
        line.open(welcome(1, "exact"), {"type": "reconnect", "retry_after": 0})
    assert line.follower.transport is Transport.WEBSOCKET


@pytest.mark.parametrize(
    ("transport", "after", "words"),
    [
        (Transport.WEBSOCKET, Transport.SSE, "nothing came back through a WebSocket"),
        (Transport.SSE, Transport.LONG_POLL, "proxy_buffering off"),
    ],
)
def test_an_open_connection_without_a_welcome_leads_to_the_next_transport_at_once(
    transport: Transport, after: Transport, words: str
) -> None:
    line = Line()
    if transport is Transport.SSE:
        line.refuse(Answer(400))
    line.open()
    line.wait_in_vain()
    step = line.follower.next(line.now)
    assert isinstance(step, Dial)
    assert step.transport is after
    notice = line.follower.take_notice()
    assert notice is not None
    assert words in notice


def test_an_event_stream_whose_very_head_is_held_back_leads_to_pages_at_once() -> None:
    line = Line()
    line.refuse(Answer(400))
    line.dial()
    line.follower.reached(line.now)
    line.wait_in_vain()
    assert line.follower.transport is Transport.LONG_POLL
    notice = line.follower.take_notice()
    assert notice is not None
    assert "proxy_buffering off" in notice


def test_a_handshake_that_nobody_answers_three_times_leads_to_an_event_stream() -> None:
    line = Line()
    for _ in range(MOST):
        assert line.dial().transport is Transport.WEBSOCKET
        line.follower.reached(line.now)
        line.wait_in_vain()
    assert line.dial().transport is Transport.SSE
    notice = line.follower.take_notice()
    assert notice is not None
    assert "nothing came back through a WebSocket" in notice


def test_that_nobody_is_reached_says_nothing_about_the_transport() -> None:
    line = Line()
    for _ in range(3 * MOST):
        line.dial()
        line.wait_in_vain()
        line.dial()
        line.follower.cut(NOBODY, line.now)
    assert line.follower.transport is Transport.WEBSOCKET


def test_one_that_falls_silent_after_its_welcome_is_no_reason() -> None:
    line = Line()
    for _ in range(2 * MOST):
        line.open(welcome(0, "exact"))
        line.wait_in_vain()
    assert line.follower.transport is Transport.WEBSOCKET


def test_stepping_down_is_no_attempt_and_keeps_the_cursor() -> None:
    line = Line(max_attempts=1)
    line.refuse(Answer(400))
    assert not line.over
    line.open(welcome(1), event(1))
    line.close(None)
    assert line.dial().cursor == line.follower.cursor


def test_a_restart_behind_a_balancer_that_resets_does_not_lead_to_pages_for_ever() -> None:
    line = Line()
    line.open(welcome(0))
    line.now = 100.0
    line.close()
    for _ in range(8):
        line.dial()
        line.follower.reached(line.now)
        line.follower.cut(NOBODY, line.now)
    line.open(welcome(0, "exact"))
    line.now += 3_600.0
    line.close()
    assert line.dial().transport is not Transport.LONG_POLL


def test_one_refused_handshake_after_hours_of_good_ones_changes_no_transport() -> None:
    """An ingress without its backend answers 404 for a moment of each deploy."""
    line = Line()
    line.open(welcome(0))
    line.now = 7_200.0
    line.close()
    line.refuse(Answer(404, content_type="text/html"))
    assert line.dial().transport is Transport.WEBSOCKET


def test_a_balancer_that_accepts_for_a_server_that_is_down_changes_no_transport() -> None:
    line = Line()
    line.open(welcome(0))
    line.now = 7_200.0
    line.close()
    for _ in range(10):
        line.dial()
        line.follower.reached(line.now)
        line.follower.cut(NOBODY, line.now)
    assert line.follower.transport is Transport.WEBSOCKET


def test_a_handshake_that_goes_on_being_refused_leads_to_the_next_transport() -> None:
    line = Line()
    line.open(welcome(0))
    line.now = 7_200.0
    line.close()
    for _ in range(SETTINGS.max_short_streams):
        assert line.follower.transport is Transport.WEBSOCKET
        line.refuse(Answer(404, content_type="text/html"))
    assert line.follower.transport is Transport.SSE


def test_204_to_a_handshake_is_never_the_end() -> None:
    line = Line(after=f"{EPOCH}-1")
    line.refuse(Answer(204))
    assert line.follower.state is FollowState.CONNECTING
    assert line.dial().transport is Transport.SSE
