"""What a feed asks for beside the stream, at a real server: the result, to cancel, to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from pydantic import BaseModel, ValidationError

from agentprogress.client import Feed, FollowOptions, follow
from agentprogress.errors import FollowError, InputSettled, InvalidAnswer, NoResult
from agentprogress.testing import Cut, FaultProxy, Faults
from tests.conformance.live import Live, Session

from .scripted import BRISK, Asked, held, reply, scripted
from .storm import EAGER, url_of

pytestmark = pytest.mark.anyio

PATIENT = FollowOptions(settings=EAGER)


class Report(BaseModel):
    """A result as an application has it."""

    title: str
    pages: int


@dataclass
class Plain:
    """Another one."""

    title: str
    pages: int


REPORT: dict[str, Any] = {"title": "All of it", "pages": 7}
GUARD = 10.0
# More than httpx2 would have open at once.
MANY = 150


async def to_the_end(feed: Feed) -> None:
    async for _ in feed:
        pass


# The result ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("iterates", [True, False])
async def test_a_result_is_what_the_session_was_completed_with(live: Live, iterates: bool) -> None:
    session = live.ended(result=REPORT)
    async with follow(url_of(session)) as feed:
        if iterates:
            await to_the_end(feed)
        assert await feed.result() == REPORT
        assert await feed.result(Report) == Report(title="All of it", pages=7)
        assert await feed.result(Plain) == Plain(title="All of it", pages=7)
        assert await feed.result(dict[str, Any]) == REPORT


async def test_a_result_that_is_no_such_thing_is_refused(live: Live) -> None:
    async with follow(url_of(live.ended(result={"title": 7}))) as feed:
        with pytest.raises(ValidationError):
            await feed.result(Report)


async def test_a_session_without_a_result_has_none(live: Live) -> None:
    async with follow(url_of(live.ended(result=None))) as feed:
        assert await feed.result() is None
        await to_the_end(feed)
        assert await feed.result() is None


async def test_a_result_too_large_for_an_event_is_fetched(live: Live) -> None:
    session = live.ended(result={"text": "\u2028x" * 300_000})
    async with follow(url_of(session)) as feed:
        await to_the_end(feed)
        assert feed.snapshot is not None
        assert feed.snapshot.result is None
        assert (await feed.result())["text"] == "\u2028x" * 300_000


async def test_a_result_is_waited_for_while_nobody_iterates(live: Live) -> None:
    session = live.session()
    # Asked for again, because each request waits a twentieth of a second only.
    options = FollowOptions(settings=replace(EAGER, max_wait=0.05, short_stream_timeout=0.01))
    results: list[Any] = []

    async def wait() -> None:
        results.append(await feed.result(Report))

    async with follow(url_of(session), options=options) as feed, anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await until_asked(session, 5)
        assert results == []
        session.do(("log", 3), ("complete", REPORT))
    assert results == [Report(title="All of it", pages=7)]


async def until_asked(session: Session, times: int) -> None:
    """Lets the client ask, until the server has seen so many requests."""
    while len(session.live.control("asked", session_id=session.id)) < times:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("iterates", [True, False])
async def test_a_session_that_failed_has_no_result_but_a_reason(live: Live, iterates: bool) -> None:
    session = live.session()
    session.do(("fail", "It broke."))
    async with follow(url_of(session)) as feed:
        if iterates:
            await to_the_end(feed)
        with pytest.raises(NoResult, match=r"It broke\.") as raised:
            await feed.result(Report)
    assert raised.value.status == "failed"
    assert raised.value.error is not None
    assert raised.value.error.code == "broken"


@pytest.mark.parametrize("iterates", [True, False])
async def test_a_session_that_was_cancelled_has_no_result(live: Live, iterates: bool) -> None:
    session = live.session("job")
    assert session.post("/cancel").status == 202
    session.until(status="cancelled")
    async with follow(url_of(session)) as feed:
        if iterates:
            await to_the_end(feed)
        with pytest.raises(NoResult) as raised:
            await feed.result()
    assert (raised.value.status, raised.value.error) == ("cancelled", None)


async def test_what_is_gone_is_said_to_be_gone(live: Live, transport: str) -> None:
    session = live.ended()
    session.do("delete")
    async with follow(url_of(session), transport=transport) as feed:
        for ask in (feed.result, feed.__anext__, feed.result):
            with pytest.raises(FollowError) as raised:
                await ask()
            assert (raised.value.kind, raised.value.status in (None, 410)) == ("gone", True)
        assert feed.error is not None
        assert (feed.error.kind, feed.error.retryable) == ("gone", False)


async def test_what_never_was_is_not_asked_for_again(live: Live) -> None:
    async with FaultProxy(*live.address) as proxy:
        async with follow(proxy.url("/progress/sessions/never-was")) as feed:
            for ask in (feed.result, feed.request_cancel):
                with pytest.raises(FollowError) as raised:
                    await ask()
                assert raised.value.kind == "unknown_session"
        assert proxy.connections <= 3


async def test_a_result_is_asked_for_through_cuts(live: Live) -> None:
    session = live.ended(result="x" * 200_000)

    def plan(number: int) -> Faults:
        return Faults(cut=Cut(number * 10_000, "rst" if number % 2 else "fin"))

    async with (
        FaultProxy(*live.address, plan=plan) as proxy,
        follow(proxy.url(session.url), options=PATIENT) as feed,
    ):
        assert await feed.result() == "x" * 200_000
        assert proxy.connections > 20


async def test_a_result_that_nobody_gives_is_asked_for_so_many_times(live: Live) -> None:
    session = live.ended()
    async with FaultProxy(*live.address, plan=Faults(refuse=True)) as proxy:
        url = proxy.url(session.url)
        async with follow(url, max_attempts=3, options=PATIENT) as feed:
            with pytest.raises(FollowError) as raised:
                await feed.result()
    assert (raised.value.kind, raised.value.retryable) == ("network", True)


@pytest.mark.parametrize("seconds", ["1000000", "9" * 400])
async def test_a_result_that_is_to_be_asked_for_in_an_age_is_asked_for_sooner(seconds: str) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if asked.route != "result":
            await held(stream)
        elif server.routes.count("result") == 1:
            await stream.send(reply(202, {"status": "running"}, Retry_After=seconds))
        else:
            await stream.send(reply(200, REPORT))

    options = FollowOptions(settings=replace(BRISK, max_retry_after=0.01))
    async with scripted(answer) as server, follow(server.url, options=options) as feed:
        with anyio.fail_after(GUARD):
            assert await feed.result() == REPORT


async def test_however_many_wait_for_a_result_nobody_waits_for_another() -> None:
    waiting, all_wait = 0, anyio.Event()

    async def answer(asked: Asked, stream: ByteStream) -> None:
        nonlocal waiting
        if asked.route != "result":
            await held(stream)
            return
        waiting += 1
        if waiting == MANY:
            all_wait.set()
        await all_wait.wait()
        await stream.send(reply(200, REPORT))

    async def ask() -> None:
        assert await feed.result(Report) == Report(**REPORT)

    options = FollowOptions(settings=BRISK)
    async with scripted(answer) as server, follow(server.url, options=options) as feed:
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                for _ in range(MANY):
                    tasks.start_soon(ask)


# Control ------------------------------------------------------------------------------------------


async def test_a_session_is_cancelled_by_who_has_its_control_token(live: Live) -> None:
    session = live.session("job")
    async with follow(url_of(session), token=session.control_token) as feed:
        assert await feed.request_cancel("enough") in ("running", "cancelled")
        await to_the_end(feed)
        assert feed.snapshot is not None
        assert feed.snapshot.status == "cancelled"
        assert await feed.request_cancel() == "cancelled"


@pytest.mark.parametrize(("token", "kind"), [(None, "unauthorized"), ("wrong", "forbidden")])
async def test_who_may_only_follow_cannot_cancel(live: Live, token: str | None, kind: str) -> None:
    session = live.session()
    async with follow(url_of(session), token=token) as feed:
        with pytest.raises(FollowError) as raised:
            await feed.request_cancel()
        assert (raised.value.kind, raised.value.retryable) == (kind, kind == "unauthorized")
        # Following goes on.
        session.do(("complete", None))
        await to_the_end(feed)


async def test_a_command_is_sent_again_when_its_answer_was_cut(live: Live) -> None:
    session = live.session("job")
    faults = {
        0: Faults(cut=Cut(60, "rst", "to_server")),
        1: Faults(refuse=True),
        2: Faults(cut=Cut(10)),
        3: Faults(status=502),
    }
    async with FaultProxy(*live.address) as proxy:
        url = proxy.url(session.url)
        async with follow(url, token=session.control_token, options=PATIENT) as feed:
            await anext(feed)
            first = proxy.connections
            proxy.plan = lambda number: faults.get(number - first, Faults())
            assert await feed.request_cancel() in ("running", "cancelled")
            assert proxy.connections == first + 5


async def test_a_command_is_given_up_when_its_time_is_over(live: Live) -> None:
    session = live.session("job")
    options = FollowOptions(settings=replace(EAGER, control_timeout=0.05))
    async with FaultProxy(*live.address, plan=Faults(refuse=True)) as proxy:
        url = proxy.url(session.url)
        async with follow(url, token=session.control_token, options=options) as feed:
            with pytest.raises(FollowError) as raised:
                await feed.request_cancel()
    assert raised.value.kind == "network"


async def test_a_question_is_answered_once_and_only_with_what_fits(live: Live) -> None:
    session = live.session("question")
    async with follow(url_of(session), token=session.control_token) as feed:
        async for _ in feed:
            if feed.snapshot is not None and feed.snapshot.requests:
                break
        request_id = feed.snapshot.requests[0].request_id  # type: ignore[union-attr]  # it is there
        with pytest.raises(InvalidAnswer, match="approve") as refused:
            await feed.answer(request_id, {"note": "?"})
        assert (refused.value.request_id, len(refused.value.problems)) == (request_id, 1)
        await feed.answer(request_id, {"approve": True, "note": "Fine \u2028"})
        with pytest.raises(InputSettled) as settled:
            await feed.answer(request_id, {"approve": False})
        assert settled.value.request_id == request_id
        with pytest.raises(InputSettled):
            await feed.answer("never-asked", {"approve": False})
        session.do("finish")
        await to_the_end(feed)
        assert await feed.result() == {"approve": True, "note": "Fine \u2028"}
