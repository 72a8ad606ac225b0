"""Access that ends: before, while and after somebody follows, on virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from agentprogress.access import Access, AccessRequest
from agentprogress.errors import TokenExpired

from .asking import Guarded

pytestmark = pytest.mark.anyio

WALL = 1_750_000_000.0


class Lease:
    """An `authorize` whose answers hold until some time."""

    def __init__(self, expires_at: datetime | float | None) -> None:
        self.expires_at = expires_at

    def __call__(self, request: AccessRequest) -> Access:
        return Access("ann", frozenset({"follow", "control", "list"}), self.expires_at)


def as_number(seconds: float) -> float:
    return WALL + seconds


def as_date(seconds: float) -> datetime:
    return datetime.fromtimestamp(WALL + seconds, UTC)


@pytest.mark.parametrize(
    "over", [as_number(0), as_number(-1), as_date(-1), 0.0, math.nan, -math.inf]
)
async def test_what_has_expired_lets_nobody_in(over: datetime | float) -> None:
    site = Guarded(Lease(over))
    path = f"/sessions/{site.session.id}"
    asked = [("GET", f"{path}{route}") for route in ("", "/events", "/page", "/result")]
    for method, target in [*asked, ("GET", "/sessions"), ("POST", f"{path}/cancel")]:
        answer = await site.ask(method, target)
        assert (answer.status, answer.code) == (401, "token_expired")
    async with site.stream(f"{path}/ws") as peer:
        assert (peer.types, peer.close_code) == (["error"], 4104)
        assert (peer.frames[0]["code"], peer.frames[0]["retryable"]) == ("token_expired", True)
    assert not site.session.cancel_requested


async def test_authorize_may_find_a_token_expired_itself() -> None:
    def authorize(request: AccessRequest) -> Access:
        raise TokenExpired

    site = Guarded(authorize)
    assert (await site.ask("GET", f"/sessions/{site.session.id}")).code == "token_expired"
    async with site.stream(f"/sessions/{site.session.id}/ws") as peer:
        assert peer.close_code == 4104


@pytest.mark.parametrize("when", [as_number, as_date])
async def test_a_connection_is_closed_when_its_access_ends(
    when: Callable[[float], datetime | float],
) -> None:
    site = Guarded(Lease(when(60)))
    path = f"/sessions/{site.session.id}"
    async with site.stream(f"{path}/ws") as socket, site.stream(f"{path}/events") as stream:
        await site.clock.advance(58)
        site.session.log("in time")
        await site.clock.advance(1)
        assert "error" not in [*socket.types, *stream.types]
        await site.clock.advance(2)
        for peer in (socket, stream):
            assert peer.messages == ["in time"]
            assert peer.types[-1] == "error"
            assert peer.frames[-1]["code"] == "token_expired"
        assert socket.close_code == 4104
        assert b"event: error\n" in stream.sent[-2]["body"]
        assert stream.sent[-1].get("more_body", False) is False
        site.session.log("too late")
        await site.clock.advance(1)
        for peer in (socket, stream):
            assert "too late" not in repr(peer.sent)
        assert site.registry.stats().subscribers == 0


async def test_who_comes_back_with_new_access_has_lost_nothing() -> None:
    lease = Lease(as_number(10))
    site = Guarded(lease)
    path = f"/sessions/{site.session.id}"
    async with site.stream(f"{path}/ws"):
        cursor = site.session.cursor
        await site.clock.advance(12)
        site.session.log("meanwhile")
    async with site.stream(f"{path}/ws?after={cursor}") as refused:
        assert refused.close_code == 4104
    lease.expires_at = as_number(100)
    async with site.stream(f"{path}/ws?after={cursor}") as peer:
        assert peer.frames[0]["resume"] == "exact"
        assert peer.messages == ["meanwhile"]


@pytest.mark.parametrize("forever", [None, math.inf])
async def test_access_without_an_end_never_ends(forever: float | None) -> None:
    site = Guarded(Lease(forever))
    async with site.stream(f"/sessions/{site.session.id}/ws") as peer:
        await site.clock.advance(1000)
        assert peer.close_code is None
        assert peer.types[-1] == "heartbeat"


async def test_a_long_poll_does_not_outlive_its_access() -> None:
    site = Guarded(Lease(as_number(5)))
    path = f"/sessions/{site.session.id}"
    waiting = f"{path}/page?wait=20&after={site.session.cursor}"
    async with site.stream(waiting) as page, site.stream(f"{path}/result?wait=20") as result:
        await site.clock.advance(4)
        assert page.sent == result.sent == []
        await site.clock.advance(2)
        site.session.log("too late")
        site.end()
        await site.clock.advance(1)
        for poll in (page, result):
            assert poll.finished.is_set()
            assert b"too late" not in poll.sent[1]["body"]
        assert result.sent[0]["status"] == 202


def test_a_moment_of_an_unknown_time_zone_is_none() -> None:
    with pytest.raises(ValueError, match="aware"):
        Access(expires_at=datetime(2026, 11, 22))  # noqa: DTZ001 - that is the mistake
