"""What `agentprogress doctor` says about real proxies, told right and told wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.doctoring import Doctor
from tests.conformance.live import Live

from .conftest import Start

pytestmark = pytest.mark.server


@pytest.fixture
def doctor(ca_file: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys, "--ca", str(ca_file))


def test_recommended_proxies_pass_all_checks(live: Live, either: Start, doctor: Doctor) -> None:
    proxy = either("good")
    status = doctor.ask(proxy.url(live.session()))
    assert doctor.of("failed") == []
    # The certificate of the tests is valid for a day; nobody was to wait for silence.
    assert doctor.of("warning") == ["Connection"]
    assert "trusted for less than a day" in doctor.sentence("Connection")
    assert doctor.of("skipped") == ["Idle"]
    assert status == 0


def test_a_lost_upgrade_and_a_changed_host_are_told_with_their_lines(
    live: Live, nginx: Start, doctor: Doctor
) -> None:
    proxy = nginx("no_upgrade")
    status = doctor.ask(proxy.url(live.session()))
    assert doctor.of("failed") == ["Upgrade"]
    assert "its Upgrade got lost on the way" in doctor.sentence("Upgrade")
    assert "proxy_set_header Upgrade $http_upgrade;" in doctor.fixes("Upgrade")["nginx"]
    host, port = live.address
    assert f"The server is called '{host}:{port}' instead of" in doctor.sentence("Host")
    assert doctor.fixes("Host")["nginx"] == ["proxy_set_header Host $http_host;"]
    assert status == 1


def test_a_held_back_stream_is_told_with_its_lines(
    live: Live, nginx: Start, doctor: Doctor
) -> None:
    proxy = nginx("buffering")
    doctor.ask(proxy.url(live.session()), "--timeout", "3")
    assert doctor.of("failed") == ["Upgrade", "Buffering"]
    assert "a proxy holds streams back" in doctor.sentence("Buffering")
    assert doctor.fixes("Buffering")["nginx"][0] == "proxy_buffering off;"
    assert "X-Accel-Buffering" in doctor.sentence("Headers")


def test_compressed_streams_that_are_live_are_a_warning(
    live: Live, nginx: Start, doctor: Doctor
) -> None:
    proxy = nginx("gzip")
    doctor.ask(proxy.url(live.session()))
    assert doctor.checks["Buffering"]["verdict"] == "ok"
    assert doctor.checks["Compression"]["verdict"] == "warning"
    assert "compressed (gzip)" in doctor.sentence("Compression")


def test_silent_streams_that_are_cut_are_told_with_the_time_it_took(
    live: Live, either: Start, doctor: Doctor
) -> None:
    proxy = either("idle")
    doctor.ask(proxy.url(live.session()), idle="6")
    assert doctor.of("failed") == ["Idle"]
    assert "an event stream after " in doctor.sentence("Idle")
    assert "Heartbeats come every 15 s" in doctor.sentence("Idle")
    assert doctor.fixes("Idle")["nginx"] == ["proxy_read_timeout 60s;"]


def test_a_certificate_that_is_not_trusted_is_told_and_nothing_else_is_sent(
    live: Live, haproxy: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = haproxy("good")
    doctor = Doctor(capsys)
    status = doctor.ask(proxy.url(live.session()))
    assert status == 1
    assert doctor.of("failed") == ["Connection"]
    assert "certificate is not trusted" in doctor.sentence("Connection")
    assert len(doctor.of("skipped")) == len(doctor.checks) - 1
