from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field, field_serializer

from agentprogress._core.jsonable import (
    clean_text,
    cut_text,
    cut_value,
    encode_json,
    mask_secrets,
    plain_value,
    text_bytes,
)
from agentprogress.errors import InvalidEvent
from tests.strategies import JSON

ROOM = 10_000


class Colour(str, Enum):  # noqa: UP042 - its str() is its name, not its value
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Shape(Enum):
    NESTED = ("a", ["b"])


@dataclass
class Point:
    x: int
    tags: set[str]


class Account(BaseModel):
    name: str = Field(serialization_alias="label")
    password_hash: str = Field(exclude=True)
    pin: SecretStr
    scores: dict[str, float]

    @computed_field
    def double(self) -> str:
        return self.name * 2

    @field_serializer("scores")
    def rounded(self, scores: dict[str, float]) -> list[int]:
        return [round(score) for score in scores.values()]


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (True, True),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (-(2**60), "-1152921504606846976"),
        (float("nan"), None),
        (float("-inf"), None),
        (-0.0, -0.0),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        (b"bytes", "bytes"),
        (("a", 1), ["a", 1]),
        (deque([1]), [1]),
        (frozenset([1]), [1]),
        (OrderedDict(a=1), {"a": 1}),
        (
            {1: "a", None: "b", False: "c", 1.5: "d"},
            {"1": "a", "null": "b", "false": "c", "1.5": "d"},
        ),
        ({("a", 1): 2}, {'["a",1]': 2}),
        ({Colour.RED: 1}, {"red": 1}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Shape.NESTED, ["a", ["b"]]),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00Z"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (Point(1, {"t"}), {"x": 1, "tags": ["t"]}),
        (RootModel[list[int]]([1, 2]), [1, 2]),
    ],
)
def test_a_value_becomes_plain_json(value: Any, plain: Any) -> None:
    assert plain_value(value, ROOM) == plain


def test_a_model_is_written_by_its_own_rules() -> None:
    account = Account(name="ab", password_hash="h", pin=SecretStr("1234"), scores={"a": 1.6})
    assert plain_value(account, ROOM) == {
        "name": "ab",
        "pin": "**********",
        "scores": [2],
        "double": "abab",
    }


def test_the_text_of_an_enum_is_its_value_and_of_the_plain_type() -> None:
    assert type(plain_value(Colour.RED, ROOM)) is str
    assert type(clean_text(Colour.RED)) is str


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        object(),
        generator(),
        open,
        Broken(),
        BrokenMapping(),
        pytest.param(10**5000, id="a number of 5000 digits"),
        {object(): 1},
        1j.__class__,
        map(str, [1]),
    ],
)
def test_what_has_no_json_form_is_refused_or_replaced(value: Any) -> None:
    with pytest.raises(InvalidEvent, match="A value of type"):
        plain_value([value], ROOM)
    plain = plain_value({"a": value, "b": 1}, ROOM, lambda refused: f"<{type(refused).__name__}>")
    assert plain["b"] == 1
    assert "<" in json.dumps(plain["a"])


def test_an_iterator_is_not_used_up() -> None:
    numbers = iter([1, 2])
    plain_value(numbers, ROOM, lambda _: "iterator")
    assert list(numbers) == [1, 2]


def test_a_cycle_is_refused_and_a_shared_part_is_not() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    shared = [1]
    assert plain_value([shared, shared], ROOM) == [[1], [1]]
    assert plain_value(cycle, ROOM, lambda _: "again") == ["again"]
    with pytest.raises(InvalidEvent, match="refers to itself"):
        plain_value(cycle, ROOM)


def test_a_small_graph_that_would_explode_is_refused() -> None:
    value: Any = "x"
    for _ in range(40):
        value = [value, value]
    with pytest.raises(InvalidEvent, match="too large"):
        plain_value(value, ROOM)


def test_a_wide_value_is_refused_before_it_is_walked() -> None:
    class Wide(list[int]):
        def __len__(self) -> int:
            return 10**9

        def __iter__(self) -> Iterator[int]:
            raise AssertionError("walked")

    assert plain_value(Wide(), ROOM, lambda _: "wide") == "wide"


def test_the_deepest_value_that_is_taken_can_be_read_by_everybody() -> None:
    value: Any = Shape.NESTED
    for _ in range(62):
        value = [value]
    assert json.loads(encode_json(plain_value(value, ROOM)))
    with pytest.raises(InvalidEvent, match="too deep"):
        plain_value([[[value]]], ROOM)


@given(JSON)
def test_plain_json_stays_as_it_is(value: Any) -> None:
    assert plain_value(value, ROOM) == value


@given(st.text(st.characters(), max_size=50), st.integers(0, 120))
def test_a_text_is_cut_between_code_points_and_what_went_is_counted(text: str, most: int) -> None:
    clean = clean_text(text)
    kept, went = cut_text(clean, most)
    assert clean.startswith(kept)
    assert text_bytes(kept) - 2 <= most
    assert went == text_bytes(clean) - text_bytes(kept)
    if kept != clean:
        assert text_bytes(clean[: len(kept) + 1]) - 2 > most


@given(JSON, st.integers(0, 60))
def test_a_value_is_cut_to_the_beginning_of_its_json(value: Any, most: int) -> None:
    kept, went = cut_value(value, most)
    if went:
        assert isinstance(kept, str)
        assert text_bytes(kept) - 2 <= most
    else:
        assert kept == value
        assert len(encode_json(value)) - 2 * isinstance(value, str) <= most


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_takes_as_many_bytes_as_javascript_says(text: str) -> None:
    # JSON.stringify escapes what this does; DEL is the one that Python escapes in ASCII mode only
    assert text_bytes(text) == len(json.dumps(text, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "userPassword",
        "API_KEY",
        "apiKey",
        "x-api-key",
        "APIKey",
        "accessToken",
        "Set-Cookie",
        "client_secret",
        "Authorization",
        "private key",
    ],
)
def test_what_looks_like_a_secret_is_masked_at_any_depth(key: str) -> None:
    assert mask_secrets([{"a": {key: "hunter2"}}]) == [{"a": {key: "***"}}]
    assert mask_secrets({key: {"nested": ["hunter2"]}}) == {key: "***"}


@pytest.mark.parametrize(
    "key", ["tokens", "tokenizer", "keyboard", "monkey", "compass", "secretary"]
)
def test_other_words_are_not_masked(key: str) -> None:
    assert mask_secrets({key: "text"}) == {key: "text"}


def test_numbers_flags_and_nothing_are_not_masked() -> None:
    counts = {"token": 5, "secret": True, "password": None}
    assert mask_secrets(counts) == counts
