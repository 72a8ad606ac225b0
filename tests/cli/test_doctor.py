"""What `agentprogress doctor` says about servers, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from agentprogress import SessionRegistry
from agentprogress.access import allow_anyone
from agentprogress.asgi import ProgressApp
from agentprogress.cli import main
from agentprogress.cli.doctor._case import Question
from agentprogress.cli.doctor._checks import days_left
from agentprogress.cli.doctor._diagnosis import lines_of, painted
from agentprogress.cli.doctor._findings import HOST, IDLE, UPGRADE, Finding, Verdict
from tests.conformance.backend import ALLOWED_ORIGIN
from tests.conformance.live import Live, Session
from tests.conformance.servers import Target, start

from .doctoring import CHECKS, Altered, Doctor, InTurn, closed, serving
from .programs import CLI
from .terminal import in_terminal

SERVERS = Path(__file__).parents[2] / "docs" / "servers.md"
MOUNTED = Target("uvicorn", "starlette-mounted")


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.delenv("AGENTPROGRESS_TOKEN", raising=False)
    return Doctor(capsys)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A uvicorn that sends a heartbeat each second."""
    running = start(MOUNTED)
    yield Live(MOUNTED, running)
    running.stop()


def base_of(live: Live) -> str:
    host, port = live.address
    return f"http://{host}:{port}{live.path('')}"


def address_of(session: Session) -> str:
    return f"{base_of(session.live)}/sessions/{session.id}"


# Servers of the library


@pytest.mark.server
def test_nothing_is_wrong_with_a_bare_server(live: Live, doctor: Doctor) -> None:
    assert doctor.ask(address_of(live.session()), idle="10") == 0
    assert doctor.of("ok") == list(CHECKS)
    assert "the session is running, with 1 event" in doctor.sentence("Server")
    assert doctor.sentence("Workers") == "20 connections met the same session."
    assert doctor.sentence("Idle").startswith("Heartbeats came through")


@pytest.mark.server
def test_the_address_of_the_page_is_taken_as_well_and_its_query_kept(
    live: Live, doctor: Doctor
) -> None:
    assert doctor.ask(f"{address_of(live.session())}/view?as=ann#top", "--requests", "1") == 0
    assert doctor.sentence("Workers") == "1 connection met the same session."


@pytest.mark.server
@pytest.mark.parametrize("end", ["", "/", "/sessions", "/sessions/"])
def test_of_a_mount_is_seen_what_needs_no_session(live: Live, doctor: Doctor, end: str) -> None:
    assert doctor.ask(base_of(live) + end) == 0
    assert doctor.of("ok") == ["Connection", "Server", "Host", "Origin", "Upgrade"]
    assert "pass the address of one" in doctor.sentence("Buffering")


@pytest.mark.server
def test_with_an_ended_session_it_says_what_cannot_be_seen(live: Live, doctor: Doctor) -> None:
    assert doctor.ask(address_of(live.ended()), idle="1") == 0
    assert doctor.of("skipped") == ["Buffering", "Idle"]
    assert "is seen with a session that runs" in doctor.sentence("Buffering")


@pytest.mark.server
def test_a_session_that_is_unknown_is_told_in_the_servers_words(live: Live, doctor: Doctor) -> None:
    url = address_of(live.session())
    assert doctor.ask(url[:-1] + ("b" if url[-1] == "a" else "a")) == 1
    assert doctor.of("failed") == ["Server"]
    assert "There is no session" in doctor.sentence("Server")
    assert doctor.checks["Upgrade"]["verdict"] == "ok"


@pytest.mark.server
def test_silence_that_is_shorter_than_a_heartbeat_is_no_proof(live: Live, doctor: Doctor) -> None:
    doctor.ask(address_of(live.session()), idle="0.3")
    assert doctor.checks["Idle"]["verdict"] == "ok"
    assert doctor.sentence("Idle").endswith("come in time: --idle 3.")


