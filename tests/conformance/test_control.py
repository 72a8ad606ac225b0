"""Routes that answer once: snapshots, results, pages; and those that change something."""

from __future__ import annotations

import json

import pytest

from .live import Live, Session
from .oracle import check_history, events_of, messages_of
from .test_refusals import is_problem


def test_a_snapshot_has_an_etag_that_saves_the_body(live: Live) -> None:
    session = live.ended(result={"pages": 3})
    first = session.get()
    assert first.json["status"] == "completed"
    assert first.json["result"] == {"pages": 3}
    again = session.get(If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert session.get(If_None_Match='"other"').status == 200


def test_a_result_is_promised_then_there(live: Live) -> None:
    session = live.session()
    early = session.get("/result")
    assert (early.status, early.json["status"]) == (202, "running")
    assert float(early.headers["retry-after"]) > 0
    session.do(("complete", {"pages": 3}))
    late = session.get("/result?wait=10")
    assert (late.status, late.json) == (200, {"pages": 3})


def test_a_failed_session_has_a_reason_instead_of_a_result(live: Live) -> None:
    session = live.session()
    session.do(("fail", "The disk is full."))
    body = is_problem(session.get("/result"), 409, "conflict")
    assert body["session"]["status"] == "failed"
    assert body["session"]["error"]["message"] == "The disk is full."


def test_pages_follow_each_other_by_their_cursor(live: Live) -> None:
    session = live.ended(lines=20)
    seqs: list[int] = []
    query, done = "", False
    while not done:
        page = session.get(f"/page?limit=7{query}").json
        assert len(events_of(page["frames"])) <= 7
        seqs += [event["seq"] for event in events_of(page["frames"])]
        query, done = f"&after={page['cursor']}", page["done"]
    assert seqs == list(range(1, 23))


def test_a_page_waits_for_news_and_no_longer(live: Live) -> None:
    session = live.session()
    cursor = session.do(("log", 1))
    with live.sse(session.id) as stream:
        next(stream.frames())
        page = session.get(f"/page?after={cursor}&wait=0.05").json
        assert [frame["type"] for frame in page["frames"]] == ["welcome"]
        assert (page["cursor"], page["done"]) == (cursor, False)
    session.do(("log", 1, 1))
    page = session.get(f"/page?after={cursor}&wait=15").json
    assert messages_of(page["frames"]) == ["line 1"]


def test_an_export_has_one_frame_a_line(live: Live) -> None:
    answer = live.ended(lines=5).get("/page?format=ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    check_history([json.loads(line) for line in answer.body.splitlines()])


def test_a_cancel_is_seen_by_all_and_ends_the_job(live: Live) -> None:
    session = live.session("job")
    with session.sse() as stream, session.websocket() as socket:
        sse, ws = stream.frames(), socket.frames()
        assert next(sse)["type"] == next(ws)["type"] == "welcome"
        answer = session.post("/cancel", {"reason": "enough"})
        assert answer.status == 202, answer.body
        for frames in (list(sse), list(ws)):
            requests = [frame for frame in frames if frame["type"] == "cancel.requested"]
            assert [frame["reason"] for frame in requests] == ["enough"]
            assert frames[-1]["status"] == "cancelled"


def test_a_second_cancel_changes_nothing(live: Live) -> None:
    session = live.session()
    assert [session.post("/cancel").status for _ in range(3)] == [202, 202, 202]
    session.do(("complete", "after all"))
    types = [frame["type"] for frame in session.follow("page")]
    assert types.count("cancel.requested") == 1
    late = session.post("/cancel")
    assert (late.status, late.json["status"]) == (200, "completed")


def test_who_may_follow_may_not_therefore_control(live: Live) -> None:
    session, other = live.session(), live.session()
    is_problem(session.post("/cancel", Authorization=""), 401, "unauthorized")
    wrong = f"Bearer {other.control_token}"
    is_problem(session.post("/cancel", Authorization=wrong), 403, "forbidden")
    is_problem(session.post("/inputs/any", {"value": 1}, Authorization=""), 401, "unauthorized")
    is_problem(session.post("/inputs/any", {"value": 1}, Authorization=wrong), 403, "forbidden")
    assert session.get().json["cancel_requested"] is False


def asked(live: Live) -> tuple[Session, str]:
    """Returns a session that waits for an answer, and the route to give it."""
    session = live.session("question")
    with session.sse() as stream:
        question = next(f for f in stream.frames() if f["type"] == "input.requested")
    assert question["prompt"] == "Publish it?"
    assert "approve" in question["schema"]["properties"]
    return session, f"/inputs/{question['request_id']}"


def test_the_first_answer_wins(live: Live) -> None:
    session, route = asked(live)
    yes = {"value": {"approve": True, "note": "fine"}}
    assert session.post(route, yes).status == 202
    assert session.post(route, yes).status == 202
    is_problem(session.post(route, {"value": {"approve": False}}), 409, "conflict")
    session.do("finish")
    frames = session.follow("sse")
    check_history(frames)
    (resolved,) = [frame for frame in frames if frame["type"] == "input.resolved"]
    assert resolved["value"] == yes["value"]
    assert session.get("/result?wait=10").json == yes["value"]


@pytest.mark.parametrize(
    "body",
    [{"value": {"approve": "perhaps"}}, {"value": 7}, {"answer": 1}, [], b"not json", b""],
    ids=["does not fit", "another type", "no value", "an array", "no JSON", "nothing"],
)
def test_an_answer_that_does_not_fit_leaves_the_question_open(live: Live, body: object) -> None:
    session, route = asked(live)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    is_problem(session.post(route, data), 400, "bad_request")
    assert session.post(route, {"value": {"approve": True}}).status == 202


def test_an_answer_that_is_too_large_is_refused(live: Live) -> None:
    session, route = asked(live)
    large = {"value": {"approve": True, "note": "x" * 20_000}}
    is_problem(session.post(route, large), 413, "too_large")
    assert session.post(route, {"value": {"approve": False}}).status == 202


def test_a_question_that_was_never_asked_has_no_answer(live: Live) -> None:
    session, _ = asked(live)
    answer = session.post("/inputs/never-asked", {"value": {"approve": True}})
    is_problem(answer, 409, "conflict")


def test_the_view_is_a_page_that_tells_nobody_where_it_came_from(live: Live) -> None:
    answer = live.ended().get("/view")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_server_that_serves_is_healthy(live: Live) -> None:
    answer = live.request("GET", "/health")
    assert (answer.status, answer.json["status"]) == (200, "ok")
