"""What looks like a secret does not leave; an application's own `redact` decides what else."""

from __future__ import annotations

from typing import Any

import pytest

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.events import LogMessage
from agentprogress.registry import engine_of
from tests.kit import retained


def told(registry: SessionRegistry, session_id: str) -> str:
    record = engine_of(registry).record(session_id)
    result = record.life.result or b""
    state = record.history.head_json()
    return b"\n".join([*retained(registry, session_id), result, state]).decode()


def emit_secrets(session: ProgressSession) -> None:
    secret = {"api_key": "hunter2", "nested": [{"Authorization": "hunter2"}], "tokens": 3}
    session.log("line", settings=secret)
    session.emit(LogMessage(message="typed", fields=secret))
    with session.tool("call", input=secret) as tool:
        tool.complete(secret)
    session.artifact("a", data=secret)
    session.complete(secret)


def test_by_default_values_under_telling_keys_are_masked() -> None:
    registry = SessionRegistry()
    with registry.open(session_id="job", metadata={"password": "hunter2"}) as session:
        emit_secrets(session)
    assert "hunter2" not in told(registry, "job")
    assert registry.result("job") == {
        "api_key": "***",
        "nested": [{"Authorization": "***"}],
        "tokens": 3,
    }


def test_an_applications_own_redaction_sees_every_event_and_the_result() -> None:
    seen: list[str] = []

    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        seen.append(wire["type"])

        def clean(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: clean(item) for key, item in value.items()}
            if isinstance(value, list):
                return [clean(item) for item in value]
            return value.replace("hunter2", "-") if isinstance(value, str) else value

        cleaned: dict[str, Any] = clean(wire)
        return cleaned

    registry = SessionRegistry(redact=redact)
    with registry.open(session_id="job", title="about hunter2") as session:
        emit_secrets(session)
        session.log("hunter2 in words")
        session.text().write("and hunter2 in text")
        session.step("hunter2").update(message="hunter2")
    assert "hunter2" not in told(registry, "job")
    assert {"session.started", "text.delta", "step.progress", "session.completed"} <= set(seen)


def broken(wire: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    "redact",
    [
        broken,
        lambda wire: None,
        lambda wire: [wire],
        lambda wire: {},
        lambda wire: {"type": wire["type"], "message": object()},
        lambda wire: {**wire, "type": "custom.emitted", "name": "x"},
    ],
    ids=["raises", "None", "list", "empty", "unencodable", "another type"],
)
def test_what_a_failing_redaction_was_to_hide_does_not_leave_and_the_job_goes_on(
    redact: Any,
) -> None:
    registry = SessionRegistry(redact=redact)
    with registry.open(session_id="job", title="hunter2") as session:
        session.log("hunter2")
        session.text().write("hunter2")
        with session.step("hunter2") as step:
            step.advance(message="hunter2")
        session.complete("hunter2")
    assert "hunter2" not in told(registry, "job")
    assert registry.get("job").status in ("completed", "failed")
    assert registry.snapshot("job").status == registry.get("job").status


def test_a_redaction_may_emit_without_deadlock() -> None:
    inside: list[ProgressSession] = []

    def redact(wire: dict[str, Any]) -> dict[str, Any]:
        if wire["type"] == "text.delta" and inside:
            session = inside.pop()
            session.log("from redact")
            session.snapshot()
        return wire

    registry = SessionRegistry(redact=redact)
    with registry.open(session_id="job") as session:
        inside.append(session)
        session.text().write("x")
        session.snapshot()
    assert "from redact" in told(registry, "job")
    assert registry.get("job").head == 4
