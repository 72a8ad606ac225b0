"""What `agentprogress doctor` finds, and the lines that change it. Pure.

The lines are those of docs/servers.md, for who has to change one and not to read a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "BUFFERING",
    "COMPRESSION",
    "HEADERS",
    "HOST",
    "IDLE",
    "UPGRADE",
    "WORKERS",
    "Finding",
    "Fix",
    "Verdict",
    "allow_origin",
    "exit_status",
]

_FAILED = 1


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    """It works; somebody should know something nevertheless."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be seen; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Who is to change what.

    Attributes:
        who: the proxy, or the server.
        lines: of its configuration, or a sentence.
    """

    who: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has seen.

    Attributes:
        name: of the check.
        verdict: how it went.
        sentence: what was seen.
        fixes: what would change it; any one of them, by who stands there.
    """

    name: str
    verdict: Verdict
    sentence: str
    fixes: tuple[Fix, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns it for `--json`."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "sentence": self.sentence,
            "fixes": [{"who": fix.who, "lines": list(fix.lines)} for fix in self.fixes],
        }


def exit_status(findings: Sequence[Finding]) -> int:
    """Returns 1 when something failed."""
    return _FAILED if any(finding.verdict is Verdict.FAILED for finding in findings) else 0


def _fixes(lines: Mapping[str, str | tuple[str, ...]]) -> tuple[Fix, ...]:
    return tuple(
        Fix(who, (told,) if isinstance(told, str) else told) for who, told in lines.items()
    )


UPGRADE: Final = _fixes(
    {
        "nginx": (
            "proxy_http_version 1.1;",
            "proxy_set_header Upgrade $http_upgrade;",
            "proxy_set_header Connection $connection_upgrade;",
            "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }  # beside `server`",
        ),
        "HAProxy": "passes it on in `mode http`: remove what deletes the header Upgrade",
        "Caddy": "reverse_proxy passes it on: remove `header_up -Upgrade` and `-Connection`",
        "uvicorn": "needs a WebSocket library: pip install websockets",
    }
)
BUFFERING: Final = _fixes(
    {
        "nginx": ("proxy_buffering off;", "gzip off;"),
        "HAProxy": "holds nothing back unless it compresses: remove `filter compression`",
        "Caddy": "reverse_proxy … { flush_interval -1 }",
    }
)
COMPRESSION: Final = _fixes(
    {
        "nginx": "gzip_types without text/event-stream, or `gzip off;`",
        "HAProxy": "compression type without text/event-stream",
        "Caddy": ("@whole not path */events", "encode @whole gzip"),
    }
)
HEADERS: Final = _fixes(
    {
        "nginx": "remove `expires` and `proxy_hide_header` for this location",
        "HAProxy": "remove `http-response set-header` and `del-header` of it",
        "Caddy": "remove `header_down` and `header` for it",
    }
)
HOST: Final = _fixes(
    {
        "nginx": "proxy_set_header Host $http_host;",
        "HAProxy": "keeps it: remove `http-request set-header Host`",
        "Caddy": "header_up Host {hostport}",
    }
)
IDLE: Final = _fixes(
    {
        "nginx": "proxy_read_timeout 60s;",
        "HAProxy": ("timeout client 60s", "timeout server 60s", "timeout tunnel 60s"),
        "Caddy": "remove `stream_timeout` and `read_timeout`, or 60s",
    }
)
WORKERS: Final = _fixes(
    {
        "uvicorn": "--workers 1",
        "gunicorn": "--workers 1",
        "hypercorn": "--workers 1",
        "granian": "--workers 1",
    }
)


def allow_origin(origin: str) -> tuple[Fix, ...]:
    """Returns what lets pages of an origin call."""
    return (Fix("the app", (f'ProgressApp(registry, allowed_origins=("{origin}",))',)),)
