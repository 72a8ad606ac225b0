"""What a connection through a `FaultProxy` suffers: values, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from ..errors import InvalidSettings

__all__ = ["Cut", "CutKind", "Direction", "Faults", "check_choice", "check_type", "check_whole"]

CutKind = Literal["fin", "rst", "half_close", "blackhole"]
Direction = Literal["to_client", "to_server"]

# RFC 9110, 15: informational answers are not final, and three others have no body.
_LEAST_STATUS, _MOST_STATUS = 200, 599
_WITHOUT_BODY = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a connection after an exact number of bytes.

    Attributes:
        after_bytes: how many bytes of the direction are passed on before it; not one more is.
        by: ``fin`` ends the connection on both sides as a close does: the peers read its end, and
            what they still send is thrown away. ``rst`` resets it on both sides, as soon as the
            receiver has been sent all of the bytes. ``half_close`` ends only this direction, and
            the other one goes on. ``blackhole`` passes nothing any more in either direction and
            closes nothing, not even when the peers do: `FaultProxy.cut_all` or leaving the
            proxy's block ends it.
        direction: whose bytes are counted.

    Raises:
        InvalidSettings: a value has the wrong type or is out of its range.
    """

    after_bytes: int
    by: CutKind = "fin"
    direction: Direction = "to_client"

    def __post_init__(self) -> None:
        check_whole("after_bytes", self.after_bytes, least=0)
        check_choice("by", self.by, get_args(CutKind))
        check_choice("direction", self.direction, get_args(Direction))


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What one connection suffers; by default nothing.

    Attributes:
        latency: seconds that each chunk, in either direction, waits before it is passed on. The
            next one is read only then; the end of a direction does not wait.
        slice_bytes: largest size of a chunk; each is written on its own, with ``TCP_NODELAY``.
            None is whatever one read gives. With `latency` it drips: so many bytes each so many
            seconds.
        cut: an end after an exact number of bytes.
        refuse: the connection is reset when it is accepted; the target is not dialled. Excludes
            all others. A client may see it as early as in its connect.
        status: any HTTP request head is answered with this status and a page of HTML, as proxies
            do, and the connection is closed; the target is not dialled. Excludes `cut`.

    Raises:
        InvalidSettings: a value has the wrong type, is out of its range, or excludes another one.
    """

    latency: float = 0.0
    slice_bytes: int | None = None
    cut: Cut | None = None
    refuse: bool = False
    status: int | None = None

    def __post_init__(self) -> None:
        _check_seconds("latency", self.latency)
        if self.slice_bytes is not None:
            check_whole("slice_bytes", self.slice_bytes, least=1)
        check_type("cut", self.cut, (Cut, type(None)), "a Cut or None")
        check_type("refuse", self.refuse, (bool,), "True or False")
        if self.status is not None:
            _check_status(self.status)
        given = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        if self.refuse and given != {"refuse"}:
            raise InvalidSettings("A connection that is refused suffers nothing else.")
        if {"status", "cut"} <= given:
            raise InvalidSettings("status and cut exclude each other.")


def check_type(name: str, value: object, kinds: tuple[type, ...], words: str) -> None:
    """Refuses a value of none of the types, in words."""
    if not isinstance(value, kinds):
        raise InvalidSettings(f"{name} must be {words}, not {value!r}.")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuses a value that is not among the choices, in words."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidSettings(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def check_whole(name: str, value: object, *, least: int, most: int | None = None) -> None:
    """Refuses what is not a whole number in a range, in words."""
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < least
        or (most is not None and value > most)
    ):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidSettings(f"{name} must be a whole number {allowed}, not {value!r}.")


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise InvalidSettings(f"{name} must be finite and at least 0 seconds, not {value!r}.")


def _check_status(status: object) -> None:
    check_whole("status", status, least=_LEAST_STATUS, most=_MOST_STATUS)
    if status in _WITHOUT_BODY:
        raise InvalidSettings(f"status must be one whose answer has a body, not {status}.")
