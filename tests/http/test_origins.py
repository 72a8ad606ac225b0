"""Which pages may call, and what a browser is told before it lets them."""

from __future__ import annotations

import pytest

from agentprogress._http import Request, Response
from agentprogress._origins import Origins
from agentprogress.errors import Forbidden, InvalidSettings

APP = "https://app.example"


def request(origin: str | None, host: str = "api.example", **headers: str) -> Request:
    found = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if origin is not None:
        found["origin"] = origin
    method = "OPTIONS" if "access-control-request-method" in found else "GET"
    raw = [(name.encode(), value.encode()) for name, value in found.items()]
    return Request.read(method, "/", raw, query=b"", client=None, state={})


def is_let_in(asked: Request, *allowed: str) -> bool:
    try:
        Origins(allowed, 600).let_in(asked)
    except Forbidden:
        return False
    return True


def answer(asked: Request, *allowed: str) -> dict[str, str]:
    headers = Origins(allowed, 600).headers(asked)
    return {name.decode(): value.decode() for name, value in headers}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "api.example"),
        ("https://api.example", "api.example"),
        ("http://api.example", "api.example"),
        ("https://API.example", "api.EXAMPLE"),
        ("https://api.example:443", "api.example"),
        ("https://api.example", "api.example:443"),
        ("http://api.example:8000", "api.example:8000"),
        ("http://[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("http://localhost:3000", "localhost:8000"),
        ("http://localhost:3000", "127.0.0.1:8000"),
        ("http://app.localhost:3000", "[::1]:8000"),
        ("http://127.9.9.9", "localhost"),
    ],
)
def test_the_same_host_and_machine_may_call(origin: str | None, host: str) -> None:
    assert is_let_in(request(origin, host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (APP, "api.example"),
        ("https://api.example.evil.example", "api.example"),
        ("https://evil-api.example", "api.example"),
        ("https://api.example:8443", "api.example"),
        ("http://api.example:80", "api.example:8000"),
        ("null", "api.example"),
        ("", "api.example"),
        ("https://", "api.example"),
        ("api.example", "api.example"),
        ("https://api.example:x", "api.example:x"),
        ("https://[", "api.example"),
        ("https://api.example", ""),
        ("http://localhost:3000", "api.example"),
        ("https://evil.example", "localhost:8000"),
        ("http://localhost.evil.example", "localhost:8000"),
    ],
)
def test_a_foreign_page_may_not(origin: str, host: str) -> None:
    assert not is_let_in(request(origin, host))


def test_the_refusal_names_both_hosts_and_the_setting() -> None:
    with pytest.raises(Forbidden) as refused:
        Origins((), 600).let_in(request(APP))
    for word in (APP, "api.example", f'allowed_origins=("{APP}",)'):
        assert word in str(refused.value)


@pytest.mark.parametrize("allowed", [APP, "https://APP.example", "*"])
def test_an_allowed_origin_may_call(allowed: str) -> None:
    assert is_let_in(request(APP), allowed)


def test_an_origin_is_allowed_as_a_whole() -> None:
    assert not is_let_in(request("http://app.example"), APP)
    assert not is_let_in(request("https://app.example:8443"), APP)
    assert is_let_in(request("null"), "null")


def test_an_authorization_header_is_trusted_and_a_bearer_among_subprotocols_is_not() -> None:
    assert is_let_in(request(APP, authorization="Bearer x"))
    assert not is_let_in(request(APP, authorization="Basic eA=="))
    assert not is_let_in(request(APP).offering(["agentprogress.bearer.eA"]))
    assert not is_let_in(request(APP, cookie="a=b").offering(["agentprogress.bearer.eA"]))


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/x",
        "https://",
        "",
        "https://a:b",
        "https://u@a",
    ],
)
def test_what_is_no_origin_cannot_be_allowed(origin: str) -> None:
    with pytest.raises(InvalidSettings, match="is no origin"):
        Origins((origin,), 600)


def test_one_text_is_no_list_of_origins() -> None:
    with pytest.raises(InvalidSettings, match="sequence"):
        Origins(APP, 600)


def test_without_the_setting_no_cors_header_is_added() -> None:
    assert answer(request(APP)) == {}


def test_an_allowed_page_may_read_with_its_cookies() -> None:
    assert answer(request(APP), APP) == {
        "vary": "origin",
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "etag, retry-after",
    }


def test_where_any_page_may_read_none_may_with_cookies() -> None:
    told = answer(request(APP), "*")
    assert told["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in told


def test_where_any_page_may_call_it_does_so_without_the_cookies() -> None:
    asked = request(APP, cookie="login=ann")
    for allowed, cookies in ((("*",), {}), (("*", APP), {"login": "ann"})):
        let_in = Origins(allowed, 600).let_in(asked)
        assert let_in.connection.cookies == cookies
        assert ("cookie" in let_in.connection.headers) is bool(cookies)
    at_home = request("https://api.example", cookie="login=ann")
    assert Origins(("*",), 600).let_in(at_home) == at_home


def test_a_cache_is_told_that_the_answer_depends_on_the_origin() -> None:
    for origin in (None, "https://evil.example"):
        assert answer(request(origin), APP) == {"vary": "origin"}


def preflight(origin: str, *allowed: str) -> Response | None:
    asked = request(origin, access_control_request_method="GET")
    return Origins(allowed, 600).preflight(asked)


def test_a_preflight_is_answered_for_allowed_pages_only() -> None:
    allowed, refused = preflight(APP, APP), preflight("https://evil.example", APP)
    assert allowed is not None
    assert refused is not None
    told = {name.decode(): value.decode() for name, value in allowed.headers}
    assert allowed.status == refused.status == 204
    assert "last-event-id" in told["access-control-allow-headers"]
    assert told["access-control-allow-methods"] == "GET, HEAD, POST"
    assert told["access-control-max-age"] == "600"
    assert refused.headers == ((b"vary", b"origin"),)


def test_without_the_setting_a_preflight_is_no_preflight() -> None:
    assert preflight(APP) is None
