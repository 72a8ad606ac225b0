"""What `<agent-progress>` shows of a session, each part from a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import anyio
import pytest
from playwright.async_api import Download, expect

from agentprogress import ProgressSession, PublicError, SessionCancelled, SessionRegistry

from .showing import Show, in_page, part, showing, texts
from .site import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

HOSTILE = '<img src=x onerror="document.title=1"><script>1</script>'


@pytest.fixture
async def show(registry: SessionRegistry, tabs: Tabs) -> AsyncIterator[Show]:
    async with showing(registry, tabs) as found:
        yield found


async def read(saved: Download) -> str:
    return await anyio.Path(await saved.path()).read_text(encoding="utf-8")


async def test_a_page_of_three_lines_shows_a_running_session(show: Show) -> None:
    with show.registry.open(title="Market report") as session:
        session.log("begun")
        page = await show.open_html(
            "<!doctype html><link rel=icon href=data:,>\n"
            '<script type="module" src="/client/define.js"></script>\n'
            f'<agent-progress src="{show.url(session)}"></agent-progress>\n'
        )
        await expect(part(page, "title")).to_have_text("Market report")
        await expect(part(page, "status")).to_have_text("Running")
        await expect(part(page, "connection")).to_contain_text("Live")
        await expect(part(page, "lines")).to_contain_text("begun")


async def test_phases_and_agents_say_which_one_is_active_now(show: Show) -> None:
    plan = [{"name": "survey"}, {"name": "read"}, {"name": "write"}]
    with show.registry.open(plan=plan) as session:
        with session.phase("survey"):
            pass
        with (
            session.phase("read") as phase,
            phase.agent("reader 1") as agent,
            phase.agent("reader 2"),
            agent.tool("search"),
        ):
            page = await show.open(session)
            phases, chips = part(page, "phases").locator("li"), part(page, "chip")
            await expect(phases).to_have_text(["survey", "read", "write"])
            await expect(phases.locator("[role=img]").nth(0)).to_have_accessible_name("Completed")
            await expect(phases.locator("[role=img]").nth(2)).to_have_accessible_name("Planned")
            await expect(phases.and_(page.locator("[aria-current=step]"))).to_have_text("read")
            await expect(chips).to_have_text(["reader 2", "reader 1 \u203a search"])
        await expect(chips).to_have_count(0)


async def test_steps_show_their_place_progress_message_and_error(show: Show) -> None:
    with show.registry.open() as session:
        phase = session.phase("read", total=4, unit="files")
        phase.advance(1, message="a.py")
        phase.tool("parse").fail("not UTF-8")
        page = await show.open(session)
        row = part(page, "tree").locator("> li")
        await expect(row.locator("> details > summary")).to_contain_text("read")
        await expect(row.locator("> details > summary")).to_contain_text("1 / 4 files")
        await expect(row.locator("> details > summary")).to_contain_text("a.py")
        assert (
            await row.get_by_role("progressbar", name="read").evaluate("bar => bar.value") == 0.25
        )
        leaf = row.locator("ul > li")
        await expect(leaf.get_by_role("img", name="Failed")).to_be_visible()
        await expect(leaf.locator("[part~=error]")).to_have_text("not UTF-8")
        await expect(part(page, "steps")).to_contain_text("0 of 2 · 1 failed")
        await expect(part(page, "figure").first).to_have_text("25 %")


async def test_finished_leaves_are_folded_and_open_again(show: Show) -> None:
    with show.registry.open() as session:
        agent = session.agent("reader")
        for number in range(9):
            agent.tool(f"tool {number}").complete()
        agent.tool("the tenth")
        page = await show.open(session)
        names = part(page, "step").locator("b")
        await expect(names).to_have_text(["reader", "tool 7", "tool 8", "the tenth"])
        await part(page, "finished").locator("summary").press("Enter")
        folded = part(page, "finished").locator("b")
        await expect(folded).to_have_text([f"tool {number}" for number in range(7)])
        agent.tool("the eleventh").complete()
        await expect(folded).to_have_count(8)
        await part(page, "finished").locator("summary").press("Enter")
        await expect(folded).to_have_count(0)


async def test_what_was_made_and_used_is_listed_and_only_web_addresses_are_links(
    show: Show,
) -> None:
    with show.registry.open(metadata={"root": "/src"}) as session:
        session.artifact("a.html", media_type="text/html", url="https://app.example/a.html")
        session.artifact("b.html", media_type="text/html", url="javascript:alert(1)")
        session.artifact("c.md", media_type="text/markdown", data="# read me")
        session.usage(model="m", input_tokens=1200, output_tokens=30, cost=0.25, currency="USD")
        page = await show.open(session)
        artifacts = part(page, "artifacts")
        await expect(artifacts.get_by_role("link")).to_have_text(["a.html"])
        await expect(artifacts.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer")
        await expect(artifacts).to_contain_text("b.html")
        async with page.expect_download() as saving:
            await artifacts.get_by_role("button", name="Download c.md").click()
        saved = await saving.value
        assert saved.suggested_filename == "c.md"
        assert await read(saved) == "# read me"
        assert await texts(part(page, "usage").locator("dd")) == ["1,200", "30", "0.25 USD"]
        assert await texts(part(page, "details").locator("dt, dd")) == ["root", "/src"]


async def test_texts_grow_and_say_whose_they_are(show: Show) -> None:
    with show.registry.open() as session:
        page = await show.open(session)
        with session.agent("writer") as agent, agent.text() as text:
            text.write("Once ")
            output = part(page, "text")
            await expect(output).to_contain_text("Once")
            await expect(output.locator("h4")).to_have_text("writer · writing")
            text.write("upon a time")
            await expect(output.get_by_role("group")).to_have_text("Once upon a time")
        await expect(output.locator("h4")).to_have_text("writer")


async def test_markup_in_texts_is_text(show: Show) -> None:
    with show.registry.open(title=HOSTILE, metadata={HOSTILE: HOSTILE}) as session:
        with session.tool(HOSTILE) as tool:
            tool.update(message=HOSTILE)
        with session.text() as text:
            text.write(HOSTILE)
        session.log(HOSTILE, field=HOSTILE)
        session.artifact(HOSTILE, media_type=HOSTILE, data=HOSTILE)
        session.complete(HOSTILE)
    page = await show.open(session)
    await expect(part(page, "connection")).to_contain_text("Ended")
    await expect(part(page, "title")).to_have_text(HOSTILE)
    for name in ("step", "text", "lines", "artifacts", "details", "result"):
        await expect(part(page, name).first).to_contain_text("<script>1</script>")
    assert await page.locator("agent-progress :is(img, script)").count() == 0


def complete(session: ProgressSession) -> None:
    session.complete({"files": 4})


def fail(session: ProgressSession) -> None:
    raise PublicError("The disk is full.", "disk_full", retryable=True)


def obey(session: ProgressSession) -> None:
    session.raise_if_cancelled()


@pytest.mark.parametrize(
    ("job", "status", "name", "said"),
    [
        (complete, "Completed", "result", ['"files": 4']),
        (fail, "Failed", "failed", ["The disk is full.", "disk_full · can be tried again"]),
        (obey, "Cancelled", "cancelled", ["Not needed any more."]),
    ],
)
async def test_how_it_ended_is_said_with_the_reason(
    show: Show,
    job: Callable[[ProgressSession], None],
    status: str,
    name: str,
    said: list[str],
) -> None:
    page = await show.open(None)
    with suppress(PublicError, SessionCancelled), show.registry.open() as session:
        await in_page(page, f"(element.src = '{show.url(session)}', 1)")
        await expect(part(page, "status")).to_have_text("Running")
        if job is obey:
            show.registry.cancel(session.id, "Not needed any more.")
        job(session)
    await expect(part(page, "status")).to_have_text(status)
    await expect(part(page, "connection")).to_have_text("Ended")
    for text in said:
        await expect(part(page, "panel").and_(part(page, name))).to_contain_text(text)


async def test_a_large_result_is_clipped_on_the_page_and_saved_whole(show: Show) -> None:
    with show.registry.open() as session:
        session.complete("ä" * 50_000)
    page = await show.open(session)
    result = part(page, "result")
    await expect(result).to_contain_text("20,000 of 50,000")
    await expect(result.get_by_role("group")).to_have_text("ä" * 20_000)
    async with page.expect_download() as saving:
        await result.get_by_role("button", name="Download").click()
    saved = await saving.value
    assert saved.suggested_filename == f"{session.id}.txt"
    assert await read(saved) == "ä" * 50_000


async def test_another_run_leaves_nothing_of_the_one_before(show: Show) -> None:
    with show.registry.open(session_id="job-7") as session:
        page = await show.open(session)
        session.log("first run")
        session.tool("first tool")
        await expect(part(page, "lines")).to_contain_text("first run")
        await page.context.set_offline(True)
        await in_page(page, "(window.dispatchEvent(new Event('online')), 1)")
        await expect(part(page, "connection")).to_contain_text("Offline")
    with show.registry.open(session_id="job-7", existing="restart") as session:
        session.log("second run")
        await page.context.set_offline(False)
        await expect(part(page, "lines").locator("p > span")).to_have_text(["second run"])
        await expect(part(page, "step")).to_have_count(0)
        await expect(part(page, "foot")).to_contain_text("attempt 2")
    show.complaints.clear()


async def test_without_an_address_or_with_a_wrong_one_it_says_so(show: Show) -> None:
    page = await show.open(None)
    await expect(page.locator("agent-progress")).to_have_text("Nothing to follow.")
    assert await in_page(page, "element.client") is None
    page = await show.open(None, 'src="ftp://app.example/sessions/s"')
    await expect(page.locator("agent-progress")).to_contain_text("must begin with http")
