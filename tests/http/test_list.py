"""``GET /sessions``: whose sessions, which of them, and page after page."""

from __future__ import annotations

from typing import Any

import pytest

from agentprogress.access import Access, AccessRequest, allow_anyone

from .asking import ANN, BOB, Door, Guarded

pytestmark = pytest.mark.anyio


def ids(body: Any) -> list[str]:
    return [session["session_id"] for session in body["sessions"]]


async def listed(site: Guarded, query: str = "", **headers: str) -> Any:
    answer = await site.ask("GET", f"/sessions{query}", **(headers or ANN))
    assert answer.status == 200, answer.body
    return answer.json


def with_sessions(count: int, **settings: float) -> Guarded:
    """Returns a site where Ann and Bob have so many sessions each, in turn."""
    site = Guarded(Door(), **settings)
    for number in range(count):
        site.opened(session_id=f"a{number}", owner="ann", title=f"Number {number}")
        site.opened(session_id=f"b{number}", owner="bob")
    return site


async def test_without_authorize_there_is_no_list() -> None:
    site = Guarded()
    answer = await site.ask("GET", "/sessions")
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "authorize=" in answer.json["detail"]


async def test_everybody_sees_their_own_sessions_and_nothing_of_others() -> None:
    site = with_sessions(3)
    assert ids(await listed(site, **ANN)) == ["a0", "a1", "a2"]
    assert ids(await listed(site, **BOB)) == ["b0", "b1", "b2"]
    assert ids(await listed(site, "?owner=ann", **ANN)) == ["a0", "a1", "a2"]


@pytest.mark.parametrize("owner", ["bob", "nobody", "", "ANN", "ann%20"])
async def test_nobody_asks_for_the_sessions_of_another_owner(owner: str) -> None:
    answer = await with_sessions(1).ask("GET", f"/sessions?owner={owner}", **ANN)
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_a_session_is_told_of_without_what_is_private() -> None:
    site = Guarded(Door())
    session = site.opened(session_id="r", owner="ann", title="Report", private={"plan": "pro"})
    (told,) = (await listed(site))["sessions"]
    assert told.keys() == {
        "session_id",
        "status",
        "attempt",
        "title",
        "head",
        "epoch",
        "created_at",
        "started_at",
        "ended_at",
    }
    assert told["status"] == "running"
    assert f"{told['epoch']}-{told['head']}" == session.cursor
    assert told["ended_at"] is None


async def test_only_sessions_in_a_state_are_told_of() -> None:
    site = with_sessions(2)
    await site.registry.reserve(session_id="queued", owner="ann")
    site.registry.cancel("queued")
    await site.registry.reserve(session_id="next", owner="ann")
    assert ids(await listed(site, "?status=running")) == ["a0", "a1"]
    assert ids(await listed(site, "?status=pending")) == ["next"]
    assert ids(await listed(site, "?status=cancelled")) == ["queued"]
    assert ids(await listed(site, "?status=nonsense")) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_are_complete_and_repeat_nothing(limit: int) -> None:
    site = with_sessions(7)
    found: list[str] = []
    page = await listed(site, f"?limit={limit}")
    pages = 1
    while page["next"] is not None:
        assert len(page["sessions"]) == limit
        found += ids(page)
        page = await listed(site, f"?limit={limit}&after={page['next']}")
        pages += 1
    found += ids(page)
    assert found == [f"a{number}" for number in range(7)]
    assert pages <= 7 // limit + 1


async def test_what_is_created_between_two_pages_comes_at_the_end() -> None:
    site = with_sessions(3)
    page = await listed(site, "?limit=2")
    site.opened(session_id="new", owner="ann")
    assert ids(await listed(site, f"?limit=2&after={page['next']}")) == ["a2", "new"]


@pytest.mark.parametrize("after", ["b0", "b1", "never", "", "%F0%9F%92%A5"])
async def test_going_on_after_what_is_not_ones_own_tells_nothing(after: str) -> None:
    """Else one could ask which ids exist, and when they were created."""
    body = await listed(with_sessions(2), f"?after={after}")
    assert body == {"sessions": [], "next": None}


async def test_a_page_has_a_largest_size() -> None:
    site = with_sessions(5, max_listed_sessions=3)
    for query in ("", "?limit=4", "?limit=1000000000"):
        page = await listed(site, query)
        assert (ids(page), page["next"]) == (["a0", "a1", "a2"], "a2")


@pytest.mark.parametrize(
    "limit",
    ["-1", "many", "nan", "", "1,5", "0x10", "-inf", "inf", "1e9", "1_0", "%20 5", "%D9%A3"],
)
async def test_a_limit_is_a_number(limit: str) -> None:
    answer = await with_sessions(1).ask("GET", f"/sessions?limit={limit}", **ANN)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert "limit" in answer.json["detail"]


async def test_a_head_of_a_list_has_its_headers_only() -> None:
    site = with_sessions(2)
    got = await site.ask("GET", "/sessions", **ANN)
    head = await site.ask("HEAD", "/sessions", **ANN)
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_list_is_only_read(method: str) -> None:
    answer = await with_sessions(1).ask(method, "/sessions", **ANN)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_who_is_nobody_in_particular_sees_all_or_those_of_an_owner() -> None:
    site = with_sessions(1)
    everybody = Guarded(allow_anyone)
    everybody.opened(session_id="a", owner="ann")
    everybody.opened(session_id="b", owner="bob")
    assert set(ids(await listed(everybody))) == {"a", "b", everybody.session.id}
    assert ids(await listed(everybody, "?owner=bob")) == ["b"]
    assert len(ids(await listed(everybody, "?after=a"))) == 1
    assert ids(await listed(site)) == ["a0"]


async def test_a_session_without_an_owner_is_in_nobodys_list() -> None:
    def authorize(request: AccessRequest) -> Access:
        return Access(request.connection.query.get("as", ""), frozenset({"list"}))

    site = Guarded(authorize)
    for query in ("?as=ann", "?as=None", "", "?as="):
        assert ids(await listed(site, query)) == []
