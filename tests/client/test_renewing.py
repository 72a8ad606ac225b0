"""What a client does when its token is refused."""

from __future__ import annotations

import pytest

from agentprogress.client import FollowState, Transport
from agentprogress.client._wire import Answer

from .line import EPOCH, SETTINGS, Line, error, event, problem, welcome

REFUSALS = [problem(401, "unauthorized"), problem(401, "token_expired")]
CODES = ["unauthorized", "token_expired"]


@pytest.mark.parametrize("code", CODES)
def test_a_token_that_expires_is_renewed_at_once_and_nothing_is_lost(code: str) -> None:
    line = Line(can_renew=True)
    line.open(welcome(1), event(1))
    line.now = 60.0
    line.send(error(code, retryable=True))
    assert line.follower.state is FollowState.RECONNECTING
    dial = line.dial()
    assert (dial.renew_token, dial.cursor, line.now) == (True, f"{EPOCH}-1", 60.0)


@pytest.mark.parametrize("code", [4401, 4104])
def test_a_close_alone_says_the_same(code: int) -> None:
    line = Line(can_renew=True)
    line.open(welcome(0))
    line.close(code)
    assert line.dial().renew_token


@pytest.mark.parametrize("answer", [*REFUSALS, Answer(401, None, None, "text/html")])
def test_an_answer_does_whoever_checks_the_token(answer: Answer) -> None:
    line = Line("sse", can_renew=True)
    line.refuse(answer)
    assert line.dial().renew_token


@pytest.mark.parametrize("answer", REFUSALS)
def test_one_that_was_just_made_and_is_refused_too_is_given_up(answer: Answer) -> None:
    line = Line("sse", can_renew=True)
    line.refuse(answer)
    line.refuse(answer)
    assert line.follower.state is FollowState.GAVE_UP
    assert line.outcome is not None
    assert line.outcome.kind == "unauthorized"


@pytest.mark.parametrize("code", CODES)
def test_one_that_cannot_be_renewed_is_given_up(code: str) -> None:
    line = Line()
    line.open(welcome(0), error(code, retryable=True))
    assert line.follower.state is FollowState.GAVE_UP
    assert line.outcome is not None
    assert (line.outcome.kind, line.outcome.protocol_code) == ("unauthorized", code)


def test_each_welcome_allows_another_one() -> None:
    line = Line(can_renew=True)
    for _ in range(5):
        line.open(welcome(0, "exact"))
        line.now += 300.0
        line.send(error("token_expired", retryable=True))
        assert not line.over


def test_the_connection_with_the_new_one_has_yet_to_be_welcome() -> None:
    line = Line("auto", can_renew=True)
    line.open(welcome(0), error("token_expired", retryable=True))
    for _ in range(SETTINGS.max_short_streams):
        assert line.follower.transport is Transport.WEBSOCKET
        line.open()
        line.wait_in_vain()
    assert line.follower.transport is Transport.SSE


def test_it_is_asked_for_once_and_then_used() -> None:
    line = Line(can_renew=True)
    line.open(welcome(0), error("token_expired", retryable=True))
    assert line.dial().renew_token
    line.follower.opened(line.now)
    line.send(welcome(0, "exact"))
    line.close()
    assert not line.dial().renew_token


def test_a_server_that_welcomes_and_then_refuses_the_token_is_not_asked_without_a_pause() -> None:
    line = Line(can_renew=True)
    for _ in range(50):
        if line.over:
            break
        line.open(welcome(0, "exact"), error("token_expired", retryable=True))
    assert line.over or line.now > 10


def test_a_token_that_was_made_long_ago_is_renewed_again() -> None:
    line = Line("sse", can_renew=True)
    line.open(welcome(0), error("token_expired", retryable=True))
    line.fail()  # with the new one
    line.now += 5_000.0
    line.refuse(problem(401, "token_expired"))
    assert not line.over
    assert line.dial().renew_token
