"""What moving bytes is spoken of in: a connection, what it tells, and how there was none.

Nobody reached, an answer that is not what was asked for, a connection that broke: these three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import FollowError
from ._wire import Answer

__all__ = ["QUIET", "Closed", "Cut", "Link", "Look", "Refused", "Reply", "Signs", "Unreachable"]


class Unreachable(Exception):
    """There was nobody to connect to, or nobody to trust."""

    def __init__(self, error: FollowError) -> None:
        super().__init__(str(error))
        self.error = error


class Cut(Unreachable):
    """A connection was there and broke."""


class Refused(Exception):
    """The answer is not what was asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status}")
        self.answer = answer


class Closed(NamedTuple):
    """A connection's end; `code` is a WebSocket's close code, None for a cut."""

    code: int | None = None


class Reply(NamedTuple):
    """The answer to a request, whatever it is."""

    answer: Answer
    body: bytes


def _nothing() -> None:
    """Nobody wants to know."""


class Signs(NamedTuple):
    """What a connection tells before it brings anything whole.

    Attributes:
        reached: called when somebody is there and the request has been sent.
        heard: called whenever bytes come.
    """

    reached: Callable[[], None]
    heard: Callable[[], None]


QUIET = Signs(_nothing, _nothing)


class Link(ABC):
    """An open connection.

    Attributes:
        subprotocol: the one that a WebSocket's server has selected.
    """

    subprotocol: str | None = None

    @abstractmethod
    async def receive(self) -> str | bytes | Closed:
        """Returns what came next; nothing may be asked for after `Closed`."""

    async def pong(self) -> None:  # noqa: B027 - most transports have none
        """Answers a heartbeat, where the transport has a way to."""


class Look(NamedTuple):
    """An answer as it comes, whatever it is.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        certificate: the peer's, as `ssl.SSLSocket.getpeercert` has it; None without TLS.
        body: its chunks.
    """

    status: int
    headers: Mapping[str, str]
    certificate: Mapping[str, Any] | None
    body: Link
