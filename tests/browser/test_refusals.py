"""What a page makes of servers that refuse it, break the protocol, or are none of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from anyio.abc import ByteStream

from tests.client.line import EPOCH, end, error, event, heartbeat, welcome
from tests.client.scripted import Asked, Scripted, joined, opened, reply, scripted

from .site import Tab, Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

Json = dict[str, Any]
SIGN_IN = b"<!doctype html><title>Sign in</title>"

# Follows each URL until it rests or is over, all at once, and tells how it stands.
STANDINGS = """async ([sources, options]) => {
    const { ProgressClient } = await import("/pages/client/index.js");
    const one = (src) => new Promise((resolve) => {
        const client = new ProgressClient(src, options);
        client.subscribe(() => {
            const { error, retryAtMs, ...connection } = client.getSnapshot().connection;
            if (connection.state !== "gave_up" && !retryAtMs) return;
            resolve({ ...error, ...connection, inMs: retryAtMs && retryAtMs - Date.now() });
            client.close();
        });
    });
    return Promise.all(sources.map(one));
}"""


def problem(status: int, code: str, *, retryable: bool = False, **more: Any) -> bytes:
    body = {"type": "about:blank", "title": "Why.", "status": status, "code": code} | more
    return reply(status, {**body, "retryable": retryable}, "application/problem+json")


def page(status: int, **headers: object) -> bytes:
    """What a proxy or a sign-in page answers."""
    return reply(status, SIGN_IN, "text/html", **headers)


# The answer, and what is to be seen: the state, the error's kind, a word of its sentence.
ANSWERS: Mapping[str, tuple[bytes, str, str, str]] = {
    "unauthorized": (problem(401, "unauthorized"), "gave_up", "unauthorized", "Why."),
    "forbidden": (problem(403, "forbidden", detail="Not you."), "gave_up", "forbidden", "Not you."),
    "unknown": (problem(404, "session_unknown"), "gave_up", "unknown_session", "Why."),
    "gone": (problem(410, "session_gone"), "gave_up", "gone", "Why."),
    "elsewhere": (problem(421, "wrong_process"), "gave_up", "unknown_session", "Why."),
    "a no of tomorrow": (problem(409, "tired"), "gave_up", "server", "Why."),
    "a wait of tomorrow": (problem(409, "busy", retryable=True), "reconnecting", "server", "Why."),
    "draining": (problem(503, "draining", retryable=True), "reconnecting", "server", "Why."),
    "internal": (problem(500, "internal", retryable=True), "reconnecting", "server", "Why."),
    "a proxy without server": (page(502), "reconnecting", "server", "502"),
    "another's 404": (page(404), "reconnecting", "unknown_session", "wrong address"),
    "a sign-in page": (page(200), "reconnecting", "protocol", "text/html"),
    "no type": (reply(200, b"data: 1\n\n", ""), "reconnecting", "protocol", "wrong address"),
    "a way to a page": (
        page(302, Location="?case=a%20sign-in%20page"),
        "reconnecting",
        "protocol",
        "200",
    ),
    "no end of ways": (
        page(302, Location="?case=no%20end%20of%20ways"),
        "reconnecting",
        "network",
        "reached",
    ),
    "nothing": (b"", "reconnecting", "network", "reached"),
    "noise": (b"\0\1\2\3", "reconnecting", "network", "reached"),
}


def case_of(asked: Asked) -> str:
    (case,) = parse_qs(urlsplit(asked.target).query)["case"]
    return case


async def standings(tabs: Tabs, server: Scripted, cases: Any, **options: Any) -> dict[str, Json]:
    """Returns how clients stand that follow each case."""
    tab = await tabs.open(server.url, idle=True, random=0.5)
    sources = [f"{server.url}?case={quote(case)}" for case in cases]
    return dict(zip(cases, await tab.page.evaluate(STANDINGS, [sources, options]), strict=True))


@pytest.mark.parametrize("transport", ["auto", "long-poll"])
async def test_what_an_answer_means_is_told_in_words(tabs: Tabs, transport: str) -> None:
    """A page is not told why a handshake failed: it asks by server-sent events, which are."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        await stream.send(ANSWERS[case_of(asked)][0])

    async with scripted(answer) as server:
        found = await standings(tabs, server, ANSWERS, transport=transport)
    assert {case: (each["state"], each["kind"]) for case, each in found.items()} == {
        case: (state, kind) for case, (_, state, kind, _) in ANSWERS.items()
    }
    for case, (*_, word) in ANSWERS.items():
        assert word in found[case]["reason"], case
        # With another token it might have been let in.
        may_help = found[case]["state"] == "reconnecting" or case == "unauthorized"
        assert found[case]["retryable"] == may_help, case


