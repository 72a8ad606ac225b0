"""When a client comes back, after how long, and when it gives up."""

from __future__ import annotations

from typing import Any

import pytest

from agentprogress.client import FollowState
from agentprogress.client._wire import Answer
from agentprogress.errors import FollowError

from .line import (
    EPOCH,
    NOBODY,
    SETTINGS,
    Line,
    end,
    error,
    event,
    heartbeat,
    problem,
    welcome,
)

GRACE = SETTINGS.unknown_timeout
STABLE = SETTINGS.stable_timeout
LONGEST = SETTINGS.history_ttl
FOREIGN = Answer(404, None, None, "text/html")
BAD_GATEWAY = Answer(502, None, None, "text/html")


def reconnect(retry_after: float) -> dict[str, Any]:
    return {"type": "reconnect", "retry_after": retry_after}


def last(line: Line) -> FollowError:
    assert line.follower.error is not None
    return line.follower.error


# The delay


def test_a_delay_is_drawn_from_a_window_that_doubles() -> None:
    line = Line()
    delays: list[float] = []
    for _ in range(7):
        line.fail()
        delays.append(line.delay)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_why_and_until_when_it_rests_is_visible() -> None:
    line = Line()
    line.fail()
    assert line.follower.state is FollowState.RECONNECTING
    assert line.follower.error is NOBODY
    assert line.follower.retry_at == 0.5
    line.dial()
    assert line.follower.retry_at is None
    line.follower.opened(line.now)
    line.send(welcome(0))
    assert line.follower.error is None


def test_the_window_is_the_one_that_was_last_advised() -> None:
    line = Line()
    line.open(welcome(0, retry_window=4.0))
    line.close()
    assert line.delay == 2.0
    line.open(welcome(0, "exact", retry_window=0.2), heartbeat(0, 0.4))
    line.now += STABLE
    line.close()
    assert line.delay == pytest.approx(0.2)


def test_a_welcome_does_not_narrow_a_window() -> None:
    line = Line()
    line.open(welcome(0, retry_window=10.0))
    line.close()
    line.open(welcome(0, "exact", retry_window=0.2))
    line.now += STABLE
    line.close()
    assert line.delay == 5.0


def test_the_count_begins_anew_after_5_s_of_being_welcome() -> None:
    line = Line()
    line.fail()
    line.fail()
    line.open(welcome(0))
    line.now += STABLE
    line.close()
    assert line.delay == 0.5


@pytest.mark.parametrize("welcomed", [True, False])
def test_no_count_begins_anew_before_that_or_without_a_welcome(welcomed: bool) -> None:
    line = Line("websocket")
    line.fail()
    line.fail()
    line.open(*([welcome(0)] if welcomed else []))
    line.now += STABLE - 0.01 if welcomed else STABLE
    line.close()
    assert line.delay == pytest.approx(2.0)


@pytest.mark.parametrize(("seconds", "delay"), [(2.5, 2.5), (1000.0, LONGEST), (0, 5.0), (-1, 5.0)])
def test_the_delay_of_a_reconnect_was_drawn_by_the_server_unless_it_is_0(
    seconds: float, delay: float
) -> None:
    line = Line()
    line.open(welcome(0, retry_window=10.0), reconnect(seconds))
    assert line.delay == delay
    assert last(line).retryable


def test_on_later_attempts_the_delay_of_a_reconnect_is_a_floor() -> None:
    line = Line()
    line.fail()
    line.open(welcome(0, retry_window=10.0), reconnect(2.5))
    assert line.delay == 10.0


