"""What viewers learn of errors: no traceback leaves, and the log has what they lack."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agentprogress import PublicError, SessionRegistry, Settings
from tests.kit import on_virtual_time, retained

SECRET = "postgres://admin:hunter2@db"


def failed(registry: SessionRegistry, error: BaseException | str) -> str:
    """Fails a step and its session, and returns everything that viewers can get."""
    with (
        pytest.raises(Exception),  # noqa: B017, PT011 - whatever it is, it propagates
        registry.open(session_id="job") as session,
        session.step("connect") as step,
    ):
        if isinstance(error, str):
            step.fail(error)
            raise ValueError
        raise error
    told = b"\n".join(retained(registry, "job")).decode()
    return told + registry.snapshot("job").model_dump_json()


def test_an_exception_leaves_only_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    registry, _ = on_virtual_time()
    told = failed(registry, ConnectionError(SECRET))
    assert "hunter2" not in told
    assert "ConnectionError" not in told
    assert "Traceback" not in told
    assert ".py" not in told
    references = set(re.findall(r"ref (\w{4})", told))
    # One and the same for the step and the session that it ended, and one traceback in the log.
    assert len(references) == 1
    assert f"ref {references.pop()}" in caplog.text
    assert caplog.text.count("Traceback") == 1
    assert SECRET in caplog.text


def test_a_public_error_is_shown_as_written(caplog: pytest.LogCaptureFixture) -> None:
    registry, _ = on_virtual_time()
    told = failed(registry, PublicError("No such company.", "unknown_company"))
    assert '"code":"unknown_company"' in told
    assert "No such company." in told
    assert caplog.text == ""


def test_a_text_is_shown_as_it_is() -> None:
    registry, _ = on_virtual_time()
    assert "the index is empty" in failed(registry, "the index is empty")


def test_during_development_errors_may_be_shown() -> None:
    registry = SessionRegistry(Settings(expose_errors=True))
    told = failed(registry, ConnectionError("refused"))
    assert "ConnectionError: refused" in told
    assert "Traceback" not in told


class Odd(PublicError):
    def __init__(self) -> None:
        Exception.__init__(self)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Sealed(Exception):
    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize(
    "error",
    [
        Odd(),
        Unprintable(),
        Sealed(),
        PublicError(object(), 7),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        PublicError("x" * 100_000),
        ExceptionGroup("several", [ValueError(SECRET), Unprintable()]),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("expose", [False, True])
def test_odd_exceptions_fail_the_session_like_others(error: Exception, expose: bool) -> None:
    registry = SessionRegistry(Settings(expose_errors=expose))
    told = failed(registry, error)
    assert registry.get("job").status == "failed"
    assert expose or "hunter2" not in told
    info = registry.snapshot("job").error
    assert info is not None
    assert len(info.message) <= registry.settings.max_field_bytes
