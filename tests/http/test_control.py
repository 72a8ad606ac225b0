"""Cancelling and answering by POST: once, by whom, with what, and until when."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from agentprogress import ProgressSession
from agentprogress.errors import SessionCancelled
from tests.kit import settle

from .asking import ANN, BOB, Answer, Door, Guarded

pytestmark = pytest.mark.anyio

LIMIT = 16 * 1024


class Decision(BaseModel):
    approve: bool
    note: str = ""


class Asked:
    """A job of Ann's that asks one question, keeps the answer and runs until it is ended."""

    def __init__(self, **options: Any) -> None:
        self.site = Guarded(Door())
        self.options = {"schema": Decision, "request_id": "q", **options}
        self.outcome: Any = None
        self.route = ""

    async def __aenter__(self) -> Asked:
        session = self.site.registry.start(self._job, owner="ann", session_id="r")
        await settle()
        self.route = f"/sessions/{session.id}/inputs/q"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.site.registry.drain()

    async def _job(self, session: ProgressSession) -> None:
        try:
            self.outcome = await session.request_input("Publish it?", **self.options)
        except SessionCancelled as error:
            self.outcome = error
        # What comes of the question can be looked at while the session goes on.
        await anyio.sleep_forever()

    async def post(self, body: bytes, **headers: str) -> Answer:
        answer = await self.site.ask("POST", self.route, body, **(headers or ANN))
        await settle()
        return answer

    async def value(self, value: Any, **headers: str) -> Answer:
        return await self.post(json.dumps({"value": value}).encode(), **headers)

    async def told(self) -> list[dict[str, Any]]:
        """Returns how the question was settled, as viewers see it."""
        page = await self.site.ask("GET", "/sessions/r/page", **ANN)
        return [frame for frame in page.json["frames"] if frame["type"] == "input.resolved"]


def guarded() -> tuple[Guarded, ProgressSession]:
    site = Guarded(Door())
    return site, site.opened(session_id="r", owner="ann")


# Cancelling


async def test_all_who_follow_see_who_asked_to_stop_and_why() -> None:
    site, session = guarded()
    async with (
        site.stream("/sessions/r/ws", **ANN) as socket,
        site.stream("/sessions/r/events", **ANN) as stream,
    ):
        answer = await site.ask("POST", "/sessions/r/cancel", b'{"reason": "enough"}', **ANN)
        assert answer.status == 202
        assert answer.json == {"session_id": "r", "status": "running", "cancel_requested": True}
        await site.clock.advance(0.1)
        for peer in (socket, stream):
            (told,) = [frame for frame in peer.frames if frame["type"] == "cancel.requested"]
            assert (told["reason"], told["by"]) == ("enough", "ann")
    assert session.cancel_requested


async def test_the_first_request_to_stop_counts_and_others_change_nothing() -> None:
    site, _ = guarded()
    bodies = (b'{"reason": "first"}', b'{"reason": "second"}', b"", b"{}", b"  \n")
    answers = [await site.ask("POST", "/sessions/r/cancel", body, **ANN) for body in bodies]
    assert [answer.status for answer in answers] == [202] * 5
    assert len({answer.body for answer in answers}) == 1
    page = (await site.ask("GET", "/sessions/r/page", **ANN)).json
    told = [frame for frame in page["frames"] if frame["type"] == "cancel.requested"]
    assert [frame["reason"] for frame in told] == ["first"]


async def test_concurrent_requests_to_stop_are_one() -> None:
    site, _ = guarded()
    statuses: list[int] = []

    async def cancel() -> None:
        statuses.append((await site.ask("POST", "/sessions/r/cancel", **ANN)).status)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(cancel)
    assert statuses == [202] * 20
    page = (await site.ask("GET", "/sessions/r/page", **ANN)).json
    assert [frame["type"] for frame in page["frames"]].count("cancel.requested") == 1