@pytest.mark.parametrize(("seconds", "delay"), [(3, 3.0), (0.1, 0.5), (10_000, LONGEST)])
@pytest.mark.parametrize("said", ["frame", "problem", "header", "foreign header"])
def test_retry_after_is_a_floor_whoever_says_it(said: str, seconds: float, delay: float) -> None:
    line = Line("sse")
    if said == "frame":
        line.open(error("rate_limited", retry_after=seconds))
    elif said == "problem":
        line.refuse(problem(429, "rate_limited", retry_after=seconds))
    elif said == "header":
        line.refuse(problem(429, "rate_limited")._replace(retry_after=float(seconds)))
    else:
        line.refuse(BAD_GATEWAY._replace(retry_after=float(seconds)))
    assert line.delay == delay


def test_a_floor_holds_for_one_delay_only() -> None:
    line = Line("sse")
    line.refuse(problem(429, "rate_limited", retry_after=30))
    assert line.delay == 30
    line.fail()
    assert line.delay == 1.0


# How often


def test_by_default_the_number_of_attempts_is_unlimited() -> None:
    line = Line()
    for _ in range(500):
        line.fail()
    assert line.follower.state is FollowState.RECONNECTING


@pytest.mark.parametrize("most", [1, 3])
def test_a_bound_counts_attempts_that_bring_nothing(most: int) -> None:
    line = Line(max_attempts=most)
    for _ in range(most):
        assert not line.over
        line.fail()
    assert line.follower.state is FollowState.GAVE_UP
    assert line.outcome is NOBODY


@pytest.mark.parametrize("frames", [[welcome(1), event(1)], [welcome(0), heartbeat()]])
def test_an_attempt_that_brings_something_begins_the_count_anew(
    frames: list[dict[str, Any]],
) -> None:
    line = Line("websocket", max_attempts=2)
    line.fail()
    line.open(*frames)
    line.close()
    line.fail()
    assert not line.over
    line.fail()
    assert line.over


def test_a_server_that_greets_and_brings_nothing_is_not_followed_for_ever() -> None:
    line = Line("websocket", max_attempts=3)
    for _ in range(3):
        line.open(welcome(5))
        line.close()
    assert line.over


# What errors mean


@pytest.mark.parametrize("code", ["forbidden", "session_gone", "bad_request", "not_found"])
def test_an_error_that_no_return_helps_is_given_up(code: str) -> None:
    line = Line()
    line.open(error(code))
    assert line.follower.state is FollowState.GAVE_UP
    assert line.outcome is not None
    assert (line.outcome.protocol_code, line.outcome.retryable) == (code, False)


def test_the_error_frame_decides_and_not_the_close_after_it() -> None:
    line = Line()
    line.open(welcome(0), error("internal"))
    line.close(4403)
    assert line.follower.state is FollowState.RECONNECTING
    assert last(line).protocol_code == "internal"


def test_without_a_frame_the_close_decides() -> None:
    line = Line()
    line.open(welcome(0))
    line.close(4403)
    assert line.outcome is not None
    assert (line.outcome.kind, line.outcome.close_code) == ("forbidden", 4403)


def test_what_follows_an_error_in_the_same_message_is_not_taken() -> None:
    line = Line()
    taken = line.open(welcome(2), event(1), error("internal"), event(2), end(2))
    assert len(taken.deliveries) == 2
    assert line.dial().cursor == f"{EPOCH}-1"


def test_a_certificate_that_is_not_trusted_is_given_up() -> None:
    line = Line()
    line.fail(FollowError("network", "Not trusted.", retryable=False))
    assert line.follower.state is FollowState.GAVE_UP


def test_204_to_an_event_stream_says_that_it_has_everything() -> None:
    line = Line("sse", after=f"{EPOCH}-9")
    line.refuse(Answer(204))
    assert line.follower.state is FollowState.ENDED
    assert line.outcome is None


# A session that is unknown


@pytest.mark.parametrize("code", ["session_unknown", "wrong_process"])
def test_who_was_never_welcome_gives_an_unknown_session_up_at_once(code: str) -> None:
    line = Line("sse")
    line.refuse(problem(404, code))
    assert line.outcome is not None
    assert (line.outcome.kind, line.outcome.protocol_code) == ("unknown_session", code)


