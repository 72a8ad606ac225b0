"""Several who begin one id in the same moment: in one process, and in several. One has it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import anyio
import anyio.to_thread
import pytest

from agentprogress import ProgressSession
from agentprogress._durable.one_by_one import OneByOne
from agentprogress._inputs import SessionSuspended
from agentprogress._life import Life
from agentprogress.abc import Claim, Expected, Position, Refusal
from agentprogress.errors import InvalidSessionId, SessionConflict, StoreUnavailable
from agentprogress.testing import ManualClock
from tests.kit import entered

from .kit import Site, Waiting, durable, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def reserved(job: Site) -> dict[str, Any]:
    job.here.reserve_sync(session_id="job")
    return {}


def waiting(job: Site) -> dict[str, Any]:
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?", bool)
    return {"existing": "resume"}


def ended(job: Site) -> dict[str, Any]:
    with job.here.open(session_id="job"):
        pass
    return {"existing": "restart"}


def retrying(job: Site) -> dict[str, Any]:
    with (
        pytest.raises(ConnectionError),
        job.here.open(session_id="job", retry_on=(OSError,)),
    ):
        raise ConnectionError
    return {}


kinds = pytest.mark.parametrize("kind", [reserved, waiting, ended, retrying])


def away() -> NoReturn:
    raise StoreUnavailable("It does not answer.")


@kinds
def test_of_two_threads_that_open_an_id_one_has_it(
    site: Sites, kind: Callable[[Site], dict[str, Any]]
) -> None:
    job = site()
    options = kind(job)
    job.clock.settle_sync()
    job.store.meanwhile("append", away)
    with Waiting(job.clock, lambda: job.session(**options)) as first:
        job.clock.settle_sync()
        with Waiting(job.clock, lambda: job.session(**options)) as second:
            job.clock.settle_sync()
            job.clock.advance_sync(2)
    assert first.error is None
    assert isinstance(second.error, SessionConflict)
    assert second.error.status == "running"
    session: ProgressSession = first.answer
    session.log("mine")
    session.flush_sync()
    assert session.dropped == 0
    assert b"mine" in job.store.entries("job")[-1]


@async_test
async def test_a_plain_open_in_a_loop_waits_for_a_thread_of_that_loop(site: Sites) -> None:
    job = site()
    await job.here.reserve(session_id="job")
    beginning, opening = threading.Event(), threading.Event()

    def hold() -> None:
        beginning.set()
        assert opening.wait(10)

    async def work() -> None:
        async with job.here.open(session_id="job") as session:
            session.complete("done")

    job.store.meanwhile("append", hold)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        assert await anyio.to_thread.run_sync(beginning.wait, 10)
        opening.set()
        with pytest.raises(SessionConflict) as caught:
            entered(job.here.open(session_id="job"))
        assert caught.value.status == "running"
    assert job.here.result("job") == "done"


def test_who_waits_for_another_one_here_waits_as_long_as_for_the_store(site: Sites) -> None:
    job = site(store_wait=10)
    job.here.reserve_sync(session_id="job")
    job.store.refuses["job"] = Refusal.UNAVAILABLE
    with Waiting(job.clock, job.session) as first:
        job.clock.settle_sync()
        job.clock.jump(1)
        with Waiting(job.clock, job.session) as second:
            job.clock.advance_sync(30)
    for one in (first, second):
        assert isinstance(one.error, StoreUnavailable)
    assert (first.ended, second.ended) == (10, 11)
    job.store.refuses.clear()
    assert job.session().status == "running"


def test_an_id_whose_first_opener_gets_nowhere_is_the_next_ones(site: Sites) -> None:
    job = site(store_wait=10)
    job.here.reserve_sync(session_id="job")
    job.store.refuses["job"] = Refusal.UNAVAILABLE
    with Waiting(job.clock, job.session) as first:
        job.clock.settle_sync()
        job.clock.jump(5)
        with Waiting(job.clock, job.session) as second:
            job.clock.advance_sync(6)
            job.store.refuses.clear()
            job.clock.advance_sync(3)
    assert isinstance(first.error, StoreUnavailable)
    assert second.error is None
    session: ProgressSession = second.answer
    session.flush_sync()
    assert job.store.there("job").head == 1


def test_what_has_begun_here_is_not_begun_again_before_the_store_has_it(site: Sites) -> None:
    job = site()
    job.store.meanwhile("append", away)
    session = entered(job.here.open())
    assert job.store.there(session.id).status == "pending"
    for existing in (None, "resume", "restart"):
        with pytest.raises(SessionConflict, match="already has a producer") as caught:
            job.session(session_id=session.id, existing=existing)
        assert caught.value.status == "running"
    job.clock.advance_sync(2)
    assert job.store.there(session.id).fence == 1
    assert job.store.there(session.id).head == 1


def test_who_leaves_a_session_here_is_waited_for(site: Sites) -> None:
    job = site()
    session = job.session()
    session.flush_sync()
    job.store.meanwhile("append", away)
    with contextlib.suppress(SessionSuspended):
        session.suspend("Deploy?", bool)
    with Waiting(job.clock, lambda: job.session(existing="resume")) as next_one:
        job.clock.settle_sync()
        job.clock.advance_sync(2)
    assert next_one.error is None
    assert session.dropped == 0
    assert [json.loads(entry)["type"] for entry in job.store.entries("job")] == [
        "session.started",
        "input.requested",
        "session.waiting",
        "input.resolved",
        "session.resumed",
    ]


def test_a_process_that_was_forked_off_waits_for_nobody_of_its_parent() -> None:
    one_by_one = OneByOne(ManualClock())
    with one_by_one.turn("job", 0.0):
        with pytest.raises(StoreUnavailable), one_by_one.turn("job", 0.0):
            raise AssertionError
        one_by_one.forked()
        with one_by_one.turn("job", 0.0):
            pass


# In several processes


def claim_there(job: Site) -> None:
    """Another process claims it, and gets no further for now."""
    found = job.store.there("job")
    claim = Claim(
        session_id="job",
        expected=Expected(found.epoch, found.fence, found.status),
        epoch=found.epoch,
        status=found.status,
        attempt=found.attempt,
        fence=found.fence + 1,
        owner=found.owner,
        created=found.created,
        details=found.details,
        ttl=1000.0,
        lease=1000.0,
    )
    assert job.store.claim(claim)


@pytest.mark.parametrize("call", ["read", "append"])
@pytest.mark.parametrize(("kind", "status"), [(reserved, "pending"), (waiting, "waiting")])
def test_the_last_one_to_claim_an_id_is_left_alone(
    site: Sites, kind: Callable[[Site], dict[str, Any]], status: str, call: str
) -> None:
    job = site()
    options = kind(job)
    job.clock.settle_sync()
    fence = job.store.there("job").fence
    job.store.meanwhile(call, lambda: claim_there(job))
    with pytest.raises(SessionConflict, match="Another process is beginning it") as caught:
        job.session(**options)
    assert caught.value.status == status
    assert job.store.there("job").fence == fence + 2
    assert not replica_of(job.here).owned


@pytest.mark.parametrize("news", ["a new owner", "its beginning", "its end"])
def test_news_that_come_first_keep_what_was_read_from_having_an_owner(
    site: Sites, news: str
) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")
    job.here.get("job")
    (log,) = job.store.read([Position("job")])
    assert log is not None
    if news == "a new owner":
        replica_of(job.here).know(replace(log.session, fence=log.session.fence + 1))
    elif news == "its beginning":
        job.session(job.there)
    else:
        job.there.cancel("job")
    job.clock.settle_sync()
    assert durable(job.here).own(log, Life(created_at="")) is None
    assert not replica_of(job.here).owned


def test_who_is_fenced_writes_nothing_in_the_name_of_the_new_owner(site: Sites) -> None:
    job = site()
    session = job.session()
    session.flush_sync()
    replica = replica_of(job.here)
    found: list[object] = []

    def look() -> None:
        """What comes between news and the warning that it brings."""
        session.log("too late")
        found.extend((replica.owned, replica.next_append(1e9)))

    session.on_cancel(look)
    job.store.silent = True
    job.there.cancel("job")
    (log,) = job.store.read([Position("job")])
    assert log is not None
    replica.load(replace(log, session=replace(log.session, fence=log.session.fence + 1)))
    assert found == [False, None]
    with pytest.raises(SessionConflict):
        session.flush_sync()


def test_who_has_lost_a_session_withdraws_none_of_its_questions(site: Sites) -> None:
    job = site()
    options = waiting(job)
    job.clock.settle_sync()
    replica = replica_of(job.here)
    replica.take_over()
    job.clock.settle_sync()
    assert job.store.there("job").status == "waiting"
    assert len(job.there.snapshot("job").requests) == 1
    assert job.session(job.there, **options).status == "running"


@pytest.mark.parametrize("session_id", ["", "a b", "\ud800", "x" * 200])
def test_what_cannot_be_an_id_never_reaches_the_store(site: Sites, session_id: str) -> None:
    job = site()
    job.store.available = False
    with pytest.raises(InvalidSessionId):
        job.session(session_id=session_id)
    with pytest.raises(InvalidSessionId):
        job.here.reserve_sync(session_id=session_id)
