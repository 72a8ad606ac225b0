from __future__ import annotations

from math import inf, nan
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress.client._verdicts import Verdict, judge_answer, judge_close, judge_frame
from agentprogress.client._wire import Answer
from agentprogress.codes import CODES
from agentprogress.errors import FollowErrorKind

from .hostile import JSON_AND_MORE
from .line import error, problem

KINDS = get_args(FollowErrorKind)


@pytest.mark.parametrize("name", CODES)
def test_a_code_means_the_same_as_a_frame_a_problem_and_a_close(name: str) -> None:
    by_frame = judge_frame(error(name))
    by_problem = judge_answer(problem(500, name))
    by_close = judge_close(CODES[name].websocket)
    assert by_frame.verdict is by_problem.verdict is by_close.verdict
    for judgement in (by_frame, by_problem, by_close):
        assert judgement.error.kind == by_frame.error.kind
        assert judgement.error.protocol_code == name
        assert judgement.error.retryable == CODES[name].retryable


def test_an_error_says_the_servers_sentence_and_where_it_was_said() -> None:
    found = judge_answer(problem(403, "forbidden", title="Title.", detail="Detail.")).error
    assert (str(found), found.status, found.close_code) == ("Detail.", 403, None)
    found = judge_answer(problem(403, "forbidden", title="Title.", detail=7)).error
    assert str(found) == "Title."
    found = judge_answer(problem(403, "forbidden")).error
    assert str(found) == "The server answered 403."
    found = judge_close(4410).error
    assert (str(found), found.close_code) == (CODES["session_gone"].sentence, 4410)
    assert str(judge_frame(error("forbidden")).error) == "Why."


@pytest.mark.parametrize("retryable", [True, False, None, 1, "true"])
def test_a_code_that_is_not_known_is_judged_by_retryable_alone(retryable: Any) -> None:
    expected = Verdict.COME_BACK if retryable is True else Verdict.GIVE_UP
    assert judge_frame({**error("of_later"), "retryable": retryable}).verdict is expected
    assert judge_answer(problem(418, "of_later", retryable=retryable)).verdict is expected


def test_a_known_code_is_judged_by_the_table_whatever_the_frame_says() -> None:
    assert judge_frame(error("forbidden", retryable=True)).verdict is Verdict.GIVE_UP
    assert judge_frame(error("internal", retryable=False)).verdict is Verdict.COME_BACK


@pytest.mark.parametrize("code", [4402, 4411, 4499])
def test_a_44xx_that_is_not_known_says_not_to_come_back(code: int) -> None:
    judgement = judge_close(code)
    assert judgement.verdict is Verdict.GIVE_UP
    assert (judgement.error.kind, judgement.error.retryable) == ("protocol", False)
    assert str(code) in str(judgement.error)


@pytest.mark.parametrize("code", [None, 0, 1000, 1006, 3999, 4103, 4399, 4500, 65_535])
def test_every_other_close_is_a_cut(code: int | None) -> None:
    judgement = judge_close(code)
    assert judgement.verdict is Verdict.COME_BACK
    assert (judgement.error.kind, judgement.error.close_code) == ("network", code)


def test_a_reconnect_is_drawn_for_this_client() -> None:
    judgement = judge_frame({"type": "reconnect", "retry_after": 2.5})
    assert (judgement.verdict, judgement.retry_after) == (Verdict.COME_BACK, 2.5)
    assert judgement.drawn


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(2, 2.0), (0.5, 0.5), (0, 0.0), (-1, 0.0), (None, 0.0), ("2", 0.0), ([2], 0.0), (nan, 0.0)],
)
def test_retry_after_is_a_number_of_seconds_or_none(said: Any, seconds: float) -> None:
    for judgement in (
        judge_frame(error("internal", retry_after=said)),
        judge_answer(problem(503, "internal", retry_after=said)),
    ):
        assert judgement.retry_after == seconds
        assert not judgement.drawn


@pytest.mark.parametrize("said", [10**400, inf])
def test_a_retry_after_beyond_every_number_is_a_long_one(said: float) -> None:
    assert judge_frame(error("internal", retry_after=said)).retry_after > 900


def test_the_header_counts_where_no_problem_says_better() -> None:
    header = Answer(503, None, 7.0, "text/html")
    assert judge_answer(header).retry_after == 7.0
    both = problem(503, "internal", retry_after=2)._replace(retry_after=7.0)
    assert judge_answer(both).retry_after == 2.0
    only = problem(503, "internal")._replace(retry_after=7.0)
    assert judge_answer(only).retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "protocol"),
        (302, "protocol"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "unknown_session"),
        (407, "unauthorized"),
        (408, "timeout"),
        (410, "gone"),
        (429, "overloaded"),
        (500, "server"),
        (502, "server"),
        (504, "timeout"),
        (599, "server"),
    ],
)
def test_an_answer_of_somebody_else_may_pass(status: int, kind: str) -> None:
    judgement = judge_answer(Answer(status, None, None, "text/html; charset=utf-8"))
    assert judgement.verdict is Verdict.COME_BACK
    assert (judgement.error.kind, judgement.error.status) == (kind, status)
    assert judgement.error.protocol_code is None
    assert f"answered {status} (text/html)" in str(judgement.error)


@pytest.mark.parametrize("code", [None, 7, ["internal"]])
def test_a_problem_without_a_code_is_not_the_servers(code: Any) -> None:
    judgement = judge_answer(Answer(404, {"title": "Not Found", "code": code}))
    assert judgement.verdict is Verdict.COME_BACK
    assert "Something that is not agentprogress answered 404 (nothing)" in str(judgement.error)


@given(
    st.integers(100, 599),
    st.none() | st.dictionaries(st.sampled_from(["code", "detail", "retry_after"]), JSON_AND_MORE),
    st.none() | st.floats(),
)
def test_every_answer_has_a_verdict_and_a_sentence(
    status: int, body: dict[str, Any] | None, header: float | None
) -> None:
    judgement = judge_answer(Answer(status, body, header, "text/html"))
    assert judgement.error.kind in KINDS
    assert str(judgement.error)
    assert judgement.retry_after >= 0
