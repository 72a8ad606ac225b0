"""What `agentprogress doctor` is asked about, what it has learnt so far, and how it asks.

Every answer is taken as it comes, bounded in size; what it says is told by the checks.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import anyio
from pydantic_core import from_json

from ..._core.jsonable import is_object
from ...client._attempt import Attempt
from ...client._ladder import Transport
from ...client._link import Closed, Look
from ...client._steps import Dial
from ...client._urls import SessionUrl
from ...client._verdicts import judge_answer
from ...client._web import Web
from ...client._wire import Answer, Frame
from ...codes import CODES
from ...settings import Settings
from .._addresses import discreet, session_url, shown_address, shown_id
from ..terminal._text import safe_line
from ._findings import Finding, Fix, Verdict

__all__ = [
    "Answered",
    "Case",
    "Question",
    "SessionState",
    "Unseen",
    "ask",
    "frame_reader",
    "milliseconds",
    "mount_of",
    "read_answer",
    "words_of",
]

_SESSION = re.compile(r"(.*)/sessions/([^/]+)")
# No application has it: ids of applications are words, generated ones begin with `s_`.
_NOBODY = "agentprogress-doctor"
# What may stand in a header's value (RFC 9110, 5.5), and an origin as browsers write it.
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_ORIGIN = re.compile(r"https?://[!-.0-~]+|null", re.ASCII)
_MAX_SENTENCE_CHARS: Final = 400
# A value in a query that is shorter says nothing, and stands in too many words.
_LEAST_SECRET_CHARS: Final = 8
_OK, _REDIRECTS = 200, range(300, 400)


class Unseen(Exception):
    """A check that cannot be made; carries the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        url: of a session, or of one that there is not below a mount.
        names_session: whether the session is the user's.
        token: the bearer.
        ssl_context: whom to trust; None for the system's choice.
        origin: of the pages that are to call; None for the server's own.
        requests: for the check of workers.
        idle: seconds for which streams are watched.
        timeout: seconds that a check may take, besides those.
    """

    url: SessionUrl
    names_session: bool
    token: str | None = None
    ssl_context: ssl.SSLContext | None = None
    origin: str | None = None
    requests: int = 20
    idle: float = 5.0
    timeout: float = 10.0

    @classmethod
    def read(cls, address: str, **more: Any) -> Question:
        """Reads the address of a session, of its page, or of a mount.

        Raises:
            InvalidUrl: it is none.
            ValueError: the token or the origin cannot be sent.
        """
        _check_sendable(more.get("token"), more.get("origin"))
        bare, mark, query = session_url(address.partition("#")[0]).partition("?")
        bare = bare.rstrip("/")
        names_session = _SESSION.fullmatch(bare) is not None
        if not names_session:
            bare = f"{bare.removesuffix('/sessions')}/sessions/{_NOBODY}"
        return cls(url=SessionUrl.parse(bare + mark + query), names_session=names_session, **more)

    @property
    def own_origin(self) -> str:
        """The origin of pages that the same host serves, as browsers write it."""
        scheme, default = ("https", ":443") if self.url.secure else ("http", ":80")
        return f"{scheme}://{self.url.authority.lower().removesuffix(default)}"

    @property
    def shown(self) -> str:
        """The address for a report that is passed on."""
        path = self.url.path if self.names_session else mount_of(self.url).path
        return safe_line(shown_address(f"{self.own_origin}{path}"))

    def discreet(self, text: str) -> str:
        """Returns somebody's text without the token, and without what of an address is secret."""
        if self.token:
            text = text.replace(self.token, "…")
        for _, value in parse_qsl(self.url.query):
            if len(value) >= _LEAST_SECRET_CHARS:
                text = text.replace(value, "…")
        if self.names_session:
            session_id = self.url.session_id
            text = text.replace(session_id, shown_id(session_id))
        return discreet(text)


