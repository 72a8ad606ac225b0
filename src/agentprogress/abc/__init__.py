"""Contracts that other parts are written against: a clock, and a durable store of sessions."""

from __future__ import annotations

from .._core.states import SessionStatus
from ._store import Listener, Store
from ._time import Clock
from ._values import (
    Append,
    Appended,
    Claim,
    Ending,
    Expected,
    Lease,
    Log,
    Overdue,
    Position,
    Refusal,
    Refused,
    Stored,
    Trim,
)

__all__ = [
    "Append",
    "Appended",
    "Claim",
    "Clock",
    "Ending",
    "Expected",
    "Lease",
    "Listener",
    "Log",
    "Overdue",
    "Position",
    "Refusal",
    "Refused",
    "SessionStatus",
    "Store",
    "Stored",
    "Trim",
]
