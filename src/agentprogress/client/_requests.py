"""What a client asks for beside the stream: the result, to cancel, to answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import anyio
from pydantic import ValidationError
from pydantic_core import from_json

from .._core.backoff import Backoff
from .._core.jsonable import is_object
from ..errors import FollowError, InputSettled, InvalidAnswer, NoResult
from ..snapshot import ErrorState
from ._follower import Follower
from ._leniency import Leniency
from ._link import Reply, Unreachable
from ._reach import Reach
from ._verdicts import Judgement, Verdict
from ._wire import Answer

__all__ = ["Requests"]

_OK, _ACCEPTED, _BAD, _CONFLICT = 200, 202, 400, 409
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Unfit(Exception):
    """An answer that coming back does not change."""

    def __init__(self, answer: Answer, error: FollowError) -> None:
        super().__init__(str(error))
        self.answer = answer
        self.error = error


class Requests:
    """Asks about one session, again after what passes.

    Args:
        reach: the session, and the way to it.
        random: for the delays.
        follower: tells how often to try, and whether the server has ever known the session.
    """

    def __init__(self, reach: Reach, random: Callable[[], float], follower: Follower) -> None:
        self._reach = reach
        self._clock = reach.clock
        self._settings = reach.settings
        self._random = random
        self._follower = follower

    async def result(self) -> Any:
        """Waits for the session's end and returns its result.

        Raises:
            NoResult: it failed, was cancelled or lost.
            FollowError: it cannot be known.
        """
        wait = self._settings.max_wait
        while True:
            asked_at = self._clock.monotonic()
            try:
                reply = await self._ask("GET", "result", wait=wait)
            except _Unfit as unfit:
                raise self._no_result(unfit) from None
            if reply.answer.status != _ACCEPTED:
                return _json(reply)
            if self._clock.monotonic() - asked_at < self._settings.short_stream_timeout:
                # A server that does not wait is not asked without a pause.
                asked = min(reply.answer.retry_after or 0.0, self._settings.max_retry_after)
                await self._rest(max(asked, self._settings.initial_retry_window))

    async def cancel(self, reason: str | None) -> str:
        """Asks the session to stop; returns its status.

        Raises:
            FollowError: this client may not, or nobody answers.
        """
        body = {} if reason is None else {"reason": reason}
        try:
            reply = await self._command("cancel", body)
        except _Unfit as unfit:
            raise unfit.error from None
        told = _json(reply)
        return str(told["status"]) if is_object(told) and "status" in told else "unknown"

    async def answer(self, request_id: str, value: object) -> None:
        """Answers a question.

        Raises:
            InputSettled: it has its answer, or was never asked.
            InvalidAnswer: the value does not fit.
        """
        route = f"inputs/{quote(request_id, safe='')}"
        try:
            await self._command(route, {"value": value})
        except _Unfit as unfit:
            if unfit.answer.status == _CONFLICT:
                raise InputSettled(self._reach.url.session_id, request_id) from None
            if unfit.answer.status == _BAD:
                session_id, problem = self._reach.url.session_id, str(unfit.error)
                raise InvalidAnswer(session_id, request_id, [problem]) from None
            raise unfit.error from None

    async def _command(self, route: str, body: object) -> Reply:
        seconds = self._settings.control_timeout
        # What is under way when the time is over has a moment to end.
        with anyio.move_on_after(seconds + self._settings.close_timeout):
            until = self._clock.monotonic() + seconds
            return await self._ask("POST", route, body=body, until=until)
        sentence = f"There was no answer within {seconds:g} s; it may have been taken nevertheless."
        raise FollowError("timeout", sentence, retryable=True)

    async def _ask(
        self,
        method: str,
        route: str,
        *,
        wait: float = 0.0,
        body: object = None,
        until: float | None = None,
    ) -> Reply:
        """Asks until there is an answer, or no more sense in asking.

        Raises:
            _Unfit: the answer says no.
            FollowError: the time is over.
        """
        url = self._reach.url.route(route, **({"wait": f"{wait:g}"} if wait else {}))
        reach, follower = self._reach, self._follower
        backoff = Backoff(self._settings, self._random)
        leniency = Leniency(self._settings)
        patience = wait + self._settings.silence_timeout
        refused: str | None = None
        while True:
            judgement: Judgement | None = None
            token: str | None = None
            try:
                token = await reach.token(refused)
                reply = await reach.web.ask(method, url, token, body, patience=patience)
            except Unreachable as unreachable:
                error = unreachable.error
                if not error.retryable:
                    raise error from unreachable
                leniency.other()
            except FollowError as no_token:
                error = no_token
                if not error.retryable:
                    raise
            else:
                if reply.answer.status in (_OK, _ACCEPTED) and _is_ours(reply):
                    return reply
                if reply.answer.status in _REDIRECTS:
                    raise _Unfit(reply.answer, _redirected(reply.answer.status))
                if follower.was_welcomed:
                    leniency.known()
                may_renew = reach.tokens.can_renew and refused is None
                now = self._clock.monotonic()
                judgement = leniency.judge(reply.answer, now, may_renew=may_renew)
                error = judgement.error
                if judgement.verdict is Verdict.NEW_TOKEN and may_renew:
                    refused = token
                    continue
                if judgement.verdict is not Verdict.COME_BACK:
                    raise _Unfit(reply.answer, error)
            refused = None
            delay = backoff.next_delay(judgement.retry_after if judgement else 0.0)
            late = until is not None and self._clock.monotonic() + delay >= until
            if late or backoff.attempt == follower.max_attempts:
                raise error
            await self._rest(delay)

    async def _rest(self, seconds: float) -> None:
        await self._clock.wait(anyio.Event(), self._clock.monotonic() + seconds)

    def _no_result(self, unfit: _Unfit) -> Exception:
        """Returns what to raise where there is no result."""
        about = (unfit.answer.problem or {}).get("session")
        if unfit.answer.status != _CONFLICT or not is_object(about):
            return unfit.error
        error = None
        if about.get("error") is not None:
            try:
                error = ErrorState.model_validate(about["error"])
            except ValidationError:
                error = None
        return NoResult(self._reach.url.session_id, str(about.get("status", "failed")), error)


def _redirected(status: int) -> FollowError:
    sentence = (
        f"The server redirects ({status}), which what changes a session does not follow: use the "
        "URL that it leads to."
    )
    return FollowError("protocol", sentence, retryable=False, status=status)


def _is_ours(reply: Reply) -> bool:
    """Returns whether an answer that says yes may be believed: a sign-in page says it, too."""
    return reply.answer.content_type.partition(";")[0].strip() == "application/json"


def _json(reply: Reply) -> Any:
    try:
        return from_json(reply.body)
    except ValueError:
        sentence = "The answer is not JSON."
        raise FollowError("protocol", sentence, retryable=False, status=_OK) from None
