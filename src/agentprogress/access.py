"""Who may see what: the question an application answers, and the rule when it does not want to."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ._core.cursor import check_session_id, process_tag
from .errors import Forbidden, ProgressError
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
        bearer: the token of ``Authorization: Bearer …``, if any.
        client: the peer's address, if the server tells.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    cookies: Mapping[str, str] = field(default_factory=dict[str, str])
    bearer: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The question: may this connection do that with this session?

    Attributes:
        action: ``follow`` (read), ``control`` (cancel, answer) or ``list``.
        session_id: which session.
        session: what is known of it, with its owner and private data; None when there is none.
        connection: what the client sent.
    """

    action: Action
    session_id: str
    session: SessionInfo | None
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class Access:
    """The answer yes.

    Attributes:
        principal: who it is; subscribers are counted for each principal.
        actions: what is allowed.
    """

    principal: str | None = None
    actions: frozenset[Action] = frozenset({"follow"})


Authorize: TypeAlias = Callable[[AccessRequest], "Access | Awaitable[Access | None] | None"]


def allow_anyone(request: AccessRequest) -> Access:
    """Lets everybody follow everything: for demonstrations."""
    return Access()


def allow_generated_ids(request: AccessRequest) -> Access:
    """The default: a generated id cannot be guessed, so knowing it is the right to follow.

    Raises:
        Forbidden: the id was chosen by the application, or more than following is asked for.
    """
    if request.action != "follow" or process_tag(request.session_id) is None:
        raise Forbidden(
            "Only sessions with generated ids can be followed without authorization: pass "
            "authorize= to the app that serves progress."
        )
    return Access()


async def ask(authorize: Authorize, request: AccessRequest) -> Access:
    """Asks an application's `authorize`, sync or async.

    Raises:
        InvalidSessionId: the id is none, whoever asks.
        Forbidden: the answer is no.
        ProgressError: `authorize` failed; the log has the details, which the client must not.
    """
    check_session_id(request.session_id)
    try:
        answer = authorize(request)
        access = await answer if inspect.isawaitable(answer) else answer
    except ProgressError:
        raise
    except Exception as error:
        _logger.exception("authorize failed for session %s", request.session_id)
        raise ProgressError from error
    if access is None or request.action not in access.actions:
        raise Forbidden("You may not do that with this session.")
    return access
