"""What the tests of a store are written with."""

from __future__ import annotations

import threading

import pytest

from agentprogress.testing._store_case import at_once


def test_jobs_run_together_and_their_answers_keep_their_order() -> None:
    both = threading.Barrier(2)
    assert [each > -1 for each in at_once([lambda: both.wait(10), lambda: both.wait(10)])] == [
        True,
        True,
    ]
    assert at_once([lambda: "a", lambda: "b"]) == ["a", "b"]


def test_what_a_job_raises_is_raised() -> None:
    def fail() -> int:
        raise LookupError("why")

    with pytest.raises(LookupError, match="why"):
        at_once([lambda: 1, fail])
