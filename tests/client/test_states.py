from __future__ import annotations

import pytest

from agentprogress.client import FollowState
from agentprogress.client._states import Happening, IllegalHappening, next_state

# Written anew from the protocol: one line a state, what leads where.
_EXPECTED = """
idle          dialled=connecting
connecting    dialled=connecting    welcomed=replaying cut=reconnecting ended=ended gave_up=gave_up
replaying     dialled=replaying     welcomed=replaying caught_up=live cut=reconnecting ended=ended
              gave_up=gave_up
live          dialled=live          welcomed=live caught_up=live cut=reconnecting ended=ended
              gave_up=gave_up
reconnecting  dialled=reconnecting  welcomed=replaying cut=reconnecting ended=ended gave_up=gave_up
ended
gave_up
"""


def expected() -> dict[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    state = ""
    for word in _EXPECTED.split():
        what, leads, after = word.partition("=")
        if leads:
            table[state, what] = after
        else:
            state = what
    return table


EVERY = [(state, what) for state in FollowState for what in Happening]


@pytest.mark.parametrize(("state", "what"), EVERY)
def test_every_happening_leads_where_the_table_says_or_is_illegal(
    state: FollowState, what: Happening
) -> None:
    after = expected().get((state.value, what.value))
    if after is None:
        with pytest.raises(IllegalHappening, match=f"{what.value} while {state.value}"):
            next_state(state, what)
    else:
        assert next_state(state, what) is FollowState(after)


def test_the_end_and_giving_up_are_final() -> None:
    final = {state.value for state in FollowState} - {state for state, _ in expected()}
    assert final == {"ended", "gave_up"}


def test_the_states_are_those_that_the_protocol_names() -> None:
    assert [state.value for state in FollowState] == [
        "idle",
        "connecting",
        "replaying",
        "live",
        "reconnecting",
        "ended",
        "gave_up",
    ]
