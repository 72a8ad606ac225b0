"""What a Redis store's keys and channels are called, and how arguments are written for its scripts.

Nothing here talks to a server. The other end of each packing is the script of the same name in
``lua/``; durations are milliseconds there, leases microseconds, as their scripts say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib import resources

from ...abc import Append, Claim, Lease, Trim
from ...errors import InvalidSettings

__all__ = [
    "Argument",
    "Command",
    "Keys",
    "by_hash",
    "by_text",
    "listed",
    "microseconds",
    "milliseconds",
    "on_the_wire",
    "owners_range",
    "packed_append",
    "packed_claim",
    "packed_lease",
    "packed_trim",
    "place_in_order",
    "script",
    "whose_in_order",
]

Argument = str | bytes | int

# The first `{…}` of a key decides its slot in a Cluster, so a prefix must not have one.
_PREFIX = re.compile(r"[A-Za-z0-9._~:/-]{1,64}", re.ASCII)
# meta, events, base, state, result, details: the order of KEYS in every script.
_SUFFIXES = ("m", "e", "b", "s", "r", "d")
# No session id: those begin with a letter or a digit.
_INDEX_TAG = "_"
_INDEX_NAMES = ("due", "lives", "entries", "order")

_OF_THE_INDEX = ("due", "index", "order")

_END = "\0"


@dataclass(frozen=True, slots=True)
class Command:
    """One call of a script; its keys are in one slot."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...]


class Keys:
    """The names below one prefix.

    Raises:
        InvalidSettings: the prefix cannot be one.
    """

    __slots__ = ("index", "prefix")

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise InvalidSettings(
                f"The prefix of keys must be 1-64 characters of A-Z a-z 0-9 . _ ~ : / -, not "
                f"{prefix[:80]!r}."
            )
        self.prefix = prefix
        self.index = tuple(f"{prefix}:{{{_INDEX_TAG}}}:{name}" for name in _INDEX_NAMES)

    def of(self, session_id: str) -> tuple[str, ...]:
        """Returns the keys of one session, all in one slot."""
        stem = f"{self.prefix}:{{{session_id}}}:"
        return tuple([stem + suffix for suffix in _SUFFIXES])

    def channel(self, session_id: str) -> str:
        """Returns the channel on which a session's changes are told."""
        return f"{self.prefix}:wake:{session_id}"

    def followed(self, channel: bytes) -> str:
        """Returns whose channel it is."""
        return channel.decode().removeprefix(f"{self.prefix}:wake:")


def milliseconds(seconds: float) -> int:
    """Returns a time to live as the server takes it, never less than was asked for."""
    return math.ceil(seconds * 1_000)


def microseconds(seconds: float) -> int:
    """Returns a lease as the scripts take it."""
    return math.ceil(seconds * 1_000_000)


@cache
def script(name: str) -> str:
    """Reads a script of the package; what is about one session gets the part that they share."""
    folder = resources.files("agentprogress.stores._redis") / "lua"
    text = (folder / f"{name}.lua").read_text("utf-8")
    if name in _OF_THE_INDEX:
        return text
    # The flags of a script are its first line, whatever follows.
    flags, _, rest = text.partition("\n")
    return f"{flags}\n{(folder / '_common.lua').read_text('utf-8')}\n{rest}"


def by_hash(command: Command) -> tuple[Argument, ...]:
    """Returns what is sent to a server that knows the script."""
    keys = command.keys
    return ("EVALSHA", _hash(command.script), len(keys), *keys, *command.arguments)


def by_text(command: Command) -> tuple[Argument, ...]:
    """Returns what is sent to one that does not; it does from then on."""
    keys = command.keys
    return ("EVAL", script(command.script), len(keys), *keys, *command.arguments)


def on_the_wire(calls: Iterable[tuple[Argument, ...]]) -> bytes:
    """Returns calls as the server reads them, one after the other."""
    parts: list[bytes] = []
    for call in calls:
        parts.append(b"*%d\r\n" % len(call))
        for argument in call:
            told = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(told), told))
    return b"".join(parts)


