"""Following a session over WebSocket: what arrives, in which order, and how it closes."""

from __future__ import annotations

import json

import pytest

from .following import Site, settle

pytestmark = pytest.mark.anyio


async def test_a_subscriber_gets_welcome_every_event_the_end_and_a_clean_close() -> None:
    site = Site()
    async with site.peer() as peer:
        for number in range(3):
            site.session.log(f"line {number}")
        site.end()
        await site.clock.advance(0.04)
    assert peer.types == [
        "welcome",
        "session.started",
        *["log.message"] * 3,
        "session.completed",
        "end",
    ]
    assert [frame["seq"] for frame in peer.frames[1:-1]] == [1, 2, 3, 4, 5]
    assert peer.close_code == 1000


async def test_the_welcome_says_what_a_client_needs_to_know() -> None:
    site = Site()
    async with site.peer() as peer:
        welcome = peer.frames[0]
    assert welcome["protocol"] == 1
    assert welcome["session_id"] == site.session.id
    assert welcome["status"] == "running"
    assert welcome["resume"] == "fresh"
    assert welcome["head"] == 1
    assert welcome["heartbeat_interval"] == 15
    assert welcome["retry_window"] == 0.2
    assert welcome["server_time"].endswith("Z")


async def test_a_cursor_continues_exactly() -> None:
    site = Site()
    for number in range(5):
        site.session.log(str(number))
    epoch, head = site.session.cursor.split("-")
    async with site.peer(f"ws?after={epoch}-{int(head) - 2}") as peer:
        pass
    assert peer.frames[0]["resume"] == "exact"
    assert [frame["message"] for frame in peer.frames[1:]] == ["3", "4"]


async def test_a_late_subscriber_of_a_trimmed_session_gets_its_state_and_the_retained_tail() -> (
    None
):
    site = Site(max_history_events=10)
    for number in range(50):
        site.session.log(str(number))
    async with site.peer() as peer:
        pass
    welcome, snapshot, *events = peer.frames
    assert welcome["resume"] == "snapshot"
    assert snapshot["type"] == "snapshot"
    assert snapshot["seq"] == snapshot["state"]["seq"] == 41
    assert [event["seq"] for event in events] == list(range(42, 52))


async def test_a_cursor_before_the_retained_tail_is_told_what_it_missed() -> None:
    site = Site(max_history_events=10)
    epoch = site.session.cursor.split("-")[0]
    for number in range(50):
        site.session.log(str(number))
    async with site.peer(f"ws?after={epoch}-5") as peer:
        pass
    assert peer.types[:3] == ["welcome", "gap", "snapshot"]
    gap = peer.frames[1]
    assert (gap["missed_from"], gap["missed_to"], gap["reason"]) == (6, 41, "evicted")


@pytest.mark.parametrize(
    "cursor", ["nonsense", "0123456789-1", "", "%F0%9F%92%A5", "0123456789-" + "9" * 40]
)
async def test_a_cursor_that_is_not_of_this_log_starts_over(cursor: str) -> None:
    site = Site()
    async with site.peer(f"ws?after={cursor}") as peer:
        pass
    assert peer.frames[0]["resume"] == "reset"
    assert peer.types[1:] == ["session.started"]


async def test_a_subscriber_that_stands_still_gets_a_gap_and_the_state_and_goes_on() -> None:
    site = Site(max_history_events=10)
    async with site.peer() as peer:
        peer.stop_reading()
        for number in range(100):
            site.session.log(str(number))
            await site.clock.advance(0.04)
        peer.read_on()
        await settle()
        site.session.log("present")
        await site.clock.advance(0.04)
    gap = peer.types.index("gap")
    assert peer.types[gap : gap + 2] == ["gap", "snapshot"]
    assert peer.frames[gap]["reason"] == "slow"
    assert peer.frames[gap + 1]["seq"] == 101
    assert [frame["message"] for frame in peer.frames[gap + 2 :]] == ["present"]


async def test_a_write_holds_at_most_256_events() -> None:
    site = Site()
    for number in range(600):
        site.session.log(str(number))
    async with site.peer() as peer:
        pass
    sizes = [len(json.loads(m["text"])) for m in peer.sent if m["type"] == "websocket.send"]
    assert sizes == [1, 256, 256, 89]


