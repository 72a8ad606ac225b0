"""Results: any JSON, pydantic models, dataclasses; bounded; kept beside the log."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from agentprogress import SessionRegistry, Settings
from agentprogress.errors import SessionConflict
from tests.kit import on_virtual_time


class Report(BaseModel):
    title: str
    pages: list[int]


@dataclasses.dataclass
class Point:
    x: float
    at: datetime.date


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, None),
        (0, 0),
        ({"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
        (Report(title="t", pages=[1, 2]), {"title": "t", "pages": [1, 2]}),
        (Point(1.5, datetime.date(2026, 1, 2)), {"x": 1.5, "at": "2026-01-02"}),
        ([Point(float("nan"), datetime.date(2026, 1, 2))], [{"x": None, "at": "2026-01-02"}]),
        ({1: {2}}, {"1": [2]}),
        (2**60, str(2**60)),
    ],
)
def test_results_are_kept_as_json(result: Any, expected: Any) -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        session.complete(result)
    assert registry.result("job") == expected
    assert registry.snapshot("job").result == expected


def test_a_large_result_is_announced_and_kept_beside_the_log() -> None:
    registry, _ = on_virtual_time()
    large = "x" * 100_000
    with registry.open(session_id="job") as session:
        session.complete(large)
    snapshot = registry.snapshot("job")
    assert (snapshot.result, snapshot.result_bytes) == (None, 100_002)
    assert registry.result("job") == large
    assert registry.stats().held_bytes > 100_000


def test_a_result_over_the_limit_fails_the_session() -> None:
    registry = SessionRegistry(Settings(max_result_bytes=32 * 1024))
    with registry.open(session_id="job") as session:
        session.complete("x" * 40_000)
    assert registry.get("job").status == "failed"
    error = registry.snapshot("job").error
    assert error is not None
    assert error.code == "result_refused"
    with pytest.raises(SessionConflict, match="no result"):
        registry.result("job")


def test_what_has_no_json_form_becomes_its_repr() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        session.complete({"client": object()})
    assert registry.result("job")["client"].startswith("<object object")


def test_the_last_result_recorded_counts() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job") as session:
        session.complete(1)
        session.complete(2)
        assert session.result == 2
    assert registry.result("job") == 2


def test_a_session_that_failed_has_no_result() -> None:
    registry, _ = on_virtual_time()
    with pytest.raises(ZeroDivisionError), registry.open(session_id="job") as session:
        session.complete("half")
        raise ZeroDivisionError
    with pytest.raises(SessionConflict, match="failed"):
        registry.result("job")


def test_a_running_session_has_no_result_yet() -> None:
    registry, _ = on_virtual_time()
    with registry.open(session_id="job"), pytest.raises(SessionConflict, match="running"):
        registry.result("job")
