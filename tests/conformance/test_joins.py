"""Each row of the join table, on every server, over each way to follow."""

from __future__ import annotations

import pytest

from .live import Live, Transport
from .oracle import check_history, events_of, messages_of

TRIMMED = 80
"""Lines that do not fit into the history of the served registry."""


def types_of(frames: list[dict[str, object]]) -> list[object]:
    return [frame["type"] for frame in frames if frame["type"] != "heartbeat"]


def cursor_at(cursor: str, seq: int) -> str:
    return f"{cursor.split('-', maxsplit=1)[0]}-{seq}"


def test_no_cursor_and_a_whole_log_give_all_events(live: Live, transport: Transport) -> None:
    frames = live.ended(lines=3).follow(transport)
    check_history(frames)
    assert frames[0]["resume"] == "fresh"
    assert messages_of(frames) == ["line 0", "line 1", "line 2"]
    assert (frames[-1]["status"], frames[-1]["head"]) == ("completed", 5)


def test_no_cursor_and_a_trimmed_log_give_the_state_and_the_rest(
    live: Live, transport: Transport
) -> None:
    frames = live.ended(lines=TRIMMED).follow(transport)
    check_history(frames)
    assert frames[0]["resume"] == "snapshot"
    assert frames[1]["type"] == "snapshot"
    assert len(events_of(frames)) == 50
    assert messages_of(frames)[-1] == f"line {TRIMMED - 1}"


def test_a_covered_cursor_gives_exactly_what_came_after_it(
    live: Live, transport: Transport
) -> None:
    session = live.session()
    cursor = session.do(("log", 5))
    session.do(("log", 5, 5), ("complete", None))
    frames = session.follow(transport, cursor)
    check_history(frames, cursor)
    assert frames[0]["resume"] == "exact"
    assert messages_of(frames) == [f"line {number}" for number in range(5, 10)]


def test_a_cursor_that_is_too_old_is_told_what_it_missed(live: Live, transport: Transport) -> None:
    session = live.session()
    cursor = session.do(("log", 2))
    session.do(("log", TRIMMED), ("complete", None))
    frames = session.follow(transport, cursor)
    check_history(frames, cursor)
    assert frames[0]["resume"] == "gap"
    assert types_of(frames)[:3] == ["welcome", "gap", "snapshot"]
    assert (frames[1]["missed_from"], frames[1]["reason"]) == (4, "evicted")
    assert frames[1]["missed_to"] == frames[2]["seq"]


@pytest.mark.parametrize(
    "cursor", ["0000000000-1", "nonsense", "", "%F0%9F%92%A9", "ahead"], ids=str
)
def test_a_cursor_that_means_nothing_here_starts_over(
    live: Live, transport: Transport, cursor: str
) -> None:
    session = live.ended(lines=2)
    if cursor == "ahead":
        frames = session.follow("page")
        cursor = f"{frames[0]['epoch']}-999"
    frames = session.follow(transport, cursor)
    check_history(frames)
    assert frames[0]["resume"] in ("reset", "fresh" if cursor == "" else "reset")
    assert messages_of(frames) == ["line 0", "line 1"]


def test_another_sessions_cursor_is_worthless(live: Live, transport: Transport) -> None:
    other = live.session().do(("log", 4))
    frames = live.ended(lines=2).follow(transport, other)
    check_history(frames)
    assert frames[0]["resume"] == "reset"
    assert messages_of(frames) == ["line 0", "line 1"]


def test_a_reserved_session_can_be_followed_before_it_begins(live: Live) -> None:
    session = live.session("reserve", title="later")
    with session.sse() as stream, session.websocket() as socket:
        sse, ws = stream.frames(), socket.frames()
        assert next(sse)["status"] == next(ws)["status"] == "pending"
        live.control("open", session_id=session.id)
        session.do(("log", 1), ("complete", None))
        assert [types_of(list(found)) for found in (sse, ws)] == 2 * [
            ["session.started", "log.message", "session.completed", "end"]
        ]


def test_who_has_everything_of_an_ended_session_gets_its_end(
    live: Live, transport: Transport
) -> None:
    session = live.ended()
    cursor = check_history(session.follow("page"))
    frames = session.follow(transport, cursor)
    check_history(frames, cursor)
    assert frames[0]["resume"] == "exact"
    assert types_of(frames) == ["welcome", "end"]


def test_an_event_source_that_has_everything_is_stopped(live: Live) -> None:
    session = live.ended()
    cursor = check_history(session.follow("sse"))
    answer = session.get("/events", Last_Event_ID=cursor)
    assert (answer.status, answer.body) == (204, b"")


def test_when_the_history_is_swept_the_state_and_the_result_remain(live: Live) -> None:
    session = live.ended(lines=4, result={"pages": 3}, history_ttl=0.01)
    live.control("until_swept", session_id=session.id)
    for transport in ("websocket", "sse", "page"):
        frames = session.follow(transport)
        check_history(frames)
        assert types_of(frames) == ["welcome", "snapshot", "end"]
        assert frames[0]["resume"] == "snapshot"
        assert frames[1]["state"]["result"] == {"pages": 3}
    assert session.get("/result").json == {"pages": 3}


def test_what_was_removed_is_gone_and_says_how_it_ended(live: Live) -> None:
    session = live.ended()
    session.do(("delete",))
    for route in ("", "/events", "/page", "/result"):
        answer = session.get(route)
        assert (answer.status, answer.json["code"]) == (410, "session_gone")
        assert answer.json["session"]["status"] == "completed"
        assert answer.json["session"]["ended_at"].endswith("Z")
    with session.websocket() as socket:
        (frame,) = socket.frames()
    assert (frame["type"], frame["code"]) == ("error", "session_gone")
    assert socket.close_code == 4410


def test_a_session_that_runs_again_sends_its_followers_to_the_new_log(live: Live) -> None:
    session = live.ended(lines=2)
    cursor = check_history(session.follow("page"))
    live.control("open", session_id=session.id, existing="restart")
    with session.sse(cursor) as stream:
        frames = stream.frames()
        welcome = next(frames)
        assert (welcome["resume"], welcome["status"]) == ("reset", "running")
        assert next(frames)["attempt"] == 2
        session.do(("log", 1), ("complete", None))
        check_history([welcome, {"type": "session.started", "seq": 1}, *frames])
