"""Turns any value into JSON that every language can read, and masks what looks like a secret.

NaN and infinities become null, lone surrogates U+FFFD, integers beyond 2**53 strings. What has no
JSON form is an error here; the sugar asks for a `repr` in its place instead.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from ..errors import InvalidEvent

__all__ = ["clean_text", "cut_text", "cut_value", "encode_json", "mask_secrets", "plain_value"]

_EXACT = 2**53
# Deep enough for any real payload, shallow enough for every JSON reader's recursion limit.
_MAX_DEPTH = 64

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    "password passwords passwd passphrase pwd secret secrets token apikey authorization cookie cookies "
    "credential credentials".split()
)
_SECRET_PAIRS = frozenset({("api", "key"), ("private", "key"), ("access", "key")})
_MASK = "***"

Fallback = Callable[[Any], str]


def plain_value(value: Any, max_nodes: int, fallback: Fallback | None = None) -> Any:
    """Returns a value as plain JSON types: models, dataclasses, dates, sets … by pydantic's rules.

    Args:
        value: anything.
        max_nodes: how many values it may hold; each takes at least a byte of the encoding.
        fallback: gives the text that stands for what has no JSON form; None to raise instead.

    Raises:
        InvalidEvent: the value has no JSON form, refers to itself, or is too deep or too wide.
    """
    return _Plain(max_nodes, fallback).of(value, ())


class _Plain:
    """One walk over one value. Shared parts count each time, so that no small graph explodes."""

    __slots__ = ("_fallback", "_nodes")

    def __init__(self, nodes: int, fallback: Fallback | None) -> None:
        self._nodes = nodes
        self._fallback = fallback

    def of(self, value: Any, path: tuple[int, ...]) -> Any:
        self._nodes -= 1
        if isinstance(value, str):
            return clean_text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if -_EXACT <= value <= _EXACT else str(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if id(value) in path or len(path) >= _MAX_DEPTH or self._nodes < 0:
            return self._refuse(value, "refers to itself, is too deep or too large")
        path = (*path, id(value))
        if isinstance(value, Mapping):
            return {self._key(key): self.of(item, path) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset | deque):
            return [self.of(item, path) for item in value]
        if isinstance(value, BaseModel):
            return self.of(dict(value), path)
        if is_dataclass(value) and not isinstance(value, type):
            return self.of({field.name: getattr(value, field.name) for field in fields(value)}, path)
        return self._leaf(value)

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return clean_text(key)
        if key is None or isinstance(key, bool | int | float):
            return encode_json(key).decode()
        leaf = self._leaf(key)
        return leaf if isinstance(leaf, str) else encode_json(leaf).decode()

    def _leaf(self, value: Any) -> Any:
        """Dates, UUIDs, decimals, enums, paths …: what pydantic can write, else the fallback."""
        if isinstance(value, Iterator):
            return self._refuse(value, "would be used up")
        try:
            return _Plain(self._nodes, None).of(to_jsonable_python(value), ())
        except (PydanticSerializationError, InvalidEvent, ValueError, RecursionError):
            return self._refuse(value, "has no JSON form")

    def _refuse(self, value: Any, why: str) -> str:
        if self._fallback is None:
            raise InvalidEvent(f"A value of type {type(value).__name__} {why}.")
        return clean_text(self._fallback(value))


def clean_text(text: str) -> str:
    """Returns the text with lone surrogates as U+FFFD and paired ones as the character they mean."""
    if text.isascii():
        return str(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def encode_json(value: Any) -> bytes:
    """Encodes plain JSON types; NaN and infinities become null."""
    return to_json(value, inf_nan_mode="null")


def cut_text(text: str, max_bytes: int) -> tuple[str, int]:
    """Returns the text cut to a size in UTF-8 at a code point's border, and how many bytes went."""
    if len(text) * 4 <= max_bytes:
        return text, 0
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text, 0
    kept = encoded[:max_bytes].decode(errors="ignore")
    return kept, len(encoded) - len(kept.encode())


def cut_value(value: Any, max_bytes: int) -> tuple[Any, int]:
    """Returns a plain value, or the beginning of its JSON as text when that passes the size."""
    if isinstance(value, str):
        return cut_text(value, max_bytes)
    encoded = encode_json(value)
    if len(encoded) <= max_bytes:
        return value, 0
    return encoded[:max_bytes].decode(errors="ignore"), len(encoded) - max_bytes


def mask_secrets(value: Any) -> Any:
    """Returns a plain value with every entry masked whose key looks like a secret.

    A key is split into words (``apiKey``, ``API_KEY``, ``x-api-key`` alike). Numbers and flags are
    not masked: ``{"token": 5}`` counts tokens.
    """
    if isinstance(value, dict):
        return {
            key: _MASK if _is_secret(key) and _holds_text(item) else mask_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_secrets(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(
        zip(words, words[1:], strict=False)
    )


def _holds_text(value: Any) -> bool:
    return value is not None and not isinstance(value, int | float)
