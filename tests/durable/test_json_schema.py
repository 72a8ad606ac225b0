from __future__ import annotations

import socket
from typing import Any

import pytest

from agentprogress import Settings
from agentprogress._durable.json_schema import problems_with

TRIP = {
    "type": "object",
    "properties": {"nights": {"type": "integer", "minimum": 1}},
    "required": ["nights"],
}


def problems(value: Any, schema: Any, **settings: Any) -> list[str]:
    return problems_with(value, schema, Settings(**settings))


def test_what_fits_has_no_problems() -> None:
    assert problems({"nights": 3}, TRIP) == []


def test_what_does_not_is_told_with_its_place() -> None:
    assert problems({"nights": 0}, TRIP) == ["nights: 0 is less than the minimum of 1"]
    assert problems({}, TRIP) == ["'nights' is a required property"]


def test_a_schema_that_is_none_lets_everything_in() -> None:
    for none in (None, True, "integer", {"type": "wrong"}, {"$ref": "#/$defs/missing"}):
        assert problems("anything", none) == []


def test_so_much_is_told_as_there_is_room_for() -> None:
    told = problems(["x" * 2_000] * 100, {"items": {"type": "integer"}}, max_requests=3)
    assert len(told) == 3
    assert max(map(len, told)) <= Settings().max_string_chars


def test_what_a_schema_refers_to_is_not_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        assert problems("anything", {"$ref": url}) == []
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
