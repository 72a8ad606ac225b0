"""What a machine asks of a store, as it is drawn: most of it by the rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .._core.states import SessionStatus
from ..abc import Ending

__all__ = [
    "AGE",
    "APPENDS",
    "CONNECTION",
    "ENDED",
    "ENDINGS",
    "ID",
    "IDS",
    "KEPT",
    "LIVE",
    "LIVES",
    "LONG",
    "OWNERS",
    "PAST_SOON",
    "SOON",
    "STEP",
    "mostly",
]

IDS = ("a", "b")
OWNERS = (None, "me", "you")
LIVE = [each for each in SessionStatus if not each.ended]
ENDED = [each for each in SessionStatus if each.ended]

# What runs out soon has run out before anything else is asked, so that it does not matter how long
# asking takes where time is real. The rest of the time is moved in steps that end at no deadline.
SOON, PAST_SOON, LONG = 0.02, 0.04, 600.0
STEP, AGE = 410.0, 300.0

KEPT = st.sampled_from([LONG, LONG, SOON])


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draws the usual value eight times out of nine: most of what is asked should be granted."""
    return st.sampled_from([usual] * 8 * len(others) + list(others))


LIVES = mostly(LONG, SOON)
APPENDS = st.fixed_dictionaries(
    {
        "entries": st.integers(0, 5),
        "epoch": mostly(True, False),
        "fence": st.sampled_from([None, None, 0, 0, 0, 0, -1, 1]),
        "known_head": mostly(None, 0, 1),
        "max_events": mostly(None, 3, 12),
        "max_bytes": mostly(None, 0, 90),
        "producer": st.sampled_from(["", "p", "q"]),
        "skip": mostly(1, 3),
        "once": st.sampled_from([None, None, None, "k", "l"]),
        "only": mostly((), frozenset(LIVE), frozenset({SessionStatus.WAITING})),
        "lapsed": mostly(None, 0.0, AGE),
        "at_head": mostly(None, 0, 0, -1),
        "status": mostly(None, *LIVE),
        "lease": mostly(None, 0.0, SOON, LONG),
        "details": st.booleans(),
    }
)
ENDINGS = st.builds(
    Ending,
    ended_at=st.just("2025-06-15T15:06:41.000Z"),
    state=st.sampled_from([b"{}", b"state"]),
    result=st.sampled_from([None, b"", b"result"]),
    history_ttl=KEPT,
    result_ttl=KEPT,
    tombstone_ttl=KEPT,
)
ID = st.sampled_from(IDS)
CONNECTION = st.integers(0, 1)
