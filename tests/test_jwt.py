"""Signed tokens: what they let in, and everything that they do not."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import subprocess
import sys
from typing import Any

import httpx2
import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress import SessionRegistry, Settings
from agentprogress.access import AccessRequest, Action, ConnectionInfo, ask
from agentprogress.asgi import ProgressApp
from agentprogress.errors import (
    Forbidden,
    InvalidSessionId,
    InvalidSettings,
    ProgressError,
    TokenExpired,
    Unauthorized,
)
from agentprogress.jwt import TokenSigner
from agentprogress.testing import ManualClock

KEY = "k" * 31 + "1"
OTHER_KEY = b"\x00\xff" * 16
SESSION = "report-7"
NOW = 1_750_000_000
HOUR = 3600

CLAIMS: dict[str, Any] = {
    "aud": "agentprogress",
    "iat": NOW,
    "exp": NOW + HOUR,
    "session_id": SESSION,
    "actions": ["follow"],
}


def new_signer(key: str | bytes = KEY, **options: Any) -> tuple[TokenSigner, ManualClock]:
    clock = ManualClock(NOW)
    return TokenSigner(key, clock=clock, **options), clock


def question(
    bearer: str | None, *, action: Action = "follow", session_id: str = SESSION
) -> AccessRequest:
    return AccessRequest(action, session_id, None, ConnectionInfo(bearer=bearer))


def signed(claims: dict[str, Any], key: str | bytes = KEY, algorithm: str = "HS256") -> str:
    return pyjwt.encode(claims, key, algorithm=algorithm)


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def refusal(signer: TokenSigner, request: AccessRequest) -> ProgressError:
    with pytest.raises(ProgressError) as caught:
        signer.authorize(request)
    return caught.value


def assert_invalid(signer: TokenSigner, bearer: str) -> None:
    error = refusal(signer, question(bearer))
    assert type(error) is Unauthorized
    assert str(error) == "The token is not valid: its signature, audience or form is wrong."
    # What is shown of an error must not quote the token.
    assert error.__cause__ is None
    assert error.__context__ is None


# What a token lets in


@pytest.mark.parametrize("action", ["follow", "control"])
def test_a_token_allows_its_action_on_its_session_until_its_time(action: Action) -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION, (action,), ttl=60, principal="ann")
    access = signer.authorize(question(token, action=action))
    assert access.principal == "ann"
    assert access.actions == {action}
    assert access.expires_at == NOW + 60


def test_a_token_without_a_session_allows_its_principal_to_list() -> None:
    signer, _ = new_signer()
    token = signer.issue(None, ("list",), principal="ann")
    access = signer.authorize(question(token, action="list", session_id=""))
    assert access.principal == "ann"
    assert access.actions == {"list"}


def test_a_token_follows_for_an_hour_and_for_nobody_unless_told_otherwise() -> None:
    signer, _ = new_signer()
    access = signer.authorize(question(signer.issue(SESSION)))
    assert access.principal is None
    assert access.actions == {"follow"}
    assert access.expires_at == NOW + HOUR


def test_a_token_may_allow_both_actions() -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION, ("control", "follow"))
    assert signer.authorize(question(token)).actions == {"follow", "control"}
    assert signer.authorize(question(token, action="control")).actions == {"follow", "control"}


@pytest.mark.parametrize("principal", ["Åsa Öberg", "山田", "😀", ""])
def test_a_principal_may_have_any_name(principal: str) -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION, principal=principal)
    assert token.isascii()
    assert signer.authorize(question(token)).principal == principal


def test_a_key_may_be_any_text_or_bytes() -> None:
    for key in ("ключ" * 8, OTHER_KEY):
        signer, _ = new_signer(key)
        assert signer.authorize(question(signer.issue(SESSION))).actions == {"follow"}


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_each_algorithm_takes_a_key_as_long_as_its_hash(algorithm: str, size: int) -> None:
    signer, _ = new_signer("k" * size, algorithm=algorithm)
    assert signer.authorize(question(signer.issue(SESSION))).actions == {"follow"}
    with pytest.raises(InvalidSettings, match=rf"{algorithm} must have at least {size} bytes"):
        new_signer("k" * (size - 1), algorithm=algorithm)


def test_the_claims_are_the_documented_ones() -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION, ("follow", "control"), ttl=0.5 + HOUR - 1, principal="ann")
    claims = pyjwt.decode(token, options={"verify_signature": False})
    assert claims == CLAIMS | {"actions": ["control", "follow"], "sub": "ann"}


# Time


def test_a_token_expires_to_the_second() -> None:
    signer, clock = new_signer()
    token = signer.issue(SESSION, ttl=60)
    clock.jump(59.999)
    assert signer.authorize(question(token)).expires_at == NOW + 60
    clock.jump(0.001)
    assert type(refusal(signer, question(token))) is TokenExpired


@pytest.mark.anyio
async def test_leeway_lengthens_a_token_for_the_connection_as_well() -> None:
    signer, clock = new_signer(leeway=5)
    request = question(signer.issue(SESSION, ttl=60))
    clock.jump(64)
    access = await ask(signer.authorize, request, clock.wall())
    assert access.seconds_left(clock.wall()) == 1
    clock.jump(1)
    with pytest.raises(TokenExpired):
        await ask(signer.authorize, request, clock.wall())


def test_a_token_of_a_later_time_is_not_valid_yet() -> None:
    signer, clock = new_signer(leeway=5)
    request = question(signed(CLAIMS | {"nbf": NOW + 10}))
    assert str(refusal(signer, request)) == "The token is not valid yet."
    clock.jump(5)
    assert signer.authorize(request).actions == {"follow"}


def test_an_issuer_whose_clock_is_ahead_is_believed() -> None:
    signer, _ = new_signer()
    request = question(signed(CLAIMS | {"iat": NOW + 100}))
    assert signer.authorize(request).expires_at == NOW + HOUR


def test_the_machines_clock_is_the_default() -> None:
    signer = TokenSigner(KEY)
    assert signer.authorize(question(signer.issue(SESSION))).actions == {"follow"}
    with pytest.raises(TokenExpired):
        signer.authorize(question(signed(CLAIMS)))


# Refusals


def test_without_a_token_the_answer_says_how_to_send_one() -> None:
    signer, _ = new_signer()
    error = refusal(signer, question(None))
    assert type(error) is Unauthorized
    assert "Authorization: Bearer <token>" in str(error)
    assert "agentprogress.bearer." in str(error)


def test_a_token_of_another_session_is_forbidden() -> None:
    signer, _ = new_signer()
    error = refusal(signer, question(signer.issue("report-8")))
    assert type(error) is Forbidden
    assert str(error) == "The token is not for this session."


@pytest.mark.parametrize(("allowed", "asked"), [("follow", "control"), ("control", "follow")])
def test_one_action_does_not_imply_the_other(allowed: Action, asked: Action) -> None:
    signer, _ = new_signer()
    error = refusal(signer, question(signer.issue(SESSION, (allowed,)), action=asked))
    assert type(error) is Forbidden
    assert str(error) == f"The token does not allow to {asked}."


def test_a_sessions_token_lists_nothing_and_a_lists_token_opens_nothing() -> None:
    signer, _ = new_signer()
    of_session = question(
        signer.issue(SESSION, ("follow", "control"), principal="ann"), action="list", session_id=""
    )
    of_list = question(signer.issue(None, ("list",), principal="ann"))
    assert type(refusal(signer, of_session)) is Forbidden
    assert type(refusal(signer, of_list)) is Forbidden


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_that_was_tampered_with_is_not_valid(part: int) -> None:
    signer, _ = new_signer()
    parts = signer.issue(SESSION).split(".")
    parts[part] = signer.issue("report-8", ("control",), ttl=61).split(".")[part]
    if part == 0:
        parts[0] = segment(b'{"alg":"HS256","typ":"JWT","x":1}')
    assert_invalid(signer, ".".join(parts))


def test_a_token_of_another_key_audience_or_algorithm_is_not_valid() -> None:
    signer, _ = new_signer()
    assert_invalid(signer, signed(CLAIMS, OTHER_KEY))
    assert_invalid(signer, signed(CLAIMS | {"aud": "another-service"}))
    assert_invalid(signer, signed(CLAIMS, KEY * 2, "HS512"))
    own, _ = new_signer(KEY, audience="another-service")
    assert_invalid(signer, own.issue(SESSION))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["HS256"], {}])
def test_a_token_cannot_choose_to_be_unsigned(algorithm: object) -> None:
    signer, _ = new_signer()
    header = segment(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    body = segment(json.dumps(CLAIMS).encode())
    signature = signer.issue(SESSION).split(".")[2]
    for end in ("", signature):
        assert_invalid(signer, f"{header}.{body}.{end}")


@pytest.mark.parametrize("claim", ["aud", "iat", "exp", "session_id", "actions"])
def test_every_claim_is_required(claim: str) -> None:
    signer, _ = new_signer()
    assert_invalid(signer, signed({name: CLAIMS[name] for name in CLAIMS if name != claim}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "4102444800"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"nbf": "soon"},
        {"session_id": 7},
        {"session_id": [SESSION]},
        {"actions": "follow"},
        {"actions": {"follow": 1}},
        {"actions": ["follow", "everything"]},
        {"sub": 7},
        {"aud": {"agentprogress": 1}},
    ],
    ids=str,
)
def test_claims_of_a_wrong_type_are_not_valid(claims: dict[str, Any]) -> None:
    signer, _ = new_signer()
    assert_invalid(signer, signed(CLAIMS | claims))


@pytest.mark.parametrize(
    "bearer",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        " ",
        "\x00",
        "żółw.żółw.żółw",
        "\ud800.\ud800.\ud800",
        "٣.٣.٣",
        "a" * 1_000_000,
        f"{'a' * 300_000}.{'a' * 300_000}.{'a' * 300_000}",
    ],
    ids=lambda bearer: ascii(bearer)[:20],
)
def test_what_is_no_token_is_not_valid(bearer: str) -> None:
    signer, _ = new_signer()
    assert_invalid(signer, bearer)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 10_000,
        b'{"alg":' * 1_400,
        b"9" * 10_000,
        b'{"alg":"HS256","crit":["b64"],"b64":false}',
        b'{"alg":"HS256","kid":7}',
        b"\xff\xfe",
        b"null",
        b"",
    ],
    ids=lambda header: ascii(header)[:20],
)
def test_a_header_that_breaks_parsers_is_not_valid(header: bytes) -> None:
    signer, _ = new_signer()
    _, body, signature = signer.issue(SESSION).split(".")
    assert_invalid(signer, f"{segment(header)}.{body}.{signature}")


def test_space_around_or_padding_in_a_token_is_not_valid() -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION)
    for bearer in (f" {token}", f"{token}\n", f"{token}=", f"{token}.", token.replace(".", "..")):
        assert_invalid(signer, bearer)


@given(st.text() | st.text("abc.-_=", max_size=40))
def test_random_text_is_never_a_token(bearer: str) -> None:
    signer, _ = new_signer()
    assert_invalid(signer, bearer)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_random_bytes_in_the_form_of_a_token_are_none(one: bytes, two: bytes, end: bytes) -> None:
    signer, _ = new_signer()
    assert_invalid(signer, f"{segment(one)}.{segment(two)}.{segment(end)}")


@given(st.data())
def test_a_token_with_any_one_character_changed_is_not_valid(data: st.DataObject) -> None:
    signer, _ = new_signer()
    token = signer.issue(SESSION, principal="ann")
    where = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda each: each != token[where]))
    changed = token[:where] + other + token[where + 1 :]
    # The last character of a part has bits to spare; PyJWT refuses all but their one right form.
    assert_invalid(signer, changed)


# Rotation


def test_a_previous_key_verifies_but_does_not_sign() -> None:
    before, _ = new_signer(KEY)
    rotated, _ = new_signer(OTHER_KEY, previous=[b"another".ljust(32, b"!"), KEY])
    assert rotated.authorize(question(before.issue(SESSION))).actions == {"follow"}
    assert_invalid(before, rotated.issue(SESSION))
    after, _ = new_signer(OTHER_KEY)
    assert_invalid(after, before.issue(SESSION))
    assert after.authorize(question(rotated.issue(SESSION))).actions == {"follow"}


def test_a_previous_key_gives_no_more_time() -> None:
    before, _ = new_signer(KEY)
    rotated, clock = new_signer(OTHER_KEY, previous=[KEY])
    token = before.issue(SESSION, ttl=60)
    clock.jump(60)
    assert type(refusal(rotated, question(token))) is TokenExpired


# What makes no sense


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"key": ""}, "must have at least 32 bytes"),
        ({"key": "k" * 31}, "must have at least 32 bytes (RFC 7518, 3.2), not 31"),
        ({"previous": ["short"]}, "must have at least 32 bytes"),
        ({"previous": KEY}, "previous must be a sequence of keys"),
        ({"algorithm": "none"}, "algorithm must be one of HS256, HS384, HS512, not 'none'"),
        ({"algorithm": "RS256"}, "algorithm must be one of HS256, HS384, HS512, not 'RS256'"),
        ({"audience": ""}, "audience must not be empty"),
        ({"leeway": -1}, "leeway must be seconds that are not negative, not -1"),
        ({"leeway": float("nan")}, "leeway must be seconds that are not negative, not nan"),
        ({"leeway": float("inf")}, "leeway must be seconds that are not negative, not inf"),
        (
            {"key": f"-----BEGIN PUBLIC KEY-----\n{'A' * 64}\n-----END PUBLIC KEY-----\n"},
            "HS256 takes a secret; this is the public or private key of another algorithm",
        ),
    ],
    ids=str,
)
def test_a_signer_that_could_not_be_trusted_is_refused(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        new_signer(**options)
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"session_id": SESSION, "actions": ()},
        {"session_id": SESSION, "actions": ("list",), "principal": "ann"},
        {"session_id": SESSION, "actions": ("everything",)},
        {"session_id": SESSION, "actions": "follow"},
        {"session_id": None},
        {"session_id": None, "actions": ("list",)},
        {"session_id": None, "actions": ("list", "follow"), "principal": "ann"},
        {"session_id": SESSION, "ttl": 0},
        {"session_id": SESSION, "ttl": 0.999},
        {"session_id": SESSION, "ttl": float("nan")},
        {"session_id": SESSION, "ttl": float("inf")},
        {"session_id": SESSION, "principal": "n" * 16_384},
    ],
    ids=lambda arguments: str(arguments)[:60],
)
def test_a_token_that_makes_no_sense_is_not_issued(arguments: dict[str, Any]) -> None:
    signer, _ = new_signer()
    with pytest.raises(InvalidSettings):
        signer.issue(**arguments)


def test_a_token_is_not_issued_for_what_is_no_session_id() -> None:
    signer, _ = new_signer()
    for session_id in ("", "*", "a/b", "é"):
        with pytest.raises(InvalidSessionId):
            signer.issue(session_id)


# Secrets


def test_neither_key_nor_token_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signer, clock = new_signer()
    token = signer.issue(SESSION, ttl=60, principal="ann")
    request = question(token)
    signer.authorize(request)
    clock.jump(60)
    errors = [refusal(signer, request), refusal(signer, question(f"{token}x"))]
    for shown in (repr(signer), str(signer), repr(request), *map(repr, errors), caplog.text):
        assert KEY not in shown
        assert token not in shown
        assert token.split(".")[1] not in shown
    assert repr(signer) == "TokenSigner(algorithm='HS256', audience='agentprogress')"


def test_a_signer_can_be_sent_to_a_worker_process() -> None:
    signer: TokenSigner = pickle.loads(pickle.dumps(TokenSigner(KEY)))
    assert signer.authorize(question(signer.issue(SESSION))).actions == {"follow"}


# In an app


@pytest.mark.anyio
async def test_an_app_asks_the_signer_before_it_tells_whether_a_session_exists() -> None:
    signer, clock = new_signer()
    registry = SessionRegistry(Settings(), clock=clock)
    transport = httpx2.ASGITransport(ProgressApp(registry, authorize=signer.authorize))
    token = signer.issue(SESSION, ttl=60)
    with registry.open(session_id=SESSION):
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:

            async def get(session_id: str, bearer: str | None) -> tuple[int, str]:
                headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
                answer = await http.get(f"/sessions/{session_id}", headers=headers)
                return answer.status_code, answer.json().get("code", "")

            assert await get(SESSION, token) == (200, "")
            for session_id in (SESSION, "nowhere"):
                assert await get(session_id, None) == (401, "unauthorized")
                assert await get(session_id, "nonsense") == (401, "unauthorized")
            assert await get("nowhere", token) == (403, "forbidden")
            assert await get("nowhere", signer.issue("nowhere")) == (404, "session_unknown")
            clock.jump(60)
            assert await get(SESSION, token) == (401, "token_expired")


def test_without_pyjwt_the_extra_is_named() -> None:
    script = "import sys; sys.modules['jwt'] = None\nimport agentprogress.jwt"
    found = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert found.returncode == 1
    assert "pip install 'agentprogress[jwt]'" in found.stderr
