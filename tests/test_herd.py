"""What docs/reconnect.md says of 10,000 clients that a restart cuts at once."""

from __future__ import annotations

import pytest

from benchmarks.herd import (
    AGAIN,
    BOUND,
    CASES,
    PLOT,
    Restart,
    densest,
    panels,
    run,
    run_twice,
)
from benchmarks.herd_plot import draw

SEEDS = range(3)
MANY = [case for case in CASES if case.clients == 10_000]
FEW = [case for case in CASES if case.clients == 10]


def name_of(restart: Restart) -> str:
    return restart.name


@pytest.mark.parametrize("restart", MANY, ids=name_of)
def test_10_000_clients_stay_under_200_attempts_in_any_100_ms(restart: Restart) -> None:
    for seed in SEEDS:
        herd = run(restart, seed)
        assert len(herd.back) == 10_000
        assert herd.peak < BOUND


@pytest.mark.parametrize("restart", FEW, ids=name_of)
def test_10_clients_are_back_200_ms_after_a_restart_that_takes_no_time(restart: Restart) -> None:
    for seed in range(100):
        herd = run(restart, seed)
        assert len(herd.back) == 10
        if not restart.down:
            assert herd.last <= 0.2


@pytest.mark.parametrize("restart", CASES, ids=name_of)
def test_who_finds_no_server_fails_and_returns_when_it_is_up(restart: Restart) -> None:
    herd = run(restart, 0)
    assert min(herd.back) >= restart.down
    assert all(time < restart.down for time in herd.failed)
    assert bool(herd.failed) == bool(restart.down)


def test_a_return_that_the_server_has_drawn_is_not_drawn_a_second_time() -> None:
    """The larger of two numbers is mostly a large one: all would meet at the window's end."""
    for seed in SEEDS:
        assert run(Restart("obeyed", drained=True), seed).peak < BOUND
        assert run(Restart("only a floor", drained=True, obeyed=False), seed).peak >= BOUND


@pytest.mark.parametrize("again_after", AGAIN)
def test_a_welcome_to_a_growing_crowd_narrows_no_window(again_after: float) -> None:
    for seed in SEEDS:
        herd = run_twice(again_after, seed)
        assert len(herd.back) == 10_000
        assert herd.peak < BOUND


def test_heartbeats_tell_a_growing_crowd_its_size() -> None:
    soon, late = AGAIN[0], AGAIN[-1]
    for seed in SEEDS:
        assert run_twice(soon, seed, new=True).peak >= BOUND
        herd = run_twice(late, seed, new=True)
        assert len(herd.back) == 10_000
        assert herd.peak < BOUND


@pytest.mark.parametrize(
    ("times", "most"),
    [
        ([], 0),
        ([3.0], 1),
        ([0.0, 0.1, 0.2], 1),
        ([0.05, 0.1, 0.149, 0.3], 3),
        ([0.3, 0.0, 0.29, 0.21], 3),
        ([7.0] * 5, 5),
    ],
)
def test_a_peak_is_found_wherever_it_begins(times: list[float], most: int) -> None:
    assert densest(times) == most


def test_the_plot_is_the_one_that_the_simulation_draws() -> None:
    assert PLOT.read_text(encoding="utf-8") == draw(panels(), BOUND)