@cache
def _hash(name: str) -> str:
    # The server's name for a text, and no secret.
    return sha1(script(name).encode(), usedforsecurity=False).hexdigest()


# The order of creation: a set of names, sorted as text, in which each session stands once for
# everybody's list and once for its owner's.


def place_in_order(session_id: str, created: float, owner: str | None) -> tuple[str, str]:
    """Returns a session's two names in the order; the second is empty where nobody owns it."""
    place = f"{created:020.6f}{_END}{session_id}"
    return f"a{place}", "" if owner is None else f"o{owner}{_END}{place}"


def owners_range(owner: str | None) -> tuple[str, str]:
    """Returns how the names of an owner's sessions begin, and the first text behind all of them."""
    if owner is None:
        return "a", "b"
    return f"o{owner}{_END}", f"o{owner}\1"


def whose_in_order(name: bytes) -> str:
    """Returns the session that a name in the order is of."""
    return name.rpartition(_END.encode())[2].decode()


# What the scripts take


def packed_claim(keys: Keys, claim: Claim) -> Command:
    """Writes a claim for ``claim.lua``."""
    was = claim.expected
    return Command(
        "claim",
        keys.of(claim.session_id),
        (
            keys.channel(claim.session_id),
            "" if was is None else f"{was.epoch} {was.fence} {was.status}",
            claim.epoch,
            str(claim.status),
            claim.attempt,
            claim.fence,
            _optional(claim.owner),
            repr(claim.created),
            "" if claim.lease is None else microseconds(claim.lease),
            milliseconds(claim.ttl),
            claim.base_seq,
            claim.base,
            claim.details,
            int(was is not None and was.lapsed),
        ),
    )


def packed_append(keys: Keys, append: Append) -> Command:
    """Writes an append for ``append.lua``."""
    return Command(
        "append",
        keys.of(append.session_id),
        (
            keys.channel(append.session_id),
            append.epoch,
            append.known_head,
            _number(append.fence),
            _optional(append.producer_id or None),
            append.producer_seq,
            _optional(append.once),
            append.mark,
            listed(append.only),
            _number(append.at_head),
            append.status or "",
            "" if append.lease is None else microseconds(append.lease),
            _number(append.max_events),
            _number(append.max_bytes),
            _optional(append.details),
            *_packed_ending(append),
            "" if append.lapsed is None else microseconds(append.lapsed),
            *append.entries,
        ),
    )


def _packed_ending(append: Append) -> tuple[Argument, ...]:
    ending = append.ending
    if ending is None:
        return ("", 0, 0, 0, "", "")
    kept = milliseconds(ending.result_ttl)
    return (
        ending.ended_at,
        min(milliseconds(ending.history_ttl), kept),
        kept,
        kept + milliseconds(ending.tombstone_ttl),
        _optional(ending.result),
        ending.state,
    )


def packed_trim(keys: Keys, trim: Trim) -> Command:
    """Writes a cut for ``trim.lua``."""
    return Command("trim", keys.of(trim.session_id), (trim.epoch, trim.fence, trim.seq, trim.base))


def packed_lease(keys: Keys, lease: Lease) -> Command:
    """Writes a renewal for ``renew.lua``."""
    channel = keys.channel(lease.session_id)
    until = microseconds(lease.ttl)
    return Command(
        "renew",
        keys.of(lease.session_id),
        (channel, lease.epoch, lease.fence, until, lease.stalled),
    )


def _number(value: int | None) -> Argument:
    return "" if value is None else value


def _optional(value: str | bytes | None) -> Argument:
    """A text that may be empty, told from none by what stands before it."""
    if value is None:
        return ""
    return "=" + value if isinstance(value, str) else b"=" + value


def listed(values: Iterable[str]) -> str:
    """Returns words as the scripts look them up: each with a blank on both sides."""
    words = " ".join(values)
    return f" {words} " if words else ""