async def test_after_the_end_nothing_is_left_to_stop() -> None:
    site = Guarded()
    path = f"/sessions/{site.session.id}/cancel"
    bearer = {"authorization": f"Bearer {site.session.handle()['control_token']}"}
    site.end()
    for _ in range(2):
        answer = await site.ask("POST", path, b'{"reason": "late"}', **bearer)
        assert answer.status == 200
        assert answer.json["status"] == "completed"
        assert answer.json["cancel_requested"] is False


async def test_what_has_not_begun_is_cancelled_for_good() -> None:
    site = Guarded(Door())
    await site.registry.reserve(session_id="queued", owner="ann")
    answer = await site.ask("POST", "/sessions/queued/cancel", b'{"reason": "no"}', **ANN)
    assert answer.json["status"] == "cancelled"
    assert (await site.ask("POST", "/sessions/queued/cancel", **ANN)).status == 200


async def test_a_job_that_waits_for_an_answer_hears_that_it_should_stop() -> None:
    async with Asked() as asked:
        await asked.site.ask("POST", "/sessions/r/cancel", **ANN)
        await settle()
        assert isinstance(asked.outcome, SessionCancelled)
        assert (await asked.value({"approve": True})).code == "conflict"
        assert [each["outcome"] for each in await asked.told()] == ["cancelled"]


async def test_who_does_not_own_it_neither_stops_nor_answers() -> None:
    async with Asked() as asked:
        assert (await asked.site.ask("POST", "/sessions/r/cancel", **BOB)).code == "forbidden"
        assert (await asked.value({"approve": True}, **BOB)).code == "forbidden"
        assert not asked.site.registry.attach("r").cancel_requested
        assert await asked.told() == []
        assert asked.outcome is None


# Answering


async def test_an_answer_reaches_the_job_as_its_type_and_viewers_with_its_author() -> None:
    async with Asked() as asked:
        answer = await asked.value({"approve": True, "note": "fine"})
        assert answer.status == 202
        assert answer.json == {"session_id": "r", "request_id": "q", "outcome": "answered"}
        assert asked.outcome == Decision(approve=True, note="fine")
        (told,) = await asked.told()
        assert (told["outcome"], told["by"]) == ("answered", "ann")
        assert told["value"] == {"approve": True, "note": "fine"}


async def test_the_same_answer_again_is_no_other_answer() -> None:
    async with Asked() as asked:
        first = await asked.value({"approve": True, "note": "a"})
        again = await asked.post(b'{"value": {"note": "a",   "approve": true}, "more": 1}')
        assert first == again
        other = await asked.value({"approve": False})
        assert (other.status, other.code) == (409, "conflict")
        assert len(await asked.told()) == 1
        assert asked.outcome.approve is True


async def test_of_concurrent_answers_one_wins() -> None:
    async with Asked() as asked:
        answers: dict[int, int] = {}

        async def post(number: int) -> None:
            body = json.dumps({"value": {"approve": True, "note": str(number)}}).encode()
            answers[number] = (await asked.site.ask("POST", asked.route, body, **ANN)).status

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(post, number)
        await settle()
        assert sorted(answers.values()) == [202] + [409] * 19
        (winner,) = [number for number, status in answers.items() if status == 202]
        assert asked.outcome.note == str(winner)


@pytest.mark.parametrize(
    "value", [{"approve": "perhaps"}, {}, {"note": "x"}, 7, None, [], "yes"], ids=repr
)
async def test_an_answer_that_does_not_fit_says_why_and_leaves_the_question_open(
    value: Any,
) -> None:
    async with Asked() as asked:
        answer = await asked.value(value)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert "pydantic" not in answer.json["detail"]
        assert await asked.told() == []
        assert (await asked.value({"approve": False})).status == 202
        assert asked.outcome.approve is False


@pytest.mark.parametrize("request_id", ["other", "q2", "%F0%9F%92%A5", "q" * 5000, "-"])
async def test_a_question_that_was_never_asked_has_no_answer(request_id: str) -> None:
    async with Asked() as asked:
        asked.route = f"/sessions/r/inputs/{request_id}"
        answer = await asked.value({"approve": True})
        assert (answer.status, answer.code) == (409, "conflict")
        assert len(answer.body) < 8192


