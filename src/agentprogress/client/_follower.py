"""One client's following, sans I/O: told what happened, it says what to do next.

All decisions are here: when to dial, by which transport and with which cursor, when a silent
connection is dead, what a refusal means, how long to rest, when to give up. A driver carries out
what `next` returns and tells what came of it. Nothing here knows sockets or tasks; time and
randomness are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from math import inf, isfinite

from .._core.frames import PROTOCOL
from .._core.sse_reader import MessageTooLarge, SseReader
from ..errors import FollowError
from ..settings import Settings
from ._ladder import Advice, Ladder, Transport
from ._patience import Patience
from ._reader import Delivery, Reader
from ._states import FollowState, Happening, next_state
from ._steps import Dial, FollowerOptions, Over, Rest, Step, Taken
from ._verdicts import Judgement, Verdict, judge_answer, judge_close, judge_frame
from ._wire import Answer, Frame, Malformed, read_frame, read_frames, read_page

__all__ = ["Follower"]


class _Phase(Enum):
    DIALLING = "dialling"
    LINKED = "linked"
    OVER = "over"


# The server, not the path to the WebSocket, is what these speak of.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Follower:
    """See the module.

    Attributes:
        session_id: whose frames are taken.
        state: for the user.
        error: why it is not connected, or gave up; None while all is well.
        retry_at: when the next attempt is made, while it rests.
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
        self.session_id = session_id
        self._options = options
        self._settings = settings
        self._patience = Patience(settings, options.max_attempts, random)
        self._ladder = Ladder(options.transport, settings.max_short_streams)
        self._reader = Reader(options.after, settings)
        self._sse = SseReader(settings.max_message_bytes)
        self._phase = _Phase.DIALLING
        self._heartbeat_interval = settings.heartbeat_interval
        self._renew = self._renewed = False
        self._waits = False
        self._dialled_at = self._heard_at = 0.0
        self._reached = False
        self._opened_at: float | None = None

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
        return self._phase is _Phase.LINKED

    def next(self, now: float) -> Step:
        """Returns what to do; not to be asked while linked."""
        if self._phase is _Phase.OVER:
            return Over(self.error)
        if self.retry_at is not None and now < self.retry_at:
            return Rest(self.retry_at)
        self._enter(Happening.DIALLED)
        self._phase = _Phase.LINKED
        self.retry_at = None
        self._patience.dialled()
        self._reached = False
        self._opened_at = None
        self._dialled_at = self._heard_at = now
        self._sse = SseReader(self._settings.max_message_bytes)
        renew, self._renew = self._renew, False
        return Dial(self.transport, self.cursor, self._waits, renew)

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
        self._reached = True
        self._heard_at = now

    def opened(self, now: float) -> None:
        """The handshake has passed, or the head of an answer is here."""
        self._opened_at = self._heard_at = now

    def heard(self, now: float) -> None:
        """Bytes have come, perhaps not yet a whole message."""
        self._heard_at = now

    def received(self, data: str | bytes, now: float) -> Taken:
        """A WebSocket's message, a piece of an event stream, or the body of a page has come."""
        self._heard_at = now
        deliveries: list[Delivery] = []
        pong = False
        try:
            for frame in self._read(data) if self.linked else ():
                if frame.get("session", self.session_id) == self.session_id:
                    self._take(frame, deliveries, now)
                    pong |= frame["type"] == "heartbeat"
                if self._phase is not _Phase.LINKED:
                    break
        except (Malformed, MessageTooLarge) as error:
            self._cut(FollowError("protocol", str(error), retryable=True), now)
        if self.linked and self.transport is Transport.LONG_POLL:
            self._turn_page(now, brought=bool(deliveries))
        return Taken(deliveries, pong)

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
        if error.retryable:
            self._come_back(error, now)
        else:
            self.give_up(error)

    def refused(self, answer: Answer, now: float) -> None:
        """An HTTP answer came that is not what was asked for."""
        if not self.linked:
            return
        passing = answer.status in _PASSING
        websocket = self.transport is Transport.WEBSOCKET
        # A problem cannot be read there; the next transport is told it as well.
        if websocket and not passing and self._step_down(Advice.NO_UPGRADE):
            return
        judgement = judge_answer(answer)
        if judgement.error.kind == "unauthorized" and self._options.can_renew:
            # Also where an application's own check answers, which writes no problem.
            self._ask_for_token(judgement.error, now)
            return
        # A problem without a code of ours is another application's.
        foreign = judgement.error.protocol_code is None and not passing
        if foreign and not self._patience.was_welcomed and not self._patience.within_grace(now):
            self.give_up(judgement.error)
        else:
            self._judge(judgement, now)

    def due(self, now: float) -> bool:
        """Returns True when the connection is dead and has to be dropped."""
        if now < self.deadline:
            return False
        seconds = now - self._heard_at
        error = FollowError("timeout", f"Nothing was heard for {seconds:.0f} s.", retryable=True)
        sse = self.transport is Transport.SSE
        advice = Advice.HELD_BACK if sse else Advice.SWALLOWED
        # A proxy that collects a stream may hold back even its head (nginx does: measured).
        held_back = self._opened_at is not None or (sse and self._reached)
        if self._patience.is_welcome or not held_back or not self._step_down(advice):
            self._cut(error, now, advice)
        return True

    @property
    def deadline(self) -> float:
        """When `due` should be asked next."""
        if not self.linked:
            return inf
        if self._opened_at is not None:
            return self._heard_at + self._heartbeat_interval + self._settings.silence_timeout
        waits = self._settings.max_wait if self._waits else 0.0
        return self._heard_at + self._settings.connect_timeout + waits

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
        self._phase = _Phase.OVER

    # Frames

    def _read(self, data: str | bytes) -> Iterable[Frame]:
        if self.transport is Transport.WEBSOCKET:
            return read_frames(data)
        raw = data.encode() if isinstance(data, str) else data
        if self.transport is Transport.LONG_POLL:
            return read_page(raw)
        return (read_frame(message.data) for message in self._sse.feed(raw))

    def _take(self, frame: Frame, deliveries: list[Delivery], now: float) -> None:
        kind = frame["type"]
        if "." in kind:
            deliveries += self._reader.event(frame)
        elif kind == "welcome":
            self._welcome(frame, deliveries, now)
            return
        elif kind == "gap":
            deliveries += self._reader.gap(frame)
        elif kind == "snapshot":
            deliveries += self._reader.snapshot(frame)
        elif kind == "heartbeat":
            self._patience.advise(frame.get("retry_window"))
        elif kind == "end":
            deliveries += self._reader.end(frame)
            self._end()
            return
        elif kind in ("reconnect", "error"):
            self._judge(judge_frame(frame), now)
            return
        self._progress()

    def _welcome(self, frame: Frame, deliveries: list[Delivery], now: float) -> None:
        if frame["protocol"] != PROTOCOL:
            sentence = (
                f"The server speaks version {frame['protocol']} of the protocol and this client "
                f"version {PROTOCOL}: upgrade agentprogress."
            )
            self.give_up(FollowError("protocol", sentence, retryable=False))
            return
        deliveries += self._reader.welcome(frame)
        self._patience.welcomed(now, frame["retry_window"])
        interval = frame["heartbeat_interval"]
        if isfinite(interval) and interval > 0:
            self._heartbeat_interval = interval
        self._renewed = False
        self.error = None
        self._enter(Happening.WELCOMED)
        if self._reader.caught_up:
            self._progress()

    def _progress(self) -> None:
        self._patience.brought()
        if self._reader.caught_up and self.state is FollowState.REPLAYING:
            self._enter(Happening.CAUGHT_UP)

    def _turn_page(self, now: float, *, brought: bool) -> None:
        self._phase = _Phase.DIALLING
        asked_to_wait, self._waits = self._waits, True
        in_no_time = now - self._dialled_at < self._settings.short_stream_timeout
        if asked_to_wait and not brought and in_no_time:
            # A server that does not wait would be asked without a pause.
            self.retry_at = now + self._settings.initial_retry_window

    # Verdicts

    def _judge(self, judgement: Judgement, now: float, *, cut: bool = False) -> None:
        verdict, error = judgement.verdict, judgement.error
        if verdict is Verdict.DONE:
            self._end()
        elif verdict is Verdict.GIVE_UP:
            self.give_up(error)
        elif verdict is Verdict.NEW_TOKEN:
            self._ask_for_token(error, now)
        elif verdict is Verdict.UNKNOWN_GRACE:
            self._may_be_unknown(error, now)
        elif cut:
            self._cut(error, now)
        else:
            self._ladder.lasted()  # whoever speaks to us is not cutting us short
            self._come_back(error, now, judgement)

    def _ask_for_token(self, error: FollowError, now: float) -> None:
        if self._renewed or not self._options.can_renew:
            self.give_up(error)
            return
        self._renew = self._renewed = True
        self._patience.cut(now)
        self._set_down(error)

    def _may_be_unknown(self, error: FollowError, now: float) -> None:
        if not self._patience.was_welcomed:
            self.give_up(error)
        elif self._patience.within_grace(now):
            self._come_back(error, now)
        else:
            sentence = (
                "The server knows nothing of this session any more: it was restarted without a "
                f"durable store. ({error})"
            )
            self.give_up(
                FollowError(
                    "unknown_session",
                    sentence,
                    retryable=False,
                    status=error.status,
                    close_code=error.close_code,
                    protocol_code=error.protocol_code,
                )
            )

    def _step_down(self, advice: Advice) -> bool:
        """Goes on with the next transport at once; False when there is none."""
        if not self._ladder.step_down(advice):
            return False
        self._waits = False
        self._phase = _Phase.DIALLING
        return True

    def _cut(self, error: FollowError, now: float, advice: Advice = Advice.SHORT) -> None:
        opened_at = self._opened_at
        if opened_at is not None and now - opened_at >= self._settings.short_stream_timeout:
            self._ladder.lasted()
        elif self._reached:  # that nobody is there is not the transport's fault
            self._ladder.cut_short(advice)
        self._come_back(error, now)

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
        self._phase = _Phase.DIALLING

    def _end(self) -> None:
        self._enter(Happening.ENDED)
        self.error = None
        self._phase = _Phase.OVER

    def _enter(self, what: Happening) -> None:
        before, self.state = self.state, next_state(self.state, what)
        if self.state is not before:
            self._entered.append(self.state)
