"""Whether a page stays quick, by Chromium's own trace.

What counts is the processor time of the main thread: a machine that is busy with something else
slows no task in this measure.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page

__all__ = ["smooth"]

# A page that is busy for longer feels slow, by the browsers' own definition of a long task.
_LONG_TASK_MS = 50
# What is seen of a task, and which process shows which page.
_CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]


@asynccontextmanager
async def smooth(browser: Browser, page: Page) -> AsyncGenerator[None]:
    """Checks that no task of a page's main thread takes long while the block lasts."""
    await browser.start_tracing(page=page, categories=_CATEGORIES)
    try:
        yield
    finally:
        events = json.loads(await browser.stop_tracing())["traceEvents"]
    threads = _main_threads(events, page.url)
    taken = [
        event.get("tdur", 0) / 1000
        for event in events
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in threads
    ]
    assert len(taken) > 20, "The trace has no tasks of the page."
    assert max(taken) < _LONG_TASK_MS, sorted(taken)[-5:]


def _main_threads(events: list[dict[str, Any]], url: str) -> set[tuple[int, int]]:
    """Returns the main threads of the processes that show a page."""
    pages = {
        frame["processId"]
        for event in events
        if event["name"] == "TracingStartedInBrowser"
        for frame in event["args"]["data"]["frames"]
        if frame["url"] == url
    }
    return {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name"
        and event["args"]["name"] == "CrRendererMain"
        and event["pid"] in pages
    }