@pytest.mark.server
def test_a_page_of_another_origin_is_refused_or_let_in_as_the_app_says(
    live: Live, doctor: Doctor
) -> None:
    url = address_of(live.session())
    assert doctor.ask(url, "--origin", ALLOWED_ORIGIN) == 0
    assert "may call it, and read the answers" in doctor.sentence("Origin")
    assert doctor.ask(url, "--origin", "https://other.example") == 1
    assert doctor.of("failed") == ["Origin"]
    assert "This page is from 'https://other.example'" in doctor.sentence("Origin")
    fix = doctor.checks["Origin"]["fixes"][0]
    assert fix["lines"] == ['ProgressApp(registry, allowed_origins=("https://other.example",))']


# Servers between which a proxy chooses, and answers that something has changed on their way


def test_sessions_that_another_process_has_are_counted(doctor: Doctor) -> None:
    owner, other = SessionRegistry(), SessionRegistry()
    session_id = owner.reserve_sync()["session_id"]
    with serving(InTurn([ProgressApp(owner), ProgressApp(other)])) as address:
        assert doctor.ask(f"{address}/sessions/{session_id}") == 1
    told = "10 of 20 connections met a process that does not have this session."
    assert doctor.sentence("Workers").startswith(told)
    assert doctor.checks["Workers"]["fixes"][0] == {"who": "uvicorn", "lines": ["--workers 1"]}


def test_two_sessions_of_one_id_are_told_apart_by_their_epochs(doctor: Doctor) -> None:
    registries = [SessionRegistry(), SessionRegistry()]
    for registry in registries:
        registry.reserve_sync(session_id="job-7")
    with serving(InTurn([ProgressApp(each, allow_anyone) for each in registries])) as address:
        assert doctor.ask(f"{address}/sessions/job-7") == 1
    assert "met 2 different sessions of this id" in doctor.sentence("Workers")


@pytest.fixture
def session_id() -> str:
    return "job-7"


@pytest.fixture
def app(session_id: str) -> ProgressApp:
    registry = SessionRegistry()
    registry.reserve_sync(session_id=session_id)
    return ProgressApp(registry, allow_anyone, allowed_origins=(ALLOWED_ORIGIN,))


@pytest.mark.parametrize(
    ("headers", "verdict", "words"),
    [
        ({"cache-control": None}, "failed", "a cache may keep them"),
        ({"age": "12"}, "failed", "has been in a cache"),
        ({"cache-control": "no-cache"}, "warning", "lost its no-transform"),
        ({"x-accel-buffering": None}, "warning", "an nginx before that holds streams back"),
        ({"x-accel-buffering": None, "server": "nginx"}, "ok", "was for nginx"),
    ],
)
def test_headers_that_are_lost_on_the_way_are_told(
    app: ProgressApp,
    session_id: str,
    doctor: Doctor,
    headers: dict[str, str | None],
    verdict: str,
    words: str,
) -> None:
    with serving(Altered(app, headers)) as address:
        doctor.ask(f"{address}/sessions/{session_id}", "--requests", "1")
    assert doctor.checks["Headers"]["verdict"] == verdict
    assert words in doctor.sentence("Headers")


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"access-control-allow-origin": None}, "without Access-Control-Allow-Origin"),
        ({"access-control-allow-origin": f"{ALLOWED_ORIGIN}, *"}, "adds it too"),
        ({"access-control-allow-headers": None}, "before it calls (OPTIONS) is answered 204"),
    ],
)
def test_what_browsers_would_refuse_is_told(
    app: ProgressApp,
    session_id: str,
    doctor: Doctor,
    headers: dict[str, str | None],
    words: str,
) -> None:
    with serving(Altered(app, headers)) as address:
        url = f"{address}/sessions/{session_id}"
        assert doctor.ask(url, "--requests", "1", "--origin", ALLOWED_ORIGIN) == 1
    assert doctor.of("failed") == ["Origin"]
    assert words in doctor.sentence("Origin")


def test_compression_that_holds_streams_back_is_a_failure(
    app: ProgressApp, session_id: str, doctor: Doctor
) -> None:
    with serving(Altered(app, squeeze=True)) as address:
        url = f"{address}/sessions/{session_id}"
        assert doctor.ask(url, "--requests", "1", "--timeout", "2") == 1
    assert doctor.of("failed") == ["Compression"]
    assert "compressed (gzip), and nothing came of one within" in doctor.sentence("Compression")


