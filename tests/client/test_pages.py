"""Following by long polls."""

from __future__ import annotations

import pytest

from agentprogress.client import FollowState
from agentprogress.client._reader import NewEvent
from agentprogress.client._steps import Dial, Rest

from .line import EPOCH, SETTINGS, Line, end, event, problem, welcome

SHORT = SETTINGS.short_stream_timeout


def line() -> Line:
    return Line("long-poll")


def test_the_first_page_does_not_wait_and_the_next_ones_do() -> None:
    polls = line()
    assert not polls.dial().waits
    polls.follower.opened(polls.now)
    polls.send(welcome(1), event(1))
    for seq in (2, 3):
        dial = polls.follower.next(polls.now)
        assert isinstance(dial, Dial)
        assert (dial.waits, dial.cursor) == (True, f"{EPOCH}-{seq - 1}")
        polls.follower.opened(polls.now)
        assert polls.send(welcome(seq, "exact"), event(seq)).deliveries == [
            NewEvent(EPOCH, event(seq))
        ]


def test_a_page_that_has_waited_in_vain_is_asked_for_again_at_once() -> None:
    polls = line()
    polls.open(welcome(0))
    polls.dial()
    polls.now += SHORT
    polls.follower.opened(polls.now)
    polls.send(welcome(0, "exact"))
    assert isinstance(polls.follower.next(polls.now), Dial)
    assert polls.follower.state is FollowState.LIVE


def test_a_server_that_does_not_wait_is_not_asked_without_a_pause() -> None:
    polls = line()
    polls.open(welcome(0))
    polls.open(welcome(0, "exact"))
    assert polls.follower.next(polls.now) == Rest(polls.now + SETTINGS.initial_retry_window)
    assert polls.follower.state is FollowState.LIVE
    assert polls.follower.error is None


def test_a_cache_that_answers_with_the_first_page_for_ever_is_not_asked_without_a_pause() -> None:
    polls = line()
    for _ in range(100):
        polls.open(welcome(1), event(1))
    assert polls.now >= 98 * SETTINGS.initial_retry_window
    assert polls.follower.transport == "long-poll"


def test_pages_that_bring_something_are_asked_for_at_once() -> None:
    polls = line()
    for seq in range(1, 50):
        polls.open(welcome(100, "fresh" if seq == 1 else "exact"), event(seq))
    assert polls.now == 0
    assert polls.follower.state is FollowState.REPLAYING


def test_the_end_in_a_page_is_the_end() -> None:
    polls = line()
    polls.open(welcome(1), event(1), end(1))
    assert polls.follower.state is FollowState.ENDED
    assert polls.over


def test_after_a_cut_the_first_page_does_not_wait_again() -> None:
    polls = line()
    polls.open(welcome(0))
    assert polls.dial().waits
    polls.close(None)
    assert polls.follower.state is FollowState.RECONNECTING
    assert not polls.dial().waits


def test_an_error_between_pages_is_judged_like_any_other() -> None:
    polls = line()
    polls.open(welcome(0))
    polls.refuse(problem(410, "session_gone"))
    assert polls.follower.state is FollowState.GAVE_UP


@pytest.mark.parametrize("pages", [1, 5])
def test_being_welcome_lasts_from_page_to_page(pages: int) -> None:
    polls = line()
    polls.fail()
    polls.fail()
    for page in range(pages):
        polls.open(welcome(0, "fresh" if page == 0 else "exact"))
        polls.now += SETTINGS.stable_timeout / pages
    polls.dial()
    polls.close(None)
    assert polls.delay == pytest.approx(0.5)
