"""The shared vectors of frames and codes, held against this client: what it does after each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agentprogress.client import FollowState
from agentprogress.client._follower import Follower
from agentprogress.client._held import Held
from agentprogress.client._steps import Dial, FollowerOptions, Over, Rest
from agentprogress.client._verdicts import judge_answer, judge_close, judge_frame
from agentprogress.client._wire import Answer, Malformed, read_frame, read_frames
from agentprogress.codes import CODES
from agentprogress.events import UnknownEvent

from ..test_vectors import each
from .line import EPOCH, SESSION, SETTINGS, end, welcome

Json = dict[str, Any]


def client(transport: str = "websocket", **options: Any) -> Follower:
    """Returns a client with an open connection."""
    chosen = FollowerOptions(transport=transport, **options)
    follower = Follower(SESSION, chosen, SETTINGS, lambda: 0.5)
    follower.next(0.0)
    follower.opened(0.0)
    return follower


def welcomed(follower: Follower) -> Follower:
    """Lets the welcome to an empty log come."""
    resume = "fresh" if follower.cursor is None else "exact"
    follower.received(message(welcome(0, resume), follower.transport), 0.0)
    assert follower.state is FollowState.LIVE
    return follower


def message(frame: Json, over: str) -> str:
    """Returns a frame as one message of a transport."""
    return f"data: {json.dumps(frame)}\n\n" if over == "sse" else json.dumps([frame])


# Frames


@each("frames", "unknown", "why")
@pytest.mark.parametrize("over", ["websocket", "sse"])
def test_an_event_that_is_unknown_is_kept_as_that_and_moves_the_position(
    case: Json, over: str
) -> None:
    follower, held, item = client(over), Held(None, SETTINGS), None
    for frame in (welcome(), case["wire"]):
        for delivery in follower.received(message(frame, over), 0.0).deliveries:
            item = held.take(delivery)
    assert isinstance(item, UnknownEvent)
    assert follower.cursor == held.cursor == f"{EPOCH}-1"
    assert held.snapshot is not None
    assert held.snapshot.seq == 1


@each("frames", "ignored", "why")
@pytest.mark.parametrize("over", ["websocket", "sse"])
def test_a_frame_that_is_not_meant_for_the_client_changes_nothing(case: Json, over: str) -> None:
    follower = welcomed(client(over))
    assert follower.received(message(case["wire"], over), 0.0) == ([], 0, False)
    assert (follower.state, follower.cursor) == (FollowState.LIVE, f"{EPOCH}-0")


@each("frames", "protocol_errors", "why")
def test_after_a_message_that_breaks_the_framing_a_client_comes_back(case: Json) -> None:
    text, sse = case["text"], case["over"] == "sse"
    with pytest.raises(Malformed):
        read_frame(text) if sse else read_frames(text)
    if sse and not text:
        return  # such a message is not dispatched
    follower = welcomed(client(case["over"]))
    follower.received(f"data: {text}\n\n" if sse else text, 1.0)
    assert follower.state is FollowState.RECONNECTING
    assert follower.error is not None
    assert (follower.error.kind, follower.cursor) == ("protocol", f"{EPOCH}-0")
    assert isinstance(follower.next(1.0), Rest)


@each("frames", "give_up", "why")
def test_another_version_is_told_from_nonsense(case: Json) -> None:
    follower = client(case["over"])
    follower.received(case["text"], 0.0)
    assert follower.state is FollowState.GAVE_UP
    assert isinstance(follower.next(0.0), Over)


# Codes


def action_after(tell: Callable[[Follower], object], transport: str) -> str:
    """Returns what a client that can have a new token does, as the vectors name it.

    One is told that was never welcome, and one that was: they differ where there is a grace.
    """
    brought = {"after": f"{EPOCH}-0", "can_renew": True}
    never, was = client(transport, **brought), client(transport, **brought)
    welcomed(was)
    tell(never)
    tell(was)
    if never.state is FollowState.GAVE_UP and was.state is FollowState.RECONNECTING:
        return "unknown_grace"
    assert never.state is was.state
    match was.next(0.0):
        case Over(error):
            return "done" if error is None else "give_up"
        case Dial(renew_token=renew):
            assert renew
            return "new_token"
        case Rest():
            return "come_back"


@each("close_codes", "codes")
def test_a_code_tells_what_to_do(case: Json) -> None:
    name, retryable, action = case["name"], case["retryable"], case["action"]
    frame = {"type": "error", "code": name, "message": "Why.", "retryable": retryable}
    assert judge_frame(frame).verdict.value == action
    told = message(frame, "websocket")
    assert action_after(lambda client: client.received(told, 0.0), "websocket") == action
    # The close alone tells the same as the frame before it.
    close = case["websocket"]
    assert judge_close(close).verdict.value == action
    assert action_after(lambda client: client.closed(close, 0.0), "websocket") == action
    if case["http"] is not None:
        answer = Answer(case["http"], {"code": name, "retryable": retryable})
        assert judge_answer(answer).verdict.value == action
        assert action_after(lambda client: client.refused(answer, 0.0), "sse") == action
    if CODES[name].retry == "new_token":
        assert action == "new_token"


@each("close_codes", "codes")
def test_a_code_that_asks_for_a_token_gives_up_without_one(case: Json) -> None:
    follower = client("sse")
    follower.refused(Answer(401, {"code": case["name"], "retryable": case["retryable"]}), 0.0)
    comes_back = case["action"] == "come_back"
    assert follower.state is (FollowState.RECONNECTING if comes_back else FollowState.GAVE_UP)


@each("close_codes", "websocket", "code")
def test_a_close_tells_what_to_do(case: Json) -> None:
    if case["after_end"]:
        follower = welcomed(client())
        follower.received(message(end(0), "websocket"), 0.0)
        follower.closed(case["code"], 0.0)
        assert (case["action"], follower.state) == ("done", FollowState.ENDED)
    else:
        assert judge_close(case["code"]).verdict.value == case["action"]
        told = action_after(lambda client: client.closed(case["code"], 0.0), "websocket")
        assert told == case["action"]


@each("close_codes", "http", "status")
def test_a_status_tells_what_to_do(case: Json) -> None:
    problem = {"code": case["code"], "retryable": case["retryable"]} if case["problem"] else None
    answer = Answer(case["status"], problem)
    assert judge_answer(answer).verdict.value == case["action"]
    assert action_after(lambda client: client.refused(answer, 0.0), "sse") == case["action"]
    if case["problem"] and case["code"] in CODES:
        assert case["status"] == CODES[case["code"]].http
