"""What waits for a store that is away: bounded, and it says what it gave up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic_core import from_json

from agentprogress import ProgressSession
from agentprogress.errors import StoreUnavailable

from .kit import Site, replica_of

Sites = Callable[..., Site]

BOUND = 20


def small(site: Sites, **settings: Any) -> Site:
    return site(max_outbox_events=BOUND, max_append_events=10, **settings)


def go_away(job: Site) -> None:
    """Takes the store away, and has it noticed: nothing is under way when this returns."""
    job.clock.settle_sync()
    job.store.available = False
    with pytest.raises(StoreUnavailable):
        job.here.get("unknown")
    job.clock.settle_sync()


def emitted_in_an_outage(job: Site, emit: Callable[[ProgressSession], object]) -> ProgressSession:
    """Emits while the store is away, and brings it back."""
    session = job.session()
    go_away(job)
    emit(session)
    job.clock.advance_sync(10)
    job.store.available = True
    job.clock.advance_sync(10)
    return session


def stored(job: Site, session_id: str = "job") -> list[dict[str, Any]]:
    return [from_json(entry) for entry in job.store.entries(session_id)]


def types(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def told(job: Site, session_id: str = "job") -> dict[str, int]:
    """Returns what the log says was given up, in all."""
    sums: dict[str, int] = {}
    for event in stored(job, session_id):
        if event["type"] == "events.dropped":
            for kind, count in event["by_type"].items():
                sums[kind] = sums.get(kind, 0) + count
    return sums


def test_up_to_its_bound_everything_is_kept(site: Sites) -> None:
    job = small(site)

    def emit(session: ProgressSession) -> None:
        for number in range(BOUND):
            session.log(str(number))

    session = emitted_in_an_outage(job, emit)
    assert types(stored(job)) == ["session.started", *["log.message"] * BOUND]
    assert (told(job), session.dropped) == ({}, 0)


def test_beyond_it_logs_go_and_everything_else_stays(site: Sites) -> None:
    job = small(site)

    def emit(session: ProgressSession) -> None:
        for number in range(BOUND):
            session.log(str(number))
            with session.step(str(number)):
                pass

    session = emitted_in_an_outage(job, emit)
    kept = types(stored(job))
    assert kept.count("step.started") == kept.count("step.completed") == BOUND
    lost = BOUND - kept.count("log.message")
    assert lost > 0
    assert told(job) == {"log.message": lost}
    assert session.dropped == job.here.stats().dropped == lost
    assert job.here.stats().waiting == 0


def test_progress_and_text_are_merged_before_anything_goes(site: Sites) -> None:
    job = small(site)

    def emit(session: ProgressSession) -> None:
        phase = session.phase("read", total=1_000)
        with session.text() as text:
            for number in range(1_000):
                phase.advance()
                text.write(str(number % 10))
                if number % 100 == 0:
                    session.usage(input_tokens=1)

    session = emitted_in_an_outage(job, emit)
    assert (told(job), session.dropped) == ({}, 0)
    snapshot = job.there.snapshot("job")
    assert snapshot.steps[0].current == 1_000
    assert snapshot.texts[0].text == "0123456789" * 100
    assert snapshot.usage.input_tokens == 10


def test_far_beyond_it_only_what_is_essential_stays(site: Sites) -> None:
    job = small(site)

    def emit(session: ProgressSession) -> None:
        for number in range(BOUND * 4 + 50):
            session.step(str(number))
        session.request_cancel("enough")

    session = emitted_in_an_outage(job, emit)
    kept = types(stored(job))
    assert "cancel.requested" in kept
    assert "events.dropped" in kept
    assert kept.count("step.started") + told(job)["step.started"] == BOUND * 4 + 50
    assert session.dropped == told(job)["step.started"]


def test_the_end_is_never_given_up(site: Sites) -> None:
    job = small(site)
    session = job.session()
    go_away(job)
    for number in range(BOUND * 10):
        session.step(str(number))
    job.clock.settle_sync()
    replica_of(job.here).transition({"type": "session.completed"})
    job.clock.advance_sync(10)
    job.store.available = True
    job.clock.advance_sync(10)
    assert types(stored(job))[-1] == "session.completed"
    assert job.there.get("job").status == "completed"


def test_the_bound_counts_bytes_as_well(site: Sites) -> None:
    job = site(
        max_outbox_bytes=64 * 1024,
        max_append_bytes=64 * 1024,
        max_event_bytes=64 * 1024,
    )

    def emit(session: ProgressSession) -> None:
        for _ in range(40):
            session.log("x" * 4_000)

    emitted_in_an_outage(job, emit)
    assert told(job)["log.message"] > 0


def test_the_bound_is_one_of_the_process(site: Sites) -> None:
    job = small(site)
    sessions = [job.session(session_id=f"n{number}") for number in range(10)]
    go_away(job)
    for session in sessions:
        for number in range(5):
            session.log(str(number))
    job.clock.advance_sync(10)
    assert job.here.stats().waiting <= BOUND
    job.store.available = True
    job.clock.advance_sync(10)
    lost = sum(told(job, session.id).get("log.message", 0) for session in sessions)
    assert lost == job.here.stats().dropped
    kept = sum(types(stored(job, session.id)).count("log.message") for session in sessions)
    assert (kept, lost) == (50 - lost, 50 - kept)


@pytest.mark.parametrize(("count", "lost"), [(BOUND * 16, 0), (BOUND * 16 + 60, BOUND * 16 + 60)])
def test_what_a_store_takes_slowly_is_given_up_only_far_beyond_the_bound(
    site: Sites, count: int, lost: int
) -> None:
    job = small(site)
    session = job.session()
    session.flush_sync()

    def outrun() -> None:
        for number in range(count):
            session.log(str(number))

    job.store.meanwhile("append", outrun)
    session.log("first")
    session.flush_sync()
    job.clock.advance_sync(1)
    assert session.dropped == lost
    assert told(job) == ({"log.message": lost} if lost else {})


def test_what_is_given_up_in_each_of_several_outages_is_told(site: Sites) -> None:
    job = small(site)
    session = job.session()
    for _ in range(3):
        go_away(job)
        for number in range(BOUND * 3):
            session.log(str(number))
        job.clock.advance_sync(10)
        job.store.available = True
        job.clock.advance_sync(10)
    kept = types(stored(job)).count("log.message")
    assert told(job) == {"log.message": 3 * BOUND * 3 - kept}
    assert session.dropped == told(job)["log.message"]


def only_logs(wire: dict[str, Any]) -> dict[str, Any]:
    """A rule of an application that knows only some of the types."""
    rules: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"log.message": dict}
    return wire if wire["type"].startswith("session.") else rules[wire["type"]](wire)


def test_what_is_given_up_is_told_whatever_the_application_hides(site: Sites) -> None:
    job = small(site)
    session = job.session(job.process(redact=only_logs))
    go_away(job)
    for number in range(BOUND * 3):
        session.log(str(number))
    job.clock.advance_sync(10)
    job.store.available = True
    job.clock.advance_sync(10)
    session.log("afterwards")
    session.flush_sync()
    assert told(job) == {"log.message": session.dropped}
