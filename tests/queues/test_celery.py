"""Celery's workers as producers: real ones, with a real broker, and killed."""

from __future__ import annotations

import signal
from contextlib import AbstractAsyncContextManager

import anyio
import pytest
from celery import Celery  # type: ignore[import-untyped]

from agentprogress.events import Event
from tests.cli.programs import Program

from .kit import Web, kill

pytestmark = [pytest.mark.anyio, pytest.mark.server]


def worker(web: Web, *options: str) -> AbstractAsyncContextManager[Program]:
    quiet = ("--loglevel", "error", "--without-gossip", "--without-mingle")
    application = ("-A", "tests.queues.celery_jobs", "--quiet", "worker")
    return web.worker("-m", "celery", *application, *quiet, *options)


def enqueue(url: str, session_id: str) -> None:
    with Celery(broker=url) as app:
        app.send_task("work", (session_id,))


@pytest.mark.parametrize("pool", [("solo",), ("prefork", "--concurrency", "2")], ids=lambda p: p[0])
async def test_a_job_is_followed_and_its_result_read_when_the_worker_is_gone(
    web: Web, pool: tuple[str, ...]
) -> None:
    session_id = await web.reserve()
    await anyio.to_thread.run_sync(enqueue, web.url, session_id)
    workers: list[int] = []

    def end(begun: int, pid: int) -> None:
        workers.append(pid)
        web.end(session_id)

    async with worker(web, "--pool", *pool) as program:
        events = await web.follow(session_id, end)
    assert program.process.returncode == 0
    assert [event.type for event in events] == [
        "session.started",
        "log.message",
        "session.completed",
    ]
    assert await web.result(session_id) == workers[0]


async def test_a_job_whose_process_is_killed_is_delivered_again_and_taken_over(web: Web) -> None:
    session_id = await web.reserve()
    await anyio.to_thread.run_sync(enqueue, web.url, session_id)
    killed: list[int] = []

    def kill_first(begun: int, pid: int) -> None:
        if begun == 1:
            killed.append(pid)
            kill(pid)
        else:
            web.end(session_id)

    async with worker(web, "--pool", "prefork", "--concurrency", "1"):
        events = await web.follow(session_id, kill_first)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("log.message") == 2
    assert events[-1].type == "session.completed"
    assert await web.result(session_id) not in killed


async def test_another_worker_takes_over_when_one_is_killed_as_a_whole(web: Web) -> None:
    session_id = await web.reserve()
    await anyio.to_thread.run_sync(enqueue, web.url, session_id)

    def kill_first(begun: int, pid: int) -> None:
        if begun == 1:
            kill(pid)
        else:
            web.end(session_id)

    events: list[Event] = []
    async with worker(web, "--pool", "solo") as first, anyio.create_task_group() as tasks:

        async def follow() -> None:
            events.extend(await web.follow(session_id, kill_first))
            over.set()

        over = anyio.Event()
        tasks.start_soon(follow)
        assert await first.exit_status() == -signal.SIGKILL
        async with worker(web, "--pool", "solo"):
            await over.wait()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "session.completed"
    assert await web.result(session_id) != first.process.pid
