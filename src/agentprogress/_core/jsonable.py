"""Turns any value into JSON that every language can read, and masks what looks like a secret.

NaN and infinities become null, lone surrogates U+FFFD, integers beyond 2**53 strings. What has no
JSON form is an error here; the sugar asks for a `repr` in its place instead.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any, Final, TypeGuard

from pydantic import BaseModel
from pydantic_core import to_json, to_jsonable_python

from ..errors import InvalidEvent
from ..events import EXACT

__all__ = [
    "MAX_CHAR_BYTES",
    "clean_text",
    "cut_text",
    "cut_value",
    "encode_json",
    "is_list",
    "is_object",
    "mask_secrets",
    "plain_value",
    "text_bytes",
]

# Deep enough for any real payload. A leaf (an enum's value) may hold as much again; readers give up
# at about 200 (pydantic's) or later.
_MAX_DEPTH = 64
# What one code point takes at most in JSON: a control character is ``\u001f``.
MAX_CHAR_BYTES: Final = 6

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    {
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "apikey",
        "authorization",
        "cookie",
        "cookies",
        "credential",
        "credentials",
    }
)
_SECRET_PAIRS = frozenset({("api", "key"), ("private", "key"), ("access", "key")})
_MASK = "***"

Fallback = Callable[[Any], str]


class _TooLarge(Exception):
    """More values than one event could hold."""


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

    def of(self, value: Any, path: tuple[int, ...]) -> Any:  # noqa: PLR0911 - a table of types
        if isinstance(value, str):
            return clean_text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, int) and -EXACT <= value <= EXACT:
            return int(value)
        if id(value) in path or len(path) >= _MAX_DEPTH:
            return self._refuse(value, "refers to itself or is too deep")
        try:
            return self._inside(value, (*path, id(value)))
        except InvalidEvent:
            raise
        except _TooLarge:
            return self._refuse(value, "is too large")
        except Exception as error:  # noqa: BLE001
            # Somebody's property, serializer or mapping; or one that another thread changes.
            return self._refuse(value, "has no JSON form", error)

    def _inside(self, value: Any, path: tuple[int, ...]) -> Any:
        if _is_mapping(value):
            self._take(len(value))
            return {self._key(key): self.of(item, path) for key, item in value.items()}
        if _is_collection(value):
            self._take(len(value))
            return [self.of(item, path) for item in value]
        if isinstance(value, BaseModel):  # its aliases, serializers and exclusions count
            return self.of(value.model_dump(warnings=False), path)
        if is_dataclass(value) and not isinstance(value, type):
            return self.of({f.name: getattr(value, f.name) for f in fields(value)}, path)
        return self._leaf(value)

    def _take(self, items: int) -> None:
        if items > self._nodes:
            raise _TooLarge
        self._nodes -= items

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return clean_text(key)
        if key is None or isinstance(key, bool | int | float):
            return encode_json(key).decode()
        leaf = self._leaf(key)
        return leaf if isinstance(leaf, str) else encode_json(leaf).decode()

    def _leaf(self, value: Any) -> Any:
        """Dates, UUIDs, decimals, enums, paths …: what pydantic can write, else the fallback."""
        if isinstance(value, int):
            return str(int(value))
        if isinstance(value, Iterator):
            return self._refuse(value, "would be used up")
        try:
            return _Plain(self._nodes, None).of(to_jsonable_python(value), ())
        except (ValueError, RecursionError) as error:  # the former includes pydantic's and ours
            return self._refuse(value, "has no JSON form", error)

    def _refuse(self, value: Any, why: str, cause: Exception | None = None) -> str:
        if self._fallback is None:
            raise InvalidEvent(f"A value of type {type(value).__name__} {why}.") from cause
        return clean_text(self._fallback(value))


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """True for a plain JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """True for a plain JSON array."""
    return isinstance(value, list)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_collection(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, list | tuple | set | frozenset | deque)


def clean_text(text: str) -> str:
    """Returns the text with lone surrogates as U+FFFD, paired ones as the character they mean."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # Of a subclass its text, not what its `__str__` says: an enum's value, not its name.
    return text if type(text) is str else str.__str__(text)


def encode_json(value: Any) -> bytes:
    """Encodes plain JSON types; NaN and infinities become null."""
    return to_json(value, inf_nan_mode="null")


def text_bytes(text: str) -> int:
    """Returns what a text takes in JSON, its quotes included: the same in every language.

    In JavaScript: ``new TextEncoder().encode(JSON.stringify(text)).length``.
    """
    return len(to_json(text))


def cut_text(text: str, max_bytes: int) -> tuple[str, int]:
    """Returns a clean text cut to a size in JSON between code points, and the bytes that went."""
    if len(text) * MAX_CHAR_BYTES <= max_bytes:
        return text, 0
    size = text_bytes(text) - 2
    if size <= max_bytes:
        return text, 0
    start = text[:max_bytes]
    length = bisect_right(
        range(1, len(start) + 1), max_bytes, key=lambda chars: text_bytes(start[:chars]) - 2
    )
    kept = start[:length]
    return kept, size - (text_bytes(kept) - 2)


def cut_value(value: Any, max_bytes: int) -> tuple[Any, int]:
    """Returns a plain value, or the beginning of its JSON as a text when that passes the size.

    The second is how many bytes of its JSON went.
    """
    if isinstance(value, str):
        return cut_text(value, max_bytes)
    encoded = encode_json(value)
    if len(encoded) <= max_bytes:
        return value, 0
    kept, _ = cut_text(encoded[:max_bytes].decode(errors="ignore"), max_bytes)
    return kept, len(encoded) - len(kept.encode())


def mask_secrets(value: Any) -> Any:
    """Returns a plain value with every entry masked whose key looks like a secret.

    A key is split into words (``apiKey``, ``API_KEY``, ``x-api-key`` alike). Numbers and flags are
    not masked: ``{"token": 5}`` counts tokens.
    """
    if is_object(value):
        return {
            key: _MASK if _is_secret(key) and _holds_text(item) else mask_secrets(item)
            for key, item in value.items()
        }
    if is_list(value):
        return [mask_secrets(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairwise(words))


def _holds_text(value: Any) -> bool:
    return value is not None and not isinstance(value, int | float)
