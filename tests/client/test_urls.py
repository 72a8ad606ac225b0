from __future__ import annotations

import dataclasses
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress.client._urls import SessionUrl, websocket_url
from agentprogress.errors import InvalidUrl

SESSION = SessionUrl.parse("https://example.com/progress/sessions/job-7?tenant=1")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with http://, https://, ws:// or wss://"),
        ("localhost:8000/sessions/a", "must begin with http://"),
        ("ftp://example.com/sessions/a", "not with ftp://"),
        ("https:///sessions/a", "has no host"),
        ("https://:8443/sessions/a", "has no host"),
        ("https://user@example.com/sessions/a", "no user or password"),
        ("https://example.com:http/sessions/a", "port in the URL is no number"),
        ("https://example.com:65536/sessions/a", "greater than 65535"),
        ("https://example.com:" + "9" * 5_000, "greater than 65535"),
        ("https://[::1/sessions/a", "a bracket too many or too few"),
        ("https://a]b/sessions/a", "a bracket too many or too few"),
        ("https://[nonsense]/sessions/a", "no IPv6 address"),
        ("https://::1/sessions/a", "must stand in brackets"),
        ("https://exa%mple.com/sessions/a", "characters that no host has"),
        ("https://example.com/a b", "white space"),
        ("https://example.com/a\u2028b", "white space"),
        ("https://example.com/a\x85b", "white space"),
        ("https://example.com/a\x00b", "control characters"),
        ("https://example.com\\a", "backslashes"),
    ],
)
def test_a_refusal_says_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(InvalidUrl, match=words.replace(".", r"\.")):
        websocket_url(url)


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com/", "wss://a//?x#y"])
def test_a_url_without_a_path_names_no_session(url: str) -> None:
    websocket_url(url)
    with pytest.raises(InvalidUrl, match="names no session"):
        SessionUrl.parse(url)


@pytest.mark.parametrize(
    "form",
    [
        "https://user:{}@example.com/sessions/a",
        "https://{}@example.com/sessions/a",
        "https://user:{}@example.com:port/ a",
        "ftp://user:{}@example.com/",
        "user:{}@example.com/sessions/a",
        "https://example.com:{}/sessions/a",
        "https://[{}]/sessions/a",
        "https://example.com/sessions/a\n{}",
        "https://example.com/?token={}",
    ],
)
def test_nothing_that_a_refusal_shows_has_a_password(form: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        SessionUrl.parse(form.format("hunter2"))
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_every_part_is_kept_as_it_is_written() -> None:
    url = "https://Example.COM:0443/A/../b//%7Ejob%2f7?a=%41&&b=[?]/"
    assert websocket_url(f"{url}#part") == f"wss{url.removeprefix('https')}"
    assert SessionUrl.parse(url).route("") == url


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\#")))
def test_only_the_scheme_changes_whatever_follows_the_host(rest: str) -> None:
    assert websocket_url(f"HTTPS://example.com/{rest}") == f"wss://example.com/{rest}"


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            websocket_url(url)
        except InvalidUrl:
            continue
        try:
            found = SessionUrl.parse(url)
        except InvalidUrl as refused:
            assert "names no session" in str(refused)  # noqa: PT017
        else:
            assert SessionUrl.parse(found.route("")) == found


@pytest.mark.parametrize(
    ("path", "session_id"),
    [("sessions/job-7", "job-7"), ("a/b/job%2F%C3%A9/", "job/é"), ("x", "x"), ("a///", "a")],
)
def test_the_last_segment_is_the_session(path: str, session_id: str) -> None:
    assert SessionUrl.parse(f"http://localhost/{path}?x=/y").session_id == session_id


def test_a_route_has_the_cursor_and_more_parameters_after_those_of_the_session() -> None:
    url = SESSION.route("page", "I9kYN9ZwS0-7", wait="20", limit="1 & 2")
    assert url == (
        "https://example.com/progress/sessions/job-7/page"
        "?tenant=1&after=I9kYN9ZwS0-7&wait=20&limit=1%20%26%202"
    )


def test_parameters_alone_make_a_query() -> None:
    session = SessionUrl.parse("http://localhost/sessions/a?")
    assert session.route("page", wait="0") == "http://localhost/sessions/a/page?wait=0"


def test_a_question_is_answered_below_the_session() -> None:
    assert SESSION.route("inputs/rq_1").endswith("/sessions/job-7/inputs/rq_1?tenant=1")


def test_a_session_at_a_websocket_url_has_its_other_routes_over_http() -> None:
    session = SessionUrl.parse("WSS://example.com/sessions/a")
    assert session.websocket("e-1") == "wss://example.com/sessions/a/ws?after=e-1"
    assert session.route("result") == "https://example.com/sessions/a/result"


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SESSION.path = "/other"  # type: ignore[misc]  # what the test is about