async def test_a_write_holds_at_most_64_kib() -> None:
    site = Site()
    for _ in range(40):
        site.session.log("x" * 6000)
    async with site.peer() as peer:
        pass
    sizes = [len(m["text"]) for m in peer.sent if m["type"] == "websocket.send"]
    assert max(sizes) <= 64 * 1024
    assert len(peer.frames) == 42


@pytest.mark.parametrize(
    ("session_id", "code", "close"),
    [
        ("nobody-chose-this", "forbidden", 4403),
        ("s_zzzz0123456789012345678901", "wrong_process", 4421),
        ("-starts-wrong", "bad_request", 4400),
    ],
)
async def test_a_refused_join_is_told_why_before_the_close(
    session_id: str, code: str, close: int
) -> None:
    site = Site()
    async with site.peer(session_id=session_id) as peer:
        peer.hang_up()
        await settle()
    assert peer.types == ["error"]
    assert peer.frames[0]["code"] == code
    assert peer.frames[0]["retryable"] is False
    assert peer.close_code == close


async def test_an_unknown_generated_id_is_unknown_and_a_removed_one_is_gone() -> None:
    site = Site()
    removed = site.session.id
    site.registry.delete(removed)
    unknown = removed[:-1] + ("0" if removed[-1] != "0" else "1")
    async with site.peer(session_id=unknown) as first, site.peer(session_id=removed) as second:
        first.hang_up()
        second.hang_up()
        await settle()
    assert (first.frames[0]["code"], first.close_code) == ("session_unknown", 4404)
    assert (second.frames[0]["code"], second.close_code) == ("session_gone", 4410)


async def test_deleting_a_session_tells_those_who_follow_it() -> None:
    site = Site()
    async with site.peer() as peer:
        site.registry.delete(site.session.id)
        await site.clock.advance(0.04)
    assert peer.types[-1] == "error"
    assert peer.frames[-1]["code"] == "session_gone"
    assert peer.close_code == 4410


@pytest.mark.parametrize(
    ("text", "data", "close"),
    [
        ("not json", None, 4400),
        ('{"type": "ping"}', None, 4400),
        ('["pong"]', None, 4400),
        ("null", None, 4400),
        (None, b"\x00\xff", 4400),
        ('{"type": "pong", "x": "' + "x" * 20_000 + '"}', None, 4413),
    ],
)
async def test_a_client_frame_other_than_pong_closes_its_connection_only(
    text: str | None, data: bytes | None, close: int
) -> None:
    site = Site()
    async with site.peer() as rude, site.peer() as polite:
        rude.say(text, data)
        await settle()
        site.session.log("on")
        await site.clock.advance(0.04)
    assert rude.close_code == close
    assert rude.types[-1] == "error"
    assert polite.types[-1] == "log.message"
    assert polite.close_code is None


async def test_ten_thousand_client_frames_after_a_refusal_are_read_and_ignored() -> None:
    site = Site()
    async with site.peer() as peer:
        for _ in range(100):
            peer.say("rubbish")
        await settle()
    assert peer.types.count("error") == 1
    assert [m["type"] for m in peer.sent].count("websocket.close") == 1


async def test_the_subprotocol_is_selected_only_when_it_is_offered() -> None:
    site = Site()
    async with site.peer() as plain, site.peer(subprotocols=("agentprogress.v1", "x")) as modern:
        pass
    assert plain.sent[0]["subprotocol"] is None
    assert modern.sent[0]["subprotocol"] == "agentprogress.v1"


async def test_who_hangs_up_is_forgotten() -> None:
    site = Site()
    async with site.peer() as peer:
        assert site.registry.stats().subscribers == 1
        peer.hang_up()
        await peer.finished.wait()
        assert site.registry.stats().subscribers == 0
        assert site.registry.get(site.session.id).subscribers == 0


async def test_a_server_that_cancels_the_connection_leaves_nothing_behind() -> None:
    site = Site()
    async with site.peer():
        pass
    assert site.registry.stats().subscribers == 0
