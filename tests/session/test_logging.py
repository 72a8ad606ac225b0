"""The standard library's logging, into the session."""

from __future__ import annotations

import logging
from collections.abc import Generator

import pytest

from agentprogress.logging import SessionHandler
from agentprogress.testing import capture
from tests.kit import on_virtual_time


@pytest.fixture
def logger() -> Generator[logging.Logger]:
    logger = logging.getLogger("tests.app")
    handler = SessionHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)


def test_records_go_to_the_session_of_whoever_logs(logger: logging.Logger) -> None:
    with capture() as recording, recording.session.phase("p") as phase:
        logger.warning("%d pages", 3)
        phase.log("own")
    logger.warning("nobody hears this")
    logs = recording.snapshot.logs
    assert [(log.level, log.message, log.logger) for log in logs] == [
        ("warning", "3 pages", "tests.app"),
        ("info", "own", None),
    ]


@pytest.mark.parametrize(
    ("level", "told"),
    [(5, "debug"), (10, "debug"), (20, "info"), (25, "info"), (40, "error"), (60, "critical")],
)
def test_levels_are_told_by_their_names(logger: logging.Logger, level: int, told: str) -> None:
    logger.setLevel(1)
    with capture() as recording:
        logger.log(level, "x")
    assert [log.level for log in recording.snapshot.logs] == [told]


def test_a_handler_may_belong_to_one_session() -> None:
    registry, _ = on_virtual_time()
    with registry.open() as session:
        handler = SessionHandler(session, level=logging.ERROR)
        for level in (logging.INFO, logging.ERROR):
            record = logging.LogRecord("x", level, "", 0, "line", (), None)
            if level >= handler.level:
                handler.handle(record)
        assert [log.message for log in session.snapshot().logs] == ["line"]


def test_a_traceback_stays_in_the_log(logger: logging.Logger) -> None:
    with capture() as recording:
        try:
            raise LookupError("secret detail")
        except LookupError:
            logger.exception("failed")
    assert "secret detail" not in recording.snapshot.model_dump_json()


def test_a_record_that_cannot_be_written_is_loggings_own_affair(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capture() as recording:
        SessionHandler().handle(
            logging.LogRecord("x", logging.INFO, "", 0, "%d", ("not a number",), None)
        )
    assert recording.types == ["session.started"]
    assert "not a number" in capsys.readouterr().err


def test_what_the_library_logs_of_a_session_does_not_come_back_into_it() -> None:
    root = logging.getLogger()
    handler = SessionHandler()
    root.addHandler(handler)
    registry, _ = on_virtual_time()
    try:
        with pytest.raises(LookupError), registry.open() as session:
            with pytest.raises(LookupError), session.step("a"):
                raise LookupError
            raise LookupError
        assert session.snapshot().logs == []
    finally:
        root.removeHandler(handler)
