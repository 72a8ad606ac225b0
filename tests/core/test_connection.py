"""The sans-I/O connection: every input in every phase, what is said, and the deadlines."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product

import pytest

from agentprogress import Settings
from agentprogress._core import frames
from agentprogress._core.batch import Batch
from agentprogress._core.connection import Connection, Terms, Transport
from agentprogress._core.frames import Tempo
from agentprogress._core.history import Join, Joined, Missed, Resume
from agentprogress._core.outputs import Accept, Close, Due, Output, Refusal, Write
from agentprogress._core.phases import IllegalInput, Input, Phase, next_phase
from agentprogress._core.states import SessionStatus
from agentprogress.codes import CODES
from agentprogress.errors import (
    Draining,
    Forbidden,
    ProgressError,
    SessionGone,
    TooManySubscribers,
)

SETTINGS = Settings()
TEMPO = Tempo("2026-11-22T12:00:00.000Z", 1.0, retry=0.5)
EPOCH = "abcdefghij"
FRESH = Joined(Join(Resume.FRESH, 0), EPOCH, 2, SessionStatus.RUNNING, None)
EVENT = b'{"seq":1,"time":"2026-11-22T12:00:00.000Z","type":"log.message","message":"m"}'
PONG = '{"type":"pong"}'


def made(
    transport: Transport = Transport.WEBSOCKET,
    *,
    pongs: bool = False,
    max_age: float | None = None,
    expires_in: float | None = None,
) -> Connection:
    """A connection made at time 0 whose first heartbeat is due at 10."""
    terms = Terms(0.0, 10.0, max_age=max_age, expires_in=expires_in, pongs=pongs)
    return Connection(transport, SETTINGS, terms)


def joined(transport: Transport = Transport.WEBSOCKET, **terms: object) -> Connection:
    """One that was taken in, and has said so."""
    connection = made(transport, **terms)  # type: ignore[arg-type]
    connection.joined("s", FRESH, None, TEMPO)
    steps(connection)
    return connection


def steps(connection: Connection) -> list[Output]:
    """Takes everything there is to do."""
    found: list[Output] = []
    while (step := connection.next()) is not None:
        found.append(step)
    return found


def said(found: list[Output]) -> list[str]:
    """The types of the frames in some steps of a WebSocket."""
    texts = [step.data for step in found if isinstance(step, Write)]
    return [frame["type"] for text in texts for frame in json.loads(text)]


def in_phase(phase: Phase, transport: Transport) -> Connection:
    """A connection that has come to a phase."""
    if phase is Phase.JOINING:
        return made(transport)
    connection = joined(transport)
    if phase is Phase.GONE:
        connection.left()
    elif phase is not Phase.OPEN:
        connection.ended("completed", 2, EPOCH)
        if phase is Phase.CLOSED:
            steps(connection)
    return connection


def take_close(connection: Connection) -> None:
    connection.ended("completed", 2, EPOCH)
    steps(connection)


INPUTS: dict[Input, Callable[[Connection], object]] = {
    Input.JOINED: lambda c: c.joined("s", FRESH, None, TEMPO),
    Input.EVENTS: lambda c: c.events(Batch(EPOCH, 1, [EVENT])),
    Input.MISSED: lambda c: c.missed(Missed(1, 2, "slow")),
    Input.SNAPSHOT: lambda c: c.snapshot(2, b"{}", EPOCH),
    Input.ENDED: lambda c: c.ended("completed", 2, EPOCH),
    Input.PAUSED: lambda c: c.paused(),
    Input.RETURNED: lambda c: c.returned(1.0),
    Input.REFUSED: lambda c: c.refused(Forbidden("no")),
    Input.FRAME: lambda c: c.received(PONG),
    Input.HEARTBEAT: lambda c: c.heartbeat(2, frames.ALIVE, TEMPO),
    Input.WRITING: lambda c: c.writing(Write("x", 1.0), 0.0),
    Input.WROTE: lambda c: c.wrote(0.0),
    Input.TIME: lambda c: c.due(0.0),
    Input.LEFT: lambda c: c.left(),
}

# The protocol once more, in another form: what each phase answers to each input. Capital letters
# lead to (O)pen, (C)losing, (G)one; "." is ignored, "=" stays, "!" is illegal.
EXPECTED = {
    #                   JOINING OPEN CLOSING CLOSED GONE
    Input.JOINED: "O!!!!",
    Input.EVENTS: "!=!!!",
    Input.MISSED: "!=!!!",
    Input.SNAPSHOT: "!=!!!",
    Input.ENDED: "!C!!!",
    Input.PAUSED: "!C!!!",
    Input.RETURNED: ".C...",
    Input.REFUSED: "CC...",
    Input.FRAME: "!=...",
    Input.HEARTBEAT: "!=...",
    Input.WRITING: "!===!",
    Input.WROTE: "!===.",
    Input.TIME: ".===.",
    Input.LEFT: "GGGG.",
}
LEADS = {"O": Phase.OPEN, "C": Phase.CLOSING, "G": Phase.GONE}


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(("phase", "what"), list(product(Phase, INPUTS)))
def test_every_input_in_every_phase(phase: Phase, what: Input, transport: Transport) -> None:
    connection = in_phase(phase, transport)
    before = (connection.phase, connection.deadline)
    expected = EXPECTED[what][list(Phase).index(phase)]
    if expected == "!":
        with pytest.raises(IllegalInput, match=what.value):
            INPUTS[what](connection)
        assert (connection.phase, connection.deadline) == before
        return
    INPUTS[what](connection)
    closed_at_once = (
        transport is not Transport.WEBSOCKET and phase is Phase.CLOSED and what is Input.WROTE
    )
    lead = Phase.GONE if closed_at_once else LEADS.get(expected, phase)
    assert connection.phase is lead
    if expected == ".":
        assert connection.deadline == before[1]


def test_the_close_is_taken_once_and_only_while_closing() -> None:
    for phase in Phase:
        if phase is Phase.CLOSING:
            assert next_phase(phase, Input.TAKEN) is Phase.CLOSED
        else:
            with pytest.raises(IllegalInput):
                next_phase(phase, Input.TAKEN)


@pytest.mark.parametrize("late", [Input.FRAME, Input.HEARTBEAT, Input.RETURNED, Input.REFUSED])
def test_once_a_close_is_queued_nothing_more_is_written(late: Input) -> None:
    connection = joined()
    connection.ended("completed", 2, EPOCH)
    INPUTS[late](connection)
    assert [type(step) for step in steps(connection)] == [Write, Close]
    INPUTS[late](connection)
    assert steps(connection) == []


def test_a_join_is_accepted_and_welcomed_in_this_order() -> None:
    connection = made()
    trimmed = Joined(
        Join(Resume.GAP, 5, Missed(3, 5, "evicted"), snapshot=True),
        EPOCH,
        9,
        SessionStatus.RUNNING,
        b"{}",
    )
    connection.joined("s", trimmed, f"{EPOCH}-2", TEMPO)
    found = steps(connection)
    assert isinstance(found[0], Accept)
    assert said(found) == ["welcome", "gap", "snapshot"]
    assert connection.wants_more


def test_on_sse_a_welcome_carries_what_the_client_holds() -> None:
    exact = Joined(Join(Resume.EXACT, 2), EPOCH, 2, SessionStatus.RUNNING, None)
    for answer, cursor, held in ((exact, f"{EPOCH}-2", 2), (FRESH, None, 0)):
        connection = made(Transport.SSE)
        connection.joined("s", answer, cursor, TEMPO)
        welcome = steps(connection)[1]
        assert isinstance(welcome, Write)
        assert isinstance(welcome.data, bytes)
        assert welcome.data.endswith(b"id: %b-%d\nretry: 500\n\n" % (EPOCH.encode(), held))


def test_a_page_is_bare_frames() -> None:
    connection = joined(Transport.PAGE)
    connection.events(Batch(EPOCH, 1, [EVENT, EVENT]))
    connection.paused()
    assert [s.data for s in steps(connection) if isinstance(s, Write)] == [EVENT, EVENT]


@pytest.mark.parametrize("error", [Forbidden("no"), SessionGone("s", "lost", "2026")])
def test_who_is_refused_before_joining_gets_a_response_but_on_a_websocket(
    error: ProgressError,
) -> None:
    for transport in (Transport.SSE, Transport.PAGE):
        connection = made(transport)
        connection.refused(error)
        assert steps(connection) == [Refusal(error, None)]
    connection = made()
    connection.refused(error)
    accept, frame, close = steps(connection)
    assert isinstance(accept, Accept)
    assert said([frame]) == ["error"]
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (CODES[error.code].websocket, error.code)


def test_a_session_that_is_gone_still_says_how_it_ended() -> None:
    connection = made()
    connection.refused(SessionGone("s", "lost", "2026"))
    frame = steps(connection)[1]
    assert isinstance(frame, Write)
    assert json.loads(frame.data)[0]["gone"] == {"status": "lost", "ended_at": "2026"}


@pytest.mark.parametrize("error", [Draining(), TooManySubscribers("full")])
def test_overload_lets_an_event_source_in_to_tell_it_when_to_return(error: ProgressError) -> None:
    connection = made(Transport.SSE)
    connection.refused(error, 2.0)
    accept, frame, close = steps(connection)
    assert isinstance(accept, Accept)
    assert isinstance(frame, Write)
    assert frame.data == (
        b'event: reconnect\ndata: {"type":"reconnect","retry_after":2.0}\nretry: 2000\n\n'
    )
    assert isinstance(close, Close)


def test_on_a_websocket_a_drain_is_a_reconnect_and_a_full_house_an_error() -> None:
    for error, frame, code in (
        (Draining(), "reconnect", 1012),
        (TooManySubscribers(), "error", 4105),
    ):
        connection = made()
        connection.refused(error, 2.0)
        found = steps(connection)
        assert said(found) == [frame]
        assert isinstance(found[1], Write)
        assert json.loads(found[1].data)[0]["retry_after"] == 2.0
        assert isinstance(found[-1], Close)
        assert found[-1].code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("rubbish", "bad_request"),
        ('{"type":"ping"}', "bad_request"),
        ("[]", "bad_request"),
        ('[{"type":"pong"}]', "bad_request"),
        ("null", "bad_request"),
        ("\ud800", "bad_request"),
        (b"\x00", "bad_request"),
        (PONG.encode(), "bad_request"),
        ("x" * (SETTINGS.max_client_frame_bytes + 1), "too_large"),
        (b"x" * (SETTINGS.max_client_frame_bytes + 1), "too_large"),
    ],
)
def test_a_frame_that_is_no_pong_ends_the_connection(data: str | bytes, code: str) -> None:
    connection = joined()
    connection.received(data)
    error, close = steps(connection)
    assert said([error]) == ["error"]
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (CODES[code].websocket, code)


def test_a_client_frame_of_exactly_the_limit_is_read() -> None:
    start = '{"type":"pong","x":"'
    room = SETTINGS.max_client_frame_bytes - len(start) - 2
    connection = joined()
    connection.received(start + "x" * room + '"}')
    assert steps(connection) == []
    connection.received(start + "x" * (room + 1) + '"}')
    assert isinstance(steps(connection)[-1], Close)


def test_the_deadline_is_the_nearest_of_all() -> None:
    connection = joined(max_age=7)
    assert connection.deadline == 7
    connection.writing(Write("x", timeout=3), now=1)
    assert connection.deadline == 4
    connection.wrote(now=2)
    assert connection.deadline == 7


def test_nothing_is_due_before_its_time() -> None:
    assert joined().due(9.9) is None


def test_a_late_heartbeat_does_not_move_the_cadence() -> None:
    connection = joined()
    assert connection.due(12) is Due.HEARTBEAT
    assert connection.deadline == 25
    assert connection.due(70) is Due.HEARTBEAT
    assert connection.deadline == 85


def beat(connection: Connection, now: float) -> None:
    """A heartbeat is due, and written at once."""
    connection.heartbeat(2, frames.ALIVE, TEMPO)
    for write in steps(connection):
        assert isinstance(write, Write)
        connection.writing(write, now)
        connection.wrote(now)


def test_a_pong_is_awaited_from_the_first_unanswered_heartbeat() -> None:
    connection = joined(pongs=True)
    for now in (10.0, 15.0):
        beat(connection, now)
    assert connection.due(19.9) is Due.HEARTBEAT
    connection.received(PONG)
    assert connection.due(21) is None
    beat(connection, 21)
    assert connection.due(30.9) is Due.HEARTBEAT
    assert connection.due(31) is Due.NO_PONG
    assert said(steps(connection)) == ["error"]


def test_a_heartbeat_behind_a_blocked_write_is_one_and_its_pong_can_wait() -> None:
    connection = joined(pongs=True)
    connection.snapshot(2, b"{}", EPOCH)
    snapshot = connection.next()
    assert isinstance(snapshot, Write)
    connection.writing(snapshot, 0)
    for _ in range(3):
        connection.heartbeat(2, frames.ALIVE, TEMPO)
    assert connection.due(39) is Due.HEARTBEAT  # and not NO_PONG
    connection.wrote(39)
    (waiting,) = steps(connection)
    assert isinstance(waiting, Write)
    connection.writing(waiting, 39)
    connection.wrote(39)
    assert connection.due(39 + SETTINGS.pong_timeout) is Due.NO_PONG


def test_a_reconnect_at_once_leaves_an_event_source_the_delay_of_its_welcome() -> None:
    connection = joined(Transport.SSE)
    connection.returned(0.0)
    write = steps(connection)[0]
    assert isinstance(write, Write)
    assert b"retry:" not in bytes(write.data)  # type: ignore[arg-type]


def test_a_right_that_expires_ends_the_connection() -> None:
    connection = joined(expires_in=5)
    assert connection.due(4.9) is None
    assert connection.due(5) is Due.EXPIRED
    error, close = steps(connection)
    assert said([error]) == ["error"]
    assert isinstance(close, Close)
    assert close.code == 4104


def test_a_connection_of_age_is_told_to_come_back() -> None:
    connection = joined(max_age=7)
    assert connection.due(7) is Due.RECONNECT
    assert said(steps(connection)) == ["reconnect"]


def test_a_blocked_write_detaches_even_while_closing() -> None:
    connection = joined()
    connection.ended("completed", 1, EPOCH)
    write = connection.next()
    assert isinstance(write, Write)
    connection.writing(write, now=0)
    assert connection.due(SETTINGS.write_timeout) is Due.DETACH


def test_after_the_close_a_websockets_peer_has_some_time() -> None:
    connection = joined()
    take_close(connection)
    connection.wrote(now=5)
    assert connection.due(5 + SETTINGS.close_timeout - 0.1) is None
    assert connection.due(5 + SETTINGS.close_timeout) is Due.ABORT


def test_a_stream_is_over_with_its_last_byte() -> None:
    connection = joined(Transport.SSE)
    take_close(connection)
    connection.wrote(now=5)
    assert connection.over
