"""Everything random that becomes a name: ids, epochs, tokens. No other file draws names."""

from __future__ import annotations

import hashlib
import os
import secrets

from ._core.cursor import EPOCH_CHARS, GENERATED_CHARS, GENERATED_PREFIX, TAG_CHARS

__all__ = ["ProcessTag", "hash_token", "new_epoch", "new_session_id", "new_token", "short_id"]

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _base62(chars: int) -> str:
    number = secrets.randbelow(62**chars)
    digits: list[str] = []
    for _ in range(chars):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(digits)


def new_epoch() -> str:
    """Returns a name for a log that starts over."""
    return _base62(EPOCH_CHARS)


def new_session_id(tag: str) -> str:
    """Returns an id that cannot be guessed: 22 base62 characters hold 130 bits."""
    return f"{GENERATED_PREFIX}{tag}{_base62(GENERATED_CHARS)}"


def short_id() -> str:
    """Returns an id that is unique within one session: 47 bits."""
    return _base62(8)


def new_token() -> str:
    """Returns a bearer token of 128 bits."""
    return secrets.token_urlsafe(16)


def hash_token(token: str) -> bytes:
    """Returns what may be stored of a token."""
    return hashlib.sha256(token.encode()).digest()


class ProcessTag:
    """Four characters that tell this process's ids from another's; new after a fork."""

    __slots__ = ("_pid", "_tag")

    def __init__(self) -> None:
        self._pid = -1
        self._tag = ""

    def __call__(self) -> str:
        """Returns the tag of the running process."""
        if self._pid != os.getpid():
            self._pid, self._tag = os.getpid(), _base62(TAG_CHARS)
        return self._tag