CLOSES: Mapping[str, tuple[int, Json | None, str, str]] = {
    "unauthorized": (4401, error("unauthorized"), "gave_up", "unauthorized"),
    "forbidden": (4403, None, "gave_up", "forbidden"),
    "unknown": (4404, None, "gave_up", "unknown_session"),
    "gone": (4410, error("session_gone"), "gave_up", "gone"),
    "elsewhere": (4421, error("wrong_process"), "gave_up", "unknown_session"),
    "a no of tomorrow": (4499, None, "gave_up", "protocol"),
    "draining": (4100, None, "reconnecting", "network"),
    "no pong": (4102, error("no_pong", retryable=True), "reconnecting", "timeout"),
    "another balancer": (1013, None, "reconnecting", "network"),
    "a polite end": (1000, None, "reconnecting", "network"),
}


async def test_what_a_close_means_is_told_in_words(tabs: Tabs) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        code, frame, *_ = CLOSES[case_of(asked)]
        await stream.send(joined(asked, frame) if frame else opened(asked))
        await stream.send(b"\x88\x02" + code.to_bytes(2, "big"))
        await stream.receive()

    async with scripted(answer) as server:
        found = await standings(tabs, server, CLOSES, transport="websocket")
    assert {case: (each["state"], each["kind"]) for case, each in found.items()} == {
        case: (state, kind) for case, (_, _, state, kind) in CLOSES.items()
    }
    assert all(each["reason"] for each in found.values())


async def test_who_is_asked_to_wait_does(tabs: Tabs) -> None:
    waits = {
        "problem": problem(429, "rate_limited", retryable=True, retry_after=40),
        "header": page(429, Retry_After=40),
    }

    async def answer(asked: Asked, stream: ByteStream) -> None:
        frame = error("rate_limited", retryable=True, retry_after=40)
        kind = case_of(asked)
        await stream.send(waits[kind] if kind in waits else joined(asked, frame))

    async with scripted(answer) as server:
        found = await standings(tabs, server, [*waits, "frame"], transport="sse")
        found["close"] = (await standings(tabs, server, ["frame"], transport="websocket"))["frame"]
    for case, each in found.items():
        assert (each["state"], each["kind"]) == ("reconnecting", "overloaded"), case
        assert 30_000 < each["inMs"] <= 40_000, case


async def test_an_address_where_only_strangers_answer_is_given_up_after_a_while(
    tabs: Tabs,
) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        await stream.send(page(404))

    async with scripted(answer) as server:
        tab = await tabs.open(server.url, clock=True, random=0)
        while await tab.ask("told.state") != "gave_up":
            await tab.page.clock.run_for(1_000)
        first = "told.connections.find(({ error }) => error?.status === 404).atMs"
        assert 30_000 <= await tab.ask(f"told.connections.at(-1).atMs - {first}") < 55_000
        assert "wrong address" in (await tab.connection)["reason"]
        assert (await tab.connection)["error"]["kind"] == "unknown_session"


# What is said -------------------------------------------------------------------------------------


