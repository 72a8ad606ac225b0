"""The phases of a connection, and what may happen in each, as tables.

What they do not list is illegal: it raises and changes nothing.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["IllegalInput", "Input", "Phase", "next_phase"]


class Phase(Enum):
    """How far a connection is."""

    JOINING = "joining"
    """Nothing has been said."""
    OPEN = "open"
    """Frames flow."""
    CLOSING = "closing"
    """The last frame and the close are queued."""
    CLOSED = "closed"
    """The close has been handed out; the peer has yet to answer it."""
    GONE = "gone"
    """Over: nothing may be written or read."""


class Input(Enum):
    """What can happen to a connection."""

    JOINED = "joined"
    EVENTS = "events"
    MISSED = "missed"
    SNAPSHOT = "snapshot"
    ENDED = "ended"
    PAUSED = "paused"
    RETURNED = "returned"
    REFUSED = "refused"
    FRAME = "frame"
    HEARTBEAT = "heartbeat"
    WRITING = "writing"
    WROTE = "wrote"
    TIME = "time"
    TAKEN = "taken"  # the close
    LEFT = "left"


_J, _O, _CG, _CD, _G = Phase.JOINING, Phase.OPEN, Phase.CLOSING, Phase.CLOSED, Phase.GONE

_TRANSITIONS: dict[tuple[Phase, Input], Phase] = {
    (_J, Input.JOINED): _O,
    (_J, Input.REFUSED): _CG,
    (_J, Input.LEFT): _G,
    (_O, Input.EVENTS): _O,
    (_O, Input.MISSED): _O,
    (_O, Input.SNAPSHOT): _O,
    (_O, Input.HEARTBEAT): _O,
    (_O, Input.FRAME): _O,
    (_O, Input.WRITING): _O,
    (_O, Input.WROTE): _O,
    (_O, Input.TIME): _O,
    (_O, Input.ENDED): _CG,
    (_O, Input.PAUSED): _CG,
    (_O, Input.RETURNED): _CG,
    (_O, Input.REFUSED): _CG,
    (_O, Input.LEFT): _G,
    (_CG, Input.WRITING): _CG,
    (_CG, Input.WROTE): _CG,
    (_CG, Input.TIME): _CG,
    (_CG, Input.TAKEN): _CD,
    (_CG, Input.LEFT): _G,
    (_CD, Input.WRITING): _CD,
    (_CD, Input.WROTE): _CD,
    (_CD, Input.TIME): _CD,
    (_CD, Input.LEFT): _G,
}

# What comes too late through nobody's fault: the client, the clock and a drain know of no phase.
_LATE = frozenset({Input.FRAME, Input.HEARTBEAT, Input.RETURNED, Input.REFUSED})
_IGNORED: dict[Phase, frozenset[Input]] = {
    _J: frozenset({Input.TIME, Input.RETURNED}),
    _O: frozenset(),
    _CG: _LATE,
    _CD: _LATE,
    _G: _LATE | {Input.WROTE, Input.TIME, Input.LEFT},
}


class IllegalInput(Exception):
    """A driver told something that cannot happen in this phase; nothing was changed."""


def next_phase(phase: Phase, what: Input) -> Phase | None:
    """Returns the phase that an input leads to; None when it comes too late to matter.

    Raises:
        IllegalInput: it cannot happen in this phase.
    """
    following = _TRANSITIONS.get((phase, what))
    if following is None and what not in _IGNORED[phase]:
        raise IllegalInput(f"{what.value} cannot happen to a connection that is {phase.value}.")
    return following