@pytest.mark.parametrize("code", ["session_unknown", "wrong_process"])
def test_who_was_welcome_comes_back_to_it_for_30_s_and_says_why_it_gives_up(code: str) -> None:
    line = Line("websocket")
    line.open(welcome(0))
    line.now = 1_000.0
    line.close()
    since: float | None = None
    while not line.over:
        line.dial()
        line.follower.opened(line.now)
        since = line.now if since is None else since
        assert line.now < since + GRACE + SETTINGS.max_retry_delay
        line.send(error(code))
    assert since is not None
    assert line.now >= since + GRACE
    assert line.outcome is not None
    assert (line.outcome.kind, line.outcome.retryable) == ("unknown_session", False)
    assert line.outcome.protocol_code == code
    assert "restarted without a durable store" in str(line.outcome)


def test_the_30_s_begin_with_the_first_such_answer_and_not_with_the_cut() -> None:
    line = Line("websocket")
    line.open(welcome(0))
    line.close()
    line.fail()
    line.now = 10 * GRACE
    line.refuse(problem(404, "session_unknown"))
    assert not line.over


def test_a_welcome_gives_them_anew() -> None:
    line = Line("websocket")
    line.open(welcome(0))
    for _ in range(3):
        line.close()
        line.refuse(problem(404, "session_unknown"))
        line.now += GRACE - 1
        line.open(welcome(0, "exact"))
    assert line.follower.state is FollowState.LIVE


def test_other_troubles_in_between_do_not() -> None:
    line = Line("websocket")
    line.open(welcome(0))
    line.close()
    line.refuse(problem(404, "session_unknown"))
    line.fail()
    line.refuse(BAD_GATEWAY)
    line.now += GRACE
    line.refuse(problem(404, "session_unknown"))
    assert line.over


# What others than the server say


def until_given_up(line: Line, answer: Answer, most: float) -> float:
    while not line.over and line.now < most:
        line.refuse(answer)
    return line.now


@pytest.mark.parametrize(
    "answer",
    [
        FOREIGN,
        Answer(200, None, None, "text/html"),
        Answer(403),
        Answer(404, {"title": "Not Found", "status": 404}, None, "application/problem+json"),
    ],
    ids=["404", "sign-in page", "403", "another application's problem"],
)
def test_before_any_welcome_30_s_of_them_are_a_wrong_address(answer: Answer) -> None:
    line = Line("sse")
    now = until_given_up(line, answer, 10 * GRACE)
    assert GRACE <= now <= GRACE + SETTINGS.max_retry_delay
    assert line.outcome is not None
    assert "Something that is not agentprogress answered" in str(line.outcome)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(status: int) -> None:
    line = Line("sse")
    until_given_up(line, Answer(status), 10 * GRACE)
    assert not line.over


def test_after_a_welcome_they_are_waited_out() -> None:
    line = Line("sse")
    line.open(welcome(0))
    line.close(None)
    until_given_up(line, FOREIGN, 10 * GRACE)
    assert not line.over
    line.open(welcome(0, "exact"))
    assert line.follower.state is FollowState.LIVE


def test_retry_after_is_a_floor_for_an_unknown_session_too() -> None:
    line = Line("websocket")
    line.open(welcome(0), error("session_unknown", retry_after=20))
    assert line.delay == 20


def test_what_is_no_news_counts_as_an_attempt_in_vain() -> None:
    line = Line("websocket", max_attempts=3)
    for _ in range(3):
        line.open({"type": "weather"})  # also a heartbeat before any welcome, or duplicates alone
        line.close()
    assert line.over


def test_204_to_what_is_no_event_stream_is_not_the_end() -> None:
    for transport in ("long-poll", "websocket"):
        line = Line(transport)
        line.refuse(Answer(204))
        assert line.follower.state is FollowState.RECONNECTING
