"""A server in a process of its own, ended and begun again at its port; its sessions are in memory.

Each case has a server of its own, so pages of all transports share it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import pytest

from tests.client.serve import Served
from tests.conformance.live import Session

from .site import Tab, Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.server]

TRANSPORTS = ("websocket", "sse", "long-poll")
GRACE_MS = 30_000
# From the first answer that there is no such session to the last.
KNEW_NOTHING_FOR_MS = """told.connections.at(-1).atMs
    - told.connections.find(({ error }) => error?.kind === "unknown_session").atMs"""


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    try:
        yield server
    finally:
        server.close()


async def apart(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Calls what blocks in a thread: pages are answered meanwhile."""
    return await anyio.to_thread.run_sync(functools.partial(function, *args, **options))


async def opened(tabs: Tabs, session: Session, **options: Any) -> list[Tab]:
    """Opens a page of each transport."""
    host, port = session.live.address
    src = f"http://{host}:{port}{session.url}"
    return [await tabs.open(src, transport=each, random=0, **options) for each in TRANSPORTS]


async def test_a_session_that_a_restart_has_lost_is_given_up_after_its_grace(
    served: Served, tabs: Tabs
) -> None:
    live = await apart(served.begin)
    session = await apart(live.session)
    await apart(session.do, ("log", 3))
    pages = await opened(tabs, session, clock=True)
    for tab in pages:
        await tab.until("told.session?.logs.length === 3")
        await tab.stop_clock()
    await apart(served.kill)
    for tab in pages:
        await tab.until_state("reconnecting")
    await apart(served.begin)
    # The clock is that of all pages.
    for tab in pages:
        while await tab.ask("told.state") != "gave_up":
            await tab.page.clock.run_for(500)
    for tab in pages:
        assert await tab.ask(KNEW_NOTHING_FOR_MS) == pytest.approx(GRACE_MS, abs=1_000)
        found = await tab.connection
        assert "restarted without a durable store" in found["reason"]
        assert (found["error"]["kind"], found["error"]["retryable"]) == ("unknown_session", False)
        # What was seen stays to be seen, and nobody is told that it is complete.
        assert await tab.ask("told.session.logs.length") == 3
        assert await tab.ask("told.completed") == []


async def test_a_log_that_begins_anew_takes_the_place_of_the_old_one(
    served: Served, tabs: Tabs
) -> None:
    live = await apart(served.begin)
    session = await apart(live.session, session_id="job-7", title="First")
    await apart(session.do, ("log", 3))
    pages = await opened(tabs, session)
    for tab in pages:
        await tab.until("told.session?.logs.length === 3")
    await apart(served.kill)
    for tab in pages:
        await tab.until_state("reconnecting")
    live = await apart(served.begin)
    # At first the server knows nothing of it.
    session = await apart(live.session, session_id="job-7", title="Second")
    head = await apart(session.do, ("log", 5, 100), ("complete", "done"))
    for tab in pages:
        await tab.until_state("ended")
        await tab.until("told.completed.length")
        await tab.judge(head)
        assert await tab.ask("told.epochs.length") == 2
        (completed,) = await tab.ask("told.completed")
        assert (completed["title"], completed["result"]) == ("Second", "done")


async def test_a_server_that_is_stopped_ends_its_jobs_and_the_pages_know(
    served: Served, tabs: Tabs
) -> None:
    live = await apart(served.begin)
    session = await apart(live.session)
    pages = await opened(tabs, session)
    for tab in pages:
        await tab.until_state("live")
    await apart(served.stop)
    for tab in pages:
        await tab.until_state("ended")
        (completed,) = await tab.ask("told.completed")
        assert (completed["status"], completed["error"]["code"]) == ("failed", "server_shutdown")


async def test_who_waits_for_a_job_is_told_to_come_back_and_sees_it(
    served: Served, tabs: Tabs
) -> None:
    live = await apart(served.begin)
    reserved = await apart(live.session, "reserve", session_id="job-8")
    pages = await opened(tabs, reserved)
    for tab in pages:
        await tab.until_state("live")
    await apart(served.stop)
    for tab in pages[:2]:
        told = "told.connections.some(({ error }) => error?.code === 'going_away')"
        await tab.until(told)
    live = await apart(served.begin)
    session = await apart(live.session, session_id="job-8")
    head = await apart(session.do, ("log", 2), ("complete", None))
    for tab in pages:
        await tab.until_state("ended")
        await tab.until("told.completed.length")
        await tab.judge(head)
