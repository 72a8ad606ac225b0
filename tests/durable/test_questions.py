"""Questions that are asked in one process and answered in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, field_validator

from agentprogress import ProgressSession
from agentprogress.errors import (
    InputExpired,
    InputSettled,
    InvalidAnswer,
    SessionUnknown,
    StoreUnavailable,
)
from agentprogress.events import InputResolved

from .kit import Site

pytestmark = pytest.mark.anyio

Sites = Callable[..., Site]


class Trip(BaseModel):
    to: str
    nights: int

    @field_validator("to")
    @classmethod
    def only_where_we_go(cls, to: str) -> str:
        if to == "Mars":
            raise ValueError("nobody goes to Mars")
        return to


class Asking:
    """A job that asks once and keeps what came of it."""

    def __init__(self, schema: Any = None, **options: Any) -> None:
        self.schema = schema
        self.options = {"request_id": "q", **options}
        self.answer: Any = None
        self.error: BaseException | None = None

    async def __call__(self, session: ProgressSession) -> None:
        try:
            self.answer = await session.request_input("Where to?", self.schema, **self.options)
        except BaseException as error:
            self.error = error
            raise


async def asked(site: Site, job: Asking) -> None:
    site.here.start(job, session_id="job")
    await site.clock.settle()


def outcomes(site: Site) -> list[str]:
    """Returns how the question was settled, as the stored log tells it."""
    entries = site.store.entries("job")
    return [
        entry.split(b'"outcome":"')[1].split(b'"')[0].decode()
        for entry in entries
        if b'"input.resolved"' in entry
    ]


async def test_an_answer_from_another_process_comes_as_a_validated_value(site: Sites) -> None:
    here, job = site(), Asking(Trip)
    await asked(here, job)
    (request,) = here.there.snapshot("job").requests
    assert (request.request_id, request.prompt) == ("q", "Where to?")
    async with here.following(here.there) as follower:
        here.there.answer("job", "q", {"to": "Rome", "nights": 2}, by="ann")
        await here.clock.advance(1)
        (resolved,) = [item for item in follower.items if isinstance(item, InputResolved)]
        assert (resolved.outcome, resolved.by) == ("answered", "ann")
    assert job.answer == Trip(to="Rome", nights=2)
    assert here.there.get("job").status == "completed"


async def test_the_first_answer_wins(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    here.there.answer("job", "q", 1)
    with pytest.raises(InputSettled):
        here.process().answer("job", "q", 2)
    await here.clock.settle()
    assert job.answer == 1


async def test_of_two_that_answer_in_the_same_moment_one_wins(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    third = here.process()
    here.there.get("job")
    third.get("job")
    here.store.meanwhile("append", lambda: third.answer("job", "q", "third"))
    with pytest.raises(InputSettled):
        here.there.answer("job", "q", "there")
    await here.clock.settle()
    assert job.answer == "third"
    assert outcomes(here) == ["answered"]


async def test_of_two_that_answer_alike_in_the_same_moment_both_are_right(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    third = here.process()
    here.there.get("job")
    here.store.meanwhile("append", lambda: third.answer("job", "q", {"a": 1, "b": 2.0}))
    here.there.answer("job", "q", {"b": 2, "a": 1})
    await here.clock.settle()
    assert job.answer == {"a": 1, "b": 2}
    assert outcomes(here) == ["answered"]


async def test_an_equal_answer_once_more_is_accepted_from_anywhere(site: Sites) -> None:
    here = site()
    done = Asking()
    await asked(here, done)
    here.there.answer("job", "q", True)
    await here.clock.settle()
    for process in (here.here, here.there, here.process()):
        process.answer("job", "q", True)
        with pytest.raises(InputSettled):
            process.answer("job", "q", False)
    assert outcomes(here) == ["answered"]


async def test_an_answer_that_does_not_fit_the_schema_is_refused_anywhere(site: Sites) -> None:
    here, job = site(), Asking(Trip)
    await asked(here, job)
    for process in (here.there, here.here):
        for wrong in ({"to": "Rome"}, {"to": "Rome", "nights": "many"}, "Rome", None):
            with pytest.raises(InvalidAnswer):
                process.answer("job", "q", wrong)
    here.there.answer("job", "q", {"to": "Rome", "nights": 2})
    await here.clock.settle()
    assert job.answer == Trip(to="Rome", nights=2)


async def test_what_only_the_type_can_tell_is_told_to_the_job(site: Sites) -> None:
    here, job = site(), Asking(Trip)
    await asked(here, job)
    with pytest.raises(InvalidAnswer, match="nobody goes to Mars"):
        here.here.answer("job", "q", {"to": "Mars", "nights": 2})
    # There nobody knows more than the schema.
    here.there.answer("job", "q", {"to": "Mars", "nights": 2})
    await here.clock.settle()
    assert isinstance(job.error, InvalidAnswer)
    assert here.there.get("job").status == "failed"


async def test_a_question_that_was_never_asked_has_no_answer(site: Sites) -> None:
    here = site()
    await asked(here, Asking())
    with pytest.raises(InputSettled):
        here.there.answer("job", "other", 1)
    with pytest.raises(SessionUnknown):
        here.there.answer("unknown", "q", 1)


async def test_without_the_store_an_answer_is_not_taken(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    here.there.get("job")
    here.store.available = False
    with pytest.raises(StoreUnavailable):
        here.there.answer("job", "q", 1)
    here.store.available = True
    await here.clock.advance(20)
    assert job.answer is None
    here.there.answer("job", "q", 1)
    await here.clock.settle()
    assert job.answer == 1


async def test_an_answer_whose_own_answer_was_lost_may_be_repeated(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    here.there.get("job")
    here.store.cuts = 1
    with pytest.raises(StoreUnavailable):
        here.there.answer("job", "q", 1)
    await here.clock.advance(20)
    here.there.answer("job", "q", 1)
    assert job.answer == 1
    assert outcomes(here) == ["answered"]


# Time, and stopping


async def test_a_question_expires_for_everybody(site: Sites) -> None:
    here, job = site(), Asking(timeout=10)
    await asked(here, job)
    await here.clock.advance(11)
    assert isinstance(job.error, InputExpired)
    for late in (1, None):
        with pytest.raises(InputSettled):
            here.there.answer("job", "q", late)
    assert outcomes(here) == ["expired"]


async def test_an_answer_at_the_moment_of_expiry_wins_if_it_is_stored_first(site: Sites) -> None:
    here, job = site(), Asking(timeout=10)
    await asked(here, job)
    here.there.get("job")
    await here.clock.advance(9.5)
    third = here.process()
    third.get("job")
    answered: list[str] = []

    def answer() -> None:
        third.answer("job", "q", "just in time")
        answered.append("third")

    here.store.meanwhile("append", answer)
    await here.clock.advance(0.6)
    assert len(outcomes(here)) == 1
    assert (job.answer == "just in time") == (answered == ["third"])
    assert (outcomes(here) == ["answered"]) == (answered == ["third"])


async def test_an_answer_that_comes_after_the_time_settles_it_as_expired(site: Sites) -> None:
    here = site()
    with here.here.open(session_id="job") as session:
        session.suspend("Deploy?", timeout=10)
    (request,) = here.there.snapshot("job").requests
    await here.clock.advance(11)
    with pytest.raises(InputSettled):
        here.there.answer("job", request.request_id, True)
    assert outcomes(here) == ["expired"]
    assert here.there.get("job").status == "waiting"


async def test_a_request_to_stop_ends_the_wait(site: Sites) -> None:
    here, job = site(), Asking()
    await asked(here, job)
    assert here.there.cancel("job", "enough")
    await here.clock.advance(1)
    assert job.error is not None
    assert job.answer is None
    assert here.there.get("job").status == "cancelled"
    assert outcomes(here) == ["cancelled"]
    with pytest.raises(InputSettled):
        here.there.answer("job", "q", 1)


async def test_several_questions_are_answered_in_any_order(site: Sites) -> None:
    here = site()
    answers: dict[str, Any] = {}

    async def work(session: ProgressSession) -> dict[str, Any]:
        async def ask(request_id: str) -> None:
            answers[request_id] = await session.request_input("?", request_id=request_id)

        async with anyio.create_task_group() as tasks:
            for request_id in ("a", "b", "c"):
                tasks.start_soon(ask, request_id)
        return answers

    here.here.start(work, session_id="job")
    await here.clock.settle()
    assert len(here.there.snapshot("job").requests) == 3
    for number, request_id in enumerate(("c", "a", "b")):
        (here.there, here.here)[number % 2].answer("job", request_id, number)
        await here.clock.advance(1)
    assert here.there.result("job") == {"a": 1, "b": 2, "c": 0}
