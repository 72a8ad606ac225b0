"""How one session is reached, and by which clock: what all that speaks to a server shares."""

from __future__ import annotations

from typing import NamedTuple

import anyio

from ..abc import Clock
from ..errors import FollowError
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

    async def token(self, refused: str | None = None) -> str | None:
        """Returns the token, as `TokenSource.get`, within `control_timeout`.

        Raises:
            FollowError: there is none to be had.
        """
        seconds = self.settings.control_timeout
        with anyio.move_on_after(seconds):
            return await self.tokens.get(refused)
        sentence = f"The token did not come within {seconds:g} s."
        raise FollowError("unauthorized", sentence, retryable=True)
