from __future__ import annotations

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.backoff import Backoff
from agentprogress.settings import Settings

ANYTHING = st.floats(allow_nan=True, allow_infinity=True)


def backoff(random: float, **settings: float) -> Backoff:
    return Backoff(Settings(**settings), lambda: random)  # type: ignore[arg-type]  # by name


def test_a_reset_counts_anew_and_keeps_the_window() -> None:
    client = backoff(0.5)
    client.advise(4.0)
    assert [client.next_delay() for _ in range(3)] == [2.0, 4.0, 8.0]
    client.reset()
    assert client.attempt == 0
    assert client.next_delay() == 2.0


def test_each_attempt_draws_a_number_of_its_own() -> None:
    numbers = iter([0.1, 0.9])
    client = Backoff(Settings(), lambda: next(numbers))
    assert [client.next_delay(), client.next_delay()] == [0.1, 1.8]


def test_a_window_advised_in_the_middle_counts_from_the_next_attempt() -> None:
    client = backoff(0.5)
    client.next_delay()
    client.advise(3.0)
    assert client.next_delay() == 3.0


def test_a_window_that_is_no_number_leaves_the_last_one() -> None:
    client = backoff(0.5)
    client.advise(4.0)
    client.advise(nan)
    assert client.next_delay() == 2.0


def test_a_retry_after_that_is_no_number_is_none() -> None:
    assert backoff(0.5).next_delay(nan) == 0.5


@pytest.mark.parametrize("retry_after", [inf, 1e300, 901.0])
def test_no_server_sends_a_client_away_for_longer_than_history_is_kept(retry_after: float) -> None:
    assert backoff(0.5).next_delay(retry_after) == Settings().history_ttl


def test_the_numbers_are_those_of_the_settings() -> None:
    client = backoff(0.5, initial_retry_window=6.0, max_retry_delay=8.0, min_retry_delay=5.0)
    assert [client.next_delay() for _ in range(2)] == [3.0, 5.0]


@given(
    windows=st.lists(ANYTHING),
    floors=st.lists(ANYTHING),
    number=st.floats(0, 1, exclude_max=True),
    drawn=st.booleans(),
)
def test_whatever_a_server_says_the_delay_is_bounded(
    windows: list[float], floors: list[float], number: float, drawn: bool
) -> None:
    client, settings = backoff(number), Settings()
    for window in windows:
        client.advise(window)
    for floor in floors:
        first = client.attempt == 0
        delay = client.next_delay(floor, drawn=drawn)
        assert delay >= (0.0 if first else settings.min_retry_delay)
        assert delay >= min(floor, settings.history_ttl) or isnan(floor)
        assert delay <= max(settings.max_retry_delay, min(floor, settings.history_ttl))
    assert client.attempt == len(floors)


def test_a_client_that_tries_for_a_week_does_not_overflow() -> None:
    client = backoff(0.5)
    client.attempt = 1_000_000
    assert client.next_delay() == 10.0
