"""`agentprogress doctor`: looks at a server through all that stands before it, check by check.

Each check has its own limit of time, and none of them can end the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from ...client._link import Refused, Unreachable
from ...client._web import Web
from ...client._wire import Malformed
from ...settings import Settings
from ..terminal._text import duration
from ._case import Case, Question, Unseen
from ._checks import (
    UNREACHABLE,
    check_connection,
    check_host,
    check_origin,
    check_server,
    check_workers,
)
from ._diagnosis import Report, report_for
from ._findings import Finding, Verdict, exit_status
from ._idle_check import check_idle
from ._stream_checks import check_buffering, check_compression, check_headers, check_upgrade

__all__ = ["examine"]

_CHECKS: Final[tuple[tuple[str, Callable[[Case], Awaitable[Finding]]], ...]] = (
    ("Connection", check_connection),
    ("Server", check_server),
    ("Host", check_host),
    ("Origin", check_origin),
    ("Upgrade", check_upgrade),
    ("Workers", check_workers),
    ("Buffering", check_buffering),
    ("Compression", check_compression),
    ("Headers", check_headers),
    ("Idle", check_idle),
)


def examine(question: Question, *, as_json: bool = False) -> int:
    """Makes all checks, tells what each has found, and returns the exit status.

    Args:
        question: what is asked.
        as_json: print one JSON document instead of lines.
    """
    return anyio.run(_examine, question, report_for(question.shown, as_json=as_json))


async def _examine(question: Question, report: Report) -> int:
    settings = Settings()
    headers = {"User-Agent": "agentprogress-doctor"}
    findings: list[Finding] = []
    with report:
        async with Web(question.url.route(""), settings, headers, question.ssl_context) as web:
            case = Case(question, web, settings)
            for name, check in _CHECKS:
                report.begin(name)
                findings.append(await _made(name, check, case))
                report.found(findings[-1])
        status = exit_status(findings) if case.status is None else case.status
        report.end(findings, status)
    return status


async def _made(name: str, check: Callable[[Case], Awaitable[Finding]], case: Case) -> Finding:
    """Makes a check: whatever happens, there is a finding."""
    if case.hopeless is not None:
        return case.found(name, Verdict.SKIPPED, case.hopeless)
    patience = case.question.timeout + (case.question.idle if check is check_idle else 0.0)
    try:
        with anyio.move_on_after(patience):
            return await check(case)
    except Unseen as unseen:
        return case.found(name, Verdict.SKIPPED, str(unseen))
    except Exception as error:  # noqa: BLE001 - whatever a server makes of it, the others are made
        return case.found(name, Verdict.FAILED, _why(error))
    if check is check_connection:
        case.hopeless, case.status = "The server does not answer.", UNREACHABLE
    return case.found(name, Verdict.FAILED, f"No answer came within {duration(patience)}.")


def _why(error: Exception) -> str:
    if isinstance(error, Refused):
        return f"It was answered {error.answer.status}."
    if isinstance(
        error, Unreachable | Malformed | ValueError
    ):  # the last one for what is too large
        return str(error)
    return f"The check failed by itself: {error!r}."
