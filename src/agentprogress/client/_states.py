"""The states of a client, and what leads from one to the next, as a table.

What the table does not list is illegal: it raises and changes nothing.
"""

from __future__ import annotations

from enum import Enum, StrEnum

__all__ = ["FollowState", "Happening", "IllegalHappening", "next_state"]


class FollowState(StrEnum):
    """How a client stands with the server, apart from the session's own status."""

    IDLE = "idle"
    """Not entered yet."""
    CONNECTING = "connecting"
    """The first attempt."""
    REPLAYING = "replaying"
    """Welcomed, behind the head of that moment."""
    LIVE = "live"
    """Caught up."""
    RECONNECTING = "reconnecting"
    """Cut: waiting, or trying again."""
    ENDED = "ended"
    """The session ended and everything of it is here."""
    GAVE_UP = "gave_up"
    """Coming back cannot help, or was not to be tried any more."""


class Happening(Enum):
    """What changes a state."""

    DIALLED = "dialled"
    WELCOMED = "welcomed"
    CAUGHT_UP = "caught_up"
    CUT = "cut"
    ENDED = "ended"
    GAVE_UP = "gave_up"


class IllegalHappening(Exception):
    """The table has no such step; nothing was changed."""


_I, _C, _R, _L = (
    FollowState.IDLE,
    FollowState.CONNECTING,
    FollowState.REPLAYING,
    FollowState.LIVE,
)
_B, _E, _G = FollowState.RECONNECTING, FollowState.ENDED, FollowState.GAVE_UP

_NEXT: dict[tuple[FollowState, Happening], FollowState] = {
    (_I, Happening.DIALLED): _C,
    (_C, Happening.DIALLED): _C,  # another transport
    (_C, Happening.WELCOMED): _R,
    (_C, Happening.CUT): _B,
    (_C, Happening.ENDED): _E,
    (_C, Happening.GAVE_UP): _G,
    (_R, Happening.DIALLED): _R,  # the next page
    (_R, Happening.WELCOMED): _R,
    (_R, Happening.CAUGHT_UP): _L,
    (_R, Happening.CUT): _B,
    (_R, Happening.ENDED): _E,
    (_R, Happening.GAVE_UP): _G,
    (_L, Happening.DIALLED): _L,
    (_L, Happening.WELCOMED): _L,
    (_L, Happening.CAUGHT_UP): _L,
    (_L, Happening.CUT): _B,
    (_L, Happening.ENDED): _E,
    (_L, Happening.GAVE_UP): _G,
    (_B, Happening.DIALLED): _B,
    (_B, Happening.WELCOMED): _R,
    (_B, Happening.CUT): _B,
    (_B, Happening.ENDED): _E,
    (_B, Happening.GAVE_UP): _G,
}


def next_state(state: FollowState, what: Happening) -> FollowState:
    """Returns the state that follows.

    Raises:
        IllegalHappening: it cannot happen in this state.
    """
    try:
        return _NEXT[state, what]
    except KeyError:
        raise IllegalHappening(f"{what.value} while {state.value}") from None
