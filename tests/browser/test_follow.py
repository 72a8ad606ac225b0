"""The client in a real browser, from the first look to the end: late, anew, in many tabs."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from agentprogress import ProgressSession, PublicError, SessionRegistry, Settings

from .site import Site, Tabs, serving_site

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

# More than what travels with the events.
LARGE_RESULT = {"report": "ä" * 20_000}


async def test_a_page_that_joins_late_sees_what_was_and_what_comes(
    site: Site, transport: str
) -> None:
    with site.registry.open(title="Late join") as session:
        session.log("before")
        tab = await site.open(session, transport=transport)
        await tab.until_state("live")
        await tab.until_lines("before")
        session.log("after")
        await tab.until_lines("before", "after")
        assert (await tab.connection)["transport"] == transport
        session.complete({"files": 4})
    await tab.judge_end(session)
    (completed,) = await tab.ask("told.completed")
    assert (completed["status"], completed["result"]) == ("completed", {"files": 4})


async def test_everything_that_a_session_can_tell_is_folded_as_the_server_does(site: Site) -> None:
    with site.registry.open(title="All of it", metadata={"n": 1}) as session:
        tab = await site.open(session)
        with session.phase("read", total=4, unit="file") as phase:
            phase.advance(2, message="half way")
            with phase.tool("search", input={"q": "ä"}) as tool:
                tool.complete(output=[1, 2])
            phase.log("a line", level="warning", pages=3)
            phase.artifact("notes.md", media_type="text/markdown", url="https://app.example/notes")
        with session.text() as text:
            text.write("Once ")
            text.write("upon a time")
        session.suspend("Publish it?")
    await tab.until("told.session?.requests.length === 1")
    assert (await tab.ask("client.getSnapshot().status")) == "waiting"
    with (
        pytest.raises(PublicError),
        site.registry.open(session_id=session.id, existing="resume") as session,
    ):
        raise PublicError("It broke.", "broken")
    await tab.judge_end(session)
    (completed,) = await tab.ask("told.completed")
    assert completed["error"]["code"] == "broken"


async def test_a_refresh_in_the_middle_shows_the_same_story(site: Site, transport: str) -> None:
    with site.registry.open() as session:
        session.log("first")
        tab = await site.open(session, transport=transport)
        await tab.until_lines("first")
        session.log("second")
        await tab.reload()
        await tab.until_state("live")
        await tab.until_lines("first", "second")
        session.log("third")
    await tab.judge_end(session)


async def test_ten_tabs_see_the_same_at_once(site: Site) -> None:
    """WebSockets are not among the six connections that a browser opens to an HTTP/1.1 server."""
    with site.registry.open() as session:
        tabs = [await site.open(session) for _ in range(10)]
        for tab in tabs:
            await tab.until_state("live")
        session.log("for all")
        for tab in tabs:
            await tab.until_lines("for all")
        assert site.joins == ["ws"] * 10
    for tab in tabs:
        await tab.judge_end(session)


async def test_of_ten_tabs_that_stream_events_four_wait_until_the_others_are_done(
    site: Site,
) -> None:
    with site.registry.open() as session:
        tabs = [await site.open(session, transport="sse") for _ in range(10)]
        session.log("for six")
        await site.until_followed(session, by=6)
        for tab in tabs[:6]:
            await tab.until_lines("for six")
        assert [await tab.ask("told.state") for tab in tabs] == ["live"] * 6 + ["connecting"] * 4
        assert site.joins == ["events"] * 6
    for tab in tabs:
        await tab.judge_end(session)


# Ends ---------------------------------------------------------------------------------------------


async def ended(registry: SessionRegistry, result: Any) -> ProgressSession:
    with registry.open() as session:
        session.log("long ago")
        session.complete(result)
    return session


async def test_a_session_that_ended_before_the_page_opened_is_told_in_full(
    site: Site, transport: str
) -> None:
    session = await ended(site.registry, {"files": 4})
    tab = await site.open(session, transport=transport)
    await tab.judge_end(session)
    assert await tab.ask("told.completed[0].result") == {"files": 4}
    assert await tab.ask("client.getSnapshot().status") == "completed"


async def test_a_large_result_is_there_when_the_end_is_told(site: Site, transport: str) -> None:
    with site.registry.open() as session:
        tab = await site.open(session, transport=transport)
        await tab.until_state("live")
        session.complete(LARGE_RESULT)
    await tab.judge_end(session)
    (completed,) = await tab.ask("told.completed")
    assert completed["result"] == LARGE_RESULT
    assert await tab.ask("told.session.result") == LARGE_RESULT
    assert await tab.ask("client.result()") == LARGE_RESULT


async def test_a_large_result_of_long_ago_is_told_once(site: Site) -> None:
    session = await ended(site.registry, LARGE_RESULT)
    tab = await site.open(session)
    await tab.judge_end(session)
    await tab.ask("void (client.subscribe(look), client.retryNow())")
    await tab.ask("new Promise((resolve) => setTimeout(resolve))")
    assert [each["result"] for each in await tab.ask("told.completed")] == [LARGE_RESULT]


async def test_a_job_that_is_cancelled_from_the_page_ends_there_as_cancelled(site: Site) -> None:
    async def job(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    session = site.registry.start(job)
    token = session.handle()["control_token"]
    tab = await site.open(session, token=token)
    await tab.until_state("live")
    answer = await tab.ask("client.requestCancel('enough')")
    assert answer["status"] in ("running", "cancelled")
    await tab.judge_end(session)
    assert await tab.ask("told.completed[0].status") == "cancelled"
    refusal = await tab.ask("client.result().catch((error) => ({ ...error }))")
    assert (refusal["code"], refusal["session"]["status"]) == ("conflict", "cancelled")


async def test_a_question_is_answered_from_the_page(site: Site) -> None:
    async def job(session: ProgressSession) -> str:
        number = await session.request_input("Which one?", schema=int)
        return f"{number}, thanks"

    session = site.registry.start(job)
    tab = await site.open(session, token=session.handle()["control_token"])
    await tab.until("told.session?.requests.length === 1")
    refusal = await tab.ask(
        "client.answer(told.session.requests[0].request_id, 'x').catch((error) => ({ ...error }))"
    )
    assert (refusal["code"], refusal["status"]) == ("bad_request", 400)
    await tab.ask("client.answer(told.session.requests[0].request_id, 3)")
    await tab.judge_end(session)
    assert await tab.ask("told.completed[0].result") == "3, thanks"


# Where something is missing -----------------------------------------------------------------------


@pytest.fixture
async def forgetful(tabs: Tabs) -> Any:
    """A site whose sessions keep few events."""
    registry = SessionRegistry(Settings(max_history_events=20, delivery_interval=0.002))
    async with serving_site(registry, tabs) as site:
        yield site


def log(session: ProgressSession, first: int, count: int) -> None:
    for number in range(first, first + count):
        session.log(f"line {number}")


async def test_who_comes_when_history_is_gone_gets_the_state_of_it(
    forgetful: Site, transport: str
) -> None:
    with forgetful.registry.open(title="Long") as session:
        log(session, 0, 100)
        await session.flush()
        tab = await forgetful.open(session, transport=transport)
        await tab.until_state("live")
        log(session, 100, 3)
    await tab.until("told.completed.length === 1")
    await tab.judge_state()
    seqs = [event["seq"] for event in await tab.events]
    assert seqs[0] > 2
    assert seqs == list(range(seqs[0], 106))


async def test_who_was_away_too_long_keeps_the_lines_that_it_had(
    forgetful: Site, transport: str
) -> None:
    with forgetful.registry.open() as session:
        tab = await forgetful.open(session, transport=transport, random=0)
        log(session, 0, 10)
        await tab.until("told.session?.logs.length === 10")
        await tab.ask("leave()")
        await forgetful.until_followed(session, by=0)
        log(session, 10, 100)
        await session.flush()
        await tab.ask("void (window.leave = client.subscribe(look))")
        await tab.until_state("live")
    await tab.until("told.completed.length === 1")
    await tab.judge_state()
    lines = await tab.ask("told.session.logs.map(({ message }) => message)")
    assert lines[:10] == [f"line {number}" for number in range(10)]
    assert lines[-1] == "line 109"
