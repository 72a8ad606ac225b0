"""`uvicorn --workers 2` on one store: what runs in one worker is followed and steered in the other.

Either worker takes in who comes. A case chooses: one of them stands still while a connection is
made, so that the other one has it, and keeps it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from agentprogress import SessionRegistry
from tests.backings import STORE_KINDS, Stores

from .live import Live, Session, Transport
from .oracle import check_history, messages_of
from .servers import StoreKind, Target, start_workers
from .wire import Address, EventStream, WebSocket, dial

pytestmark = pytest.mark.server

WITHIN = 5.0


class Workers(NamedTuple):
    """Two processes behind one address, each as those see it who are connected to it."""

    one: Live
    other: Live

    def in_other(self, session: Session) -> Session:
        """Returns a session of the first worker as it is seen through the other one."""
        return replace(session, live=self.other)


class Door:
    """Makes connections to one of two workers."""

    def __init__(self, pid: int, other: int) -> None:
        self._pid = pid
        self._other = other

    def __call__(self, address: Address, receive_buffer: int | None) -> socket.socket:
        with standing_still(self._other):
            connection = dial(address, receive_buffer)
            asked = http.client.HTTPConnection(*address)
            asked.sock = connection
            asked.request("GET", "/test/stats")
            assert json.loads(asked.getresponse().read())["pid"] == self._pid
        return connection


@contextmanager
def standing_still(pid: int) -> Generator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        # It may be running on the other core at this moment.
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            os.sched_yield()
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def running(kind: StoreKind, url: str) -> Generator[Workers]:
    process = start_workers(2, url)
    try:
        one, other = map(int, re.findall(r"Started server process \[(\d+)\]", process.text))
        target = Target("uvicorn", "bare", kind)
        yield Workers(
            Live(target, process, connect=Door(one, other)),
            Live(target, process, connect=Door(other, one)),
        )
    finally:
        process.stop()


@pytest.fixture(scope="module", params=STORE_KINDS)
def workers(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Workers]:
    with running(request.param, stores.url(request.param)) as workers:
        yield workers


def test_what_happens_in_one_worker_is_told_by_the_other(workers: Workers) -> None:
    session = workers.one.session(title="live")
    there = workers.in_other(session)
    with there.sse() as stream, there.websocket() as socket:
        followers = (stream.frames(), socket.frames())
        told: list[list[dict[str, object]]] = [[], []]
        for number in range(5):
            session.do(("log", 1, number))
            for frames, follower in zip(told, followers, strict=True):
                while f"line {number}" not in messages_of(frames):
                    frames.append(next(follower))
        session.do(("complete", {"lines": 5}))
        for frames, follower in zip(told, followers, strict=True):
            frames.extend(follower)
            check_history(frames)
            assert messages_of(frames) == [f"line {number}" for number in range(5)]


def test_who_comes_back_goes_on_in_the_other_worker(workers: Workers, transport: Transport) -> None:
    session = workers.one.session()
    cursor = session.do(("log", 3))
    session.do(("log", 3, 3), ("complete", "done"))
    for where in (session, workers.in_other(session)):
        frames = where.follow(transport, cursor)
        check_history(frames, cursor)
        assert frames[0]["resume"] == "exact"
        assert messages_of(frames) == ["line 3", "line 4", "line 5"]


def test_a_job_is_cancelled_through_the_other_worker(workers: Workers) -> None:
    session = workers.one.session("job")
    with session.sse() as stream, workers.in_other(session).sse() as there:
        answer = workers.in_other(session).post("/cancel", {"reason": "enough"})
        assert answer.status == 202, answer.body
        for frames in (list(stream.frames()), list(there.frames())):
            check_history(frames)
            assert [f["reason"] for f in frames if f["type"] == "cancel.requested"] == ["enough"]
            assert frames[-1]["status"] == "cancelled"


def test_a_question_is_answered_through_the_other_worker(workers: Workers) -> None:
    session = workers.one.session("question")
    there = workers.in_other(session)
    with there.sse() as stream:
        question = next(f for f in stream.frames() if f["type"] == "input.requested")
    route = f"/inputs/{question['request_id']}"
    assert there.post(route, {"value": {"approve": "perhaps"}}).status == 400
    yes = {"approve": True, "note": "fine"}
    assert there.post(route, {"value": yes}).status == 202
    assert session.post(route, {"value": yes}).status == 202
    assert session.post(route, {"value": {"approve": False}}).status == 409
    session.do("finish")
    assert there.get("/result?wait=10").json == yes


def test_state_and_result_are_the_same_in_both(workers: Workers) -> None:
    session = workers.one.ended(lines=80, result={"pages": 3})
    there = workers.in_other(session)
    assert there.get("/result").json == session.get("/result").json == {"pages": 3}
    here, elsewhere = session.get(), there.get()
    assert elsewhere.json == here.json
    assert there.get(If_None_Match=here.headers["etag"]).status == 304


def follow(session: Session, stack: ExitStack) -> list[EventStream | WebSocket]:
    followers: list[EventStream | WebSocket] = [
        stack.enter_context(session.sse()),
        stack.enter_context(session.websocket()),
    ]
    session.until(subscribers=len(followers))
    return followers


def last_frames(followers: list[EventStream | WebSocket]) -> set[str]:
    return {[frame["type"] for frame in follower.frames()][-1] for follower in followers}


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_both_are_told_to_stop_and_tell_everybody(kind: StoreKind, stores: Stores) -> None:
    url = stores.url(kind)
    with running(kind, url) as workers, ExitStack() as stack:
        jobs = [live.session("job") for live in workers]
        reserved = workers.one.session("reserve")
        of_jobs = [follower for job in jobs for follower in follow(job, stack)]
        of_reserved = [
            follower
            for where in (reserved, workers.in_other(reserved))
            for follower in follow(where, stack)
        ]
        abroad = follow(workers.in_other(jobs[0]), stack)
        took = workers.one.running.terminate(WITHIN)
        assert took is not None, workers.one.running.text
        assert last_frames(of_jobs) == {"end"}
        assert last_frames(of_reserved) == {"reconnect"}
        # Which worker is the first to stop is the system's choice.
        assert last_frames(abroad) <= {"end", "reconnect"}
    with SessionRegistry(store=url) as registry:
        found = [registry.snapshot(session.id) for session in (*jobs, reserved)]
    assert [state.status for state in found] == ["failed", "failed", "pending"]
    assert [state.error.code for state in found if state.error] == 2 * ["server_shutdown"]
