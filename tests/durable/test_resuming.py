"""Going on with a session in another process: one that waits, and one whose producer is silent."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agentprogress import ProgressSession, SessionRegistry, Snapshot
from agentprogress.errors import SessionConflict

from .kit import Site, kill

async_test = pytest.mark.anyio

Sites = Callable[..., Site]


def test_a_running_session_is_not_taken_while_its_lease_lives(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    for _ in range(5):
        job.clock.advance_sync(29)
        with pytest.raises(SessionConflict, match="already has a producer"):
            job.session(job.there, existing="resume")


def test_a_lapsed_session_is_not_taken_without_saying_so(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.clock.jump(31)
    with pytest.raises(SessionConflict, match='existing="resume"'):
        job.session(job.there)


@async_test
async def test_a_lapsed_session_goes_on_where_it_stopped(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session(plan=["read", "write"], title="Report", private={"row": 7})
    with session.phase("read"):
        pass
    session.phase("write")
    await session.flush()
    epoch = job.store.there("job").epoch
    async with job.following(job.there) as follower:
        job.clock.jump(31)
        taken = job.session(job.there, existing="resume")
        assert (taken.attempt, taken.status) == (1, "running")
        stored = job.store.there("job")
        assert (stored.epoch, stored.fence) == (epoch, 2)
        assert [step.status for step in taken.snapshot().steps] == ["completed", "interrupted"]
        with taken.phase("write"):
            pass
        await job.clock.advance(1)
        assert follower.types[-3:] == ["session.resumed", "step.started", "step.completed"]
        assert not any(isinstance(item, Snapshot) for item in follower.items)
    info = job.there.get("job")
    assert (info.title, info.private) == ("Report", {"row": 7})


def test_the_old_producer_is_heard_no_more(site: Sites, caplog: pytest.LogCaptureFixture) -> None:
    job = site(lease_ttl=30)
    old = job.session()
    job.clock.jump(31)
    taken = job.session(job.there, existing="resume")
    for number in range(3):
        old.log(str(number))
    with pytest.raises(SessionConflict):
        old.flush_sync()
    old.log("later")
    assert old.dropped == 4
    assert job.here.stats().dropped == 4
    taken.log("mine")
    taken.flush_sync()
    assert [log.message for log in job.process().snapshot("job").logs] == ["mine"]
    assert [each for each in caplog.records if "taken it over" in each.getMessage()]
    assert job.here.stats().waiting == 0


def test_the_old_producer_cannot_end_it(site: Sites) -> None:
    job = site(lease_ttl=30)
    with job.here.open(session_id="job") as old:
        old.complete("wrong")
        job.clock.jump(31)
        taken = job.session(job.there, existing="resume")
    assert taken.status == "running"
    assert job.process().get("job").status == "running"
    assert job.store.result("job") is None


@async_test
async def test_the_old_producer_hears_of_it_by_its_next_renewal(site: Sites) -> None:
    job = site(lease_ttl=30)
    old = job.session()
    job.clock.jump(31)
    job.session(job.there, existing="resume")
    await job.clock.advance(11)
    with pytest.raises(SessionConflict):
        await old.flush()
    old.log("dropped")
    assert old.dropped == 1


def test_of_two_that_take_over_in_the_same_moment_one_does(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.clock.jump(31)
    third = job.process()
    taken: list[ProgressSession] = []
    job.store.meanwhile("claim", lambda: taken.append(job.session(third, existing="resume")))
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="resume")
    assert job.store.there("job").fence == 2
    (session,) = taken
    session.log("mine")
    session.flush_sync()


def test_a_producer_that_is_back_in_the_last_moment_keeps_it(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    job.clock.jump(31)

    def come_back() -> None:
        job.store.renew([lease for leases in job.store.renewed for lease in leases][-1:])

    job.clock.settle_sync()
    job.clock.jump(31)
    job.store.meanwhile("claim", come_back)
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="resume")
    session.log("still mine")
    session.flush_sync()
    assert job.store.there("job").fence == 1


def test_a_session_may_be_taken_again_and_again(site: Sites) -> None:
    job = site(lease_ttl=30)
    sessions = [job.session()]
    for number in range(4):
        sessions[-1].log(str(number))
        sessions[-1].flush_sync()
        job.clock.jump(31)
        process = (job.there, job.here)[number % 2]
        sessions.append(job.session(process, existing="resume"))
    assert job.store.there("job").fence == 5
    assert [log.message for log in job.process().snapshot("job").logs] == ["0", "1", "2", "3"]
    for old in sessions[:-1]:
        old.log("from the grave")
    sessions[-1].log("end")
    sessions[-1].flush_sync()
    assert [log.message for log in job.process().snapshot("job").logs][-1] == "end"


def test_a_session_is_resumed_in_its_own_process_as_well(site: Sites) -> None:
    job = site(lease_ttl=30)
    old = job.session()
    job.clock.jump(31)
    taken = job.session(existing="resume")
    old.log("from the grave")
    taken.log("mine")
    taken.flush_sync()
    assert [log.message for log in job.there.snapshot("job").logs] == ["mine"]


def test_questions_of_the_silent_producer_are_withdrawn(site: Sites) -> None:
    job = site(lease_ttl=30)
    session = job.session()
    thread, errors = asking(job, session)
    assert len(job.there.snapshot("job").requests) == 1
    job.clock.jump(31)
    taken = job.session(job.there, existing="resume")
    taken.flush_sync()
    assert job.there.snapshot("job").requests == []
    job.clock.advance_sync(31)
    thread.join(10)
    assert [type(error) for error in errors] == [SessionConflict]


def asking(job: Site, session: ProgressSession) -> tuple[threading.Thread, list[Exception]]:
    """Asks in a thread of its own; the question is stored when this returns."""
    errors: list[Exception] = []
    stored = threading.Event()
    job.store.meanwhile("append", stored.set)

    def ask() -> None:
        try:
            session.request_input_sync("Go on?")
        except Exception as error:  # noqa: BLE001 - the test says which
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert stored.wait(10)
    job.clock.settle_sync()
    return thread, errors


def test_a_trimmed_log_is_taken_over_with_its_state(site: Sites) -> None:
    job = site(lease_ttl=30, max_history_events=10)
    session = job.session()
    phase = session.phase("read", total=100)
    for number in range(100):
        phase.advance()
        session.log(str(number))
        session.flush_sync()
    job.clock.jump(31)
    taken = job.session(job.there, existing="resume")
    (step,) = taken.snapshot().steps
    assert (step.current, step.status) == (100, "interrupted")
    for number in range(100):
        taken.log(f"again {number}")
        taken.flush_sync()
    stored = job.store.there("job")
    assert stored.head - stored.oldest + 1 <= 20
    assert job.process().snapshot("job").steps[0].current == 100


def test_what_was_asked_to_stop_is_still_asked_after_a_takeover(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    job.there.cancel("job", "enough")
    kill(job.here)
    job.clock.jump(31)
    taken = job.session(job.there, existing="resume")
    assert taken.cancel_requested


@async_test
async def test_a_takeover_of_a_session_that_is_asked_to_stop_stops_its_block(site: Sites) -> None:
    job = site(lease_ttl=30)
    job.session()
    async with job.following(job.there):
        assert job.process().cancel("job", "enough")
        kill(job.here)  # or it would race for a renewal
        job.clock.jump(31)

        async def work(session: ProgressSession) -> str:
            return "done"

        job.there.start(work, session_id="job", existing="resume")
        await job.clock.settle()
    assert job.process().get("job").status == "cancelled"


# Waiting


def suspended(job: Site) -> str:
    with job.here.open(session_id="job") as session:
        session.suspend("Deploy?", bool)
    (request,) = job.there.snapshot("job").requests
    return request.request_id


@async_test
async def test_a_waiting_session_goes_on_elsewhere_with_its_answer(site: Sites) -> None:
    job = site()
    request_id = suspended(job)
    third = job.process()
    async with job.following(third) as follower:
        job.there.answer("job", request_id, True)
        with third.open(session_id="job", existing="resume") as session:
            assert session.answer is True
            assert (session.attempt, session.status) == (1, "running")
            session.complete("deployed")
        await job.clock.advance(1)
        assert follower.types == [
            "session.started",
            "input.requested",
            "session.waiting",
            "input.resolved",
            "session.resumed",
            "session.completed",
        ]
    assert job.here.result("job") == "deployed"


def test_a_waiting_session_is_taken_up_without_an_answer_too(site: Sites) -> None:
    job = site()
    suspended(job)
    with job.there.open(session_id="job", existing="resume") as session:
        assert session.answer is None
        session.flush_sync()
        assert job.here.snapshot("job").requests == []
    assert job.there.get("job").status == "completed"


def test_a_waiting_session_is_taken_up_only_on_purpose(site: Sites) -> None:
    job = site()
    suspended(job)
    with pytest.raises(SessionConflict, match='existing="resume"'):
        job.session(job.there)
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="restart")


def test_a_waiting_session_is_never_lost(site: Sites) -> None:
    job = site()
    suspended(job)
    job.clock.advance_sync(400)
    assert job.there.get("job").status == "waiting"
    assert job.store.there("job").lease_left is None


def test_the_answer_is_there_after_every_process_has_forgotten_the_session(site: Sites) -> None:
    job = site(replica_ttl=1)
    request_id = suspended(job)
    job.there.answer("job", request_id, True)
    job.clock.advance_sync(5)
    with job.process().open(session_id="job", existing="resume") as session:
        assert session.answer is True


@async_test
async def test_an_answer_to_another_question_is_not_the_one_that_it_waits_for(site: Sites) -> None:
    job = site()

    async def work(session: ProgressSession) -> None:
        await session.request_input("How many?", request_id="count")
        session.suspend("Delete them?")

    job.here.start(work, session_id="job")
    await job.clock.settle()
    job.there.answer("job", "count", 3)
    await job.clock.advance(1)
    assert job.there.get("job").status == "waiting"
    with job.process().open(session_id="job", existing="resume") as session:
        assert session.answer is None


def fresh(job: Site) -> SessionRegistry:
    return job.process()


@pytest.mark.parametrize("which", [lambda job: job.here, lambda job: job.there, fresh])
def test_the_answer_to_an_earlier_wait_is_not_the_one_to_this(
    site: Sites, which: Callable[[Site], SessionRegistry]
) -> None:
    job = site()
    request_id = suspended(job)
    job.here.answer("job", request_id, True)
    with job.there.open(session_id="job", existing="resume") as session:
        assert session.answer is True
        session.suspend("Delete it as well?", bool)
    job.clock.settle_sync()
    with which(job).open(session_id="job", existing="resume") as session:
        assert session.answer is None


def test_the_answer_is_there_for_who_takes_over_a_trimmed_log(site: Sites) -> None:
    job = site(lease_ttl=30, max_history_events=5)
    request_id = suspended(job)
    job.there.answer("job", request_id, True)
    session = job.session(existing="resume")
    for number in range(20):
        session.log(str(number))
        session.flush_sync()
    job.clock.jump(31)
    assert job.session(job.there, existing="resume").answer is True


def test_of_two_that_resume_a_waiting_session_one_does(site: Sites) -> None:
    job = site()
    suspended(job)
    third = job.process()
    job.store.meanwhile("claim", lambda: job.session(third, existing="resume"))
    with pytest.raises(SessionConflict):
        job.session(job.there, existing="resume")
    assert job.store.there("job").fence == 2


def test_what_the_suspended_producer_still_emits_is_dropped(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session, session.phase("deploy"):
        session.suspend("Deploy?")
    head = job.store.there("job").head
    session.log("late")
    job.clock.settle_sync()
    assert job.store.there("job").head == head
    assert session.dropped >= 1


def test_a_message_of_a_resumed_session_comes_after_all_before_it(site: Sites) -> None:
    job = site()
    with job.here.open(session_id="job") as session:
        session.log("before")
        session.suspend("Deploy?")
    taken = job.session(job.there, existing="resume")
    taken.log("after")
    taken.flush_sync()
    logs = [log.message for log in job.process().snapshot("job").logs]
    assert logs == ["before", "after"]


def test_who_could_not_end_a_session_that_was_taken_over_may_take_it_back(site: Sites) -> None:
    job = site(lease_ttl=30, lost_after=None)
    with job.here.open(session_id="job"):
        job.clock.settle_sync()
        kill(job.here)
        job.clock.jump(31)
        job.session(job.there, existing="resume")
    kill(job.there)
    job.clock.jump(31)
    with job.here.open(session_id="job", existing="resume") as session:
        session.complete("done")
    assert job.process().result("job") == "done"
