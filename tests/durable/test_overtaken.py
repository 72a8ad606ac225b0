"""What comes too late, or from something that is broken, and must not undo what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import anyio
import pytest

from agentprogress import ProgressSession
from agentprogress.abc import Append
from agentprogress.errors import SessionConflict, SessionEnded

from .kit import Site, durable, held, kill, replica_of

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def fail() -> NoReturn:
    raise RuntimeError("a fault of the store's own")


def test_what_was_read_before_a_take_over_does_not_end_it(site: Sites) -> None:
    job = site()
    session = job.session()
    there = job.store.there("job")
    replica_of(job.here).know(replace(there, fence=there.fence - 1))
    session.log("still mine")
    session.flush_sync()
    assert session.dropped == 0


def test_what_was_read_after_a_take_over_does(site: Sites) -> None:
    job = site()
    session = job.session()
    there = job.store.there("job")
    replica_of(job.here).know(replace(there, fence=there.fence + 1))
    with pytest.raises(SessionConflict):
        session.flush_sync()


def test_a_session_that_begins_while_somebody_finds_none_is_kept(site: Sites) -> None:
    job = site()
    job.session()
    durable(job.here).replicas.drop("job")
    assert held(job.here) == ["job"]


def test_a_fault_of_the_store_is_not_the_end_of_what_was_to_be_stored(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    session = job.session()
    job.clock.settle_sync()
    job.store.meanwhile("append", fail)
    session.log("not lost")
    job.clock.advance_sync(2)
    assert b"not lost" in job.store.entries("job")[-1]
    assert "committer failed" in caplog.text


def test_what_goes_wrong_with_one_session_keeps_no_other_waiting(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    bad, good = job.session(session_id="bad"), job.session(session_id="good")
    job.clock.settle_sync()

    def fail() -> None:
        raise LookupError

    for _ in range(3):
        bad.log("hello")
        replica_of(job.here, "bad").barrier(fail)
        good.log("hello")
        job.clock.advance_sync(2)
    assert job.store.there("bad").head == job.store.there("good").head == 4
    (record,) = caplog.records
    assert "session bad " in record.getMessage()


def test_a_log_that_cannot_be_read_keeps_nobody_else_from_news(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    good = job.session(session_id="good")
    job.session(session_id="bad")
    for session_id in ("bad", "good"):
        job.there.get(session_id)
    job.clock.settle_sync()
    there = job.store.there("bad")
    unreadable = b'{"time":"","type":"session.completed",'
    job.store.append([Append("bad", there.epoch, [unreadable], there.head)])
    good.log("hello")
    job.clock.settle_sync()
    assert replica_of(job.there, "good").history.head == 2
    assert all("session bad " in record.getMessage() for record in caplog.records)


def test_an_append_that_two_threads_have_brought_lands_once(site: Sites) -> None:
    job = site()
    session = job.session()
    job.clock.settle_sync()
    replica = replica_of(job.here)

    def bring_it() -> None:
        """As the writer does after a stop that gave up on the one that is at it."""
        append = replica.next_append(job.clock.monotonic())
        assert isinstance(append, Append)
        replica.answered(append, job.store.append([append])[0])
        session.log("second")
        assert isinstance(replica.next_append(job.clock.monotonic()), Append)

    job.store.meanwhile("append", bring_it)
    session.log("first")
    job.clock.settle_sync()
    assert [log.message for log in session.snapshot().logs] == ["first", "second"]
    assert [log.message for log in job.there.snapshot("job").logs] == ["first", "second"]


def test_a_flush_says_when_somebody_else_has_ended_the_session(site: Sites) -> None:
    job = site()
    session = job.session()
    job.clock.settle_sync()
    job.store.meanwhile("append", lambda: job.there.delete("job"))
    session.log("too late")
    with pytest.raises(SessionEnded):
        session.flush_sync()


def test_a_flush_says_so_when_that_was_known_before(
    site: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    job = site()
    session = job.session()
    job.clock.settle_sync()
    job.there.delete("job")
    job.clock.settle_sync()
    session.log("too late")
    with pytest.raises(SessionEnded):
        session.flush_sync()
    assert session.dropped == 1
    assert "emitted after the end" in caplog.text


def test_a_flush_says_so_when_who_took_the_session_over_has_ended_it(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    job.clock.settle_sync()
    kill(job.here)
    job.clock.jump(31)
    with job.there.open(session_id="job", existing="resume"):
        session.log("too late")
        for _ in range(2):
            with pytest.raises(SessionConflict):
                session.flush_sync()
    job.clock.settle_sync()
    job.here.get("job")
    with pytest.raises(SessionEnded):
        session.flush_sync()


def deleted(job: Site) -> None:
    job.there.delete("job")


def lost(job: Site) -> None:
    durable(job.there).end_lost(job.store.there("job"), 0.0)


@async_test
@pytest.mark.parametrize(
    ("end", "before", "status", "reason"),
    [
        (lost, "renew", "lost", None),
        (deleted, "renew", "cancelled", "deleted"),
        (deleted, "append", "cancelled", "deleted"),
    ],
)
async def test_a_job_that_finds_its_session_ended_is_stopped(
    site: Sites, end: Callable[[Site], None], before: str, status: str, reason: str | None
) -> None:
    job = site(lease_ttl=30)
    stopped: list[tuple[bool, str | None]] = []

    async def work(session: ProgressSession) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append((session.cancel_requested, replica_of(job.here).life.cancel_reason))

    session = job.here.start(work, session_id="job")
    await job.clock.settle()
    job.clock.jump(31)
    job.store.meanwhile(before, lambda: end(job))
    session.log("too late")
    await job.clock.settle()
    assert stopped == [(True, reason)]
    assert session.status == status


def test_a_session_that_is_ended_as_it_begins_does_not_begin(site: Sites) -> None:
    job = site()
    job.here.reserve_sync(session_id="job")
    job.store.meanwhile("append", lambda: job.there.cancel("job", "enough"))
    with pytest.raises(SessionConflict, match="ended"):
        job.session()


def test_who_helps_a_dead_producer_does_not_storm_the_store(site: Sites) -> None:
    job = site(max_history_events=2, lost_after=None)
    session = job.session()
    helper = job.there.attach("job")
    kill(job.here)
    for number in range(20):
        helper.log(f"{number}")
        job.clock.advance_sync(0.1)
    assert session.status == "running"
    assert len(job.store.entries("job")) == 9
    before = job.store.commits
    job.clock.advance_sync(2)
    assert 1 <= job.store.commits - before <= 51


class Fickle(dict[str, Any]):
    """A value that can be read when the session begins, and never again."""

    reads = 0

    def items(self) -> Any:
        self.reads += 1
        if self.reads > 1:
            raise RuntimeError("not now")
        return super().items()


def test_a_private_value_that_fails_later_harms_nobody(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job", private=Fickle(a=1)) as session:
        session.log("stored")
    assert b"stored" in b"".join(job.store.entries("job"))
    assert job.there.get("job").status == "completed"


@async_test
async def test_a_suspended_session_is_let_go_when_it_goes_on_elsewhere(site: Sites) -> None:
    job = site(replica_ttl=10)
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?")
    with job.there.open(session_id="job", existing="resume"):
        assert held(job.here) == ["job"]
        await job.clock.advance(30)
        assert held(job.here) == []
