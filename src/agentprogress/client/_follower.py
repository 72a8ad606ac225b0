"""One client's following, sans I/O: told what happened, it says what to do next.

All decisions are here: when to dial, by which transport and with which cursor, when a silent
connection is dead, what a refusal means, how long to rest, when to give up. A driver carries out
what `next` returns and tells what came of it. Nothing here knows sockets or tasks; time and
randomness are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite

from .._core.frames import PROTOCOL
from .._core.sse_reader import MessageTooLarge
from ..errors import FollowError
from ..settings import Settings
from ._attempt import Attempt
from ._ladder import Advice, Ladder, Transport
from ._leniency import Leniency
from ._patience import Patience
from ._reader import Begun, Delivery, Jumped, Reader
from ._states import FollowState, Happening, next_state
from ._steps import Dial, FollowerOptions, Over, Rest, Step, Taken
from ._verdicts import Judgement, Verdict, is_passing, judge_close, judge_frame
from ._wire import Answer, Frame, Malformed

__all__ = ["Follower"]


# "Not implemented" and "version not supported" speak of the upgrade.
_NO_UPGRADE = frozenset({501, 505})
_OF_ACCESS = frozenset({401, 403, 407})
_AFTER_WELCOME = frozenset({"gap", "snapshot", "heartbeat", "end"})


class Follower:
    """See the module.

    Attributes:
        session_id: whose frames are taken.
        state: for the user.
        error: why it is not connected, or gave up; None while all is well.
        retry_at: when the next attempt is made, while it rests.
        producer: what the last heartbeat said of it; None before one.
    """

    def __init__(
        self,
        session_id: str,
        options: FollowerOptions,
        settings: Settings,
        random: Callable[[], float],
    ) -> None:
        self.state = FollowState.IDLE
        self._entered: list[FollowState] = []
        self.error: FollowError | None = None
        self.retry_at: float | None = None
        self.producer: str | None = None
        self.session_id = session_id
        self._options = options
        self._settings = settings
        self._patience = Patience(settings, options.max_attempts, random)
        self._leniency = Leniency(settings)
        self._ladder = Ladder(options.transport, settings)
        self._reader = Reader(options.after, settings)
        self._attempt: Attempt | None = None
        self._heartbeat_interval = settings.heartbeat_interval
        self._renew = False
        self._waits = False

    # What the driver asks

    @property
    def cursor(self) -> str | None:
        """The position that the next join has."""
        return self._reader.cursor

    @property
    def transport(self) -> Transport:
        """The transport in use."""
        return self._ladder.transport

    @property
    def max_attempts(self) -> int | None:
        """Attempts in a row that may bring nothing; None for no bound."""
        return self._options.max_attempts

    @property
    def was_welcomed(self) -> bool:
        """Whether the server has ever known the session."""
        return self._patience.was_welcomed

    @property
    def linked(self) -> bool:
        """True while the connection that was dialled should be read."""
        return self._attempt is not None

    def next(self, now: float) -> Step:
        """Returns what to do; not to be asked while linked."""
        if self.state in (FollowState.ENDED, FollowState.GAVE_UP):
            return Over(self.error)
        if self.retry_at is not None and now < self.retry_at:
            return Rest(self.retry_at)
        self.retry_at = None
        self._patience.dialled()
        if self._ladder.climb(now):
            self._waits = False
            if self.state in (FollowState.REPLAYING, FollowState.LIVE):
                self._enter(Happening.CUT)
        self._enter(Happening.DIALLED)
        dial = Dial(self.transport, self.cursor, self._waits, self._renew)
        self._attempt = Attempt(dial, now, self._settings, self._heartbeat_interval)
        self._renew = False
        return dial

    def take_notice(self) -> str | None:
        """Returns, once, a sentence for the log about a transport that did not work."""
        notice, self._ladder.notice = self._ladder.notice, None
        return notice

    def take_states(self) -> list[FollowState]:
        """Returns, once, the states that were entered: one message can lead through several."""
        entered, self._entered = self._entered, []
        return entered

    # What happens to a connection

    def reached(self, now: float) -> None:
        """Somebody is there and has been asked."""
        if self._attempt is not None:
            self._attempt.reached(now)

    def opened(self, now: float) -> None:
        """The handshake has passed, or the head of an answer is here."""
        if self._attempt is not None:
            self._attempt.opened(now)

    def heard(self, now: float) -> None:
        """Bytes have come, perhaps not yet a whole message."""
        if self._attempt is not None:
            self._attempt.heard(now)

    def resumed(self, now: float) -> None:
        """Time goes on that had stopped: for a slow user, or for a token."""
        if self._attempt is not None:
            self._attempt.resumed(now)

    def received(self, data: str | bytes, now: float) -> Taken:
        """A WebSocket's message, a piece of an event stream, or the body of a page has come."""
        deliveries: list[Delivery] = []
        pong = False
        attempt = self._attempt
        if attempt is None:
            return Taken(deliveries, 0, pong)
        attempt.heard(now)
        try:
            for frame in attempt.frames(data):
                if frame.get("session", self.session_id) == self.session_id:
                    self._take(attempt, frame, deliveries, now)
                    pong |= frame["type"] == "heartbeat"
                if not self.linked:
                    break
        except (Malformed, MessageTooLarge) as error:
            self._cut(FollowError("protocol", str(error), retryable=True), now)
        brought = any(not isinstance(each, Begun) for each in deliveries)
        if brought:
            self._patience.brought()
        if self.linked and attempt.dial.transport is Transport.LONG_POLL:
            # One that starts over whatever it is asked for brings nothing either.
            news = brought and not any(_is_reset(each) for each in deliveries)
            self._turn_page(attempt, now, brought=news)
        return Taken(deliveries, attempt.claim_bytes() if deliveries else 0, pong)

    def closed(self, code: int | None, now: float) -> None:
        """The connection is closed; `code` is a WebSocket's."""
        if self.linked:
            self._judge(judge_close(code), now, cut=True)

    def cut(self, error: FollowError, now: float) -> None:
        """The connection broke."""
        if self.linked:
            self._cut(error, now)

    def unreachable(self, error: FollowError, now: float) -> None:
        """There was nobody to connect to, or nobody to trust."""
        if not self.linked:
            return
        self._leniency.other()
        if error.retryable:
            self._come_back(error, now)
        else:
            self.give_up(error)

    def refused(self, answer: Answer, now: float) -> None:
        """An HTTP answer came that is not what was asked for."""
        attempt = self._attempt
        if attempt is None:
            return
        transport = attempt.dial.transport
        may_upgrade = not is_passing(answer.status) or answer.status in _NO_UPGRADE
        if transport is Transport.WEBSOCKET and may_upgrade and self._no_upgrade(answer, now):
            return
        judgement = self._leniency.judge(answer, now, may_renew=self._may_renew)
        # Only an event stream that was asked to go on can tell by 204 that there is no more.
        asked_to_go_on = transport is Transport.SSE and self.cursor is not None
        if judgement.verdict is Verdict.DONE and not asked_to_go_on:
            judgement = judgement._replace(verdict=Verdict.COME_BACK)
        self._judge(judgement, now)

    def due(self, now: float) -> bool:
        """Returns True when the connection is dead and has to be dropped."""
        attempt = self._attempt
        if attempt is None or now < attempt.deadline:
            return False
        seconds = attempt.silence(now)
        error = FollowError("timeout", f"Nothing was heard for {seconds:.0f} s.", retryable=True)
        sse, is_open = attempt.dial.transport is Transport.SSE, attempt.opened_at is not None
        advice = Advice.HELD_BACK if sse else Advice.SWALLOWED
        # A proxy that collects a stream may hold back even its head (nginx does: measured).
        held_back = is_open or (sse and attempt.is_reached)
        doubted = held_back and not attempt.is_welcomed and not self._ladder.has_worked
        if not doubted or not self._step_down(advice, now, sure=is_open):
            self._cut(error, now, advice)
        return True

    @property
    def deadline(self) -> float:
        """When `due` should be asked next."""
        return inf if self._attempt is None else self._attempt.deadline

    # What the user does

    def retry_now(self) -> None:
        """Ends a rest."""
        self.retry_at = None

    def woke(self, now: float) -> None:
        """The machine has slept: whatever was open is taken for dead, and joined again at once."""
        if self.linked:
            sentence = "The machine has slept; the connection is made anew."
            self._cut(FollowError("timeout", sentence, retryable=True), now)
        self.retry_now()

    def give_up(self, error: FollowError) -> None:
        """Coming back cannot help."""
        self._enter(Happening.GAVE_UP)
        self.error = error
        self._attempt = None

    # Frames

    def _take(self, attempt: Attempt, frame: Frame, deliveries: list[Delivery], now: float) -> None:
        kind = frame["type"]
        if kind == "welcome":
            self._welcome(attempt, frame, deliveries, now)
        elif kind in ("reconnect", "error"):
            self._judge(judge_frame(frame), now)
        elif not attempt.is_welcomed and ("." in kind or kind in _AFTER_WELCOME):
            raise Malformed(f"The first frame is {kind[:40]}, not welcome.")
        elif "." in kind:
            deliveries += self._reader.event(frame)
        elif kind == "gap":
            deliveries += self._reader.gap(frame)
        elif kind == "snapshot":
            deliveries += self._reader.snapshot(frame)
        elif kind == "heartbeat":
            self._patience.advise(frame.get("retry_window"))
            self._patience.brought()
            self.producer = frame["producer"]
        elif kind == "end":
            deliveries += self._reader.end(frame)
            self._end()
        if self.state is FollowState.REPLAYING and self._reader.caught_up:
            self._enter(Happening.CAUGHT_UP)

    def _welcome(
        self, attempt: Attempt, frame: Frame, deliveries: list[Delivery], now: float
    ) -> None:
        if frame["protocol"] != PROTOCOL:
            sentence = (
                f"The server speaks version {frame['protocol']} of the protocol and this client "
                f"version {PROTOCOL}: upgrade agentprogress."
            )
            self.give_up(FollowError("protocol", sentence, retryable=False))
            return
        deliveries += self._reader.welcome(frame)
        self._patience.welcomed(now, frame["retry_window"])
        self._leniency.welcomed()
        self._ladder.worked()
        interval = frame["heartbeat_interval"]
        if isfinite(interval) and interval > 0:
            longest = self._settings.max_heartbeat_interval
            self._heartbeat_interval = min(interval, longest)
        attempt.welcomed(self._heartbeat_interval)
        self.producer = None
        self.error = None
        self._enter(Happening.WELCOMED)

    def _turn_page(self, attempt: Attempt, now: float, *, brought: bool) -> None:
        self._attempt = None
        self._waits = True
        in_no_time = now - attempt.dialled_at < self._settings.short_stream_timeout
        was_to_bring = attempt.dial.waits or attempt.dial.cursor is not None
        if was_to_bring and not brought and in_no_time:
            # A server that does not wait would be asked without a pause.
            self.retry_at = now + self._settings.initial_retry_window

    # Verdicts

    def _judge(self, judgement: Judgement, now: float, *, cut: bool = False) -> None:
        verdict, error, *_ = judgement = self._leniency.settle(judgement, now)
        if verdict is Verdict.DONE:
            self._end()
        elif verdict is Verdict.GIVE_UP:
            self.give_up(error)
        elif verdict is Verdict.NEW_TOKEN:
            self._ask_for_token(error, now)
        elif cut:
            self._cut(error, now)
        else:
            if error.protocol_code is not None:  # who speaks to us is not cutting us short
                self._ladder.lasted()
            self._come_back(error, now, judgement)

    @property
    def _may_renew(self) -> bool:
        """True unless the token in use was made for this very attempt, or is the only one."""
        made = self._attempt is not None and self._attempt.dial.renew_token
        return self._options.can_renew and not made

    def _ask_for_token(self, error: FollowError, now: float) -> None:
        if self._may_renew:
            self._patience.cut(now)
            self._set_down(error)
        elif self._options.can_renew and self._patience.is_welcome:
            # It was good for a moment: the next one may be, but not without a pause.
            self._come_back(error, now)
        else:
            self.give_up(error)
        self._renew = True

    def _no_upgrade(self, answer: Answer, now: float) -> bool:
        """A handshake was refused; returns True when the next transport is dialled for it."""
        if self._ladder.has_worked:
            # The way takes it: this is a moment of a deploy, unless it goes on.
            self._ladder.cut_short(Advice.NO_UPGRADE, now)
            return False
        # A problem cannot be read here; the next transport is told it as well.
        return self._step_down(Advice.NO_UPGRADE, now, sure=answer.status not in _OF_ACCESS)

    def _step_down(self, advice: Advice, now: float, *, sure: bool) -> bool:
        """Goes on with the next transport at once; False when there is none."""
        if not self._ladder.step_down(advice, now, sure=sure):
            return False
        self._waits = False
        self._attempt = None
        return True

    def _cut(self, error: FollowError, now: float, advice: Advice = Advice.SHORT) -> None:
        self._leniency.other()
        attempt = self._attempt
        if attempt is not None and not attempt.is_short(now):
            self._ladder.lasted()
        elif attempt is not None and self._counts(attempt):
            self._ladder.cut_short(advice, now)
        self._come_back(error, now)

    def _counts(self, attempt: Attempt) -> bool:
        """Returns whether it is the transport's fault that it was short.

        It is not where nobody is there, nor where only a balancer is: that accepts for a server
        which restarts, and cuts.
        """
        if attempt.opened_at is not None:
            return True
        return attempt.is_reached and not self._ladder.has_worked

    def _come_back(
        self, error: FollowError, now: float, judgement: Judgement | None = None
    ) -> None:
        if not self._patience.cut(now):
            self.give_up(error)
            return
        self._set_down(error)
        at_least, drawn = (judgement.retry_after, judgement.drawn) if judgement else (0.0, False)
        self.retry_at = self._patience.next_attempt(now, at_least, drawn=drawn)

    def _set_down(self, error: FollowError) -> None:
        """What was open is no more."""
        self.error = error
        self._waits = False
        self._enter(Happening.CUT)
        self._attempt = None

    def _end(self) -> None:
        self._enter(Happening.ENDED)
        self.error = None
        self._attempt = None

    def _enter(self, what: Happening) -> None:
        before, self.state = self.state, next_state(self.state, what)
        if self.state is not before:
            self._entered.append(self.state)


def _is_reset(delivery: Delivery) -> bool:
    return isinstance(delivery, Begun | Jumped) and delivery.reset
