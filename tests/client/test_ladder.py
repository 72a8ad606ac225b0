from __future__ import annotations

import pytest

from agentprogress.client import Transport
from agentprogress.client._ladder import Advice, Ladder

from .line import SETTINGS

MOST = SETTINGS.max_short_streams
NOW = 100.0


@pytest.mark.parametrize(
    ("spelled", "transport"),
    [
        ("websocket", Transport.WEBSOCKET),
        ("WebSocket", Transport.WEBSOCKET),
        ("SSE", Transport.SSE),
        ("longpoll", Transport.LONG_POLL),
        ("long_poll", Transport.LONG_POLL),
        ("Long-Poll", Transport.LONG_POLL),
        (Transport.SSE, Transport.SSE),
    ],
)
def test_case_and_hyphen_do_not_matter(spelled: str, transport: Transport) -> None:
    assert Ladder(spelled, SETTINGS).transport is transport


@pytest.mark.parametrize("spelled", ["", "polling", "ws", "auto,sse"])
def test_another_transport_is_refused_with_those_there_are(spelled: str) -> None:
    with pytest.raises(ValueError, match="there are auto, websocket, sse, long-poll"):
        Ladder(spelled, SETTINGS)


def test_websocket_comes_first_then_events_then_pages() -> None:
    ladder, seen = Ladder("auto", SETTINGS), []
    while True:
        seen.append(ladder.transport)
        if not ladder.step_down(Advice.SHORT, NOW, sure=False):
            break
    assert seen == [Transport.WEBSOCKET, Transport.SSE, Transport.LONG_POLL]
    assert ladder.transport is Transport.LONG_POLL


@pytest.mark.parametrize("transport", Transport)
def test_who_names_a_transport_stays_with_it(transport: Transport) -> None:
    ladder = Ladder(transport, SETTINGS)
    assert not ladder.step_down(Advice.NO_UPGRADE, NOW, sure=True)
    assert not any(ladder.cut_short(Advice.SHORT, NOW) for _ in range(2 * MOST))
    assert (ladder.transport, ladder.notice) == (transport, None)


@pytest.mark.parametrize(
    ("advice", "fix"),
    [
        (Advice.NO_UPGRADE, "proxy_set_header Upgrade $http_upgrade"),
        (Advice.HELD_BACK, "proxy_buffering off"),
        (Advice.SHORT, "several times in a row"),
        (Advice.SWALLOWED, "passes nothing on"),
    ],
)
def test_each_step_down_is_told_with_its_reason_and_the_fix(advice: Advice, fix: str) -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(advice, NOW, sure=True)
    assert ladder.notice is not None
    assert ladder.notice.startswith("Following by sse instead of websocket: ")
    assert fix in ladder.notice


def test_three_short_connections_in_a_row_are_enough() -> None:
    ladder = Ladder("auto", SETTINGS)
    assert [ladder.cut_short(Advice.SHORT, NOW) for _ in range(MOST)] == [False, False, True]
    assert ladder.transport is Transport.SSE


def test_one_that_lasted_begins_the_count_anew() -> None:
    ladder = Ladder("auto", SETTINGS)
    for _ in range(MOST):
        assert not any(ladder.cut_short(Advice.SHORT, NOW) for _ in range(MOST - 1))
        ladder.lasted()
    assert ladder.transport is Transport.WEBSOCKET


def test_the_next_transport_has_a_count_of_its_own() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.cut_short(Advice.SHORT, NOW)
    ladder.step_down(Advice.NO_UPGRADE, NOW, sure=True)
    assert not any(ladder.cut_short(Advice.SHORT, NOW) for _ in range(MOST - 1))


LATER = NOW + SETTINGS.transport_retry_interval


def test_a_transport_that_was_only_doubted_is_tried_again_later() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(Advice.SHORT, NOW, sure=False)
    ladder.step_down(Advice.HELD_BACK, NOW, sure=False)
    assert not ladder.climb(LATER - 1)
    assert ladder.climb(LATER)
    assert ladder.transport is Transport.WEBSOCKET
    assert not ladder.climb(LATER + 1)


def test_one_that_is_ruled_out_is_not_tried_again() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(Advice.NO_UPGRADE, NOW, sure=True)
    assert not ladder.climb(LATER)
    ladder.step_down(Advice.SHORT, NOW, sure=False)
    assert ladder.climb(LATER)
    assert ladder.transport is Transport.SSE


def test_the_same_step_down_is_told_once() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(Advice.SHORT, NOW, sure=False)
    assert ladder.notice is not None
    ladder.notice = None
    ladder.climb(LATER)
    ladder.step_down(Advice.SHORT, LATER, sure=False)
    assert ladder.notice is None


def test_what_is_ruled_out_below_a_doubted_one_stays_so() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(Advice.SWALLOWED, NOW, sure=False)
    ladder.step_down(Advice.HELD_BACK, NOW, sure=True)
    assert ladder.climb(LATER)
    told = [str(ladder.transport)]
    ladder.step_down(Advice.SWALLOWED, LATER, sure=False)
    assert [*told, str(ladder.transport)] == ["websocket", "long-poll"]


def test_each_climb_in_vain_doubles_the_time_to_the_next() -> None:
    ladder = Ladder("auto", SETTINGS)
    ladder.step_down(Advice.SHORT, NOW, sure=False)
    assert ladder.climb(LATER)
    ladder.step_down(Advice.SHORT, LATER, sure=False)
    assert not ladder.climb(LATER + SETTINGS.transport_retry_interval)
    assert ladder.climb(LATER + 2 * SETTINGS.transport_retry_interval)
