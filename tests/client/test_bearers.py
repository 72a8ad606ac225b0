"""Tokens at a real server that asks for them: given, made, expired, refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import ByteStream

from agentprogress.client import FollowOptions, FollowState, follow
from agentprogress.client._web import _same_place
from agentprogress.errors import FollowError
from agentprogress.testing import Cut, FaultProxy, Faults
from tests.conformance.live import Live, Session
from tests.conformance.oracle import check_items

from .line import end, event, welcome
from .scripted import BRISK, Asked, held, joined, reply, scripted
from .storm import EAGER, as_items, url_of

pytestmark = pytest.mark.anyio

PATIENT = FollowOptions(settings=EAGER)


def guarded(
    live: Live, good: dict[str, float | None], expired: tuple[str, ...] = (), **options: Any
) -> Session:
    """Makes a session with a door: tokens, each with the seconds for which it opens."""
    session = live.session(**options)
    live.control("door", session_id=session.id, good=good, expired=expired)
    return session


class Mint:
    """Makes tokens, and counts how often it was asked."""

    def __init__(self, *tokens: str) -> None:
        self.asked = 0
        self._tokens = tokens

    def __call__(self) -> str:
        self.asked += 1
        return self._tokens[min(self.asked, len(self._tokens)) - 1]

    async def slowly(self) -> str:
        await anyio.lowlevel.checkpoint()
        return self()


async def test_a_token_opens_every_connection_and_request(live: Live, transport: str) -> None:
    session = guarded(live, {"key": None})
    head = session.do(("log", 30), ("complete", "x" * 20_000))
    plan = lambda number: Faults(cut=Cut(2_500)) if number < 5 else Faults()  # noqa: E731
    async with FaultProxy(*live.address, plan=plan) as proxy:
        url = proxy.url(session.url)
        async with follow(url, transport=transport, token="key", options=PATIENT) as feed:
            check_items(as_items([item async for item in feed]), head)
            await feed.result()
    asked = live.control("asked", session_id=session.id)
    assert {each["bearer"] for each in asked} == {"key"}
    assert not any("key" in str(each["query"]) for each in asked)


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_who_has_no_other_token_gives_up(
    live: Live, transport: str, token: str | None
) -> None:
    session = guarded(live, {"key": None})
    async with follow(url_of(session), transport=transport, token=token) as feed:
        with pytest.raises(FollowError, match="opens nothing") as raised:
            await anext(feed)
        assert (raised.value.kind, feed.state) == ("unauthorized", FollowState.GAVE_UP)
        with pytest.raises(FollowError, match="opens nothing"):
            await feed.result()


@pytest.mark.parametrize("way", ["plain", "async"])
async def test_a_function_is_asked_once_as_long_as_its_token_is_good(
    live: Live, transport: str, way: str
) -> None:
    session, mint = guarded(live, {"key": None}), Mint("key")
    head = session.do(("log", 30), ("complete", None))
    token: Callable[[], Any] = mint if way == "plain" else mint.slowly
    plan = lambda number: Faults(cut=Cut(2_500)) if number < 5 else Faults()  # noqa: E731
    async with FaultProxy(*live.address, plan=plan) as proxy:
        url = proxy.url(session.url)
        async with follow(url, transport=transport, token=token, options=PATIENT) as feed:
            check_items(as_items([item async for item in feed]), head)
            assert await feed.result() is None
    assert mint.asked == 1


@pytest.mark.parametrize("expired", [(), ("old",)], ids=["refused", "expired"])
async def test_a_function_is_asked_again_when_its_token_is_not_good_any_more(
    live: Live, transport: str, expired: tuple[str, ...]
) -> None:
    session, mint = guarded(live, {"new": None}, expired), Mint("old", "new")
    head = session.do(("log", 3), ("complete", None))
    async with follow(url_of(session), transport=transport, token=mint) as feed:
        check_items(as_items([item async for item in feed]), head)
    assert mint.asked == 2


async def test_a_token_that_was_just_made_and_is_refused_is_the_end(
    live: Live, transport: str
) -> None:
    session, mint = guarded(live, {}), Mint("one", "two", "three")
    async with follow(url_of(session), transport=transport, token=mint) as feed:
        with pytest.raises(FollowError) as raised:
            await anext(feed)
    assert (raised.value.kind, mint.asked) == ("unauthorized", 2)


async def test_a_token_that_expires_on_the_way_is_replaced_and_nothing_is_lost(
    live: Live, transport: str
) -> None:
    session, mint = guarded(live, {"short": 0.3, "long": None}), Mint("short", "long")
    session.do(("log", 3))
    back = anyio.Event()

    def tell(state: FollowState) -> None:
        if state is FollowState.LIVE and mint.asked == 2:
            back.set()

    url = url_of(session)
    async with follow(url, transport=transport, token=mint, on_state=tell, options=PATIENT) as feed:
        items = [await anext(feed) for _ in range(4)]
        await back.wait()
        head = session.do(("log", 3, 3), ("complete", None))
        items += [item async for item in feed]
    check_items(as_items(items), head)
    assert mint.asked == 2


async def test_a_request_asks_for_a_new_token_too(live: Live) -> None:
    session, mint = guarded(live, {"old": None}), Mint("old", "new")
    async with follow(url_of(session), token=mint) as feed:
        await anext(feed)
        live.control("door", session_id=session.id, good={"new": None}, expired=["old"])
        assert await feed.request_cancel() == "running"
    assert mint.asked == 2


async def test_a_function_that_fails_is_asked_again(live: Live, transport: str) -> None:
    session = guarded(live, {"key": None})
    head = session.do(("log", 3), ("complete", None))
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        if len(asked) < 3:
            raise ConnectionError("the sign-in service is away")
        return "key"

    async with follow(url_of(session), transport=transport, token=token, options=PATIENT) as feed:
        check_items(as_items([item async for item in feed]), head)
    assert len(asked) == 3


async def test_who_signs_nobody_in_says_so_with_an_error_of_its_own(live: Live) -> None:
    session = guarded(live, {"key": None})
    mine = FollowError("unauthorized", "Nobody is signed in.", retryable=False)

    def token() -> str:
        raise mine

    async with follow(url_of(session), token=token) as feed:
        with pytest.raises(FollowError) as raised:
            await anext(feed)
    assert raised.value is mine


# Tokens that do not come, and redirects -----------------------------------------------------------


async def listen(_: Asked, stream: ByteStream) -> None:
    await held(stream)


@pytest.mark.parametrize("ask", ["request_cancel", "answer"])
async def test_a_command_does_not_wait_longer_for_a_token_than_for_an_answer(ask: str) -> None:
    options = FollowOptions(settings=replace(BRISK, control_timeout=0.1))
    asked = anyio.Event()

    async def never() -> str:
        asked.set()
        await anyio.Event().wait()
        raise AssertionError("It does come.")

    async with scripted(listen) as server:
        with anyio.fail_after(5):
            async with follow(server.url, token=never, options=options) as feed:
                await asked.wait()  # the connection waits for it as well
                with pytest.raises(FollowError) as raised:
                    await (
                        feed.request_cancel() if ask == "request_cancel" else feed.answer("q", 1)
                    )
    assert raised.value.retryable
    assert server.asked == []


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("to", ["the same server", "another port", "another host"])
async def test_a_redirect_takes_nothing_secret_to_another_server(
    transport: str, to: str, status: int
) -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if "moved" in asked.target:
            await stream.send(joined(asked, welcome(1), event(1), end(1)))
            await held(stream)
        else:
            query = asked.target.partition("?")[2]
            where = f"{base}/{asked.route}?{query}&moved"
            await stream.send(reply(status, b"", Location=where))

    headers = {"X-Api-Key": "secret", "Cookie": "session=secret"}
    options = FollowOptions(settings=BRISK, headers=headers)
    async with scripted(answer) as here, scripted(answer) as other:
        there = here if to == "the same server" else other
        base = there.at("localhost") if to == "another host" else there.url
        with anyio.fail_after(10):
            async with follow(
                here.url, transport=transport, token="secret", options=options
            ) as feed:
                assert [item.seq async for item in feed.events()] == [1]
    first, last = here.asked[0].headers, there.asked[-1].headers
    assert (first["x-api-key"], first["authorization"]) == ("secret", "Bearer secret")
    if there is here:
        assert (last["x-api-key"], last["authorization"]) == ("secret", "Bearer secret")
    else:
        assert "secret" not in str(last)


@pytest.mark.parametrize(
    ("to", "same"),
    [
        ("https://a.example/x", True),
        ("https://a.example:443/x", True),
        ("https://a.example:8443/x", False),
        ("https://b.example/x", False),
        ("http://a.example:80/x", True),
        ("http://a.example:8080/x", False),
        ("http://b.example/x", False),
    ],
)
def test_what_is_secret_follows_from_http_to_https_and_not_to_another_port(
    to: str, same: bool
) -> None:
    assert _same_place(httpx2.URL(to), httpx2.URL("http://a.example/x")) is same


@pytest.mark.parametrize(
    ("to", "same"), [("http://a.example/x", False), ("https://a.example:443/x", True)]
)
def test_what_is_secret_never_follows_from_https_to_http(to: str, same: bool) -> None:
    assert _same_place(httpx2.URL(to), httpx2.URL("https://a.example/x")) is same
