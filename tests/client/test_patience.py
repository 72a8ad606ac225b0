from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from agentprogress.client._patience import Patience

from .line import SETTINGS

STABLE = SETTINGS.stable_timeout


def patience(most: int | None = None) -> Patience:
    return Patience(SETTINGS, most, lambda: 0.5)


def delay(of: Patience) -> float:
    return of.next_attempt(0.0, 0.0, drawn=False)


# How many


def test_without_a_bound_it_never_has_enough() -> None:
    made = patience()
    assert all(made.cut(0.0) for _ in range(1_000))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_attempts_that_bring_nothing_are_counted(most: int) -> None:
    made = patience(most)
    assert [made.cut(0.0) for _ in range(most)] == [True] * (most - 1) + [False]


def test_one_that_brings_something_begins_the_count_anew() -> None:
    made = patience(2)
    assert made.cut(0.0)
    made.dialled()
    made.brought()
    assert made.cut(0.0)
    made.dialled()
    assert made.cut(0.0)
    made.dialled()
    assert not made.cut(0.0)


def test_a_welcome_alone_brings_nothing() -> None:
    made = patience(1)
    made.dialled()
    made.welcomed(0.0, 1.0)
    assert not made.cut(STABLE - 0.01)


def test_a_connection_that_was_stable_was_worth_it() -> None:
    made = patience(1)
    made.dialled()
    made.welcomed(0.0, 1.0)
    assert made.cut(STABLE)


# How long


def test_delays_double_until_a_connection_is_stable() -> None:
    made = patience()
    assert [delay(made) for _ in range(3)] == [0.5, 1.0, 2.0]
    made.welcomed(10.0, 1.0)
    made.cut(10.0 + STABLE)
    assert delay(made) == 0.5


def test_a_connection_that_is_cut_before_that_does_not_count_as_stable() -> None:
    made = patience()
    assert [delay(made) for _ in range(2)] == [0.5, 1.0]
    made.welcomed(10.0, 1.0)
    made.cut(10.0 + STABLE - 0.01)
    assert delay(made) == 2.0


def test_time_without_a_welcome_makes_nothing_stable() -> None:
    made = patience()
    delay(made)
    made.dialled()
    made.cut(1_000.0)
    assert delay(made) == 1.0


def test_stability_is_counted_from_the_first_welcome_of_a_connection() -> None:
    """Each page of a long poll has one."""
    made = patience()
    delay(made)
    for second in range(8):
        made.welcomed(float(second), 1.0)
    made.cut(STABLE)
    assert delay(made) == 0.5


@pytest.mark.parametrize("window", [None, "9", nan, inf, -inf, 10**400, [9]])
def test_a_window_that_is_no_number_changes_nothing(window: Any) -> None:
    made = patience()
    made.advise(4.0)
    made.advise(window)
    assert delay(made) == 2.0


def test_a_heartbeat_narrows_a_window_and_a_welcome_does_not() -> None:
    made = patience()
    made.advise(8.0)
    made.welcomed(0.0, 0.2)
    made.cut(STABLE)
    assert delay(made) == 4.0
    made.welcomed(0.0, 0.2)
    made.advise(0.2)
    made.cut(STABLE)
    assert delay(made) == 0.1


def test_it_knows_whether_it_was_ever_welcome_and_whether_it_is() -> None:
    made = patience()
    assert (made.was_welcomed, made.is_welcome) == (False, False)
    made.welcomed(0.0, 1.0)
    assert (made.was_welcomed, made.is_welcome) == (True, True)
    made.cut(1.0)
    assert (made.was_welcomed, made.is_welcome) == (True, False)
