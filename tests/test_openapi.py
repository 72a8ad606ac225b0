"""The OpenAPI document is what the code says, and what the application answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from agentprogress import SessionRegistry, Settings
from agentprogress._http import ROUTES
from agentprogress._inputs import Asked
from agentprogress._schema import openapi
from agentprogress.access import allow_anyone
from agentprogress.asgi import ProgressApp
from scripts.openapi import PAGE, render
from tests.kit import entered

Json = dict[str, Any]

DOCUMENT = openapi()
# A long poll really waits here, so it waits for next to nothing.
SETTINGS = Settings(max_wait=0.01)


class Site:
    """An application whose sessions are in every state that its routes tell apart."""

    def __init__(self) -> None:
        self.registry = SessionRegistry(SETTINGS)
        self.app = ProgressApp(self.registry, allow_anyone, chain_signals=False)
        self.registry.reserve_sync(session_id="pending", title="later")
        block = self.registry.open(
            session_id="running", title="job", owner="me", metadata={"a": 1}, plan=["read", "write"]
        )
        self.running = entered(block)
        with self.running.phase("read", total=4, unit="page") as phase:
            phase.advance(1, message="one")
            with phase.tool("search", input={"q": 1}) as tool:
                tool.complete(output=[1, None])
        with self.running.text() as text:
            text.write("Hello")
        self.running._producer.ask(Asked("Go on?", {"type": "boolean"}, None, "rq"), lambda: None)
        self.running.log("slow", level="warning", ms=7)
        self.running.artifact("report", url="https://example.com/r", media_type="text/plain")
        for name, result in (("completed", {"ok": True}), ("empty", None)):
            with self.registry.open(session_id=name) as session:
                session.complete(result)
        with (
            pytest.raises(ZeroDivisionError),
            self.registry.open(session_id="failed") as session,
            session.step("divide"),
        ):
            raise ZeroDivisionError


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Site().app, raise_server_exceptions=True) as client:
        yield client


def check(answer: Any, status: int, path: str, method: str = "get") -> Any:
    """Holds an answer against what the document says of its route."""
    described = DOCUMENT["paths"][path][method]["responses"]
    told = described.get(str(answer.status_code), described["default"])
    assert answer.status_code == status, answer.text
    media_type = answer.headers["content-type"].split(";")[0]
    schema = {**told["content"][media_type]["schema"], "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(answer.json())
    return answer.json()


def test_the_document_in_the_docs_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_route_and_method_is_described() -> None:
    described = {
        (path, method.upper())
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert described == {(route.path, method) for route in ROUTES for method in route.methods}


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', render()))
    assert references <= schemas.keys()
    names = [
        o["operationId"]
        for p in DOCUMENT["paths"].values()
        for o in p.values()
        if "operationId" in o
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("session_id", ["pending", "running", "completed", "empty", "failed"])
def test_every_state_and_page_is_as_described(client: TestClient, session_id: str) -> None:
    state = check(client.get(f"/sessions/{session_id}"), 200, "/sessions/{session_id}")
    page = check(client.get(f"/sessions/{session_id}/page"), 200, "/sessions/{session_id}/page")
    assert page["cursor"] == f"{state['epoch']}-{state['seq']}"
    assert page["done"] == (page["frames"][-1]["type"] == "end")


@pytest.mark.parametrize(
    ("session_id", "status"),
    [("pending", 202), ("running", 202), ("completed", 200), ("empty", 200), ("failed", 409)],
)
def test_every_result_is_as_described(client: TestClient, session_id: str, status: int) -> None:
    check(client.get(f"/sessions/{session_id}/result"), status, "/sessions/{session_id}/result")


def test_a_list_is_as_described(client: TestClient) -> None:
    first = check(client.get("/sessions?limit=2"), 200, "/sessions")
    rest = check(client.get(f"/sessions?after={first['next']}"), 200, "/sessions")
    found = [session["session_id"] for session in first["sessions"] + rest["sessions"]]
    assert found == ["pending", "running", "completed", "empty", "failed"]
    assert rest["next"] is None


@pytest.mark.parametrize(("session_id", "status"), [("running", 202), ("completed", 200)])
def test_a_cancel_is_answered_as_described(
    client: TestClient, session_id: str, status: int
) -> None:
    answer = client.post(f"/sessions/{session_id}/cancel", json={"reason": "enough"})
    check(answer, status, "/sessions/{session_id}/cancel", "post")


def test_health_and_errors_are_as_described(client: TestClient) -> None:
    check(client.get("/health"), 200, "/health")
    check(client.get("/sessions/nobody"), 404, "/sessions/{session_id}")
    check(client.get("/sessions/running/page?limit=x"), 400, "/sessions/{session_id}/page")
    answered = client.post("/sessions/running/inputs/none", json={"value": 1})
    check(answered, 409, "/sessions/{session_id}/inputs/{request_id}", "post")


def test_the_answer_to_a_question_is_answered_as_described(client: TestClient) -> None:
    answered = client.post("/sessions/running/inputs/rq", json={"value": True})
    check(answered, 202, "/sessions/{session_id}/inputs/{request_id}", "post")
    state = check(client.get("/sessions/running"), 200, "/sessions/{session_id}")
    assert state["requests"] == []


# Fuzzing. A stream of a session that runs has no end, and a handshake is no request.
FUZZED = schemathesis.openapi.from_dict(json.loads(render())).exclude(
    path_regex="/(events|ws|view)$"
)


def _operations() -> Iterator[Any]:
    for result in FUZZED.get_all_operations():
        assert isinstance(result, Ok)
        yield result.ok()


# Where nothing is taken, or any text, nothing wrong can be sent.
CASES = [
    pytest.param(operation, mode, id=f"{mode.value} {operation.label}")
    for operation in _operations()
    for mode in schemathesis.GenerationMode
    if mode.is_positive or not operation.path.startswith(("/health", "/client/"))
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SESSION_IDS = st.sampled_from(["pending", "running", "completed", "failed", "nobody"])
REQUEST_IDS = st.sampled_from(["rq", "another"])


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_whatever_is_asked_is_answered_as_described(
    operation: Any, mode: schemathesis.GenerationMode
) -> None:
    app = Site().app

    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
    @given(operation.as_strategy(generation_mode=mode), SESSION_IDS, REQUEST_IDS)
    def ask(case: schemathesis.Case[Any], session_id: str, request_id: str) -> None:
        if "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = session_id
        if "request_id" in case.path_parameters:
            case.path_parameters["request_id"] = request_id
        case.call_and_validate(app=app, checks=CHECKS)

    ask()
