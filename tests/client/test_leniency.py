from __future__ import annotations

import pytest

from agentprogress.client._leniency import Leniency
from agentprogress.client._verdicts import Verdict
from agentprogress.client._wire import Answer

from .line import SETTINGS, problem

GRACE = SETTINGS.unknown_timeout
FOREIGN = Answer(404, content_type="text/html")


def verdict(of: Leniency, answer: Answer, now: float, *, may_renew: bool = False) -> Verdict:
    return of.judge(answer, now, may_renew=may_renew).verdict


@pytest.mark.parametrize("code", ["session_unknown", "wrong_process"])
def test_an_unknown_session_has_its_time_from_the_first_answer_since_a_welcome(code: str) -> None:
    status = {"session_unknown": 404, "wrong_process": 421}[code]
    made = Leniency(SETTINGS, was_welcomed=True)
    assert verdict(made, problem(status, code), 50.0) is Verdict.COME_BACK
    made.other()
    assert verdict(made, problem(status, code), 50.0 + GRACE - 0.01) is Verdict.COME_BACK
    made.welcomed()
    assert verdict(made, problem(status, code), 50.0 + GRACE) is Verdict.COME_BACK
    judgement = made.judge(problem(status, code), 50.0 + 2 * GRACE, may_renew=False)
    assert judgement.verdict is Verdict.GIVE_UP
    assert "restarted without a durable store" in str(judgement.error)


def test_an_unknown_session_has_no_time_without_a_welcome() -> None:
    assert verdict(Leniency(SETTINGS), problem(404, "session_unknown"), 0.0) is Verdict.GIVE_UP


def test_others_than_the_server_are_given_up_after_they_alone_have_answered_for_so_long() -> None:
    made = Leniency(SETTINGS)
    assert verdict(made, FOREIGN, 10.0) is Verdict.COME_BACK
    assert verdict(made, FOREIGN, 10.0 + GRACE) is Verdict.GIVE_UP


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 521])
def test_what_passes_begins_the_time_of_strangers_anew(status: int) -> None:
    made = Leniency(SETTINGS)
    verdict(made, FOREIGN, 0.0)
    assert verdict(made, Answer(status), GRACE / 2) is Verdict.COME_BACK
    assert verdict(made, FOREIGN, GRACE) is Verdict.COME_BACK


def test_strangers_are_waited_out_after_a_welcome() -> None:
    made = Leniency(SETTINGS, was_welcomed=True)
    assert verdict(made, FOREIGN, 0.0) is Verdict.COME_BACK
    assert verdict(made, FOREIGN, 100 * GRACE) is Verdict.COME_BACK


def test_an_applications_own_401_is_worth_another_token() -> None:
    made = Leniency(SETTINGS)
    assert verdict(made, Answer(401), 0.0, may_renew=True) is Verdict.NEW_TOKEN
    assert verdict(made, Answer(401), 0.0) is Verdict.COME_BACK


def test_204_is_judged_at_once_whatever_came_before() -> None:
    made = Leniency(SETTINGS)
    verdict(made, FOREIGN, 0.0)
    assert verdict(made, Answer(204), GRACE + 1) is Verdict.DONE
