"""Peers that vanish at the worst moment, and threads that emit while somebody reads."""

from __future__ import annotations

import json
import threading

import anyio
import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress._http import Request
from agentprogress.access import Access, AccessRequest
from agentprogress.asgi import ProgressApp
from agentprogress.errors import Unauthorized

from .following import Site, settle
from .peers import AsgiPeer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("route", "kind"), [("ws", "websocket"), ("events", "http")])
async def test_a_peer_that_is_gone_before_the_first_write_leaves_nothing(
    route: str, kind: str
) -> None:
    site = Site()
    for _ in range(5):
        peer = AsgiPeer(f"/sessions/{site.session.id}/{route}", kind=kind)
        peer.broken = True
        await peer.run(site.app)
    assert site.registry.stats().subscribers == 0
    assert site.registry.get(site.session.id).subscribers == 0


@pytest.mark.parametrize(("route", "kind"), [("ws", "websocket"), ("events", "http")])
async def test_a_peer_that_breaks_in_the_middle_is_forgotten_and_others_go_on(
    route: str, kind: str
) -> None:
    site = Site()
    async with site.peer(route, kind=kind) as broken, site.peer() as healthy:
        broken.broken = True
        site.session.log("one")
        await site.clock.advance(0.1)
        await broken.finished.wait()
        assert site.registry.stats().subscribers == 1
        site.session.log("two")
        await site.clock.advance(0.1)
    assert healthy.messages == ["one", "two"]


async def test_pages_have_no_hole_while_threads_emit_and_history_is_trimmed() -> None:
    site = Site(max_history_events=10)
    stop = threading.Event()

    def emit(session: ProgressSession) -> None:
        while not stop.is_set():
            session.log("x")

    threads = [threading.Thread(target=emit, args=(site.session,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        cursor = ""
        for _ in range(100):
            cursor = await check_page(site, cursor)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


async def check_page(site: Site, cursor: str) -> str:
    """Reads a page after a cursor; everything in it must be contiguous or announced."""
    path = f"/sessions/{site.session.id}/page" + (f"?after={cursor}" if cursor else "")
    peer = AsgiPeer(path, kind="http")
    await peer.run(site.app)
    page = json.loads(peer.sent[1]["body"])
    seen = int(cursor.split("-")[1]) if cursor else 0
    for frame in page["frames"]:
        if frame["type"] == "snapshot":
            seen = frame["seq"]
        elif "." in frame["type"]:
            assert frame["seq"] == seen + 1
            seen = frame["seq"]
    assert page["cursor"].endswith(f"-{seen}")
    result: str = page["cursor"]
    return result


async def test_a_long_poll_ends_with_a_drain() -> None:
    site = Site()
    session_id = (await site.registry.reserve())["session_id"]
    async with site.peer("page?wait=20", kind="http", session_id=session_id) as peer:
        assert peer.sent == []
        await site.registry.drain()
        await peer.finished.wait()
    assert peer.sent[0]["status"] == 200


async def test_a_client_that_gave_a_long_poll_up_is_sent_no_page() -> None:
    site = Site()
    async with site.peer(f"page?after={site.session.cursor}&wait=20", kind="http") as peer:
        peer.hang_up()
        await peer.finished.wait()
    assert peer.sent[1]["body"] == b""


async def test_cookies_in_several_headers_are_one_list() -> None:
    headers = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")]
    request = Request.read("GET", "/", headers, query=b"", client=None, state={})
    assert request.connection.cookies == {"a": "1", "b": "2"}


async def test_a_thousand_connections_come_and_go_without_a_trace() -> None:
    site = Site()
    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                peer = AsgiPeer(f"/sessions/{site.session.id}/ws")
                peer.hang_up()
                tasks.start_soon(peer.run, site.app)
    await settle()
    assert site.registry.stats().subscribers == 0


@pytest.mark.parametrize("root", ["", "/s", "/progress", "/progress/", "/progress/x"])
async def test_a_mount_is_taken_off_the_path_only_where_it_is_a_folder_of_it(root: str) -> None:
    site = Site()
    inside = root.rstrip("/") if root.startswith("/progress") else ""
    peer = AsgiPeer(f"{inside}/sessions/{site.session.id}", kind="http")
    peer.scope["root_path"] = root
    await peer.run(site.app)
    assert peer.sent[0]["status"] == 200


async def test_half_a_request_does_nothing() -> None:
    site = Site()
    token = site.session.handle()["control_token"]
    peer = AsgiPeer(f"/sessions/{site.session.id}/cancel", kind="http", body=b"{", whole=False)
    peer.scope |= {"method": "POST", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    peer.hang_up()
    await peer.run(site.app)
    # Nobody reads it; middleware in front must be given something.
    assert peer.sent[0]["status"] == 400
    assert not site.session.cancel_requested


async def test_a_stream_does_not_lose_the_disconnect_to_a_wait_that_it_does_not_have() -> None:
    site = Site()
    async with site.peer("events?wait=1", kind="http") as peer:
        assert peer.types == ["welcome", "session.started"]
        peer.hang_up()
        await peer.finished.wait()
    assert site.registry.stats().subscribers == 0


@pytest.mark.parametrize(
    "odd", ['prefs={"theme":"dark"}', "a[0]=1", "expires=x", "=", ";;", "\xff=\xfe"]
)
def test_one_odd_cookie_costs_none_of_the_others(odd: str) -> None:
    headers = [(b"cookie", f'{odd}; login=abc; quoted="d e"'.encode("latin-1"))]
    request = Request.read("GET", "/", headers, query=b"", client=None, state={})
    assert request.connection.cookies["login"] == "abc"
    assert request.connection.cookies["quoted"] == "d e"


async def test_a_server_that_fails_in_its_own_way_loses_its_follower_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    async with site.peer() as peer:
        peer.failure = ZeroDivisionError("a bug of the server's")
        for number in range(5):
            site.session.log(str(number))
            await site.clock.advance(1)
        assert site.registry.stats().subscribers == 0
    assert [each.levelname for each in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("route", ["events", "page", "ws"])
async def test_words_that_are_no_unicode_are_told_all_the_same(route: str) -> None:
    def authorize(request: AccessRequest) -> Access:
        raise Unauthorized("who are you? \ud800")

    app = ProgressApp(SessionRegistry(), authorize)
    peer = AsgiPeer(f"/sessions/x/{route}", kind="websocket" if route == "ws" else "http")
    await peer.run(app)
    told = "".join(str(m.get("text", m.get("body", b""))) for m in peer.sent)
    assert "who are you?" in told


async def test_a_stream_that_is_refused_has_no_body_for_head() -> None:
    site = Site()
    site.registry.delete(site.session.id)
    reserved = await site.registry.reserve()
    await site.registry.drain()
    peer = AsgiPeer(f"/sessions/{reserved['session_id']}/events", kind="http")
    peer.scope["method"] = "HEAD"
    peer.hang_up()
    await peer.run(site.app)
    assert [m.get("status", m.get("body")) for m in peer.sent] == [200, b""]


async def test_a_follower_given_up_while_its_close_is_blocked_ends_quietly() -> None:
    site = Site()
    async with site.peer(closes=False) as peer:
        peer.stop_before("websocket.close")
        site.end()
        await site.clock.advance(0.1)
        assert peer.types[-1] == "end"
        await site.clock.advance(site.registry.settings.write_timeout + 2)
        assert site.registry.stats().detached == 1
        peer.read_on()
        await peer.finished.wait()
