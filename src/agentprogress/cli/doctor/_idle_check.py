"""The check of `agentprogress doctor` on streams that are left alone: are they cut or kept?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import anyio

from ...client._ladder import Transport
from ...client._link import Closed, Link, Refused, Unreachable
from ...client._wire import Malformed
from ..terminal._text import duration
from ._case import Case, SessionState, Unseen, frame_reader
from ._findings import BUFFERING, IDLE, Finding, Verdict

__all__ = ["check_idle"]

# How long after its interval a heartbeat may come.
_MARGIN: Final = 1.0
# The first one comes early; only what lies between two is a whole interval of silence.
_ENOUGH: Final = 2
# With these a stream is over by the server's own will.
_LAST = frozenset({"end", "reconnect", "error"})


class _How(Enum):
    CUT = "cut"
    KEPT = "kept"
    QUIET = "quiet"
    OVER = "over"
    UNOPENED = "unopened"


@dataclass(slots=True)
class _Watch:
    """One stream that is left alone.

    Attributes:
        what: its name.
        interval: of heartbeats, in seconds; None as long as it has not been welcomed.
        silence: the longest one, in seconds.
        heartbeats: how many have come.
    """

    what: str
    transport: Transport
    how: _How = _How.UNOPENED
    interval: float | None = None
    silence: float = 0.0
    heartbeats: int = 0


async def check_idle(case: Case) -> Finding:
    """Streams on which nothing happens are left alone until their heartbeat."""
    name = "Idle"
    session = case.needs_session()
    if session.ended:
        raise Unseen("The session has ended, and so do its streams.")
    if not case.question.idle:
        raise Unseen("Nobody was to wait for it.")
    watches = [_Watch("event stream", Transport.SSE), _Watch("WebSocket", Transport.WEBSOCKET)]
    async with anyio.create_task_group() as tasks:
        for watch in watches:
            tasks.start_soon(_keep, case, session, watch)
    return _silence(case, name, watches)


def _silence(case: Case, name: str, watches: list[_Watch]) -> Finding:
    """Judges what became of streams."""
    cut = [watch for watch in watches if watch.how is _How.CUT]
    quiet = [watch for watch in watches if watch.how is _How.QUIET]
    seen = [*cut, *quiet, *(watch for watch in watches if watch.how is _How.KEPT)]
    if not seen:
        over = any(watch.how is _How.OVER for watch in watches)
        raise Unseen("The session has ended meanwhile." if over else "No stream could be opened.")
    interval = max(watch.interval or 0.0 for watch in seen)
    if cut:
        told = " and ".join(f"{_a(watch)} after {duration(watch.silence)}" for watch in cut)
        sentence = f"Silent streams are cut: {told}. Heartbeats come every {duration(interval)}."
        return case.found(name, Verdict.FAILED, sentence, IDLE)
    longest = duration(max(watch.silence for watch in seen))
    held = [watch for watch in quiet if not watch.heartbeats]
    if held and case.question.idle >= interval + _MARGIN:
        told = " and ".join(_a(watch) for watch in held)
        sentence = (
            f"No heartbeat came through {told} within {duration(case.question.idle)}, though one "
            f"is sent every {duration(interval)}: something holds them back."
        )
        return case.found(name, Verdict.FAILED, sentence, BUFFERING)
    if quiet:
        enough = _ENOUGH * interval + _MARGIN
        sentence = (
            f"No stream is cut within {longest} of silence. To see whether heartbeats, every "
            f"{duration(interval)}, come in time: --idle {enough:g}."
        )
        return case.found(name, Verdict.OK, sentence)
    sentence = f"Heartbeats came through, after {longest} of silence."
    return case.found(name, Verdict.OK, sentence)


def _a(watch: _Watch) -> str:
    return f"{'an' if watch.what[0] in 'aeiou' else 'a'} {watch.what}"


async def _keep(case: Case, session: SessionState, watch: _Watch) -> None:
    """Leaves a stream alone until it has been kept, ends or is cut, or the time is over."""
    if watch.transport is Transport.WEBSOCKET:
        url = case.url.websocket(session.cursor)
    else:
        url = case.url.route("events", session.cursor)
    with anyio.move_on_after(case.question.idle) as limit:
        try:
            async with case.web.open(watch.transport, url, case.question.token) as link:
                watch.how = await _listen(case, link, watch)
        except (Refused, Unreachable, Malformed, ValueError):
            # Why there is none is told by the checks before.
            watch.how = _How.UNOPENED
    if limit.cancelled_caught and watch.interval is not None:
        watch.how = _How.QUIET


async def _listen(case: Case, link: Link, watch: _Watch) -> _How:
    read = frame_reader(case, watch.transport)
    while True:
        began = anyio.current_time()
        try:
            received = await link.receive()
        finally:
            watch.silence = max(watch.silence, anyio.current_time() - began)
        if isinstance(received, Closed):
            return _How.UNOPENED if watch.interval is None else _How.CUT
        for frame in read(received):
            if frame["type"] == "welcome":
                watch.interval, watch.silence = float(frame["heartbeat_interval"]), 0.0
            elif frame["type"] == "heartbeat":
                watch.heartbeats += 1
                if watch.heartbeats == _ENOUGH:
                    return _How.KEPT
                await link.pong()
            elif frame["type"] in _LAST:
                return _How.OVER
