"""Who may see what: the question an application answers, and the rule when it does not want to."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ._core.cursor import check_session_id, is_generated
from .errors import Forbidden, ProgressError, TokenExpired, Unauthorized
from .info import SessionInfo

__all__ = [
    "Access",
    "AccessRequest",
    "Action",
    "Authorize",
    "ConnectionInfo",
    "allow_anyone",
    "allow_generated_ids",
]

_logger = logging.getLogger("agentprogress")

Action: TypeAlias = Literal["follow", "control", "list"]


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What a client sent, whatever the server.

    Attributes:
        headers: by lower-case name; of repeated ones the last.
        query: of repeated names the last.
        cookies: by name.
        bearer: the token of ``Authorization: Bearer …`` or, for a browser's WebSocket, of the
            subprotocol ``agentprogress.bearer.<base64url>``.
        client: the peer's address, if the server tells.
        state: what middleware and dependencies left in the ASGI scope's ``state``.
    """

    # What may hold a secret is not in the repr, because reprs end up in logs.
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    bearer: str | None = field(default=None, repr=False)
    client: str | None = None
    state: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The question: may this connection do that with this session?

    Attributes:
        action: ``follow`` (read), ``control`` (cancel, answer) or ``list``.
        session_id: which session; empty for ``list``.
        session: what is known of it, with its owner and private data; None when there is none.
        connection: what the client sent.
        has_control_token: whether its bearer is the session's own control token.
    """

    action: Action
    session_id: str
    session: SessionInfo | None
    connection: ConnectionInfo
    has_control_token: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """The answer yes.

    Attributes:
        principal: who it is. Subscribers are counted, and sessions listed, for each principal.
        actions: what is allowed.
        expires_at: when it ends, as an aware datetime or in seconds since 1970; a connection that
            is still open then closes with ``token_expired``. None: never.

    Raises:
        ValueError: `expires_at` is a naive datetime.
        TypeError: `principal` is no text.
    """

    principal: str | None = None
    actions: frozenset[Action] = frozenset({"follow"})
    expires_at: datetime | float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.expires_at, datetime) and self.expires_at.tzinfo is None:
            raise ValueError("expires_at must be an aware datetime: whose time is it?")
        _check_principal(self.principal)

    def seconds_left(self, now: float) -> float | None:
        """Returns how long it still holds, in seconds; None: for ever.

        Args:
            now: in seconds since 1970.
        """
        if self.expires_at is None:
            return None
        moment = self.expires_at
        return (moment.timestamp() if isinstance(moment, datetime) else moment) - now


def _check_principal(principal: object) -> None:
    if not isinstance(principal, str | None):
        raise TypeError(f"principal must be a text, not {type(principal).__name__}.")


Authorize: TypeAlias = Callable[[AccessRequest], "Access | Awaitable[Access | None] | None"]

_EVERYTHING: frozenset[Action] = frozenset({"follow", "control", "list"})


def allow_anyone(request: AccessRequest) -> Access:
    """Lets everybody follow, control and list everything: for demonstrations."""
    return Access(actions=_EVERYTHING)


def allow_generated_ids(request: AccessRequest) -> Access:
    """The default: a generated id cannot be guessed, so knowing it is the right to follow.

    To control a session takes its control token as bearer.

    Raises:
        Unauthorized: the control token is missing.
        Forbidden: the id was chosen by the application, the control token is another session's, or
            a list is asked for.
    """
    if request.action == "list":
        raise Forbidden("Listing sessions needs authorize= on the app that serves progress.")
    if not is_generated(request.session_id):
        raise Forbidden(
            "Without authorization only sessions with generated ids can be reached: pass "
            "authorize= to the app that serves progress."
        )
    if request.action == "follow":
        return Access()
    if request.connection.bearer is None:
        raise Unauthorized("Send the session's control token: Authorization: Bearer <token>.")
    if not request.has_control_token:
        raise Forbidden("The bearer is not this session's control token.")
    return Access(actions=frozenset({"follow", "control"}))


async def ask(authorize: Authorize, request: AccessRequest, now: float) -> Access:
    """Asks an application's `authorize`, sync or async.

    Args:
        authorize: the application's.
        request: the question.
        now: in seconds since 1970.

    Raises:
        InvalidSessionId: the id is none, whoever asks.
        Forbidden: the answer is no.
        TokenExpired: it was yes until now.
        ProgressError: `authorize` failed; the log has the details, which the client must not.
    """
    if request.action != "list":
        check_session_id(request.session_id)
    try:
        answer = authorize(request)
        access = await answer if inspect.isawaitable(answer) else answer
        if access is not None and request.action not in access.actions:
            access = None
        left = None if access is None else access.seconds_left(now)
    except ProgressError:
        raise
    except Exception as error:
        _logger.exception("authorize failed for session %s", request.session_id)
        raise ProgressError from error
    if access is None:
        raise Forbidden("You may not do that with this session.")
    # So put that what is no number has expired, too.
    if left is not None and not left > 0:
        raise TokenExpired
    return access
