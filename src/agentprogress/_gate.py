"""Access: asked for before anything about a session is looked at, on every request and resume."""

from __future__ import annotations

import hmac

from ._engine import Engine
from ._http import Request
from ._ids import hash_token
from ._record import SessionRecord
from .access import Access, AccessRequest, Action, Authorize, allow_generated_ids, ask
from .errors import ProgressError, StoreUnavailable, WrongProcess
from .info import SessionInfo

__all__ = ["Gate"]


class Gate:
    """The only way from a request to a session's record.

    Args:
        engine: of the registry whose sessions are asked for.
        authorize: the application's answer, or the default rule.
    """

    def __init__(self, engine: Engine, authorize: Authorize) -> None:
        self._engine = engine
        self._authorize = authorize

    @property
    def wants_control_tokens(self) -> bool:
        """Whether the default rule answers: nobody controls a session without its token."""
        return self._authorize is allow_generated_ids

    async def list(self, request: Request) -> Access:
        """Asks whether, and as whom, a client may list sessions.

        Raises:
            ProgressError: it may not.
        """
        return await self._ask(AccessRequest("list", "", None, request.connection))

    async def enter(
        self, request: Request, session_id: str, action: Action, *, fresh: bool = False
    ) -> tuple[SessionRecord, Access]:
        """Asks for access before anything of the session is revealed, then finds it.

        Args:
            request: what is asked.
            session_id: for which session.
            action: what is to be done with it.
            fresh: the session is to be as it is now, not as it was a moment ago.

        Raises:
            ProgressError: no access, or no session.
        """
        record = info = None
        try:
            record = await self._engine.find(session_id, request.cursor, fresh=fresh)
            info = SessionInfo.of(record)
        except (WrongProcess, StoreUnavailable):
            # Not the session says so: whether access would be given is not for us to say.
            raise
        except ProgressError:
            pass
        question = AccessRequest(
            action, session_id, info, request.connection, _has_control_token(request, record)
        )
        access = await self._ask(question)
        return await self._engine.find(session_id, request.cursor), access

    async def _ask(self, question: AccessRequest) -> Access:
        return await ask(self._authorize, question, self._engine.clock.wall())


def _has_control_token(request: Request, record: SessionRecord | None) -> bool:
    bearer = request.connection.bearer
    if bearer is None or record is None:
        return False
    return hmac.compare_digest(hash_token(bearer), record.life.control_hash)
