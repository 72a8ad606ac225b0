"""The bearer: one that is given, or asked for when it is needed and again when it was refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable

import anyio

from ..errors import FollowError

__all__ = ["Token", "TokenSource"]

Token = str | Callable[[], str | Awaitable[str]] | None

_logger = logging.getLogger("agentprogress.client")
# What may stand in a header's value, without the spaces (RFC 9110, 5.5).
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


class TokenSource:
    """Keeps the token in use.

    Args:
        token: a text, or a function (plain or async) that makes one; None for none.
    """

    def __init__(self, token: Token) -> None:
        if not (token is None or isinstance(token, str) or callable(token)):
            raise TypeError(f"A token is a text or a function, not {type(token).__name__}.")
        self._token = token
        self._made = token if isinstance(token, str) else None
        self._making = anyio.Lock()

    @property
    def can_renew(self) -> bool:
        """True when another token can be asked for."""
        return callable(self._token)

    async def get(self, refused: str | None = None) -> str | None:
        """Returns the token.

        Args:
            refused: one that was tried and not accepted; another one is made, unless that has
                happened since.

        Raises:
            FollowError: there is none to be had, or it is no token.
        """
        if callable(self._token):
            # Two that are refused at once make one token: the second may void the first.
            async with self._making:
                if refused is not None and self._made == refused:
                    self._made = None
                if self._made is None:
                    self._made = await self._make(self._token)
        if self._made is not None and not _VISIBLE.fullmatch(self._made):
            sentence = "The token has characters that a header cannot have."
            raise FollowError("unauthorized", sentence, retryable=False)
        return self._made

    async def _make(self, make: Callable[[], object]) -> str:
        try:
            made = make()
            token: object = await made if isawaitable(made) else made
        except FollowError:
            raise
        except Exception as error:
            # The application's own code: its reason may pass, as that of a sign-in service would.
            _logger.warning("The token could not be had.", exc_info=True)
            sentence = f"The token could not be had: {type(error).__name__}."
            raise FollowError("unauthorized", sentence, retryable=True) from error
        if not isinstance(token, str):
            sentence = f"The token is no text but {type(token).__name__}."
            raise FollowError("unauthorized", sentence, retryable=False)
        return token
