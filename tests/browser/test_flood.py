"""More than anybody can read: the page gets all of it, and stays quick."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser

from agentprogress import ProgressSession

from .site import Site, Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

Json = dict[str, Any]

EMITS = 15_000
BURST = 250
# A page that is busy for longer feels slow, by the browsers' own definition of a long task.
LONG_TASK_MS = 50

_TRACED = ["disabled-by-default-devtools.timeline"]


def emit(session: ProgressSession, number: int) -> None:
    """Emits this and that, most of it lines, and nothing that coalesces."""
    if number % 100 == 0:
        with session.tool("search", input={"number": number}) as tool:
            tool.complete(output="x" * 100)
    elif number % 10 == 1:
        session.usage(model="m", input_tokens=1, output_tokens=2)
    else:
        session.log(f"line {number}", level="warning" if number % 7 else "info", number=number)


@asynccontextmanager
async def traced(browser: Browser, tab: Tab) -> AsyncGenerator[list[Json]]:
    """Yields what becomes, when the block is left, what the browser did meanwhile."""
    trace: list[Json] = []
    await browser.start_tracing(page=tab.page, categories=_TRACED)
    try:
        yield trace
    finally:
        trace += json.loads(await browser.stop_tracing())["traceEvents"]


async def test_a_flood_is_received_in_full_by_a_page_that_stays_quick(
    site: Site, browser: Browser, transport: str
) -> None:
    """As fast as they come, which is faster than 5,000 a second. The time is that of the processor:
    what else the machine is busy with does not count.
    """
    session = site.begin()
    tab = await site.open(session, transport=transport)
    await tab.until_state("live")
    async with traced(browser, tab) as trace:
        for number in range(EMITS):
            emit(session, number)
            if number % BURST == 0:
                await session.flush()
        site.end(session)
        await tab.until("told.completed.length === 1")
    await tab.judge_end(session)
    assert await tab.ask("told.events.length") > EMITS
    assert longest_task_ms(trace) < LONG_TASK_MS


def longest_task_ms(trace: list[Json]) -> float:
    """Returns the processor's time of the longest task on any page's main thread."""
    mains = {
        (event["pid"], event["tid"])
        for event in trace
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event["tdur"] / 1000
        for event in trace
        if event["name"] == "RunTask" and "tdur" in event and (event["pid"], event["tid"]) in mains
    ]
    assert len(tasks) > 100
    longest: float = max(tasks)
    return longest
