"""What a connection says is to be done: one step at a time, and what a deadline asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import ProgressError

__all__ = ["Accept", "Close", "Due", "Output", "Refusal", "Write"]


class Due(Enum):
    """What a deadline asks of the driver."""

    HEARTBEAT = "heartbeat"
    """Tell the connection what a heartbeat should say."""
    RECONNECT = "reconnect"
    """Write: the connection has reached its age, and says so."""
    EXPIRED = "expired"
    """Write: the right to follow is over."""
    NO_PONG = "no_pong"
    """Write: a heartbeat was not answered."""
    DETACH = "detach"
    """A write is blocked: let the session go and touch the connection no more."""
    ABORT = "abort"
    """The peer does not close: stop waiting for it."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The first step: take the client in."""

    subprotocol: str | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first and only step: a whole response tells why the client is not taken in."""

    error: ProgressError
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Write:
    """Something to be written in one piece: a text message, or a chunk of a body."""

    data: str | bytes
    timeout: float


@dataclass(frozen=True, slots=True)
class Close:
    """The last step; `code` is a WebSocket's."""

    code: int
    reason: str
    timeout: float


Output = Accept | Refusal | Write | Close
