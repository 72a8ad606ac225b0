"""The Python client through real proxies with TLS: cut, silent, without Upgrade, held back."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from agentprogress import Settings
from agentprogress.client import Feed, FollowOptions, FollowState, follow
from agentprogress.errors import FollowError
from agentprogress.events import Event, LogMessage
from tests.conformance.live import Live, Session
from tests.conformance.oracle import check_history

from .conftest import Start
from .programs import Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.server]

TRANSPORTS = ("websocket", "sse", "long-poll")

# What a client waits for a connection, where a test waits for it too.
IMPATIENT = Settings(connect_timeout=0.5)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


class Watch:
    """A client of a session that runs until it is told to end, and all that the client got."""

    def __init__(self, proxy: Proxy, session: Session, tls: ssl.SSLContext) -> None:
        self.session = session
        self.events: list[Event] = []
        self.comebacks = 0
        self.logged = 0
        self.ended = False
        self._url = proxy.url(session)
        self._tls = tls
        self._cursor: str | None = None
        # Called with each cut, while nobody follows.
        self.while_away: Callable[[], object] = _nothing

    def log(self) -> None:
        """Has the session log one more line."""
        self.session.do(("log", 1, self.logged))
        self.logged += 1

    def end(self) -> None:
        """Ends the session."""
        self.ended = True
        self.session.do(("complete", None))

    async def run(self, each: Callable[[Feed], object], **options: Any) -> None:
        """Follows to the end; `each` is called after each event but the last."""
        settings = options.pop("settings", Settings())
        # Rests are as short as may be: what they are otherwise is proven elsewhere.
        chosen = FollowOptions(ssl_context=self._tls, settings=settings, random=lambda: 0.0)
        async with follow(self._url, options=chosen, on_state=self._told, **options) as feed:
            async for item in feed:
                assert isinstance(item, Event), f"{item.type} where all is in the history"
                self.events.append(item)
                if not self.ended:
                    each(feed)
            self._cursor = feed.cursor

    def _told(self, state: FollowState) -> None:
        if state is FollowState.RECONNECTING:
            self.comebacks += 1
            self.while_away()

    def check(self) -> None:
        """Judges: every event exactly once and in order, and none missing at the end."""
        assert self._cursor is not None
        epoch, _, head = self._cursor.partition("-")
        welcome = {"type": "welcome", "epoch": epoch, "resume": "fresh"}
        events = [{"type": event.type, "seq": event.seq} for event in self.events]
        check_history([welcome, *events, {"type": "end", "head": int(head)}])
        lines = [event.message for event in self.events if isinstance(event, LogMessage)]
        assert lines == [f"line {number}" for number in range(self.logged)]


def _nothing() -> None:
    """Does nothing."""


async def test_a_stream_that_is_cut_again_and_again_loses_nothing(
    live: Live, either: Start, tls: ssl.SSLContext, transport: str
) -> None:
    proxy = either("good")
    watch = Watch(proxy, live.session(), tls)
    cuts: list[int] = []

    # Each event brings about the next one: the stream runs when it is cut.
    def go_on(_feed: Feed) -> None:
        seen = len(watch.events)
        # A page is asked for anew before the proxy has come to cut it.
        if watch.comebacks == 2 or (transport == "long-poll" and seen == 20):
            watch.end()
            return
        if len(cuts) == watch.comebacks and seen % 5 == 0:
            cuts.append(seen)
            proxy.cut_all()
        watch.log()

    await watch.run(go_on, transport=transport)
    watch.check()


async def test_silence_is_cut_and_the_client_comes_back_each_time(
    live: Live, either: Start, tls: ssl.SSLContext, transport: str
) -> None:
    watch = Watch(either("idle", idle_timeout="300ms"), live.session(), tls)

    def happen() -> None:
        if watch.comebacks < 3:
            watch.log()
        elif watch.comebacks == 3:
            watch.end()

    watch.while_away = happen
    await watch.run(lambda _feed: None, transport=transport)
    watch.check()
    assert watch.comebacks >= 3


async def test_compression_delays_nothing(live: Live, nginx: Start, tls: ssl.SSLContext) -> None:
    watch = Watch(nginx("gzip"), live.session(), tls)
    await watch.run(
        lambda _feed: watch.log() if watch.logged < 10 else watch.end(), transport="sse"
    )


async def test_without_upgrade_it_follows_by_events_and_says_once_what_to_change(
    live: Live, nginx: Start, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = nginx("no_upgrade")
    watch = Watch(proxy, live.session(), tls)
    transports: set[str] = set()

    def go_on(feed: Feed) -> None:
        transports.add(feed.transport)
        if watch.comebacks:
            watch.end()
            return
        if watch.logged == 5:
            proxy.cut_all()
        watch.log()

    await watch.run(go_on)
    watch.check()
    assert transports == {"sse"}
    (told,) = _warnings(caplog)
    assert watch.session.id in told
    assert "proxy_set_header Upgrade $http_upgrade" in told


async def test_where_streams_are_held_back_it_asks_for_pages_and_says_what_to_change(
    live: Live, nginx: Start, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(nginx("buffering"), live.session(), tls)
    transports: set[str] = set()

    def go_on(feed: Feed) -> None:
        transports.add(feed.transport)
        if watch.logged < 3:
            watch.log()
        else:
            watch.end()

    await watch.run(go_on, settings=IMPATIENT)
    watch.check()
    assert transports == {"long-poll"}
    no_upgrade, held_back = _warnings(caplog)
    assert "proxy_set_header Upgrade $http_upgrade" in no_upgrade
    assert "proxy_buffering off" in held_back


async def test_whom_nobody_vouches_for_is_not_followed(live: Live, either: Start) -> None:
    proxy = either("good")
    with pytest.raises(FollowError, match="certificate") as refused:
        async with follow(proxy.url(live.ended(), "wss")) as feed:
            await feed.__anext__()
    assert (refused.value.kind, refused.value.retryable) == ("network", False)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "agentprogress.client" and record.levelno >= logging.WARNING
    ]
