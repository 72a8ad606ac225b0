"""The checks of `agentprogress doctor` that need one whole answer: server, workers, pages."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import anyio

from ...client._link import Unreachable
from ..terminal._text import counted
from ._case import Answered, Case, Unseen, ask, milliseconds, mount_of, words_of
from ._findings import HOST, WORKERS, Finding, Verdict, allow_origin

__all__ = [
    "UNREACHABLE",
    "check_connection",
    "check_host",
    "check_origin",
    "check_server",
    "check_workers",
    "days_left",
]

UNREACHABLE: Final = 3
_FAILED, _OK = 1, 200
_DAY = 24 * 60 * 60
_FEW_DAYS = 14
_AT_ONCE = 5
_MOUNT_HINT = "The address of a mount ends as the mount does, such as in /progress."

# A page that nobody has allowed: the refusal names the host that the server was called by.
_STRANGER = "https://agentprogress-doctor.invalid"
_NAMED_HOST = re.compile(r"this server is '([^']*)'")
_UNKNOWN = ("session_unknown", "wrong_process")
_PREFLIGHT = {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization, last-event-id",
}


# The server


async def check_connection(case: Case) -> Finding:
    """Somebody is there, and may be trusted."""
    name = "Connection"
    try:
        answered = await ask(case, "GET", mount_of(case.url).route("health"))
    except Unreachable as unreachable:
        case.hopeless = "The server could not be reached."
        error = unreachable.error
        untrusted = error.kind == "network" and not error.retryable
        # Somebody was there: it is the certificate that has to be changed.
        case.status = _FAILED if untrusted else UNREACHABLE
        advice = " Or name the file by --ca." if untrusted else ""
        return case.found(name, Verdict.FAILED, f"{error}{advice}")
    told = f"It answers in {milliseconds(answered.seconds)}"
    if answered.certificate is not None:
        left = days_left(answered.certificate, datetime.now(UTC))
        if left is None:
            return case.found(name, Verdict.OK, f"{told}, with a certificate that is trusted.")
        longer = counted(left, "more day") if left else "less than a day"
        sentence = f"{told}, with a certificate that is trusted for {longer}."
        return case.found(name, Verdict.WARNING if left < _FEW_DAYS else Verdict.OK, sentence)
    if _is_loopback(case.url.authority):
        return case.found(name, Verdict.OK, f"{told}, without TLS, on this machine.")
    sentence = (
        f"{told}, without TLS: browsers forbid pages that came by https to call it (mixed "
        "content), and tokens travel in the open."
    )
    return case.found(name, Verdict.WARNING, sentence)


def days_left(certificate: Mapping[str, Any], now: datetime) -> int | None:
    """Returns for how many whole days a certificate is valid; None when it does not tell."""
    until = certificate.get("notAfter")
    if not isinstance(until, str):
        return None
    return max(0, int((ssl.cert_time_to_seconds(until) - now.timestamp()) // _DAY))


def _is_loopback(authority: str) -> bool:
    host = urlsplit(f"//{authority}").hostname or ""
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


async def check_server(case: Case) -> Finding:
    """It is agentprogress, and the session can be read."""
    name = "Server"
    answered = await ask(case, "GET", case.url.route(""), token=case.question.token)
    case.session = answered.session if case.question.names_session else None
    if case.session is not None:
        events = counted(case.session.seq, "event")
        sentence = f"It is agentprogress; the session is {case.session.status}, with {events}."
        return case.found(name, Verdict.OK, sentence)
    if answered.code is None:
        case.hopeless = "It is not agentprogress."
        hint = "" if case.question.names_session else f" {_MOUNT_HINT}"
        return case.found(name, Verdict.FAILED, words_of(answered) + hint)
    if case.question.names_session:
        advice = ""
        if answered.code in ("unauthorized", "forbidden", "token_expired"):
            advice = " A token is passed by --token-file FILE or the variable AGENTPROGRESS_TOKEN."
        return case.found(name, Verdict.FAILED, words_of(answered) + advice)
    health = await ask(case, "GET", mount_of(case.url).route("health"))
    if (health.object or {}).get("status") == "draining":
        return case.found(name, Verdict.WARNING, "It is agentprogress, and is shutting down.")
    return case.found(name, Verdict.OK, "It is agentprogress.")


# Workers


async def check_workers(case: Case) -> Finding:
    """The same session is met on every connection."""
    name = "Workers"
    if not case.question.names_session:
        case.needs_session()
    answers = await _many(case)
    sessions = [answered.session for answered in answers]
    met = [session for session in sessions if session is not None]
    case.session = case.session or (met[0] if met else None)
    strange = Counter(answered.code or str(answered.status) for answered in answers)
    missed = sum(strange[code] for code in _UNKNOWN)
    epochs = {session.epoch for session in met}
    total = counted(len(answers), "connection")
    if len(epochs) > 1:
        sentence = (
            f"{total} met {len(epochs)} different sessions of this id: several processes each "
            "have their own. The memory store is seen by one process: run one worker."
        )
        return case.found(name, Verdict.FAILED, sentence, WORKERS)
    if missed and met:
        sentence = (
            f"{missed} of {total} met a process that does not have this session. The memory store "
            "is seen by one process: run one worker."
        )
        return case.found(name, Verdict.FAILED, sentence, WORKERS)
    if not met:
        raise Unseen("The session could not be read.")
    if len(met) < len(answers):
        del strange[str(_OK)]
        others = ", ".join(f"{what} ({count})" for what, count in strange.items())
        sentence = f"{len(met)} of {total} met the session; the others were answered {others}."
        return case.found(name, Verdict.WARNING, sentence)
    return case.found(name, Verdict.OK, f"{total} met the same session.")


async def _many(case: Case) -> list[Answered]:
    """Asks again and again, each time by a connection of its own.

    Several at once: workers that share a socket leave all requests to one of them while it is idle.
    """
    answers: list[Answered] = []
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def once() -> None:
        async with limiter:
            headers = {"Connection": "close"}
            url = case.url.route("")
            answers.append(await ask(case, "GET", url, token=case.question.token, headers=headers))

    # What breaks is told by the group's first error, as if there were no group.
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(case.question.requests):
                tasks.start_soon(once)
    except* Unreachable as group:
        raise _first(group) from None
    return answers


def _first(group: BaseExceptionGroup[Unreachable]) -> Unreachable:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


# Pages


async def check_host(case: Case) -> Finding:
    """The server is called by the name that pages know it by."""
    name = "Host"
    answered = await _asked_by_page(case, _STRANGER)
    named = _NAMED_HOST.search(words_of(answered)) if answered.code == "forbidden" else None
    if named is None:
        raise Unseen("The server does not tell by which name it is called.")
    own = urlsplit(case.question.own_origin).netloc
    if named[1].lower().removesuffix(_default_port(case)) == own:
        return case.found(name, Verdict.OK, f"The server is called {own}, as its pages call it.")
    sentence = (
        f"The server is called {named[1]!r} instead of {own!r}: a proxy has changed the Host "
        "header, with which the Origin of pages is compared."
    )
    return case.found(name, Verdict.WARNING, sentence, HOST)


def _default_port(case: Case) -> str:
    return ":443" if case.url.secure else ":80"


async def check_origin(case: Case) -> Finding:
    """Pages of an origin may call, and may read what they get."""
    name = "Origin"
    own = case.question.own_origin
    origin = case.question.origin or own
    foreign = origin.lower() != own
    plain = await _asked_by_page(case, None)
    answered = await _asked_by_page(case, origin)
    if (answered.status, answered.code) != (plain.status, plain.code) or (
        answered.code == "forbidden" and words_of(answered) != words_of(plain)
    ):
        fixes = allow_origin(origin) if foreign else HOST
        return case.found(name, Verdict.FAILED, words_of(answered), fixes)
    if not foreign:
        return case.found(name, Verdict.OK, f"Pages of {origin} may call it.")
    told = answered.headers.get("access-control-allow-origin")
    if told is None:
        sentence = (
            f"Requests of pages of {origin} are let in, but without Access-Control-Allow-Origin "
            "no browser hands the answers to them."
        )
        return case.found(name, Verdict.FAILED, sentence, allow_origin(origin))
    if told not in ("*", origin):
        sentence = (
            f"Access-Control-Allow-Origin is {told!r}, with which browsers refuse {origin}: where "
            "a proxy or a middleware adds it too, one of them has to stop."
        )
        return case.found(name, Verdict.FAILED, sentence)
    asked = await ask(case, "OPTIONS", case.url.route(""), headers={"Origin": origin, **_PREFLIGHT})
    allowed = asked.headers.get("access-control-allow-headers", "").lower()
    if asked.status not in (200, 204) or "last-event-id" not in allowed:
        sentence = (
            f"Pages of {origin} are let in, but a browser's question before it calls (OPTIONS) is "
            f"answered {asked.status}, without what lets it: a proxy or a middleware answers it."
        )
        return case.found(name, Verdict.FAILED, sentence)
    return case.found(name, Verdict.OK, f"Pages of {origin} may call it, and read the answers.")


async def _asked_by_page(case: Case, origin: str | None) -> Answered:
    """Asks as a page does: a bearer in a header would vouch for any page."""
    headers = {} if origin is None else {"Origin": origin}
    return await ask(case, "GET", case.url.route(""), headers=headers)
