"""Programs without an event loop: whatever way they end, what they emitted is there."""

from __future__ import annotations

import pytest

from .kit import entries_in, found_in, numbers_in
from .processes import run_script

pytestmark = pytest.mark.server

ALL = list(range(1, 1_001))


@pytest.mark.parametrize("name", ["plain", "forgetful"])
def test_a_script_that_ends_right_after_its_last_event_has_stored_everything(
    url: str, name: str
) -> None:
    run_script(name, url)
    assert numbers_in(url, name) == ALL
    found = found_in(url, name)
    assert found is not None
    assert found.status == "completed"


@pytest.mark.parametrize("name", ["careless", "flushing"])
def test_a_script_that_never_leaves_its_session_has_stored_its_events(url: str, name: str) -> None:
    run_script(name, url)
    assert numbers_in(url, name) == ALL
    found = found_in(url, name)
    assert found is not None
    assert found.status == "running"  # for somebody to take it over, or to find it lost


def test_a_script_that_crashes_has_failed_its_session(url: str) -> None:
    run_script("crashing", url, code=1)
    assert [entry["type"] for entry in entries_in(url, "crashing")] == [
        "session.started",
        "log.message",
        "session.failed",
    ]


def test_a_process_that_forks_goes_on_and_so_does_its_child(url: str) -> None:
    run_script("forked", url)
    assert numbers_in(url, "parent") == [1, 2, 3]
    assert numbers_in(url, "child") == [1, 2]
    for session_id in ("parent", "child"):
        assert entries_in(url, session_id)[-1]["type"] == "session.completed"


def test_workers_that_are_forked_off_share_a_registry_of_their_parent(url: str) -> None:
    run_script("pooled", url)
    assert numbers_in(url, "boss") == [1, 2]
    for number in range(4):
        assert numbers_in(url, f"worker-{number}") == list(range(1, 101))
        assert entries_in(url, f"worker-{number}")[-1]["type"] == "session.completed"
