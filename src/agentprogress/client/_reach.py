"""How one session is reached, and by which clock: what all that speaks to a server shares."""

from __future__ import annotations

from typing import NamedTuple

from ..abc import Clock
from ..settings import Settings
from ._tokens import TokenSource
from ._urls import SessionUrl
from ._web import Web

__all__ = ["Reach"]


class Reach(NamedTuple):
    """A session and the way to it.

    Attributes:
        url: of the session.
        web: connects.
        tokens: the bearer.
        clock: the time.
        settings: the bounds.
    """

    url: SessionUrl
    web: Web
    tokens: TokenSource
    clock: Clock
    settings: Settings
