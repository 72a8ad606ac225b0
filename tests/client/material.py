"""What a job emits while it is followed through faults, and how the receiver knows it whole.

Each event carries the digest of its own text: nobody in between can change or cut it unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import random

from agentprogress import CustomEvent

__all__ = ["Cargo", "cargo", "deltas", "digest_of"]

# What encoders and readers of lines stumble over.
_ALPHABET = (
    "abc xyz 0123456789 äöüß \u2028\u2029\u0085\ufeff \U0001f600\U0001f469\u200d\U0001f680"
    '\\"/<>&{}[]:,\r\n\t\x00\x1f 語'
)
# Encoded with its text it is just below the 64 KiB of an event.
_LARGE_BYTES = 65_000
_ENVELOPE_BYTES = 400


class Cargo(CustomEvent, name="cargo"):
    """An event that can be checked by itself."""

    number: int
    text: str
    digest: str


def digest_of(text: str) -> str:
    """Returns what a text is known by."""
    return hashlib.sha256(text.encode()).hexdigest()


def cargo(seed: int, number: int) -> Cargo:
    """Returns the event of a number: always the same one, of any size up to the largest."""
    chance = random.Random(f"{seed}/{number}")
    if number % 1_000 == 250:
        text = _large(chance)
    else:
        text = _prose(chance, chance.choices((chance.randrange(40), 2_000), (39, 1))[0])
    return Cargo(number=number, text=text, digest=digest_of(text))


def deltas(seed: int, number: int) -> list[str]:
    """Returns the parts of a streamed text."""
    chance = random.Random(f"{seed}/text/{number}")
    return [_prose(chance, chance.randrange(1, 6_000)) for _ in range(3)]


def _prose(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(_ALPHABET, k=length))


def _large(chance: random.Random) -> str:
    """As long as an event may be, counted in the bytes of its encoding."""
    text = _prose(chance, 20_000)
    size = len(json.dumps(text, ensure_ascii=False).encode())
    return text + "x" * (_LARGE_BYTES - _ENVELOPE_BYTES - size)
