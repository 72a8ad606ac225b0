"""Trying to get in: what is refused, and how little the refusal tells."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import pytest

from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.errors import PublicError, Unauthorized

from .asking import ANN, BOB, Answer, Door, Guarded, bearer_protocol

pytestmark = pytest.mark.anyio

READS = ("", "/events", "/page", "/result")
CONTROLS = ("/cancel", "/inputs/q")
SECRET = "what-nobody-may-see"


def unmade(site: Guarded) -> str:
    """Returns an id that this process could have made, and has not."""
    return site.session.id[:6] + "0" * 22


async def refused_stream(site: Guarded, session_id: str, **headers: str) -> tuple[object, ...]:
    """Returns all that a WebSocket is told that is turned away."""
    async with site.stream(f"/sessions/{session_id}/ws", **headers) as peer:
        assert peer.types == ["error"]
        return peer.frames[0], peer.close_code, peer.sent


# Without authorize


@pytest.mark.parametrize("route", CONTROLS)
async def test_control_takes_the_sessions_own_token_and_no_other(route: str) -> None:
    site = Guarded()
    other = site.opened().handle()["control_token"]
    path = f"/sessions/{site.session.id}{route}"
    missing = await site.ask("POST", path, b'{"value": 1}')
    assert (missing.status, missing.code) == (401, "unauthorized")
    assert missing.headers["www-authenticate"] == "Bearer"
    for wrong in (other, "", " ", "x" * 5000, site.session.id, "\xff"):
        answer = await site.ask("POST", path, b'{"value": 1}', authorization=f"Bearer {wrong}")
        assert (answer.status, answer.code) == (403, "forbidden")
    basic = await site.ask("POST", path, authorization=f"Basic {other}")
    assert basic.status == 401
    assert not site.session.cancel_requested


async def test_an_id_that_was_chosen_is_refused_whether_or_not_it_exists() -> None:
    site = Guarded()
    site.opened(session_id="report-7", title=SECRET)
    for method, routes in (("GET", READS), ("HEAD", READS), ("POST", CONTROLS)):
        for route in routes:
            there = await site.ask(method, f"/sessions/report-7{route}", **ANN)
            none = await site.ask(method, f"/sessions/report-8{route}", **ANN)
            assert there == none
            assert there.status == 403
    there_ws = await refused_stream(site, "report-7")
    assert there_ws == await refused_stream(site, "report-8")
    assert there_ws[1] == 4403


async def test_a_guessed_id_is_no_way_to_learn_what_can_be_controlled() -> None:
    site = Guarded()
    ended = site.opened()
    site.registry.delete(ended.id)
    for route in CONTROLS:
        for headers in ({}, ANN):
            answers = [
                await site.ask("POST", f"/sessions/{each}{route}", b"{}", **headers)
                for each in (site.session.id, unmade(site), ended.id)
            ]
            assert answers[0].status in (401, 403)
            assert answers[0] == answers[1] == answers[2]


async def test_a_guessed_id_leads_nowhere() -> None:
    site = Guarded()
    for route in READS:
        answer = await site.ask("GET", f"/sessions/{unmade(site)}{route}")
        assert (answer.status, answer.code) == (404, "session_unknown")
    _, close, _ = await refused_stream(site, unmade(site))
    assert close == 4404


async def test_nobody_lists_without_authorize() -> None:
    site = Guarded()
    for headers in ({}, ANN, {"authorization": f"Bearer {site.session.handle()['control_token']}"}):
        answer = await site.ask("GET", "/sessions", **headers)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert site.session.id.encode() not in answer.body


# With authorize


async def test_who_is_nobody_learns_nothing_anywhere() -> None:
    site = Guarded(Door())
    site.opened(session_id="report-7", owner="ann", title=SECRET)
    asked = [("GET", READS), ("HEAD", READS), ("POST", CONTROLS)]
    for headers in ({}, {"authorization": "Bearer wrong"}):
        for method, routes in asked:
            for route in routes:
                there = await site.ask(method, f"/sessions/report-7{route}", **headers)
                none = await site.ask(method, f"/sessions/report-8{route}", **headers)
                assert there == none
                assert there.status == 401
        assert (await site.ask("GET", "/sessions", **headers)).status == 401
        there_ws = await refused_stream(site, "report-7", **headers)
        assert there_ws == await refused_stream(site, "report-8", **headers)
        assert there_ws[1] == 4401


async def test_a_foreign_session_and_none_at_all_are_refused_in_the_same_bytes() -> None:
    site = Guarded(Door())
    site.opened(session_id="of-ann", owner="ann", title=SECRET)
    site.opened(session_id="deleted", owner="ann", title=SECRET)
    site.registry.delete("deleted")
    generated = site.opened(owner="ann").id
    for method, routes in (("GET", READS), ("HEAD", READS), ("POST", CONTROLS)):
        for route in routes:
            answers = [
                await site.ask(method, f"/sessions/{each}{route}", b'{"value": 1}', **BOB)
                for each in ("of-ann", "deleted", generated, "never", unmade(site))
            ]
            assert answers[0].status == 403
            assert all(answer == answers[0] for answer in answers)
    streams = [
        await refused_stream(site, each, **BOB)
        for each in ("of-ann", "deleted", generated, "never", unmade(site))
    ]
    assert streams[0][1] == 4403
    assert all(stream == streams[0] for stream in streams)


async def test_the_cursor_of_another_session_brings_nothing_of_it() -> None:
    site = Guarded()
    private = site.opened(title=SECRET)
    private.log(SECRET)
    site.session.log("mine")
    assert (private.cursor.endswith("-2"), site.session.cursor.endswith("-2")) == (True, True)
    for path in (f"ws?after={private.cursor}", f"events?after={private.cursor}"):
        async with site.stream(f"/sessions/{site.session.id}/{path}") as peer:
            private.log(SECRET)
            await site.clock.advance(0.1)
        assert peer.frames[0]["resume"] == "reset"
        assert peer.messages == ["mine"]
        for foreign in (SECRET, private.id, private.cursor.split("-", maxsplit=1)[0]):
            assert foreign not in repr(peer.sent)
    page = await site.ask("GET", f"/sessions/{site.session.id}/page", last_event_id=private.cursor)
    assert [frame.get("message") for frame in page.json["frames"]][-1] == "mine"
    assert SECRET.encode() not in page.body


async def test_authorize_is_asked_on_every_connection_and_every_resume() -> None:
    door = Door()
    site = Guarded(door)
    session = site.opened(session_id="r", owner="ann", private={"plan": "pro"})
    await site.ask("GET", "/sessions/r", **ANN)
    for path in ("ws", "events", f"ws?after={session.cursor}", f"events?after={session.cursor}"):
        async with site.stream(f"/sessions/r/{path}", **ANN) as peer:
            assert peer.types[0] == "welcome"
    await site.ask("POST", "/sessions/r/cancel", **ANN)
    assert [each.action for each in door.asked] == ["follow"] * 5 + ["control"]
    assert all(each.session is not None for each in door.asked)
    assert door.asked[0].session is not None
    assert door.asked[0].session.private == {"plan": "pro"}
    door.bearers.clear()
    for path in (f"ws?after={session.cursor}", f"events?after={session.cursor}"):
        async with site.stream(f"/sessions/r/{path}", **ANN) as peer:
            assert session.cursor.split("-")[0] not in repr(peer.sent)
            assert b"Log in first" in repr(peer.sent).encode()


def yes(request: AccessRequest) -> Access:
    return Access("ann", frozenset({"follow"}))


async def yes_in_a_while(request: AccessRequest) -> Access:
    await anyio.lowlevel.checkpoint()
    return yes(request)


@pytest.mark.parametrize("authorize", [yes, yes_in_a_while])
async def test_authorize_may_be_sync_or_async(
    authorize: Callable[[AccessRequest], Access | Awaitable[Access]],
) -> None:
    site = Guarded(authorize)
    path = f"/sessions/{site.session.id}"
    assert (await site.ask("GET", path)).status == 200
    async with site.stream(f"{path}/ws") as peer:
        assert peer.types[0] == "welcome"
    # It allows to follow, and nothing else.
    assert (await site.ask("POST", f"{path}/cancel")).code == "forbidden"
    assert (await site.ask("GET", "/sessions")).code == "forbidden"


def broken(request: AccessRequest) -> Access:
    raise LookupError(SECRET)


async def broken_later(request: AccessRequest) -> Access:
    await anyio.lowlevel.checkpoint()
    raise LookupError(SECRET)


def something_else(request: AccessRequest) -> Access:
    return {"principal": SECRET}  # type: ignore[return-value]


def half_an_access(request: AccessRequest) -> Access:
    return Access(SECRET, None)  # type: ignore[arg-type]


def half_a_date(request: AccessRequest) -> Access:
    return Access(SECRET, frozenset({"follow", "control"}), SECRET)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "authorize", [broken, broken_later, something_else, half_an_access, half_a_date]
)
async def test_an_authorize_that_fails_lets_nobody_in_and_tells_only_the_log(
    authorize: Callable[[AccessRequest], Access], caplog: pytest.LogCaptureFixture
) -> None:
    site = Guarded(authorize)
    path = f"/sessions/{site.session.id}"
    for method, route in [("GET", route) for route in READS] + [("POST", "/cancel")]:
        answer = await site.ask(method, f"{path}{route}")
        assert (answer.status, answer.code) == (500, "internal")
        assert SECRET.encode() not in answer.body
    async with site.stream(f"{path}/ws") as peer:
        assert (peer.types, peer.close_code) == (["error"], 4107)
        assert SECRET not in repr(peer.sent)
    assert "authorize failed" in caplog.text
    assert not site.session.cancel_requested


async def test_what_authorize_says_on_purpose_is_told_and_nothing_behind_it() -> None:
    def authorize(request: AccessRequest) -> Access:
        raise Unauthorized("Renew your plan.") from LookupError(SECRET)

    site = Guarded(authorize)
    answer = await site.ask("GET", f"/sessions/{site.session.id}")
    assert (answer.status, answer.json["detail"]) == (401, "Renew your plan.")
    assert SECRET.encode() not in answer.body


async def test_an_applications_own_error_in_authorize_is_told_as_a_failure() -> None:
    def authorize(request: AccessRequest) -> Access:
        raise PublicError("Your plan is over.", "plan_over")

    answer = await Guarded(authorize).ask("GET", "/sessions/x")
    assert (answer.status, answer.code) == (500, "internal")


# Heads and questions


async def test_a_head_says_what_a_get_says_and_no_more() -> None:
    site = Guarded(Door())
    site.opened(session_id="r", owner="ann")
    for route in READS:
        for headers in (ANN, BOB, {}):
            head = await site.ask("HEAD", f"/sessions/r{route}", **headers)
            assert head.body == b""
            if route != "/events" or headers is not ANN:
                got = await site.ask("GET", f"/sessions/r{route}", **headers)
                assert (head.status, head.headers) == (got.status, got.headers)


@pytest.mark.parametrize("allowed", [(), ("https://app.example",)])
async def test_options_are_the_same_for_every_session(allowed: tuple[str, ...]) -> None:
    door = Door()
    site = Guarded(door, allowed)
    site.opened(session_id="r", owner="ann")
    preflight = {"origin": "https://app.example", "access_control_request_method": "GET"}
    for headers in ({}, ANN, preflight):
        for route in (*READS, *CONTROLS):
            answers: list[Answer] = [
                await site.ask("OPTIONS", f"/sessions/{each}{route}", **headers)
                for each in ("r", "none", unmade(site))
            ]
            assert answers[0].status in (204, 405)
            assert answers[0] == answers[1] == answers[2]
    assert door.asked == []


# Counting


async def test_a_principal_has_so_many_streams_of_a_session_and_no_more() -> None:
    def authorize(request: AccessRequest) -> Access:
        return Access(request.connection.query.get("as"))

    site = Guarded(authorize, max_session_subscribers=2)
    path, other = f"/sessions/{site.session.id}", f"/sessions/{site.opened().id}"
    async with site.stream(f"{path}/ws?as=ann") as one, site.stream(f"{path}/events?as=ann") as two:
        assert one.types[0] == two.types[0] == "welcome"
        async with site.stream(f"{path}/ws?as=ann") as third:
            assert third.frames[0]["code"] == "rate_limited"
            assert third.frames[0]["retry_after"] >= 0
            assert third.close_code == 4105
        async with site.stream(f"{path}/events?as=ann") as third:
            assert (third.sent[0]["status"], third.types) == (200, ["reconnect"])
        poll = await site.ask("GET", f"{path}/page?as=ann&wait=20&after={site.session.cursor}")
        assert (poll.status, poll.code) == (429, "rate_limited")
        assert int(poll.headers["retry-after"]) >= 0
        for free in (f"{path}/ws?as=bob", f"{path}/ws", f"{other}/ws?as=ann"):
            async with site.stream(free) as peer:
                assert peer.types[0] == "welcome"
    async with site.stream(f"{path}/ws?as=ann") as again:
        assert again.types[0] == "welcome"


# Bearers among subprotocols


async def test_a_bearer_among_subprotocols_reaches_authorize_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    door = Door()
    site = Guarded(door)
    site.opened(session_id="r", owner="ann")
    carried = bearer_protocol("token-of-ann")
    for offered in ((carried,), ("agentprogress.v1", carried), (carried, "agentprogress.v1")):
        async with site.stream("/sessions/r/ws", offered) as peer:
            assert peer.types[0] == "welcome"
            chosen = "agentprogress.v1" if len(offered) == 2 else None
            assert peer.sent[0]["subprotocol"] == chosen
        assert door.asked[-1].connection.bearer == "token-of-ann"
        told = [caplog.text, repr(door.asked), str(door.asked[-1].connection), repr(peer.sent)]
        for text in told:
            assert "token-of-ann" not in text
            assert carried.rpartition(".")[2] not in text


@pytest.mark.parametrize(
    "junk", ["", "!", "eA=", "a", "\xff", "_-_", bearer_protocol("x").rpartition(".")[2] * 3000]
)
async def test_a_bearer_that_is_none_lets_nobody_in(junk: str) -> None:
    site = Guarded(Door())
    site.opened(session_id="r", owner="ann")
    async with site.stream("/sessions/r/ws", (f"agentprogress.bearer.{junk}",)) as peer:
        assert (peer.types, peer.close_code) == (["error"], 4401)


@pytest.mark.parametrize("junk", ["eA", "!", ""])
async def test_no_subprotocol_lets_a_foreign_page_in_on_somebodys_cookies(junk: str) -> None:
    asked: list[AccessRequest] = []

    def by_cookie(request: AccessRequest) -> Access:
        asked.append(request)
        return allow_anyone(request)

    site = Guarded(by_cookie)
    foreign = {"origin": "https://evil.example", "cookie": "login=ann"}
    offered = ("agentprogress.v1", f"agentprogress.bearer.{junk}")
    async with site.stream(f"/sessions/{site.session.id}/ws", offered, **foreign) as peer:
        assert (peer.types, peer.close_code) == (["error"], 4403)
        assert "evil.example" in peer.frames[0]["message"]
    for route in READS:
        answer = await site.ask("GET", f"/sessions/{site.session.id}{route}", **foreign)
        assert answer.code == "forbidden"
    assert (await site.ask("GET", "/sessions", **foreign)).code == "forbidden"
    path = f"/sessions/{site.session.id}/cancel"
    assert (await site.ask("POST", path, **foreign)).code == "forbidden"
    assert asked == []
    assert not site.session.cancel_requested
