"""The checks of `agentprogress doctor` on streams that begin: what comes through, and when."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import anyio

from ..._core.connection import SUBPROTOCOL
from ...client._ladder import Transport
from ...client._link import Closed, Link, Look, Refused
from ...client._verdicts import judge_close, judge_frame
from ...client._wire import Answer, Frame
from ..terminal._text import duration
from ._case import (
    Case,
    SessionState,
    Unseen,
    ask,
    frame_reader,
    milliseconds,
    read_answer,
    words_of,
)
from ._findings import BUFFERING, COMPRESSION, HEADERS, UPGRADE, Finding, Verdict

__all__ = ["check_buffering", "check_compression", "check_headers", "check_upgrade"]

# What has a few hundred bytes and takes longer is held back.
_AT_ONCE: Final = 3.0
_OK, _BAD_REQUEST = 200, 400
_ENCODINGS = "gzip, br, zstd, deflate"
_EVENT_STREAM = "text/event-stream"


def _patience(case: Case) -> float:
    """Returns for how long to wait for what comes at once: the check is to tell that it did not."""
    return min(_AT_ONCE, case.question.timeout / 2)


# WebSocket


async def check_upgrade(case: Case) -> Finding:
    """A WebSocket's handshake passes, and frames come through it."""
    name = "Upgrade"
    began = anyio.current_time()
    received: str | bytes | Closed | None = None
    try:
        async with _websocket(case) as link:
            with anyio.move_on_after(_patience(case)):
                received = await link.receive()
            took, subprotocol = anyio.current_time() - began, link.subprotocol
    except Refused as refused:
        return case.found(name, Verdict.FAILED, _refusal(refused.answer), UPGRADE)
    if received is None:
        sentence = (
            "A WebSocket was accepted, and nothing came through it within "
            f"{duration(_patience(case))}: a proxy passes nothing on."
        )
        return case.found(name, Verdict.FAILED, sentence, UPGRADE)
    if isinstance(received, Closed):
        why = " without a word."
        if received.code is not None:
            why = f": {judge_close(received.code).error}"
        return case.found(name, Verdict.FAILED, f"A WebSocket was accepted and closed{why}")
    first = frame_reader(case, Transport.WEBSOCKET)(received)[0]
    if first["type"] == "welcome":
        return _welcomed(case, name, took, subprotocol)
    if first["type"] == "error" and case.session is None:
        sentence = "A WebSocket passes: the server's own refusal came through it."
        return case.found(name, Verdict.OK, sentence)
    return case.found(name, Verdict.FAILED, f"A WebSocket passes, and brings: {_words(first)}")


def _welcomed(case: Case, name: str, took: float, subprotocol: str | None) -> Finding:
    if subprotocol == SUBPROTOCOL:
        sentence = f"A WebSocket passes; its welcome came within {milliseconds(took)}."
        return case.found(name, Verdict.OK, sentence)
    sentence = (
        f"A WebSocket passes, but without its subprotocol {SUBPROTOCOL}: something takes the "
        "header Sec-WebSocket-Protocol away, so that dead connections are noticed late."
    )
    return case.found(name, Verdict.WARNING, sentence)


def _websocket(case: Case) -> AbstractAsyncContextManager[Link]:
    after = None if case.session is None else case.session.cursor
    url = case.url.websocket(after)
    return case.web.open(Transport.WEBSOCKET, url, case.question.token)


def _refusal(answer: Answer) -> str:
    if answer.status == _BAD_REQUEST and answer.content_type.startswith("application/problem+json"):
        return (
            "A WebSocket's handshake came to the application as a plain request, and was refused "
            "with 400: its Upgrade got lost on the way. Clients follow by server-sent events."
        )
    return (
        f"A WebSocket's handshake was answered {answer.status} instead of 101. Clients follow by "
        "server-sent events."
    )


def _words(frame: Frame) -> str:
    known = frame["type"] in ("error", "reconnect")
    return str(judge_frame(frame).error) if known else f"a {frame['type']}."


# Server-sent events


@dataclass(slots=True)
class _Opening:
    """The beginning of an event stream, as far as it came at once.

    Attributes:
        look: None when not even the head came.
        refused: a sentence, where the answer is no event stream.
        seconds: to the first bytes of the body; None when none came.
    """

    look: Look | None = None
    refused: str | None = None
    seconds: float | None = None
    frames: list[Frame] = field(default_factory=list[Frame])

    @property
    def encoding(self) -> str:
        """How the body is compressed; empty when it is not."""
        told = "" if self.look is None else self.look.headers.get("content-encoding", "")
        return "" if told == "identity" else told

    @property
    def complete(self) -> bool:
        """True once there is enough to judge."""
        return bool(self.frames) or (bool(self.encoding) and self.seconds is not None)


