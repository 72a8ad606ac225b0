"""What a store keeps of a session besides its log, as JSON that the store itself does not read."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from .._core.jsonable import encode_json, plain_value
from .._life import Life
from .._record import SessionRecord
from ..abc import Stored
from ..info import SessionInfo

__all__ = ["decode_details", "encode_details", "info_of"]

_TEXTS = ("created_at", "title", "owner", "started_at", "cancel_reason")
_VALUES = ("metadata", "plan", "private", "answer")
_NUMBERS = ("history_ttl", "result_ttl")
# What one of them may hold; each takes at least a byte.
_MOST_ITEMS = 100_000


def encode_details(life: Life, describe: Callable[[Any], str], claim: str | None = None) -> bytes:
    """Returns what is to be stored; what has no JSON form becomes its description.

    Args:
        life: what is known of the session.
        describe: what becomes of a value that has no JSON form.
        claim: tells the claim that they come with from all others.
    """
    kept: dict[str, Any] = {name: getattr(life, name) for name in (*_TEXTS, *_NUMBERS)}
    for name in _VALUES:
        kept[name] = plain_value(getattr(life, name), _MOST_ITEMS, describe)
    kept["control_hash"] = b64encode(life.control_hash).decode()
    kept["claim"] = claim
    return encode_json({name: value for name, value in kept.items() if value is not None})


def decode_details(details: bytes, life: Life) -> None:
    """Takes over what was stored; nothing where it has expired."""
    if not details:
        return
    kept: dict[str, Any] = from_json(details)
    for name in (*_TEXTS, *_VALUES, *_NUMBERS):
        setattr(life, name, kept.get(name, getattr(life, name)))
    life.control_hash = b64decode(kept.get("control_hash", ""))


def info_of(stored: Stored, here: SessionRecord | None) -> SessionInfo:
    """Returns what is to be told of a stored session, and of the record of it that is held here."""
    life = Life(created_at="")
    decode_details(stored.details, life)
    return SessionInfo(
        id=stored.session_id,
        epoch=stored.epoch,
        status=stored.status.value,
        attempt=stored.attempt,
        head=stored.head,
        title=life.title,
        owner=stored.owner,
        private=life.private,
        created_at=life.created_at,
        started_at=life.started_at,
        ended_at=stored.ended_at,
        subscribers=0 if here is None else len(here.subscribers),
    )
