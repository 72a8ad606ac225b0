from __future__ import annotations

import pytest

from agentprogress._core.states import TERMINAL, TERMINAL_EVENTS, SessionStatus, next_status
from agentprogress.errors import IllegalTransition

# Written out once more by hand, from the design's words.
LEGAL = {
    ("pending", "session.started"): "running",
    ("pending", "session.failed"): "failed",
    ("pending", "session.cancelled"): "cancelled",
    ("pending", "session.lost"): "lost",
    ("running", "session.resumed"): "running",
    ("running", "session.waiting"): "waiting",
    ("running", "session.retrying"): "pending",
    ("running", "session.completed"): "completed",
    ("running", "session.failed"): "failed",
    ("running", "session.cancelled"): "cancelled",
    ("running", "session.lost"): "lost",
    ("waiting", "session.resumed"): "running",
    ("waiting", "session.failed"): "failed",
    ("waiting", "session.cancelled"): "cancelled",
}
EVENTS = sorted(
    {event for _, event in LEGAL} | {"log.message", "step.started", "", "session.paused"}
)
ILLEGAL = [(s, event) for s in SessionStatus for event in EVENTS if (s.value, event) not in LEGAL]


@pytest.mark.parametrize(("status", "event"), LEGAL)
def test_each_legal_event_leads_to_its_state(status: str, event: str) -> None:
    assert next_status(SessionStatus(status), event) == LEGAL[status, event]


@pytest.mark.parametrize(("status", "event"), ILLEGAL)
def test_every_other_event_is_illegal_and_says_so(status: SessionStatus, event: str) -> None:
    with pytest.raises(IllegalTransition) as caught:
        next_status(status, event)
    assert (caught.value.status, caught.value.event_type) == (status, event)
    assert str(caught.value) == f"{event} does not apply to a session that is {status.value}."


def test_nothing_leads_out_of_an_ended_state() -> None:
    assert {status for status in SessionStatus if status.ended} == TERMINAL
    assert all(SessionStatus(status) not in TERMINAL for status, _ in LEGAL)


def test_each_ended_state_has_one_terminal_event() -> None:
    assert set(TERMINAL_EVENTS.values()) == TERMINAL
    assert len(TERMINAL_EVENTS) == len(TERMINAL)