async def _open_stream(
    case: Case, session: SessionState, headers: Mapping[str, str] | None = None
) -> _Opening:
    """Opens an event stream at the head, so that its welcome is all that comes, and reads that."""
    opening = _Opening()
    began = anyio.current_time()
    read = frame_reader(case, Transport.SSE)
    asked = {"Accept": _EVENT_STREAM, **(headers or {})}
    url = case.url.route("events", session.cursor)
    with anyio.move_on_after(_patience(case)):
        async with case.web.look("GET", url, case.question.token, asked) as look:
            opening.look = look
            kind = look.headers.get("content-type", "").lower()
            if look.status != _OK or not kind.startswith(_EVENT_STREAM):
                opening.refused = words_of(await read_answer(case, look, began))
                return opening
            while not opening.complete:
                chunk = await look.body.receive()
                if isinstance(chunk, Closed):
                    break
                opening.seconds = opening.seconds or anyio.current_time() - began
                opening.frames += read(chunk)
    return opening


async def check_buffering(case: Case) -> Finding:
    """What a running session sends comes at once."""
    name = "Buffering"
    session = case.needs_session()
    url = case.url.route("page", session.cursor)
    page = await ask(case, "GET", url, token=case.question.token)
    if page.status != _OK:
        return case.found(name, Verdict.FAILED, words_of(page))
    opening = await _open_stream(case, session)
    if opening.look is not None and opening.refused is None:
        case.stream_headers = opening.look.headers
    if opening.refused is not None:
        return case.found(name, Verdict.FAILED, opening.refused)
    if opening.frames and opening.frames[0]["type"] != "welcome":
        sentence = f"The event stream brings: {_words(opening.frames[0])}"
        return case.found(name, Verdict.FAILED, sentence)
    if not opening.frames:
        what = "Nothing" if opening.look is not None else "Not even the head"
        sentence = (
            f"{what} of an event stream came within {duration(_patience(case))}, while a page took "
            f"{milliseconds(page.seconds)}: a proxy holds streams back. Clients follow by long "
            "polls."
        )
        return case.found(name, Verdict.FAILED, sentence, BUFFERING)
    if session.ended:
        raise Unseen(
            "The event stream came whole, but the session has ended: whether streams are held "
            "back is seen with a session that runs."
        )
    told = milliseconds(opening.seconds or 0.0)
    return case.found(name, Verdict.OK, f"An event stream begins within {told}.")


async def check_compression(case: Case) -> Finding:
    """Event streams are not compressed for clients that could read it, as browsers can."""
    name = "Compression"
    session = case.needs_session()
    opening = await _open_stream(case, session, {"Accept-Encoding": _ENCODINGS})
    if opening.look is None:
        raise Unseen("The head of an event stream is held back.")
    if opening.refused is not None:
        raise Unseen("There is no event stream.")
    if not opening.encoding:
        return case.found(name, Verdict.OK, "Event streams come uncompressed.")
    if opening.seconds is None:
        sentence = (
            f"Event streams are compressed ({opening.encoding}), and nothing came of one within "
            f"{duration(_patience(case))}: what compresses them holds them back."
        )
        return case.found(name, Verdict.FAILED, sentence, COMPRESSION)
    sentence = (
        f"Event streams are compressed ({opening.encoding}). They come at once nevertheless, which "
        "hangs on the header X-Accel-Buffering."
    )
    return case.found(name, Verdict.WARNING, sentence, COMPRESSION)


async def check_headers(case: Case) -> Finding:
    """What tells proxies and caches to leave event streams alone has come through."""
    name = "Headers"
    session = case.needs_session()
    headers = case.stream_headers
    if headers is None:
        # A head alone is held back by nobody.
        url = case.url.route("events", session.cursor)
        answered = await ask(case, "HEAD", url, token=case.question.token)
        if answered.status != _OK:
            raise Unseen("There is no event stream.")
        headers = answered.headers
    told = headers.get("cache-control", "").lower()
    if "age" in headers or ("no-cache" not in told and "no-store" not in told):
        sentence = f"Event streams come with Cache-Control {told!r}: a cache may keep them."
        if "age" in headers:
            sentence = "An event stream has been in a cache: it came with an Age."
        return case.found(name, Verdict.FAILED, sentence, HEADERS)
    if "no-transform" not in told:
        sentence = f"Cache-Control has lost its no-transform on the way; it is {told!r}."
        return case.found(name, Verdict.WARNING, sentence, HEADERS)
    if headers.get("x-accel-buffering", "").lower() == "no":
        sentence = "Cache-Control and X-Accel-Buffering have come through."
        return case.found(name, Verdict.OK, sentence)
    server = headers.get("server", "")
    if "nginx" in server.lower() or "openresty" in server.lower():
        sentence = (
            "Cache-Control has come through. X-Accel-Buffering was for nginx, which keeps it; "
            "another nginx before it needs `proxy_buffering off`."
        )
        return case.found(name, Verdict.OK, sentence)
    sentence = "X-Accel-Buffering is lost on the way: an nginx before that holds streams back."
    return case.found(name, Verdict.WARNING, sentence, HEADERS)
