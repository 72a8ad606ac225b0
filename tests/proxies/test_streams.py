"""What docs/servers.md recommends, as it is written there: streams through either proxy."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.conformance.live import Live
from tests.conformance.oracle import check_history, events_of, messages_of

from .clients import CutOff, Frame, follow_events, follow_websocket, get
from .conftest import Start
from .programs import Proxy

pytestmark = pytest.mark.server

Follow = Callable[..., AbstractContextManager[Iterator[Frame]]]


@pytest.fixture(params=[follow_websocket, follow_events], ids=["websocket", "sse"])
def follow(request: pytest.FixtureRequest) -> Follow:
    """Follows over either transport."""
    chosen: Follow = request.param
    return chosen


def read_until_cut(frames: Iterator[Frame]) -> list[Frame]:
    told: list[Frame] = []
    with pytest.raises(CutOff):
        for frame in frames:
            told.append(frame)
    return told


def test_both_kinds_of_streams_are_live(live: Live, either: Start, tls: ssl.SSLContext) -> None:
    proxy = either("good")
    session = live.session()
    with (
        follow_websocket(proxy, session, tls) as websocket,
        follow_events(proxy, session, tls) as events,
    ):
        told: list[list[Frame]] = [[], []]
        for number in range(4):
            session.do(("log", 1, number))
            for frames, follower in zip(told, (websocket, events), strict=True):
                while f"line {number}" not in messages_of(frames):
                    frames.append(next(follower))
        session.do(("complete", None))
        for frames, follower in zip(told, (websocket, events), strict=True):
            frames.extend(follower)
            check_history(frames)


def test_who_does_not_know_the_authority_gets_nothing(live: Live, either: Start) -> None:
    proxy = either("good")
    session = live.session()
    stranger = ssl.create_default_context()
    for follow in (follow_websocket, follow_events):
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            follow(proxy, session, stranger).__enter__()


def test_a_page_of_the_same_host_and_port_may_call(
    live: Live, either: Start, tls: ssl.SSLContext
) -> None:
    url = either("good").url(live.ended()) + "/page"
    host = "site.example:8443"
    assert get(url, tls, Host=host, Origin=f"https://{host}").status_code == 200
    assert get(url, tls, Host=host, Origin="https://site.example").status_code == 403


def test_when_all_is_cut_whoever_comes_back_has_everything_once(
    live: Live, either: Start, tls: ssl.SSLContext, follow: Follow
) -> None:
    proxy = either("good")
    session = live.session()
    cursor = session.do(("log", 3))
    with follow(proxy, session, tls) as frames:
        told = [next(frames) for _ in range(5)]
        proxy.cut_all()
        assert events_of(read_until_cut(frames)) == []
    session.do(("log", 3, 3), ("complete", None))
    with follow(proxy, session, tls, after=cursor) as frames:
        rest = list(frames)
    check_history(rest, cursor)
    assert messages_of(told + rest) == [f"line {number}" for number in range(6)]


def test_silence_beyond_the_timeout_is_cut(
    live: Live, either: Start, tls: ssl.SSLContext, follow: Follow
) -> None:
    proxy = either("idle")
    session = live.session()
    with follow(proxy, session, tls) as frames:
        told = read_until_cut(frames)
    assert [frame["type"] for frame in told] == ["welcome", "session.started"]
    session.do(("complete", None))


def test_a_heart_that_beats_in_time_keeps_a_stream(
    beating: Live, nginx: Start, haproxy: Start, tls: ssl.SSLContext
) -> None:
    with contextlib.ExitStack() as stack:
        streams: list[Iterator[Frame]] = []
        for run in (nginx, haproxy):
            proxy, session = run("idle", beating, "3s"), beating.session()
            for follow in (follow_websocket, follow_events):
                streams.append(stack.enter_context(follow(proxy, session, tls)))
        # Four beats, a second apart, take longer than the proxies would wait.
        for frames in streams:
            beats = (frame for frame in frames if frame["type"] == "heartbeat")
            assert [next(beats)["head"] for _ in range(4)] == [1] * 4


def test_the_proxy_complains_of_nothing(live: Live, either: Start, tls: ssl.SSLContext) -> None:
    proxy = either("good")
    session = live.ended()
    for follow in (follow_websocket, follow_events):
        with follow(proxy, session, tls) as frames:
            check_history(frames)
    assert_silent(proxy)


def assert_silent(proxy: Proxy) -> None:
    """Nothing that it was told is obsolete, missing or contradictory."""
    proxy.running.stop()
    assert proxy.text == ""
