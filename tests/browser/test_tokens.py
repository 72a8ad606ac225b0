"""Tokens that expire while a page follows, are refused, or cannot be had."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from agentprogress import SessionRegistry
from agentprogress.access import Access, AccessRequest
from agentprogress.errors import TokenExpired, Unauthorized

from .conftest import AMPLE
from .site import Site, Tabs, serving_site

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

# A heartbeat's length is the least that a server notices.
SHORT = 1.0


class Door:
    """Lets in whoever has a token: one that begins with `short` for a second from its first use."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self._until: dict[str, float] = {}

    def __call__(self, request: AccessRequest) -> Access:
        """Decides about one connection."""
        token = request.connection.bearer
        self.asked.append(token)
        if token is None or not token.startswith(("short", "good")):
            raise Unauthorized("This token opens nothing.")
        until = self._until.setdefault(token, time.time() + SHORT)
        if token.startswith("good"):
            return Access(actions=frozenset({"follow", "control"}))
        if until <= time.time():
            raise TokenExpired
        return Access(expires_at=until)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def guarded(tabs: Tabs, door: Door) -> AsyncIterator[Site]:
    async with serving_site(SessionRegistry(AMPLE), tabs, authorize=door) as site:
        yield site


async def test_a_token_that_expires_is_asked_for_again_and_nothing_is_lost(
    guarded: Site, transport: str
) -> None:
    session = guarded.begin()
    tab = await guarded.open(session, transport=transport, tokens=["short", "good"], random=0)
    await tab.until_state("live")
    session.log("by the first")
    await tab.until_lines("by the first")
    await tab.until("told.tokensAsked === 2")
    session.log("by the second")
    await tab.until_lines("by the first", "by the second")
    guarded.end(session, "x" * 20_000)
    await tab.until("told.completed.length === 1")
    assert [each["seq"] for each in await tab.events] == [1, 2, 3, 4]
    # The result's route wants a token, too.
    assert await tab.ask("told.completed[0].result.length") == 20_000
    assert await tab.ask("told.tokensAsked") == 2


async def test_who_is_refused_with_a_token_just_made_gives_up(
    guarded: Site, door: Door, transport: str
) -> None:
    session = guarded.begin()
    tab = await guarded.open(session, transport=transport, tokens=["bad", "worse", "good"])
    await tab.until_state("gave_up")
    found = await tab.connection
    assert (found["error"]["kind"], found["error"]["code"]) == ("unauthorized", "unauthorized")
    assert found["reason"] == "This token opens nothing."
    assert door.asked == ["bad", "worse"]
    # A third one might do: the user has signed in again, perhaps.
    await tab.ask("client.retryNow()")
    await tab.until_state("live")
    guarded.end(session)
    await tab.until_state("ended")


async def test_who_has_one_token_only_is_not_asked_for_another(
    guarded: Site, door: Door, transport: str
) -> None:
    session = guarded.begin()
    tab = await guarded.open(session, transport=transport, token="bad")
    await tab.until_state("gave_up")
    assert (await tab.connection)["error"]["kind"] == "unauthorized"
    assert door.asked == ["bad"]
    guarded.end(session)


async def test_a_token_that_cannot_be_had_is_asked_for_later(guarded: Site) -> None:
    session = guarded.begin()
    tab = await guarded.open(session, tokens=[None, "good"], random=0)
    await tab.until_state("live")
    reasons = await tab.ask("told.connections.map(({ reason }) => reason)")
    assert any("no token yet" in reason for reason in reasons if reason)
    guarded.end(session)
    await tab.until_state("ended")


async def test_tokens_are_in_no_address(guarded: Site, transport: str) -> None:
    session = guarded.begin()
    tab = await guarded.open(session, transport=transport, token="good-éñ-token")
    await tab.until_state("live")
    assert not any("good" in target for target in guarded.joins)
    guarded.end(session)
    await tab.until_state("ended")
