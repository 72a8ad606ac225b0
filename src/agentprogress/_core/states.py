"""The states of a session as one table: what it does not list is illegal and changes nothing."""

from __future__ import annotations

from enum import StrEnum

from ..errors import IllegalTransition

__all__ = ["TERMINAL", "TERMINAL_EVENTS", "SessionStatus", "StepStatus", "next_status"]


class SessionStatus(StrEnum):
    """Where a session is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """True once the terminal event is stored."""
        return self in TERMINAL


class StepStatus(StrEnum):
    """Where a step is in its life; its session's verdict replaces `RUNNING` and `PLANNED`."""

    PLANNED = "planned"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    INTERRUPTED = "interrupted"


_P, _R, _W = SessionStatus.PENDING, SessionStatus.RUNNING, SessionStatus.WAITING

TERMINAL = frozenset(
    {
        SessionStatus.COMPLETED,
        SessionStatus.FAILED,
        SessionStatus.CANCELLED,
        SessionStatus.LOST,
    }
)

TERMINAL_EVENTS = {
    "session.completed": SessionStatus.COMPLETED,
    "session.failed": SessionStatus.FAILED,
    "session.cancelled": SessionStatus.CANCELLED,
    "session.lost": SessionStatus.LOST,
}

_TRANSITIONS: dict[tuple[SessionStatus, str], SessionStatus] = {
    (_P, "session.started"): _R,
    (_P, "session.failed"): SessionStatus.FAILED,
    (_P, "session.cancelled"): SessionStatus.CANCELLED,
    (_P, "session.lost"): SessionStatus.LOST,
    # Another owner goes on with what a dead one has left.
    (_R, "session.resumed"): _R,
    (_R, "session.waiting"): _W,
    (_R, "session.retrying"): _P,
    (_R, "session.completed"): SessionStatus.COMPLETED,
    (_R, "session.failed"): SessionStatus.FAILED,
    (_R, "session.cancelled"): SessionStatus.CANCELLED,
    (_R, "session.lost"): SessionStatus.LOST,
    (_W, "session.resumed"): _R,
    (_W, "session.failed"): SessionStatus.FAILED,
    (_W, "session.cancelled"): SessionStatus.CANCELLED,
}


def next_status(status: SessionStatus, event_type: str) -> SessionStatus:
    """Returns the state after an event.

    Raises:
        IllegalTransition: the table has no row for the pair.
    """
    try:
        return _TRANSITIONS[status, event_type]
    except KeyError:
        raise IllegalTransition(status, event_type) from None
