"""RQ's workers as producers: real ones, which fork for each job, and are killed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest
import redis
from rq import Queue, Retry

from tests.cli.programs import Program

from .kit import Web, kill

pytestmark = [pytest.mark.anyio, pytest.mark.server]


def worker(web: Web) -> AbstractAsyncContextManager[Program]:
    return web.worker("-m", "rq.cli", "worker", "--url", web.url, "--with-scheduler", "--quiet")


def enqueue(url: str, session_id: str) -> None:
    with redis.Redis.from_url(url) as client:
        Queue(connection=client).enqueue(
            "tests.queues.rq_jobs.work", session_id, retry=Retry(max=3)
        )


async def test_a_job_is_followed_and_its_result_read_when_the_worker_is_gone(web: Web) -> None:
    session_id = await web.reserve()
    await anyio.to_thread.run_sync(enqueue, web.url, session_id)
    workers: list[int] = []

    def end(begun: int, pid: int) -> None:
        workers.append(pid)
        web.end(session_id)

    async with worker(web) as program:
        events = await web.follow(session_id, end)
    assert program.process.returncode == 0
    assert [event.type for event in events] == [
        "session.started",
        "log.message",
        "session.completed",
    ]
    # It was done in a process of its own, which has ended without a word to anybody.
    assert await web.result(session_id) == workers[0] != program.process.pid


async def test_a_job_whose_process_is_killed_is_begun_again_and_taken_over(web: Web) -> None:
    session_id = await web.reserve()
    await anyio.to_thread.run_sync(enqueue, web.url, session_id)
    killed: list[int] = []

    def kill_first(begun: int, pid: int) -> None:
        if begun == 1:
            killed.append(pid)
            kill(pid)
        else:
            web.end(session_id)

    async with worker(web):
        events = await web.follow(session_id, kill_first)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("log.message") == 2
    assert events[-1].type == "session.completed"
    assert await web.result(session_id) not in killed