def _check_sendable(token: str | None, origin: str | None) -> None:
    if token is not None and not _VISIBLE.fullmatch(token):
        raise ValueError("The token has characters that a header cannot have.")
    if origin is not None and not _ORIGIN.fullmatch(origin):
        raise ValueError("An origin is a scheme, a host and perhaps a port: https://app.example")


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as it was found.

    Attributes:
        cursor: of its head: a stream from there brings little.
    """

    epoch: str
    status: str
    seq: int

    @property
    def cursor(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @property
    def ended(self) -> bool:
        """True when nothing more comes of it."""
        return self.status not in ("pending", "running", "waiting")


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer.

    Attributes:
        seconds: from the request to the body's end.
    """

    status: int
    headers: Mapping[str, str]
    certificate: Mapping[str, Any] | None
    body: bytes
    seconds: float

    @property
    def answer(self) -> Answer:
        """It as clients judge it."""
        kind = self.headers.get("content-type", "").lower()
        problem = self.object if kind.startswith("application/problem+json") else None
        return Answer(self.status, problem, None, kind)

    @property
    def object(self) -> dict[str, Any] | None:
        """The JSON object that it has; None when it has none."""
        try:
            value: object = from_json(self.body)
        except ValueError:
            return None
        return value if is_object(value) else None

    @property
    def code(self) -> str | None:
        """The code of the problem that it is, when a server of this protocol has written it."""
        code = (self.answer.problem or {}).get("code")
        return code if isinstance(code, str) and code in CODES else None

    @property
    def session(self) -> SessionState | None:
        """The session's state that it has."""
        found = self.object or {}
        epoch, status, seq = found.get("epoch"), found.get("status"), found.get("seq")
        if self.status != _OK or type(seq) is not int:
            return None
        if not isinstance(epoch, str) or not isinstance(status, str):
            return None
        return SessionState(epoch, status, seq)


@dataclass(slots=True)
class Case:
    """A question, and what has been learnt.

    Attributes:
        session: its state, once it could be read.
        hopeless: why nothing more can be seen.
        status: to exit with, whatever else was found.
        stream_headers: of the event stream.
    """

    question: Question
    web: Web
    settings: Settings = field(default_factory=Settings)
    session: SessionState | None = None
    hopeless: str | None = None
    status: int | None = None
    stream_headers: Mapping[str, str] | None = None

    @property
    def url(self) -> SessionUrl:
        """Of the session."""
        return self.question.url

    def needs_session(self) -> SessionState:
        """Returns the session's state.

        Raises:
            Unseen: there is none.
        """
        if self.session is not None:
            return self.session
        if self.question.names_session:
            raise Unseen("The session could not be read.")
        raise Unseen("It takes a session: pass the address of one that is running.")

    def found(
        self, name: str, verdict: Verdict, sentence: str, fixes: tuple[Fix, ...] = ()
    ) -> Finding:
        """Returns a finding whose sentence is fit for a terminal and a report."""
        told = self.question.discreet(safe_line(sentence))
        if len(told) > _MAX_SENTENCE_CHARS:
            told = f"{told[: _MAX_SENTENCE_CHARS - 1]}…"
        return Finding(name, verdict, told, fixes)


async def ask(
    case: Case,
    method: str,
    url: str,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answered:
    """Sends a request and reads its whole answer, which may be anything.

    Raises:
        Unreachable, Cut: there is none.
    """
    began = anyio.current_time()
    async with case.web.look(method, url, token, headers or {}) as look:
        return await read_answer(case, look, began)


async def read_answer(case: Case, look: Look, began: float) -> Answered:
    """Reads an answer to its end, or to the most that is taken."""
    body = bytearray()
    while len(body) <= case.settings.max_message_bytes:
        chunk = await look.body.receive()
        if isinstance(chunk, Closed):
            break
        body += chunk if isinstance(chunk, bytes) else chunk.encode()
    seconds = anyio.current_time() - began
    return Answered(look.status, look.headers, look.certificate, bytes(body), seconds)


def frame_reader(case: Case, transport: Transport) -> Callable[[str | bytes], list[Frame]]:
    """Returns what reads the bytes of one connection into frames, as clients do.

    What it returns raises `Malformed` and `MessageTooLarge`.
    """
    dial = Dial(transport, cursor=None, waits=False, renew_token=False)
    attempt = Attempt(dial, 0.0, case.settings, case.settings.heartbeat_interval)
    return lambda data: list(attempt.frames(data))


def words_of(answered: Answered) -> str:
    """Returns a sentence about an answer that is not what was asked for."""
    target = answered.headers.get("location")
    if answered.status in _REDIRECTS and target is not None:
        return (
            f"It redirects ({answered.status}) to {shown_address(target)}: a WebSocket cannot "
            "follow that. Use that address, or let requests for sessions pass."
        )
    return str(judge_answer(answered.answer).error)


def mount_of(url: SessionUrl) -> SessionUrl:
    """Returns the URL below which the routes are."""
    path = url.path.rpartition("/sessions/")[0]
    return SessionUrl(url.secure, url.authority, path, url.query)


def milliseconds(seconds: float) -> str:
    """Writes a short time."""
    return f"{max(1, round(seconds * 1000)):,} ms"
