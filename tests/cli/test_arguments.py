"""What the command line takes and refuses, before anything is started."""

from __future__ import annotations

import pytest

from agentprogress import __version__
from agentprogress.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "--"],
        ["run", "--linger", "-1", "--", "true"],
        ["run", "--linger", "nan", "--", "true"],
        ["run", "--port", "65536", "--", "true"],
        ["demo", "--pace", "inf"],
        ["demo", "--port", "http"],
        ["demo", "one", "two"],
    ],
)
def test_misuse_is_status_2_with_a_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert "usage: agentprogress" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "run"])
def test_help_tells_every_option_and_its_default(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main([command, "--help"])
    assert exited.value.code == 0
    told = capsys.readouterr().out
    own = {"demo": ["--pace", "0.2", "--once"], "run": ["--linger", "--quiet", "-- COMMAND"]}
    for word in ("--host", "127.0.0.1", "--port", "8765", "--title", *own[command]):
        assert word in told


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__