@asynccontextmanager
async def telling(*connections: list[Any]) -> AsyncGenerator[Scripted]:
    """Serves what each connection is told, one after the other."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        frames = connections[min(len(server.asked), len(connections)) - 1]
        await stream.send(joined(asked, *frames))

    async with scripted(answer) as server:
        yield server


async def followed(tabs: Tabs, server: Scripted, transport: str) -> Tab:
    """Follows to the end."""
    tab = await tabs.open(server.url, transport=transport, random=0)
    await tab.until("told.state === 'ended' || told.state === 'gave_up'")
    return tab


async def seqs(tab: Tab) -> list[int]:
    return [each["seq"] for each in await tab.events]


async def test_what_it_does_not_know_is_passed_over_and_told_as_it_is(
    tabs: Tabs, transport: str
) -> None:
    frames = [
        {**welcome(3), "mood": "fine", "resume": "fresh"},
        {"type": "weather", "rain": True},
        {"type": "constructor"},
        event(1, "session.started", attempt=1, colour="blue"),
        event(2, "weather.changed", rain=[{"mm": 3}]),
        {**heartbeat(2), "producer": "dreaming"},
        event(3, "session.completed", result=None),
        {**end(3), "why": "enough"},
    ]
    async with telling(frames) as server:
        tab = await followed(tabs, server, transport)
        assert len(server.asked) == 1
    assert await seqs(tab) == [1, 2, 3]
    assert (await tab.events)[1] == event(2, "weather.changed", rain=[{"mm": 3}])
    assert [each["status"] for each in await tab.ask("told.completed")] == ["completed"]


async def test_a_hole_that_nobody_announced_is_asked_for_again(tabs: Tabs, transport: str) -> None:
    broken = [welcome(3), event(1), event(3)]
    whole = [welcome(3, "exact"), event(2), event(3), end(3)]
    async with telling(broken, whole) as server:
        tab = await followed(tabs, server, transport)
        assert [f"after={EPOCH}-1" in asked.target for asked in server.asked] == [False, True]
    assert await seqs(tab) == [1, 2, 3]
    errors = await tab.ask("told.connections.map(({ error }) => error && error.kind)")
    assert "protocol" in errors


async def test_what_comes_again_is_told_once(tabs: Tabs, transport: str) -> None:
    frames = [welcome(2), event(1), event(1), event(2), event(1), event(2), end(2)]
    async with telling(frames) as server:
        tab = await followed(tabs, server, transport)
    assert await seqs(tab) == [1, 2]


async def test_frames_of_other_sessions_are_not_its_own(tabs: Tabs, transport: str) -> None:
    other = {"session": "job-8"}
    frames = [
        welcome(2),
        {**event(1, "log.message", message="theirs"), **other},
        {**event(1, "log.message", message="mine"), "session": "job-7"},
        {**end(9), **other},
        event(2),
        end(2),
    ]
    async with telling(frames) as server:
        tab = await followed(tabs, server, transport)
    assert [each.get("message") for each in await tab.events] == ["mine", None]


async def test_a_server_of_a_later_protocol_is_given_up_in_words(
    tabs: Tabs, transport: str
) -> None:
    async with telling([{"type": "welcome", "protocol": 2, "news": "all"}]) as server:
        tab = await followed(tabs, server, transport)
        assert len(server.asked) == 1
    found = await tab.connection
    assert (found["state"], found["error"]["kind"]) == ("gave_up", "protocol")
    assert "version 2" in found["reason"]


MALFORMED: Mapping[str, Any] = {
    "no welcome": [event(1)],
    "a frame without a type": [welcome(1), {"seq": 1}],
    "no frame": [welcome(1), 7],
    "nothing": [welcome(1), None],
    "no seq": [welcome(1), {"type": "log.message"}],
    "a seq of a fraction": [welcome(1), event(1) | {"seq": 1.5}],
    "no epoch": [{**welcome(1), "epoch": None}],
    "a welcome that is no object": [["welcome"]],
    "a snapshot of nothing": [welcome(1, "snapshot"), {"type": "snapshot", "seq": 1}],
    "an end elsewhere": [welcome(1), event(1), end(5)],
}


async def test_what_is_no_frame_is_a_cut_and_nothing_else(tabs: Tabs, transport: str) -> None:
    """Each is sent to a client of its own; what is thrown and caught by nobody fails the test."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        await stream.send(joined(asked, *MALFORMED[case_of(asked)]))

    async with scripted(answer) as server:
        found = await standings(tabs, server, MALFORMED, transport=transport)
    assert {case: (each["state"], each["kind"]) for case, each in found.items()} == dict.fromkeys(
        MALFORMED, ("reconnecting", "protocol")
    )