async def test_a_question_whose_time_is_over_has_no_answer() -> None:
    async with Asked(timeout=60) as asked:
        await asked.site.clock.advance(61)
        answer = await asked.value({"approve": True})
        assert (answer.status, answer.code) == (409, "conflict")
        assert [each["outcome"] for each in await asked.told()] == ["expired"]


async def test_after_the_end_a_question_has_no_answer() -> None:
    async with Asked() as asked:
        await asked.site.registry.drain()
        assert (await asked.value({"approve": True})).code == "conflict"


# Bodies


BROKEN = {
    "no JSON": b"not json",
    "a word": b"true",
    "an array": b'[{"value": 1}]',
    "a text": b'"value"',
    "two": b'{"value": 1}{"value": 2}',
    "cut": b'{"value": 1',
    "not UTF-8": b'{"value": "\xff"}',
    "half a character": b'{"value": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"value": "\\ud800"}',
    "UTF-16": '{"value": 1}'.encode("utf-16"),
    "NaN": b'{"value": NaN}',
    "infinity": b'{"value": -Infinity}',
    "a form": b"value=1",
    "deep": b'{"value": ' + b"[" * 8000 + b"]" * 8000 + b"}",
    "zeros": b"\x00" * 10,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("route", ["cancel", "inputs/q"])
async def test_a_body_that_is_no_json_object_changes_nothing(route: str, body: bytes) -> None:
    async with Asked(schema=None) as asked:
        answer = await asked.site.ask("POST", f"/sessions/r/{route}", body, **ANN)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert len(answer.body) < 1024
        assert not asked.site.registry.attach("r").cancel_requested
        assert await asked.told() == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"answer": 1}', b'{"Value": 1}'])
async def test_an_answer_has_a_value(body: bytes) -> None:
    async with Asked(schema=None) as asked:
        answer = await asked.post(body)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert '{"value": ' in answer.json["detail"]


async def test_null_is_a_value() -> None:
    async with Asked(schema=None) as asked:
        assert (await asked.value(None)).status == 202
        assert [each["outcome"] for each in await asked.told()] == ["answered"]


@pytest.mark.parametrize("reason", [b"1", b"[]", b"{}", b"true"])
async def test_a_reason_is_a_text_or_none(reason: bytes) -> None:
    site, session = guarded()
    body = b'{"reason": ' + reason + b"}"
    assert (await site.ask("POST", "/sessions/r/cancel", body, **ANN)).code == "bad_request"
    assert not session.cancel_requested
    answer = await site.ask("POST", "/sessions/r/cancel", b'{"reason": null}', **ANN)
    assert answer.status == 202


@pytest.mark.parametrize("route", ["cancel", "inputs/q"])
async def test_a_body_may_be_so_large_and_not_a_byte_larger(route: str) -> None:
    async with Asked(schema=None) as asked:
        frame = b'{"reason": "", "value": ""}'
        full = b'{"reason": "", "value": "' + b"x" * (LIMIT - len(frame)) + b'"}'
        for over in (full + b" ", b" " * (LIMIT + 1), full * 1000):
            answer = await asked.site.ask("POST", f"/sessions/r/{route}", over, **ANN)
            assert (answer.status, answer.code) == (413, "too_large")
        assert not asked.site.registry.attach("r").cancel_requested
        assert await asked.told() == []
        assert (await asked.site.ask("POST", f"/sessions/r/{route}", full, **ANN)).status == 202


async def test_who_may_not_control_is_not_told_what_is_wrong_with_the_body() -> None:
    async with Asked() as asked:
        for body in (b"not json", b"x" * (LIMIT + 1), b'{"value": 7}'):
            answers = [
                await asked.site.ask("POST", f"/sessions/r/{route}", body, **BOB)
                for route in ("cancel", "inputs/q", "inputs/other")
            ]
            assert [answer.code for answer in answers] == ["forbidden"] * 3