# What is printed


def test_what_is_skipped_for_one_reason_is_one_line_of_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with closed() as url:
        assert main(["doctor", url]) == 3
    first, connection, skipped, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Checking http://127.0.0.1:")
    assert connection.startswith("failed   Connection: ")
    assert skipped.startswith("skipped  Not seen: Server, Host, Origin, Upgrade, Workers, ")
    assert last == "1 failed, 9 skipped."


@pytest.mark.anyio
async def test_in_a_terminal_each_check_has_its_mark() -> None:
    with closed() as url:
        async with in_terminal([*CLI, "doctor", url], columns=60) as terminal:
            shown = await terminal.shows("1 failed, 9 skipped.")
            assert await terminal.exit_status() == 3
    assert shown[1].startswith("http://127.0.0.1:")
    assert shown[3] == "✗ Connection   The server cannot be reached: connection"
    assert shown[4] == "               refused."
    assert shown[5] == "- Not seen     Server, Host, Origin, Upgrade, Workers,"
    assert not terminal.surface.hidden


def test_a_finding_has_its_lines_below_it_and_fits_the_terminal() -> None:
    finding = Finding("Upgrade", Verdict.FAILED, "word " * 60, UPGRADE)
    assert list(lines_of(finding))[1] == "         nginx: proxy_http_version 1.1;"
    for width in (20, 40, 100):
        shown = [line.plain for line in painted(finding, width)]
        words = [line for line in shown if "word" in line]
        assert shown[0].startswith("✗ Upgrade")
        assert max(cell_len(line) for line in words) <= width


def test_the_lines_for_proxies_are_those_of_the_documentation() -> None:
    told = " ".join(SERVERS.read_text(encoding="utf-8").split())
    for fix in (*UPGRADE, *HOST, *IDLE):
        for line in fix.lines:
            if fix.who == "nginx" or line.startswith("timeout"):
                assert " ".join(line.partition("#")[0].split()) in told


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "https://h.example:443/p/sessions/s_Ab3dW0rdZ5kYN9ZwS0QmLpX7Tc?key=1",
            "/p/sessions/s_Ab3d…",
        ),
        ("https://h.example/p/sessions/job-7/ws", "/p/sessions/job-7"),
        ("wss://H.example/p/", "/p"),
    ],
)
def test_the_report_shows_no_more_of_the_address_than_may_be_passed_on(
    address: str, shown: str
) -> None:
    assert Question.read(address).shown == f"https://h.example{shown}"


def test_a_certificates_last_day_is_counted_in_whole_days() -> None:
    certificate = {"notAfter": "Nov 24 12:00:00 2026 GMT"}
    assert days_left(certificate, datetime(2026, 11, 22, 13, tzinfo=UTC)) == 1
    assert days_left(certificate, datetime(2026, 11, 25, tzinfo=UTC)) == 0
    assert days_left({}, datetime(2026, 11, 22, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ftp://h.example/sessions/a"],
        ["http://user:password@h.example/sessions/a"],
        ["http://h.example/p", "--requests", "0"],
        ["http://h.example/p", "--idle", "-1"],
        ["http://h.example/p", "--origin", "app.example"],
        ["http://h.example/p", "--token-file", "/no/such/file"],
        ["http://h.example/p", "--ca", "/no/such/file"],
    ],
)
def test_misuse_is_status_2_with_a_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["doctor", *arguments])
    assert exited.value.code == 2
    told = capsys.readouterr().err
    assert "usage: agentprogress doctor" in told
    assert "user:password" not in told


def test_a_token_that_no_header_can_have_is_refused_without_being_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text("one\ntwo\n")
    with pytest.raises(SystemExit):
        main(["doctor", "http://h.example/p", "--token-file", str(file)])
    told = capsys.readouterr().err
    assert "characters that a header cannot have" in told
    assert "two" not in told.splitlines()[-1]


def test_help_tells_every_option_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["doctor", "--help"])
    assert exited.value.code == 0
    told = capsys.readouterr().out
    for word in ("--json", "--token-file", "--ca", "--origin", "--requests", "20", "--idle", "5.0"):
        assert word in told
