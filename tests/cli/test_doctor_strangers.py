"""What `agentprogress doctor` says about what is no server of the library."""

from __future__ import annotations

import json
import socket

import pytest

from .doctoring import CHECKS, Doctor, answering, closed, wild


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.delenv("AGENTPROGRESS_TOKEN", raising=False)
    return Doctor(capsys)


_SWITCHED = (
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n\r\n"
)
_WHOLE = (b"HTTP/1.1 200", b"HTTP/1.1 302")
_PROBLEM = (
    b"HTTP/1.1 404 No\r\nContent-Type: application/problem+json\r\n"
    b'Content-Length: 26\r\n\r\n{"code":"session_unknown"}'
)


def test_a_server_of_files_is_not_agentprogress(doctor: Doctor) -> None:
    with answering(404, b"<h1>Nothing</h1>", {"Content-Type": "text/html"}) as address:
        assert doctor.ask(f"{address}/progress") == 1
    assert doctor.of("failed") == ["Server"]
    told = doctor.sentence("Server")
    assert told.startswith("Something that is not agentprogress answered 404 (text/html)")
    assert told.endswith("such as in /progress.")
    assert doctor.of("skipped") == list(CHECKS[2:])


def test_a_redirect_is_told_with_its_target(doctor: Doctor) -> None:
    with answering(302, b"", {"Location": "https://login.example/"}) as address:
        assert doctor.ask(f"{address}/sessions/job-7") == 1
    assert "redirects (302) to https://login.example/" in doctor.sentence("Server")


LONG_ID = "s_Ab3dW0rdZ5kYN9ZwS0QmLpX7Tc8v"
OWN_ID = "invoices-of-november-2026"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"https://h.example/p/sessions/{LONG_ID}?key=k", "https://h.example/p/sessions/s_Ab3d…:"),
        (f"/login?next=/sessions/{OWN_ID}", "/login:"),
        ("http://[broken", "an address that cannot be read:"),
    ],
)
def test_a_redirect_tells_no_secret_of_its_target(
    doctor: Doctor, location: str, shown: str
) -> None:
    with answering(302, b"", {"Location": location}) as address:
        assert doctor.ask(f"{address}/sessions/{LONG_ID}?key=the-key-of-ann") == 1
    assert f"redirects (302) to {shown} a WebSocket" in doctor.sentence("Server")


def test_what_a_server_says_is_told_without_ids_queries_and_their_secrets(doctor: Doctor) -> None:
    detail = f"No session '{OWN_ID}' for the-key-of-ann, but {LONG_ID} is at /x?key=the-key-of-bob."
    problem = {"code": "session_unknown", "detail": detail}
    headers = {"Content-Type": "application/problem+json"}
    with answering(404, json.dumps(problem).encode(), headers) as address:
        assert doctor.ask(f"{address}/sessions/{OWN_ID}?key=the-key-of-ann&a=b") == 1
    told = "No session 'invoic…' for …, but s_Ab3d… is at /x?…"
    assert doctor.sentence("Server") == told
    for secret in (OWN_ID, LONG_ID, "the-key"):
        assert secret not in doctor.printed


def test_what_a_server_says_drives_no_terminal_and_tells_no_token(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPROGRESS_TOKEN", "tok-en")
    problem = {"code": "forbidden", "detail": "\x1b[31mNot with\r\ntok-en\x9b2J" + "x" * 1000}
    headers = {"Content-Type": "application/problem+json"}
    with answering(403, json.dumps(problem).encode(), headers) as address:
        assert doctor.ask(f"{address}/sessions/job-7") == 1
    assert doctor.sentence("Server").startswith("Not with …xxx")
    assert len(doctor.sentence("Server")) <= 400
    assert "tok-en" not in doctor.printed


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"seq": 1}', b"x" * 600_000]
)
def test_no_answer_brings_it_down(doctor: Doctor, body: bytes) -> None:
    for kind in ("application/json", "application/problem+json", "text/event-stream"):
        with answering(200, body, {"Content-Type": kind}) as address:
            assert doctor.ask(f"{address}/sessions/job-7") == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip",
        b"HTTP/1.1 302 Over\r\nLocation: http://999.1.1.1/\r\n\r\n",
        _SWITCHED + b"\xff\xff\xff\xff",
        _SWITCHED + b"\x81\x03{}!",
        _SWITCHED + b"\x81\x02[]",
        _SWITCHED + b"\x82\x01\x00",
        _SWITCHED + b"\x81\x02\xc3\x28",
        _SWITCHED + b"\x88\x00",
        _SWITCHED.replace(b"{accept}", b"wrong"),
        _SWITCHED,
    ],
)
@pytest.mark.parametrize("plain", [None, _PROBLEM], ids=["always", "to handshakes"])
def test_whatever_is_sent_is_a_finding(said: bytes, plain: bytes | None, doctor: Doctor) -> None:
    with wild(said, plain) as address:
        assert doctor.ask(f"{address}/progress") == (1 if plain or said.startswith(_WHOLE) else 3)
    assert "by itself" not in doctor.printed


def test_where_nobody_listens_the_status_is_3(doctor: Doctor) -> None:
    with closed() as url:
        assert doctor.ask(url) == 3
    assert doctor.sentence("Connection") == "The server cannot be reached: connection refused."
    assert doctor.of("skipped") == list(CHECKS[1:])


def test_who_never_answers_is_waited_for_no_longer_than_told(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/sessions/job-7"
        assert doctor.ask(url, "--timeout", "0.2") == 3
    assert doctor.sentence("Connection") == "No answer came within 0.2 s."


def test_a_host_that_cannot_be_is_a_finding(doctor: Doctor) -> None:
    assert doctor.ask("http://999.1.1.1/sessions/job-7") == 3
    assert "a host that cannot be" in doctor.sentence("Connection")
