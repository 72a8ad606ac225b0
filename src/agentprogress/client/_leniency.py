"""For how long what sounds final is not taken for it: a server that starts, a proxy without one.

Pure. The stream and the requests beside it go by the same rules.
"""

from __future__ import annotations

from ..errors import FollowError
from ..settings import Settings
from ._verdicts import Judgement, Verdict, is_passing, judge_answer
from ._wire import Answer

__all__ = ["Leniency"]


class Leniency:
    """Settles what answers mean to one client, given what it has been answered before.

    Args:
        settings: the time of grace.
        was_welcomed: whether the server is known to have known the session.
    """

    def __init__(self, settings: Settings, *, was_welcomed: bool = False) -> None:
        self._grace = settings.unknown_timeout
        self._was_welcomed = was_welcomed
        self._unknown_since: float | None = None
        self._foreign_since: float | None = None

    def welcomed(self) -> None:
        """The server knows the session."""
        self._was_welcomed = True
        self._unknown_since = self._foreign_since = None

    def known(self) -> None:
        """The server has known the session, as another connection found."""
        self._was_welcomed = True

    def other(self) -> None:
        """Something else went wrong: nobody can be said to have answered nothing but nonsense."""
        self._foreign_since = None

    def judge(self, answer: Answer, now: float, *, may_renew: bool) -> Judgement:
        """Judges an HTTP answer.

        Args:
            answer: what came.
            now: when.
            may_renew: whether another token may be tried.

        Returns:
            What to do; never `Verdict.UNKNOWN_GRACE`.
        """
        judgement = judge_answer(answer)
        error = judgement.error
        if judgement.verdict is Verdict.DONE:
            return judgement
        # A problem without a code of ours is another application's.
        if error.protocol_code is not None or is_passing(answer.status):
            self.other()
            return self.settle(judgement, now)
        if error.kind == "unauthorized" and may_renew:
            # An application's own check writes no problem.
            return judgement._replace(verdict=Verdict.NEW_TOKEN)
        if self._foreign_since is None:
            self._foreign_since = now
        if not self._was_welcomed and now - self._foreign_since >= self._grace:
            return judgement._replace(verdict=Verdict.GIVE_UP)
        return judgement

    def settle(self, judgement: Judgement, now: float) -> Judgement:
        """Decides whether a session that is unknown is given up, now that it is this time."""
        if judgement.verdict is not Verdict.UNKNOWN_GRACE:
            return judgement
        if not self._was_welcomed:
            return judgement._replace(verdict=Verdict.GIVE_UP)
        if self._unknown_since is None:
            self._unknown_since = now
        if now - self._unknown_since < self._grace:
            return judgement._replace(verdict=Verdict.COME_BACK)
        error = judgement.error
        forgotten = FollowError(
            "unknown_session",
            "The server knows nothing of this session any more: it was restarted without a durable "
            f"store. ({error})",
            retryable=False,
            status=error.status,
            close_code=error.close_code,
            protocol_code=error.protocol_code,
        )
        return judgement._replace(verdict=Verdict.GIVE_UP, error=forgotten)
